"""A server as a process: what it makes, what it refuses, how it stops, and its worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.access.first import first_start
from longshore.engine import queues, workers, works
from longshore.engine.works import NewWork
from longshore.errors import ConfigurationError
from longshore.server import credentials
from longshore.server.companion import Companion
from longshore.server.run import serve
from longshore.settings import Settings
from longshore.storage import Database, open_database
from tests.unit.serving import make_context

START_S = 60.0
STOP_S = 20.0
PROGRAM = """
import json, sys
from pathlib import Path
from longshore.server.run import serve
from longshore.settings import Settings

def ready(info):
    shown = {"url": info.url, "key_is_new": info.key_is_new, "slots": info.slots}
    sys.stdout.write(json.dumps(shown) + "\\n")
    sys.stdout.flush()

settings = Settings(data=Path(sys.argv[1]), port=0, log_level="warning")
sys.exit(serve(settings, apps=[], worker=True, on_ready=ready))
"""


class Process:
    """A server process on a free port."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(data)], stdout=subprocess.PIPE, text=True
        )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, "the server ended before it was ready"
        self.ready: dict[str, Any] = json.loads(line)
        self.credentials: dict[str, str] = json.loads((data / "credentials.json").read_text())

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials['key']}"}

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        code = self.child.wait(STOP_S)
        assert self.child.stdout is not None
        self.child.stdout.close()
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def begin() -> Process:
        made.append(Process(tmp_path / "data"))
        return made[-1]

    yield begin
    for process in made:
        if process.child.poll() is None:
            process.stop(signal.SIGKILL)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_start_makes_a_private_directory_with_keys(start: Callable[[], Process]) -> None:
    process = start()
    assert process.ready["key_is_new"]
    assert process.credentials["url"] == process.ready["url"]
    assert mode(process.data) == 0o700
    assert mode(process.data / "credentials.json") == 0o600
    who = httpx.get(f"{process.ready['url']}/longshore/v1/whoami", headers=process.headers).json()
    assert (who["role"], who["organisation"]) == ("admin", "local")
    assert process.credentials["organisation_id"] == who["organisation_id"]
    worker = {"Authorization": f"Bearer {process.credentials['worker_key']}"}
    who = httpx.get(f"{process.ready['url']}/longshore/v1/whoami", headers=worker).json()
    assert who["role"] == "worker"
    assert process.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_waiting_claims_go_and_ends_well(
    start: Callable[[], Process], number: int
) -> None:
    process = start()
    url = f"{process.ready['url']}/longshore/v1/worker"
    headers = {"Authorization": f"Bearer {process.credentials['worker_key']}"}
    offer = {"name": "App", "owner": "Me", "version": "1"}
    worker = httpx.post(
        f"{url}/register",
        headers=headers,
        json={"name": "w", "slots": 1, "apps": [offer], "incarnation": "1"},
    ).json()
    claim = {**worker, "limit": 1, "wait_s": 30}
    answers: list[httpx.Response] = []
    begun = threading.Event()

    def wait() -> None:
        with httpx.Client(headers=headers, timeout=40) as client:
            client.get(f"{process.ready['url']}/longshore/v1/whoami")
            begun.set()
            answers.append(
                client.post(
                    f"{url}/claim",
                    json={
                        "worker_id": claim["worker_id"],
                        "queues": claim["queues"],
                        "limit": 1,
                        "wait_s": 30,
                    },
                )
            )

    thread = threading.Thread(target=wait)
    thread.start()
    assert begun.wait(10)
    # The claim is on its way; whichever comes first, it must not hold the stop up.
    begun_s = time.monotonic()
    assert process.stop(number) == 0
    thread.join(10)
    assert time.monotonic() - begun_s < STOP_S
    assert not thread.is_alive()
    if answers:
        assert answers[0].status_code in (200, 503)


def test_keys_stay_over_restarts_and_a_killed_server_starts_again(
    start: Callable[[], Process],
) -> None:
    first = start()
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = start()
    assert second.credentials["key"] == first.credentials["key"]
    assert not second.ready["key_is_new"]
    assert second.credentials["url"] == second.ready["url"]
    assert second.stop() == 0
    (second.data / "credentials.json").unlink()
    third = start()
    assert third.ready["key_is_new"]
    assert third.credentials["key"] != first.credentials["key"]
    url = f"{third.ready['url']}/longshore/v1/whoami"
    for process in (first, third):
        assert httpx.get(url, headers=process.headers).status_code == 200


def refuse(settings: Settings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        serve(settings, apps=[], worker=False, on_ready=lambda _info: None)
    return caught.value.message


@pytest.fixture
def logs_untouched() -> Iterator[None]:
    import logging  # noqa: PLC0415

    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level


@pytest.mark.usefixtures("logs_untouched")
def test_a_second_server_on_the_same_directory_is_refused(start: Callable[[], Process]) -> None:
    process = start()
    message = refuse(Settings(data=process.data, port=0))
    assert str(process.child.pid) in message
    assert process.ready["url"] in message
    elsewhere = process.data.parent / "elsewhere"
    database = f"sqlite:///{process.data / 'longshore.db'}"
    first = refuse(Settings(data=elsewhere, port=0, database=database))
    assert str(process.child.pid) in first


@pytest.mark.usefixtures("logs_untouched")
def test_a_taken_address_changes_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refuse(Settings(data=tmp_path / "data", port=port))
    assert str(port) in message
    assert "--port" in message
    assert not (tmp_path / "data" / "longshore.db").exists()
    assert not (tmp_path / "data" / "credentials.json").exists()


@pytest.mark.usefixtures("logs_untouched")
@pytest.mark.parametrize("content", ["{", "[]", "\0"])
def test_a_damaged_credentials_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content)
    assert "credentials.json" in refuse(Settings(data=tmp_path, port=0))


@pytest.mark.usefixtures("logs_untouched")
def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--data" in refuse(Settings(data=tmp_path / "file" / "data", port=0))


def test_the_credentials_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    one = credentials.Credentials("http://x", "local", "og_1", "key 1", "key 2")
    path = credentials.write(tmp_path, one)
    before = path.stat().st_ino
    credentials.write(tmp_path, one)
    assert path.stat().st_ino != before
    assert credentials.read(tmp_path)["worker_key"] == "key 2"
    assert "key 1" not in repr(one)
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials.json"]


class Beside:
    """A companion whose worker is a small program, and the processes that it has started."""

    def __init__(self, database: Database, directory: Path, program: str) -> None:
        self.context = make_context(database, directory)
        self.context.settings = self.context.settings.model_copy(update={"drain_s": 5.0})
        self.first = database.write_blocking(first_start)
        self.pids = directory / "pids"
        self.companion = Companion(
            self.context,
            organisation_id=self.first.organisation.id,
            modules=["unused"],
            url="http://unused",
            key=self.first.worker_token,
            slots=1,
        )
        note = f"import os, sys, signal, time; open({str(self.pids)!r}, 'a').write(f'{{os.getpid()}} {{sys.argv[-1]}} {{os.environ[\"LONGSHORE_KEY\"][:3]}}\\n');"
        self.companion._arguments = [sys.executable, "-c", note + program]

    def started(self) -> list[tuple[int, str]]:
        if not self.pids.exists():
            return []
        lines = [line.split() for line in self.pids.read_text().splitlines()]
        assert all(line[2] == "ls_" for line in lines)
        return [(int(line[0]), line[1]) for line in lines]

    async def until_started(self, count: int) -> None:
        deadline = time.monotonic() + START_S
        while len(self.started()) < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Callable[[str], Beside]]:
    database = open_database(f"sqlite:///{tmp_path / 'longshore.db'}")
    made: list[Beside] = []

    def make(program: str) -> Beside:
        made.append(Beside(database, tmp_path, program))
        return made[-1]

    yield make
    for each in made:
        each.context.close()
    database.close()


async def test_a_worker_that_dies_is_started_again_and_its_leases_handed_on(
    beside: Callable[[str], Beside],
) -> None:
    side = beside("signal.pause()")
    task = asyncio.create_task(side.companion.run())
    await side.until_started(1)
    pid, name = side.started()[0]

    def lease(connection: Any) -> str:
        organisation_id = side.first.organisation.id
        queue = queues.ensure(connection, organisation_id=organisation_id, surface="t", name="q")
        works.submit(connection, [NewWork(queue, b"{}")], actor="test")
        worker_id = workers.register(
            connection,
            organisation_id=organisation_id,
            name=name,
            incarnation="1",
            slots=1,
            queue_ids=[queue],
        )
        return works.claim(connection, [queue], limit=1, holder=worker_id, lease_s=3600)[0].id

    work_id = await side.context.database.write(lease)
    os.kill(pid, signal.SIGKILL)
    await side.until_started(2)
    assert side.started()[1][1] != name
    work = await side.context.database.read(works.get, work_id)
    assert work.reason == "worker_lost"
    side.companion.stop()
    await asyncio.wait_for(task, START_S)
    for started, _ in side.started():
        with pytest.raises(ProcessLookupError):
            os.kill(started, 0)


async def test_a_worker_that_does_not_stop_is_killed(beside: Callable[[str], Beside]) -> None:
    side = beside("signal.signal(signal.SIGTERM, signal.SIG_IGN);\nwhile True: signal.pause()")
    side.context.settings = side.context.settings.model_copy(update={"drain_s": 0.0})
    side.companion = side.companion
    task = asyncio.create_task(side.companion.run())
    await side.until_started(1)
    side.companion.stop()
    await asyncio.wait_for(task, START_S)
    with pytest.raises(ProcessLookupError):
        os.kill(side.started()[0][0], 0)


async def test_a_worker_that_cannot_start_is_tried_with_growing_pauses(
    beside: Callable[[str], Beside], caplog: pytest.LogCaptureFixture
) -> None:
    side = beside("sys.exit(2)")
    task = asyncio.create_task(side.companion.run())
    await side.until_started(3)
    side.companion.stop()
    await asyncio.wait_for(task, START_S)
    pauses = [
        record.msg["pause_s"]
        for record in caplog.records
        if isinstance(record.msg, dict) and "pause_s" in record.msg
    ]
    assert pauses[:3] == sorted(set(pauses[:3]))

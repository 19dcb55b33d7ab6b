"""The doctor: each fault is made for real, and found; a server in order has none."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longshore import ids
from longshore.access import keystore_master
from longshore.cli import doctor_extras
from longshore.cli.doctor_extras import Requirement
from longshore.cli.main import app
from longshore.clock import ManualClock
from longshore.engine import artifacts, queues, works
from longshore.engine.works import Ending, NewWork, Outcome
from longshore.server import credentials
from longshore.server.diagnosis import Finding, Verdict, directory, listeners, orphans, stored
from longshore.settings import Settings
from longshore.storage import Database, migrating, open_database
from tests.unit.serving import Served, bearer, listening, serving

ROOT = Path(__file__).parents[2]
HOUR_S = 3600


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


async def findings(served: Served) -> dict[str, dict[str, Any]]:
    answer = await served.client.get("/longshore/v1/doctor")
    assert answer.status_code == 200
    return {each["name"]: each for each in answer.json()["findings"]}


def named(found: Iterator[Finding], name: str) -> Finding:
    [finding] = [each for each in found if each.name == name]
    return finding


def queue(served: Served, surface: str = "apps", name: str = "invoices") -> int:
    return served.database.write_blocking(
        queues.ensure,
        organisation_id=served.organisation.id,
        surface=surface,
        name=name,
        attempts_max=1,
    )


def submit(served: Served, queue_id: int) -> None:
    served.database.write_blocking(works.submit, [NewWork(queue_id, b"{}")], actor="test")


async def test_a_server_in_order_has_no_fault_but_that_no_janitor_runs_here(
    served: Served,
) -> None:
    answer = (await served.client.get("/longshore/v1/doctor")).json()
    # The clock of these tests stands still years ago, and PostgreSQL's is right.
    assert {problem.partition(":")[0] for problem in answer["problems"]} <= {
        "janitor",
        "clock of the database",
        "durability",
    }
    assert answer["healthy"] is False
    for finding in answer["findings"]:
        assert (finding["next"] != "") >= (finding["verdict"] in ("warning", "FAULT")), finding


async def test_leases_that_nobody_takes_back_are_found_with_the_janitors_age(
    served: Served, clock: ManualClock
) -> None:
    queue_id = queue(served)
    submit(served, queue_id)
    served.database.write_blocking(works.claim, [queue_id], limit=1, holder="one", lease_s=10)
    clock.advance(10 + 29)
    assert (await findings(served))["leases"]["verdict"] == "ok"
    clock.advance(2)
    found = (await findings(served))["leases"]
    assert found["verdict"] == "FAULT"
    assert "1 leases" in found["text"]
    assert "no pass of the janitor has succeeded" in found["text"]
    served.app.state.health.janitor_at_s = time.monotonic() - 300
    assert "succeeded 300 s ago" in (await findings(served))["leases"]["text"]


async def test_bytes_without_a_row_are_found_once_they_are_old(
    served: Served, tmp_path: Path
) -> None:
    planted = ids.new(ids.BLOB)
    path = tmp_path / "blobs" / planted[-2:] / planted
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1234)
    assert "orphan blobs" not in await findings(served)
    old_s = path.stat().st_mtime - 2 * HOUR_S
    os.utime(path, (old_s, old_s))
    found = (await findings(served))["orphan blobs"]
    assert found["verdict"] == "warning"
    assert "1 blobs of 1.2 kB" in found["text"]
    assert planted in found["text"]
    assert path.exists()


async def test_a_row_without_bytes_is_a_fault(served: Served) -> None:
    def plant(connection: Any) -> str:
        blob_id = artifacts.reserve(connection, organisation_id=served.organisation.id)
        artifacts.store(connection, blob_id, size_bytes=3, sha256="ab")
        return blob_id

    blob_id = served.database.write_blocking(plant)
    found = (await findings(served))["lost blobs"]
    assert found["verdict"] == "FAULT"
    assert blob_id in found["text"]
    _, stranger = served.other_organisation()
    served.client.headers.update(bearer(stranger))
    assert "lost blobs" not in await findings(served)


async def test_the_look_at_blobs_is_bounded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "LOOK_ROWS", 2)

    def plant(connection: Any) -> None:
        for _ in range(5):
            blob_id = artifacts.reserve(connection, organisation_id=served.organisation.id)
            artifacts.store(connection, blob_id, size_bytes=3, sha256="ab")

    served.database.write_blocking(plant)
    found = await orphans.find(served.context, served.organisation.id)
    assert (found.looked_at_rows, len(found.rows_without_bytes)) == (2, 2)
    assert not found.all_looked_at


async def test_queues_that_nobody_serves_held_ones_and_dead_letters_are_told(
    served: Served,
) -> None:
    invoices, letters = queue(served), queue(served, "buckets", "letters")
    held = queue(served, "buckets", "held")
    for queue_id in (invoices, letters, held):
        submit(served, queue_id)
    served.database.write_blocking(queues.hold, held, actor="test", why="a test")
    [lease] = served.database.write_blocking(
        works.claim, [letters], limit=1, holder="one", lease_s=60
    )
    ending = Ending(lease.id, lease.attempt, Outcome.FAILURE)
    assert served.database.write_blocking(works.finish, [ending], holder="one") == []
    found = await findings(served)
    assert found["queues"]["verdict"] == "warning"
    assert "apps 'invoices' 1" in found["queues"]["text"]
    assert "letters" not in found["queues"]["text"]
    assert "buckets 'held' 1" in found["held queues"]["text"]
    assert "1 works failed for good" in found["dead letters"]["text"]
    assert "buckets 'letters' 1" in found["dead letters"]["text"]


def test_settings_of_postgresql_that_lose_data_are_faults() -> None:
    safe = {
        "server_version_num": "170002",
        "server_version": "17.2",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
    assert {each.verdict for each in stored._durability(safe)} == {Verdict.OK}
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        found = named(stored._durability({**safe, name: "off"}), "durability")
        assert found.verdict is Verdict.FAULT
        assert f"{name} is off" in found.text
    old = {**safe, "server_version_num": "140002", "server_version": "14.2"}
    assert named(stored._durability(old), "postgresql").verdict is Verdict.WARNING


async def test_a_database_whose_clock_is_wrong_is_found(served: Served) -> None:
    found = await findings(served)
    if served.database.dialect == "sqlite":
        assert "clock of the database" not in found
    else:
        # The server's clock is the manual one of the tests.
        assert found["clock of the database"]["verdict"] == "FAULT"
        # The test server gives up durability for speed, and the doctor says so.
        assert "fsync is off" in found["durability"]["text"]


@contextmanager
def listener(host: str) -> Iterator[int]:
    with closing(socket.socket()) as made:
        made.bind((host, 0))
        made.listen()
        yield made.getsockname()[1]


def test_what_the_process_listens_on_is_told_and_strangers_are_pointed_out() -> None:
    with listener("127.0.0.1") as port, listener("0.0.0.0") as other:
        assert listeners.Listener("127.0.0.1", port) in listeners.of_process(os.getpid())
        found = list(listeners.examine(port, secure=False))
        assert named(iter(found), "listeners").verdict is Verdict.OK
        strangers = named(iter(found), "other listeners")
        assert strangers.verdict is Verdict.WARNING
        assert f"0.0.0.0:{other}" in strangers.text
        exposed = named(listeners.examine(other, secure=False), "listeners")
        assert exposed.verdict is Verdict.WARNING
        assert "without TLS" in exposed.text
        assert named(listeners.examine(other, secure=True), "listeners").verdict is Verdict.OK


def test_an_address_of_ipv6_is_read_as_it_is_meant() -> None:
    with closing(socket.socket(socket.AF_INET6)) as made:
        made.bind(("::1", 0))
        made.listen()
        port = made.getsockname()[1]
        assert listeners.Listener("::1", port) in listeners.of_process(os.getpid())


# The data directory, without a server.


@pytest.fixture
def data(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A data directory as a server leaves it."""
    made = tmp_path / "data"
    credentials.make_data_directory(made)
    (made / "longshore.db").write_bytes(migrated_sqlite.read_bytes())
    keys = {"url": "http://127.0.0.1:1", "key": "ls_key", "organisation": "local"}
    path = made / credentials.CREDENTIALS
    path.write_text(json.dumps(keys))
    path.chmod(0o600)
    return made


def settings(data: Path) -> Settings:
    return Settings(data=data, database=None, secret_key_file=None)


def test_a_data_directory_in_order_has_nothing_to_warn_of(data: Path) -> None:
    found = list(directory.examine(settings(data)))
    assert {each.verdict for each in found} <= {Verdict.OK, Verdict.NOTE}
    assert {"permissions", "master key", "disk", "sqlite", "database file", "migrations"} <= {
        each.name for each in found
    }


@pytest.mark.parametrize("name", [credentials.CREDENTIALS, keystore_master.KEY_FILE])
def test_a_file_of_keys_that_others_may_read_is_a_fault(data: Path, name: str) -> None:
    keystore_master.Keyring(settings(data)).masters(make=True)
    path = data / name
    path.chmod(0o644)
    found = named(directory.examine(settings(data)), "permissions")
    assert found.verdict is Verdict.FAULT
    assert str(path) in found.text
    assert f"chmod 600 {path}" in found.next


def test_a_directory_that_is_open_with_a_readable_database_is_a_warning(data: Path) -> None:
    data.chmod(0o755)
    (data / "longshore.db").chmod(0o644)
    assert named(directory.examine(settings(data)), "permissions").verdict is Verdict.WARNING


def test_a_master_key_that_is_none_is_a_fault(data: Path) -> None:
    path = data / keystore_master.KEY_FILE
    path.write_text("not a key")
    path.chmod(0o600)
    found = named(directory.examine(settings(data)), "master key")
    assert found.verdict is Verdict.FAULT
    assert "not a key" not in found.text


def test_tables_of_an_older_and_a_newer_version_are_told_apart(data: Path) -> None:
    def at(step: str) -> Finding:
        with closing(sqlite3.connect(data / "longshore.db")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (step,))
        return named(directory.examine(settings(data)), "migrations")

    assert at("0003").verdict is Verdict.NOTE
    assert "longshore backup" in at("0003").next
    assert at("9999").verdict is Verdict.FAULT
    assert at(migrating.HEAD).verdict is Verdict.OK


def test_a_file_that_is_no_database_is_a_fault(data: Path) -> None:
    (data / "longshore.db").write_bytes(b"rubbish" * 1000)
    assert named(directory.examine(settings(data)), "migrations").verdict is Verdict.FAULT


def test_a_full_disk_is_a_fault(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "LOW_DISK_BYTES", 1 << 62)
    assert named(directory.examine(settings(data)), "disk").verdict is Verdict.FAULT


def test_a_program_beside_the_server_that_has_the_database_open_is_pointed_out(
    data: Path,
) -> None:
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM works'); print('open', flush=True); sys.stdin.read()"
    stranger = subprocess.Popen(
        [sys.executable, "-c", program, str(data / "longshore.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"open\n"
        found = named(directory.examine(settings(data)), "database users")
        assert found.verdict is Verdict.WARNING
        assert f"(process {stranger.pid})" in found.text
    finally:
        stranger.communicate(timeout=10)


@pytest.mark.parametrize(("version", "safe"), [((3, 51, 2), False), ((3, 51, 3), True)])
def test_the_fault_of_old_sqlite_is_told(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], safe: bool
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert (directory.engine().verdict is Verdict.OK) == safe


# The command.


def run(*arguments: str, code: int) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    assert done.exit_code == code, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_with_the_server_down_the_command_looks_at_the_data_directory(data: Path) -> None:
    (data / credentials.CREDENTIALS).chmod(0o644)
    found = {each["name"]: each for each in run("--data", str(data), code=1)}
    assert found["key"]["verdict"] == "FAULT"
    assert found["permissions"]["verdict"] == "FAULT"
    assert found["migrations"]["verdict"] == "ok"


async def test_the_command_finds_that_the_servers_clock_is_wrong(
    data: Path, tmp_path: Path
) -> None:
    database = open_database(f"sqlite:///{data / 'longshore.db'}", clock=ManualClock())
    try:
        async with serving(database, tmp_path) as served:
            with listening(served.app) as port:
                keys = {"url": f"http://127.0.0.1:{port}", "key": served.first.token}
                (data / credentials.CREDENTIALS).write_text(json.dumps(keys))
                found = {each["name"]: each for each in run("--data", str(data), code=1)}
    finally:
        database.close()
    assert found["clock"]["verdict"] == "warning"
    assert "s against this machine's" in found["clock"]["text"]
    assert found["listeners"]["verdict"] == "ok"


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(doctor_extras.USES) == set(project["optional-dependencies"])


def test_an_extra_that_is_missing_or_of_a_wrong_version_is_told() -> None:
    version = metadata.version("pytest")
    right = Requirement("otel", "pytest", ">=1,<1000")
    assert doctor_extras.judge("otel", [right]).verdict is Verdict.OK
    assert version in doctor_extras.judge("otel", [right]).text
    missing = Requirement("otel", "no-such-package-anywhere", ">=1")
    assert doctor_extras.judge("otel", [right, missing]).verdict is Verdict.NOTE
    assert doctor_extras.judge("otel", []).verdict is Verdict.NOTE
    wrong = Requirement("otel", "pytest", ">=1000")
    found = doctor_extras.judge("otel", [wrong])
    assert found.verdict is Verdict.WARNING
    assert f"{version}, not >=1000" in found.text


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("1.30.0", ">=1.30", True),
        ("1.30", ">=1.30.1", False),
        ("2026.1.1", ">=2026.1,<2027", True),
        ("0.14.7", "==0.14.*", True),
        ("0.15.0", "==0.14.*", False),
        ("3.3.0rc1", ">=3.3", True),
        ("5.0", "!=5", False),
        ("5.1", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, wanted: str, fits: bool) -> None:
    assert doctor_extras.fits(version, wanted) is fits

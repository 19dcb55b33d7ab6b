"""Hosts: real workers, one of them beside the server, run scripts that call the server back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import MARK, Command, Server, eventually

EXTRACT = """
import cawbs, sys
started = cawbs.Init()
if started["status_code"] >= 400:
    sys.exit(f"Init: {started}")
event = cawbs.GetEventPayload()["payload"]
print("extracting", event["table"])
sys.exit(0 if cawbs.PutStepPayload({"rows": [1, 2, 3]})["status_code"] < 400 else 1)
"""
LOAD = """
import cawbs, sys
started = cawbs.Init()
if started["status_code"] >= 400:
    sys.exit(f"Init: {started}")
rows = cawbs.GetStepPayload("extract")["payload"]["rows"]
print("loaded", sum(rows))
"""
WAIT = """
import os, subprocess
child = subprocess.Popen(["sleep", "600"])
print("waits", os.getpid(), child.pid, os.environ["ATTEMPT"], flush=True)
child.wait()
"""
WORKFLOWS = {
    "etl": """
workflow: etl
triggers:
  events:
    - name: arrived
steps:
  extract:
    script: extract.py
    host: host1
  load:
    script: load.py
    host: host2
    depends_on: [extract]
""",
    "waiting": """
workflow: waiting
triggers:
  events:
    - name: wait
steps:
  hold:
    script: wait.py
    host: host2
    grace_s: 1
""",
    "missing": """
workflow: missing
triggers:
  events:
    - name: miss
steps:
  lost:
    script: exract.py
    host: host1
    retries: {attempts: 3, delay_s: 0}
""",
}


class HostWorker(Command):
    """`longshore worker --host`, started again after each death."""

    def __init__(self, harbour: Harbour, server: Server, host: str, scripts: Path) -> None:
        super().__init__(harbour.directory, f"host-{host}", harbour.mark)
        self._server = server
        self._arguments = ["worker", "--host", host, "--scripts", str(scripts), "--slots", "2"]
        # Steps get nothing of a worker's environment, and the test wants to find what it started.
        self._arguments += ["--server", server.url, "--pass-env", MARK]
        harbour.commands.append(self)

    def start(self) -> None:
        self.launch(self._arguments, {"LONGSHORE_KEY": self._server.worker_key})


@pytest.fixture(scope="module")
def scripts(module_harbour: Harbour) -> Path:
    directory = module_harbour.directory / "scripts"
    directory.mkdir()
    for name, text in {"extract": EXTRACT, "load": LOAD, "wait": WAIT}.items():
        (directory / f"{name}.py").write_text(text)
    return directory


@pytest.fixture(scope="module")
def server(module_harbour: Harbour, scripts: Path) -> Server:
    """Return a server with a worker of host1 beside it."""
    server = module_harbour.server(worker=True, slots=2)
    server._arguments += ["--worker-host", "host1", "--scripts", str(scripts)]
    server.start()
    return server


@pytest.fixture(scope="module")
def host2(module_harbour: Harbour, server: Server, scripts: Path) -> HostWorker:
    worker = HostWorker(module_harbour, server, "host2", scripts)
    worker.start()
    return worker


@pytest.fixture(scope="module")
def operator(module_harbour: Harbour, server: Server, host2: HostWorker) -> Iterator[User]:
    """Return a user of the server once both hosts are there and the workflows are applied."""
    user = module_harbour.user(server)
    eventually(
        lambda: {host["name"] for host in user.get("/coreauto/v1/hosts")} >= {"host1", "host2"},
        30.0,
        "both hosts are known",
    )
    for text in WORKFLOWS.values():
        user.post("/coreauto/v1/workflows", {"text": text}, expect=(200, 201))
    return user


def _post(user: User, event: str, payload: Any = None) -> int:
    body = {"eventName": event, "payload": payload}
    return int(user.post("/coreauto/v1/rtevent", body, expect=(201,))["actionId"])


def _ended(user: User, run_id: int) -> str:
    def look() -> str | None:
        state = str(user.get(f"/coreauto/v1/runs/{run_id}")["state"])
        return state if state in ("finished", "failed", "cancelled") else None

    return eventually(look, 30.0, f"run {run_id} has ended") or ""


def _step(user: User, run_id: int, name: str) -> dict[str, Any]:
    found: dict[str, Any] = user.get(f"/coreauto/v1/runs/{run_id}/steps/{name}")
    return found


def _lines(user: User, work_id: str) -> list[str]:
    lines = user.get(f"/longshore/v1/works/{work_id}/logs")["lines"]
    return [line["text"] for line in lines]


def _waiting(user: User, run_id: int, attempt: int) -> list[int]:
    """Wait until the script that waits says so in this attempt; return its processes."""

    def look() -> list[int]:
        work_id = _step(user, run_id, "hold")["work_id"]
        for line in _lines(user, work_id) if work_id else []:
            words = line.split()
            if words[:1] == ["waits"] and words[3] == str(attempt):
                return [int(words[1]), int(words[2])]
        return []

    return eventually(look, 30.0, f"attempt {attempt} waits")


def test_an_event_runs_scripts_on_two_hosts_which_hand_data_on(operator: User) -> None:
    run_id = _post(operator, "arrived", {"table": "orders"})
    assert _ended(operator, run_id) == "finished"
    attempts = _step(operator, run_id, "load")["attempts"]
    assert len(attempts) == 1
    assert attempts[0]["exit_code"] == 0
    assert len(attempts[0]["script_sha256"]) == 64
    work_id = attempts[0]["work_id"]
    eventually(lambda: "loaded 6" in _lines(operator, work_id), 10.0, "its lines are there")


def test_a_script_that_is_not_there_fails_its_step_at_once_and_names_the_near_one(
    operator: User,
) -> None:
    run_id = _post(operator, "miss")
    assert _ended(operator, run_id) == "failed"
    step = _step(operator, run_id, "lost")
    (attempt,) = step["attempts"]
    assert attempt["outcome"] == "rejected"
    assert "Did you mean extract.py?" in step["why"]


def test_a_step_whose_worker_is_killed_dies_with_it_and_runs_again(
    operator: User, host2: HostWorker
) -> None:
    run_id = _post(operator, "wait")
    first = _waiting(operator, run_id, 1)
    host2.kill()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in first), 5.0, "its group is gone")
    host2.start()
    second = _waiting(operator, run_id, 2)
    psutil.Process(second[1]).send_signal(signal.SIGTERM)
    assert _ended(operator, run_id) == "finished"
    eventually(
        lambda: _outcomes(operator, run_id) == ["lost", "success"],
        10.0,
        "both attempts are told of",
    )


def test_a_cancelled_run_stops_what_runs_within_seconds(operator: User) -> None:
    run_id = _post(operator, "wait")
    pids = _waiting(operator, run_id, 1)
    operator.post(f"/coreauto/v1/runs/{run_id}/cancel", {"reason": "the test wants it"})
    eventually(
        lambda: not any(psutil.pid_exists(pid) for pid in pids), 8.0, "its processes are gone"
    )
    assert _ended(operator, run_id) == "cancelled"
    eventually(lambda: _outcomes(operator, run_id) == ["cancelled"], 10.0, "its attempt is told of")


def _outcomes(user: User, run_id: int) -> list[str]:
    return [each["outcome"] for each in _step(user, run_id, "hold")["attempts"]]

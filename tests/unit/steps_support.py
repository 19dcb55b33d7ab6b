"""A host with scripts, for the server in the test: submit a step, and read what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from longshore import ids
from longshore.wire.scripts import StepPayload, StepResult
from longshore.wire.worker import Claimed, Outcome, Report
from tests.unit.worker_server import WorkerProcess, WorkerServer

HOST_QUEUE = 11
CODE = "ac_code-of-the-claim"
StartHost = Callable[..., WorkerProcess]

DESCRIBE = """
import json, os, sys
print("DESCRIBED " + json.dumps({
    "environment": dict(os.environ),
    "arguments": sys.argv[1:],
    "directory": os.getcwd(),
    "there": os.listdir(),
    "executable": sys.executable,
}))
"""


def submit_step(server: WorkerServer, script: str | None = None, **fields: Any) -> str:
    """Queue a step and return the id of its work; `fields` are those of StepPayload."""
    given: dict[str, Any] = {
        "run_id": 4711,
        "action": True,
        "environment_name": "acme",
        "step": "load",
        "workflow": "etl",
        "attempt": 1,
        "business_date": "2026-03-29",
        "script": script,
        "code": CODE,
        "code_expires_s": 60.0,
        "grace_s": 0.5,
    } | fields
    payload = StepPayload(**given)
    claimed = Claimed(
        work_id=ids.new(ids.WORK),
        attempt=1,
        queue=HOST_QUEUE,
        surface="scripts",
        payload=msgspec.Raw(msgspec.json.encode(payload)),
        lease_until_us=0,
        timeout_s=None,
    )
    with server.ledger.changed:
        server.ledger.queued.append(claimed)
        server.ledger.changed.notify_all()
    return claimed.work_id


def result(report: Report) -> StepResult:
    return msgspec.json.decode(report.result, type=StepResult)


def described(server: WorkerServer, work: str) -> dict[str, Any]:
    """Wait for a step that runs DESCRIBE, and return what it was given."""
    report = server.report(work)
    assert report.outcome is Outcome.SUCCESS, report.error
    found = json.loads(server.wait_for_line(work, "DESCRIBED "))
    assert isinstance(found, dict)
    return found


def refused(server: WorkerServer, work: str) -> str:
    """Wait for a step that cannot be started for good, and return why."""
    report = server.report(work)
    assert report.outcome is Outcome.REJECTED, report
    assert report.error is not None
    assert report.error.type == "StepNotStarted"
    assert result(report) == StepResult()
    return report.error.message


@contextmanager
def hosts(server: WorkerServer, directory: Path) -> Iterator[StartHost]:
    """Start workers of host "host1" that are gone at the end, with scripts in `directory`/scripts."""
    scripts = directory / "scripts"
    scripts.mkdir()
    started: list[WorkerProcess] = []

    def start(modules: list[str] | None = None, **options: Any) -> WorkerProcess:
        log = directory / f"worker-{len(started)}.log"
        options = {"host": "host1", "scripts": str(scripts)} | options
        started.append(WorkerProcess(server.url, modules or [], log, **options))
        return started[-1]

    yield start
    for worker in started:
        worker.close()
        assert "Traceback" not in worker.text()

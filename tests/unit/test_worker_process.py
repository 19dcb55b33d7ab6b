"""The worker as a process: stops, kills, a server that goes away, leases that are lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.wire.payloads import AppResult
from longshore.wire.worker import Outcome, Report
from tests.unit.worker_server import WorkerProcess, WorkerServer, alive, children, poll

APPS = Path(__file__).with_name("worker_apps.py")
LEASE_S = 0.9
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def server() -> Iterator[WorkerServer]:
    served = WorkerServer()
    served.ledger.lease_s = LEASE_S
    yield served
    served.stop()


@pytest.fixture
def start(server: WorkerServer, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers that are gone at the end of the test."""
    started: list[WorkerProcess] = []

    def start_worker(modules: list[str] | None = None, **options: Any) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(WorkerProcess(server.url, modules or [str(APPS)], log, **options))
        return started[-1]

    yield start_worker
    for worker in started:
        worker.close()


def value(report: Report) -> str | None:
    assert report.outcome is Outcome.SUCCESS, report.error
    return msgspec.json.decode(report.result, type=AppResult).documents[0].fields[0].value


def submit_gate(server: WorkerServer, gate: Path) -> str:
    work = server.submit("Gate", data=str(gate).encode())
    server.wait_for_line(work, "ready")
    return work


def process_of(worker: WorkerProcess, module: str) -> int | None:
    """Return the process of the worker that runs a module, if there is one."""
    for pid in children(worker.process.pid):
        if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def test_a_cancelled_work_is_stopped_and_reported(server: WorkerServer, start: StartWorker) -> None:
    start()
    work = server.submit("Stubborn")
    server.wait_for_line(work, "ready")
    server.cancel(work)
    assert server.report(work).outcome is Outcome.CANCELLED
    assert value(server.report(server.submit("Good", data=b"next"))) == "next"


def test_a_lost_lease_stops_the_code_and_reports_nothing(
    server: WorkerServer, start: StartWorker
) -> None:
    worker = start()
    work = server.submit("Family")
    child = int(server.wait_for_line(work, "child "))
    server.take_away(work)
    poll(lambda: not alive(child))
    server.report(server.submit("Good"))
    assert work not in server.ledger.reports
    assert "held by somebody else" in worker.text()


def test_sigterm_lets_running_work_end_and_says_goodbye(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start()
    work = submit_gate(server, tmp_path / "gate")
    worker.process.send_signal(signal.SIGTERM)
    poll(lambda: "stopping" in worker.text())
    waiting = server.submit("Good")
    (tmp_path / "gate").touch()
    assert value(server.report(work)) == "let through"
    assert worker.wait() == 0
    assert not list(worker.scratch.iterdir())
    assert server.ledger.left == server.ledger.workers
    assert waiting not in server.ledger.reports


def test_what_does_not_end_in_time_is_handed_back(server: WorkerServer, start: StartWorker) -> None:
    worker = start(drain_s=0.2)
    work = server.submit("Family")
    child = int(server.wait_for_line(work, "child "))
    worker.process.send_signal(signal.SIGTERM)
    assert server.report(work).outcome is Outcome.HANDED_BACK
    assert worker.wait() == 0
    assert not alive(child)


def test_a_second_signal_does_not_wait(server: WorkerServer, start: StartWorker) -> None:
    worker = start(drain_s=600.0)
    work = server.submit("Stubborn")
    server.wait_for_line(work, "ready")
    worker.process.send_signal(signal.SIGINT)
    poll(lambda: "stopping: " in worker.text())
    worker.process.send_signal(signal.SIGINT)
    assert server.report(work).outcome is Outcome.HANDED_BACK
    assert worker.wait() == 0


def test_kill_9_of_the_worker_leaves_nothing_behind(
    server: WorkerServer, start: StartWorker
) -> None:
    worker = start(slots=2)
    work = server.submit("Family")
    server.wait_for_line(work, "child ")
    family = children(worker.process.pid)
    assert len(family) >= 4
    assert list(worker.scratch.iterdir())
    worker.process.send_signal(signal.SIGKILL)
    worker.wait()
    poll(lambda: not any(alive(pid) for pid in family))
    poll(lambda: not list(worker.scratch.iterdir()))


def test_a_worker_claims_again_after_each_restart_of_the_server(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    for number in range(4):
        assert value(server.report(server.submit("Good", data=b"%d" % number))) == str(number)
        server.stop()
        server.start()
    assert len(server.ledger.registrations) == 1


def test_a_result_waits_for_a_server_that_is_away(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start(log_level="debug")
    work = submit_gate(server, tmp_path / "gate")
    server.stop()
    (tmp_path / "gate").touch()
    poll(lambda: "reports are not answered" in worker.text())
    server.start()
    assert value(server.report(work)) == "let through"
    assert len(server.ledger.reports[work]) == 1


def test_a_worker_that_the_server_has_forgotten_registers_again(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    server.report(server.submit("Good"))
    # As after a restart with another database.
    server.stop()
    server.ledger.workers.clear()
    server.start()
    assert value(server.report(server.submit("Good", data=b"again"))) == "again"
    first, second = server.ledger.registrations
    assert first == second


def test_each_start_is_another_incarnation(server: WorkerServer, start: StartWorker) -> None:
    start(name="dock")
    start(name="dock")
    server.wait(lambda ledger: len(ledger.registrations) == 2, "two registrations")
    first, second = server.ledger.registrations
    assert first.name == second.name == "dock"
    assert first.incarnation != second.incarnation


def test_a_heartbeat_process_that_dies_is_replaced(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start()
    work = submit_gate(server, tmp_path / "gate")
    first = process_of(worker, "longshore.worker.heartbeat")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    poll(lambda: not alive(first))
    before = server.ledger.renewals.get((work, 1), 0)
    server.wait(lambda ledger: ledger.renewals.get((work, 1), 0) >= before + 2, "renewals")
    (tmp_path / "gate").touch()
    assert value(server.report(work)) == "let through"


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_leases_are_renewed_while_user_code_holds_the_interpreters_lock(
    server: WorkerServer, start: StartWorker, executor: str
) -> None:
    start(executor=executor)
    work = server.submit("Hold Lock")
    assert value(server.report(work)) == "done"
    # 2.5 s at a third of 0.9 s, generously.
    assert server.ledger.renewals[work, 1] >= 5


def test_an_idle_process_that_dies_is_replaced(server: WorkerServer, start: StartWorker) -> None:
    worker = start()
    work = server.submit("Describe")
    fields = msgspec.json.decode(server.report(work).result, type=AppResult).documents[0].fields
    pid = next(int(field.value or 0) for field in fields if field.name == "pid")
    os.kill(pid, signal.SIGKILL)
    poll(lambda: not alive(pid))
    poll(lambda: process_of(worker, "longshore.worker.child") not in (None, pid))
    fresh = server.submit("Good", data=b"fresh")
    # A claim that was under way is handed back, for its slot had gone.
    server.wait(
        lambda ledger: any(
            report.outcome is Outcome.SUCCESS for report in ledger.reports.get(fresh, [])
        ),
        "a success",
    )
    assert worker.process.poll() is None


def write(path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [str(path)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "nothing is registered"),
        ("import no_such_module_anywhere", "it needs no_such_module_anywhere"),
        ("1 / 0", "does not import: ZeroDivisionError: division by zero"),
        ("import os; os._exit(4)", "exited with code 4 while it loaded"),
        (
            "import longshore\n@longshore.app('A')\ndef a(file): ...\n"
            "@longshore.setup\ndef b(): raise OSError('no model')",
            "Set-up failed: OSError: no model",
        ),
    ],
)
def test_modules_that_cannot_be_used_end_the_worker_with_the_cause(
    start: StartWorker, tmp_path: Path, text: str, says: str
) -> None:
    worker = start(write(tmp_path / "module_of_user.py", text))
    assert worker.wait() == 2
    assert "ConfigurationError: " in worker.text()
    assert says in worker.text()


def test_an_offer_that_the_server_refuses_ends_the_worker(
    start: StartWorker, tmp_path: Path
) -> None:
    text = "import longshore\n@longshore.app('Refuse Me')\ndef a(file): ...\n"
    worker = start(write(tmp_path / "module_of_user.py", text))
    assert worker.wait() == 2
    assert "InvalidRequest: Such an app is refused." in worker.text()

"""Steps of a host that are stopped, and those whose worker goes: nothing of them is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.wire.worker import Outcome
from longshore.worker.remains import kill_users
from tests.unit.steps_support import DESCRIBE, StartHost, described, hosts, result, submit_step
from tests.unit.worker_server import WorkerServer, alive, poll

# Ends by force only, and so do its children, which keep its outputs open.
FAMILY = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & wait"])
print("directory", os.getcwd(), flush=True)
print("family", os.getpid(), child.pid, flush=True)
child.wait()
"""
TIDY = """
import signal, sys
def tidy(number, frame):
    print("tidied up", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, tidy)
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def server() -> Iterator[WorkerServer]:
    served = WorkerServer()
    yield served
    served.stop()


@pytest.fixture
def start(server: WorkerServer, tmp_path: Path) -> Iterator[StartHost]:
    with hosts(server, tmp_path) as start_host:
        scripts = tmp_path / "scripts"
        (scripts / "family.py").write_text(FAMILY)
        (scripts / "tidy.py").write_text(TIDY)
        (scripts / "describe.py").write_text(DESCRIBE)
        yield start_host


def _family(server: WorkerServer, work: str) -> tuple[Path, list[int]]:
    """Wait for a family to run; return its directory and its processes, group's others included."""
    pids = [int(pid) for pid in server.wait_for_line(work, "family ").split()]
    directory = Path(server.wait_for_line(work, "directory "))
    grandchildren = poll(lambda: Path(f"/proc/{pids[1]}/task/{pids[1]}/children").read_text())
    pids += [int(pid) for pid in grandchildren.split()]
    assert all(alive(pid) for pid in pids)
    return directory, pids


@pytest.mark.parametrize("how", ["cancelled", "lost", "time limit"])
def test_a_stopped_step_takes_its_group_and_its_directory_along(
    server: WorkerServer, start: StartHost, how: str
) -> None:
    start()
    # A lease that is lost is no reason to wait as long as the step would like to.
    grace_s = 60.0 if how == "lost" else 0.3
    timeout_s = 1.5 if how == "time limit" else None
    work = submit_step(server, "family.py", timeout_s=timeout_s, grace_s=grace_s)
    directory, pids = _family(server, work)
    if how == "cancelled":
        server.cancel(work)
    elif how == "lost":
        server.take_away(work)
    poll(lambda: not any(alive(pid) for pid in pids) and not directory.exists())
    if how == "lost":
        after = submit_step(server, command=["true"])
        assert server.report(after).outcome is Outcome.SUCCESS
        assert work not in server.ledger.reports
        return
    report = server.report(work)
    assert report.outcome is (Outcome.CANCELLED if how == "cancelled" else Outcome.TIMED_OUT)
    assert result(report).signal == signal.SIGKILL
    assert len(result(report).script_sha256 or "") == 64
    if how == "time limit":
        assert report.error is not None
        assert "time limit of 1.5 s" in report.error.message


def test_a_step_may_tidy_up_when_it_is_cancelled(server: WorkerServer, start: StartHost) -> None:
    start()
    work = submit_step(server, "tidy.py", grace_s=15.0)
    server.wait_for_line(work, "ready")
    server.cancel(work)
    report = server.report(work)
    assert report.outcome is Outcome.CANCELLED
    assert result(report).exit_code == 3
    server.wait_for_line(work, "tidied up")


@pytest.mark.parametrize("shell", ["yes", "exec yes | tr -d '\\n'", "yes & exec >&- 2>&-; wait"])
def test_a_step_that_never_stops_writing_is_stopped_all_the_same(
    server: WorkerServer, start: StartHost, shell: str
) -> None:
    start()
    work = submit_step(server, command=["sh", "-c", f"echo begins; {shell}"])
    server.wait_for_line(work, "begins")
    begun_s = time.monotonic()
    server.cancel(work)
    assert server.report(work).outcome is Outcome.CANCELLED
    assert time.monotonic() - begun_s < 10
    after = submit_step(server, command=["true"])
    assert server.report(after).outcome is Outcome.SUCCESS


def test_what_a_script_leaves_running_ends_with_it(server: WorkerServer, start: StartHost) -> None:
    start()
    begun_s = time.monotonic()
    # The one left behind keeps stdout and stderr open.
    work = submit_step(server, command=["sh", "-c", "sleep 600 & echo left $!"])
    assert server.report(work).outcome is Outcome.SUCCESS
    assert time.monotonic() - begun_s < 15
    left = int(server.wait_for_line(work, "left "))
    poll(lambda: not alive(left))


def test_a_process_in_a_session_of_its_own_escapes_and_holds_nothing_up(
    server: WorkerServer, start: StartHost
) -> None:
    start()
    code = (
        "import subprocess, sys; "
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True); print('left', child.pid)"
    )
    work = submit_step(server, command=[sys.executable, "-c", code])
    assert server.report(work).outcome is Outcome.SUCCESS
    left = int(server.wait_for_line(work, "left "))
    assert alive(left)
    os.kill(left, signal.SIGKILL)


def test_a_worker_that_is_killed_leaves_no_process_and_no_directory(
    server: WorkerServer, start: StartHost
) -> None:
    worker = start()
    work = submit_step(server, "family.py")
    directory, pids = _family(server, work)
    worker.process.kill()
    poll(lambda: not any(alive(pid) for pid in pids) and not directory.exists())
    assert work not in server.ledger.reports


def test_a_process_that_has_left_the_group_dies_with_a_worker_that_is_killed_while_the_step_runs(
    server: WorkerServer, start: StartHost
) -> None:
    worker = start(slots=2)
    code = (
        "import subprocess; "
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True); "
        "print('left', child.pid, flush=True); child.wait()"
    )
    work = submit_step(server, command=[sys.executable, "-c", code])
    left = int(server.wait_for_line(work, "left "))
    code = code.replace("; child.wait()", "")
    ended = submit_step(server, command=[sys.executable, "-c", code])
    service = int(server.wait_for_line(ended, "left "))
    assert server.report(ended).outcome is Outcome.SUCCESS
    worker.process.kill()
    poll(lambda: not alive(left))
    poll(lambda: not list(worker.scratch.iterdir()))
    # A step that has ended left it running on purpose.
    assert alive(service)
    os.kill(service, signal.SIGKILL)


def test_a_process_that_is_not_guarded_yet_is_found_by_the_directory_of_its_attempt(
    tmp_path: Path,
) -> None:
    home = tmp_path / "scratch" / "step-1" / "work"
    home.mkdir(parents=True)
    for environment, dies in (({"HOME": str(home)}, True), ({"HOME": str(tmp_path)}, False)):
        process = subprocess.Popen(["sleep", "600"], env={**os.environ, **environment})
        kill_users(tmp_path / "scratch")
        assert (process.poll() == -signal.SIGKILL) is dies
        process.kill()
        process.wait()


def test_a_worker_that_drains_lets_a_step_finish(
    server: WorkerServer, start: StartHost, tmp_path: Path
) -> None:
    worker = start(drain_s=15.0)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    work = submit_step(server, command=["sh", "-c", f"echo ready; cat {gate}"])
    server.wait_for_line(work, "ready")
    worker.process.terminate()
    poll(lambda: "stopping" in worker.text())
    gate.write_text("open\n")
    assert server.report(work).outcome is Outcome.SUCCESS
    assert worker.wait() == 0


def test_a_step_that_does_not_finish_while_the_worker_drains_is_stopped_and_handed_back(
    server: WorkerServer, start: StartHost
) -> None:
    worker = start(drain_s=0.2)
    work = submit_step(server, "family.py", grace_s=600.0)
    directory, pids = _family(server, work)
    worker.process.terminate()
    assert server.report(work).outcome is Outcome.HANDED_BACK
    poll(lambda: not any(alive(pid) for pid in pids))
    assert worker.wait() == 0
    assert not directory.exists()


def test_a_stop_that_has_begun_does_not_hold_up_a_worker_that_drains(
    server: WorkerServer, start: StartHost
) -> None:
    worker = start(drain_s=0.2)
    work = submit_step(server, "family.py", grace_s=600.0)
    _, pids = _family(server, work)
    server.cancel(work)
    poll(lambda: f"stopping {work}" in worker.text())
    worker.process.terminate()
    assert server.report(work).outcome is Outcome.CANCELLED
    assert worker.wait() == 0
    poll(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize(
    ("expires_s", "code"), [(60.0, "ac_code-of-the-claim"), (0.0, "ac_fresh-1")]
)
def test_a_code_that_is_too_old_is_exchanged_before_the_start(
    server: WorkerServer, start: StartHost, expires_s: float, code: str
) -> None:
    start()
    work = submit_step(server, "describe.py", code_expires_s=expires_s)
    assert described(server, work)["environment"]["CA_ACCESS_CODE"] == code
    asked = [(each.work_id, each.attempt, each.worker_id) for each in server.ledger.codes]
    assert asked == ([] if expires_s else [(work, 1, server.ledger.workers[0])])


def test_the_directory_stays_where_it_is_wanted(
    server: WorkerServer, start: StartHost, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    worker = start(tasks_directory=str(kept), keep_tasks=True)
    work = submit_step(server, command=["sh", "-c", "echo seen > note.txt"])
    target = Path(server.wait_for_line(work, "The directory of the step is kept: "))
    assert target.name.startswith("4711-load-1-")
    worker.close()
    assert list(kept.iterdir()) == [target]
    assert (target / "work" / "note.txt").read_text() == "seen\n"


def test_a_step_may_remove_its_own_directory(server: WorkerServer, start: StartHost) -> None:
    start()
    work = submit_step(server, command=["sh", "-c", 'cd /; rm -r "$HOME" "$TMPDIR"'], step="a[x/y]")
    assert server.report(work).outcome is Outcome.SUCCESS


def test_a_directory_that_the_step_has_filled_and_protected_is_removed(
    server: WorkerServer, start: StartHost
) -> None:
    start()
    shell = "pwd; mkdir -p a/b; touch a/b/c; echo x > $TMPDIR/y; chmod 500 a/b a"
    work = submit_step(server, command=["sh", "-c", shell])
    assert server.report(work).outcome is Outcome.SUCCESS
    directory = Path(server.wait_for_line(work, "/"))
    assert not Path(f"/{directory}").parent.exists()

"""R13: a run is cancelled in every state, with a queue that runs one work at a time."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from longshore.engine import queues
from longshore.storage import open_database
from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import Server, WorkerProcess, eventually, stays

CANCELLED_WITHIN_S = 5.0
GRACE_S = 5.0
LEASE_S = 3.0


class Berth:
    """A server whose app runs one file at a time, and a worker with two slots."""

    def __init__(self, harbour: Harbour, database: str, *, worker: bool = True) -> None:
        self.harbour = harbour
        self.server: Server = harbour.server(database=database)
        self.server.start()
        harbour.holder(self.server, "Patient").leave()
        self.server.stop()
        self._limit_to_one()
        self.server.start()
        self.user: User = harbour.user(self.server)
        self.worker: WorkerProcess = harbour.worker(self.server, slots=2)
        if worker:
            self.worker.start()
            wait_for_apps(self.user, ["Patient", "Behave"])

    def _limit_to_one(self) -> None:
        # The API has no call for this yet, so it is done while the server is down.
        opened = open_database(self.server.database)
        try:
            queue = opened.read_blocking(
                lambda connection: [
                    queue
                    for queue in queues.of_surface(connection, "apps")
                    if "/Patient@" in queue.name
                ]
            )[0]
            opened.write_blocking(queues.configure, queue.id, concurrency_max=1)
        finally:
            opened.close()

    def marker(self, name: str) -> Path:
        return self.harbour.directory / name

    def hold(self, name: str) -> str:
        """Start a run of one file that takes until its marker appears."""
        return self.user.run_files("Patient", {"a.txt": f"spawn {self.marker(name)}".encode()})

    def states(self, run_id: str) -> list[str]:
        return [work["state"] for work in self.user.works(run_id)]

    def wait_running(self, run_id: str, within_s: float = 20.0) -> None:
        eventually(lambda: self.states(run_id) == ["running"], within_s, f"{run_id} runs")

    def cancelled(self, run_id: str, within_s: float = CANCELLED_WITHIN_S + GRACE_S) -> None:
        assert self.user.finished(run_id, within_s)["status"] == "CANCELLED"
        assert self.states(run_id) == ["cancelled"]
        results = self.user.results(run_id)
        assert not any(
            field["value"]
            for file in results
            for doc in file["documents"]
            for field in doc["fields"]
        )


@pytest.fixture
def berth(harbour: Harbour, database_url: str) -> Berth:
    return Berth(harbour, database_url)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_running_run_is_stopped_with_all_its_processes_and_the_next_one_starts(
    berth: Berth,
) -> None:
    first = berth.hold("first")
    berth.wait_running(first)
    pid_file = berth.marker("first.pid")
    eventually(pid_file.exists, 10.0, "the grandchild runs")
    grandchild = int(pid_file.read_text("utf-8"))
    second = berth.hold("second")
    stays(lambda: berth.states(second) == ["queued"], 0.5, "the second run waits for the first")

    berth.user.cancel(first)
    berth.cancelled(first)
    eventually(lambda: not _alive(grandchild), GRACE_S, "the grandchild is gone")
    berth.wait_running(second, within_s=LEASE_S + CANCELLED_WITHIN_S)
    # What the first one waited for happens now, and nobody is left to make a result of it.
    berth.marker("first").touch()
    stays(lambda: berth.states(first) == ["cancelled"], 0.5, "the first run stays cancelled")
    berth.marker("second").touch()
    assert berth.user.finished(second, within_s=20.0)["status"] == "COMPLETE"
    berth.cancelled(first)
    invariants.check_all(berth.user)


def test_a_queued_run_is_cancelled_at_once_and_the_one_behind_it_moves_up(berth: Berth) -> None:
    first, second, third = (berth.hold(name) for name in ("first", "second", "third"))
    berth.wait_running(first)
    berth.user.cancel(second)
    berth.cancelled(second, within_s=CANCELLED_WITHIN_S)
    assert berth.states(first) == ["running"], "only what was cancelled is"
    berth.marker("first").touch()
    berth.wait_running(third)
    berth.marker("third").touch()
    for run_id in (first, third):
        assert berth.user.finished(run_id, within_s=20.0)["status"] == "COMPLETE"
    assert not berth.marker("second.pid").exists(), "the cancelled run never began"
    invariants.check_all(berth.user)


def test_a_run_that_waits_for_a_worker_is_cancelled(harbour: Harbour, database_url: str) -> None:
    berth = Berth(harbour, database_url, worker=False)
    waiting = berth.hold("waiting")
    berth.user.cancel(waiting)
    berth.cancelled(waiting, within_s=CANCELLED_WITHIN_S)
    berth.worker.start()
    wait_for_apps(berth.user, ["Behave"])
    next_run = berth.hold("next")
    berth.wait_running(next_run)
    assert berth.states(waiting) == ["cancelled"]
    berth.marker("next").touch()
    assert berth.user.finished(next_run, within_s=20.0)["status"] == "COMPLETE"
    invariants.check_all(berth.user)


def test_cancelling_a_finished_run_changes_nothing(berth: Berth) -> None:
    run_id = berth.hold("done")
    berth.marker("done").touch()
    assert berth.user.finished(run_id, within_s=20.0)["status"] == "COMPLETE"
    before = (berth.user.run(run_id), berth.user.results(run_id))
    answer = berth.user.http.post(f"/api/v2/apps/runs/{run_id}/cancel")
    assert answer.status_code in (200, 409), answer.text
    assert (berth.user.run(run_id), berth.user.results(run_id)) == before
    invariants.check_all(berth.user)


def test_a_run_whose_worker_was_killed_is_cancelled(berth: Berth) -> None:
    run_id = berth.hold("orphan")
    berth.wait_running(run_id)
    berth.worker.kill()
    berth.user.cancel(run_id)
    # Nobody is left to confirm it, so the end of the lease does.
    berth.cancelled(run_id, within_s=LEASE_S + CANCELLED_WITHIN_S)
    berth.worker.start()
    next_run = berth.hold("next")
    berth.wait_running(next_run)
    berth.marker("next").touch()
    assert berth.user.finished(next_run, within_s=20.0)["status"] == "COMPLETE"
    invariants.check_all(berth.user)

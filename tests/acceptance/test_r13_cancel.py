"""R13: a run is cancelled in every state, with a queue that runs one work at a time."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from longshore.engine import queues
from longshore.storage import open_database
from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import Server, WorkerProcess, eventually, stays
from tests.acceptance.voyage import seed_queue
from tests.conftest import KINDS, PostgreSQLServer

CANCELLED_WITHIN_S = 5.0
GRACE_S = 5.0
LEASE_S = 3.0


@dataclass(frozen=True, slots=True)
class Held:
    """A run of one file, which takes until the marker appears and starts a grandchild."""

    id: str
    marker: Path

    @property
    def grandchild(self) -> Path:
        return Path(f"{self.marker}.pid")

    def let_go(self) -> None:
        self.marker.touch()


class Berth:
    """A server whose app runs one file at a time, and a worker with two slots."""

    def __init__(self, harbour: Harbour, database: str | None) -> None:
        self.harbour = harbour
        self.server: Server = harbour.server(database=database)
        self._limit_to_one()
        self.server.start()
        self.user: User = harbour.user(self.server)
        self.worker: WorkerProcess = harbour.worker(self.server, self.server.data.name, slots=2)
        self.worker.start()
        wait_for_apps(self.user, ["Patient", "Behave"])

    def _limit_to_one(self) -> None:
        # The API has no call for this yet, so it is done before the server's first start.
        self.server.data.mkdir()
        opened = open_database(self.server.database)
        try:
            queue_id = opened.write_blocking(seed_queue, "Patient")
            opened.write_blocking(queues.configure, queue_id, concurrency_max=1)
        finally:
            opened.close()

    def hold(self) -> Held:
        marker = self.harbour.directory / secrets.token_hex(6)
        return Held(self.user.run_files("Patient", {"a.txt": f"spawn {marker}".encode()}), marker)

    def states(self, run: Held) -> list[str]:
        return [work["state"] for work in self.user.works(run.id)]

    def wait_running(self, run: Held, within_s: float = 20.0) -> None:
        eventually(lambda: self.states(run) == ["running"], within_s, f"{run.id} runs")

    def check_cancelled(self, run: Held, within_s: float = CANCELLED_WITHIN_S) -> None:
        assert self.user.finished(run.id, within_s)["status"] == "CANCELLED"
        assert self.states(run) == ["cancelled"]
        assert not self.user.values(run.id)

    def check_completes(self, run: Held) -> None:
        run.let_go()
        assert self.user.finished(run.id, within_s=20.0)["status"] == "COMPLETE"


@pytest.fixture(scope="module", params=KINDS)
def berth(request: pytest.FixtureRequest, module_harbour: Harbour) -> Iterator[Berth]:
    if request.param == "sqlite":
        yield Berth(module_harbour, None)
        return
    postgresql: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    made = Berth(module_harbour, postgresql.new_database())
    yield made
    made.server.kill()
    postgresql.drop(made.server.database)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_running_run_is_stopped_with_all_its_processes_and_the_next_one_starts(
    berth: Berth,
) -> None:
    first = berth.hold()
    berth.wait_running(first)
    eventually(first.grandchild.exists, 10.0, "the grandchild runs")
    grandchild = int(first.grandchild.read_text("utf-8"))
    second = berth.hold()
    stays(lambda: berth.states(second) == ["queued"], 0.5, "the second run waits for the first")

    berth.user.cancel(first.id)
    berth.check_cancelled(first, within_s=CANCELLED_WITHIN_S + GRACE_S)
    eventually(lambda: not _alive(grandchild), GRACE_S, "the grandchild is gone")
    berth.wait_running(second, within_s=LEASE_S + CANCELLED_WITHIN_S)
    # What the first one waited for happens now, and nobody is left to make a result of it.
    first.let_go()
    stays(lambda: berth.states(first) == ["cancelled"], 0.5, "the first run stays cancelled")
    berth.check_completes(second)
    berth.check_cancelled(first)
    invariants.check_all(berth.user)


def test_a_queued_run_is_cancelled_at_once_and_the_one_behind_it_moves_up(berth: Berth) -> None:
    first, second, third = (berth.hold() for _ in range(3))
    berth.wait_running(first)
    berth.user.cancel(second.id)
    berth.check_cancelled(second)
    assert berth.states(first) == ["running"], "only what was cancelled is"
    first.let_go()
    berth.wait_running(third)
    berth.check_completes(third)
    assert berth.user.finished(first.id, within_s=20.0)["status"] == "COMPLETE"
    assert not second.grandchild.exists(), "the cancelled run never began"
    invariants.check_all(berth.user)


def test_a_run_that_waits_for_a_worker_is_cancelled(berth: Berth) -> None:
    assert berth.worker.stop() == 0
    waiting = berth.hold()
    berth.user.cancel(waiting.id)
    berth.check_cancelled(waiting)
    berth.worker.start()
    served = berth.hold()
    berth.wait_running(served)
    assert berth.states(waiting) == ["cancelled"]
    berth.check_completes(served)
    invariants.check_all(berth.user)


def test_cancelling_a_finished_run_changes_nothing(berth: Berth) -> None:
    run = berth.hold()
    berth.check_completes(run)
    before = (berth.user.run(run.id), berth.user.results(run.id))
    answer = berth.user.http.post(f"/api/v2/apps/runs/{run.id}/cancel")
    assert answer.status_code in (200, 409), answer.text
    assert (berth.user.run(run.id), berth.user.results(run.id)) == before
    invariants.check_all(berth.user)


def test_a_run_whose_worker_was_killed_is_cancelled(berth: Berth) -> None:
    run = berth.hold()
    berth.wait_running(run)
    berth.worker.kill()
    berth.user.cancel(run.id)
    # Nobody is left to confirm it, so the end of the lease does.
    berth.check_cancelled(run, within_s=LEASE_S + CANCELLED_WITHIN_S)
    berth.worker.start()
    following = berth.hold()
    berth.wait_running(following)
    berth.check_completes(following)
    invariants.check_all(berth.user)

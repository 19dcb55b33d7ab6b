"""R2: workers are killed at every point of their work, hundreds of times."""

from __future__ import annotations

import random
import signal
import threading
import time
from dataclasses import dataclass

import psutil
import pytest

from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import WorkerProcess, eventually, marked

APP = "Dawdle"
SLOTS = 2
FILES_PER_RUN = 1_000


@dataclass(frozen=True, slots=True)
class Size:
    files: int
    kills: int
    within_s: float

    @property
    def files_per_kill(self) -> float:
        """After so many files there is another kill, so that all of them hit running work."""
        return self.files / (self.kills + 1)


SHORT = Size(files=240, kills=20, within_s=120.0)
LONG = Size(files=10_000, kills=500, within_s=3_400.0)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return LONG if request.config.getoption("--long", default=False) else SHORT


@dataclass
class Killer:
    """Kills workers, their children and their heartbeat processes, and starts workers again."""

    workers: list[WorkerProcess]
    chance: random.Random
    kills: int = 0

    def strike(self) -> None:
        """Kill a worker, or one of its processes; all but the server were started by one."""
        worker = self.chance.choice(self.workers)
        victims: list[int] = [worker.pid]
        if self.chance.random() < 0.5:
            victims = [process.pid for process in worker.descendants()] or victims
        victim = self.chance.choice(victims)
        try:
            psutil.Process(victim).send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return
        self.kills += 1
        if victim == worker.pid:
            worker.wait(10.0)
            worker.start()


def _start_runs(user: User, files: int) -> list[str]:
    runs = []
    for start in range(0, files, FILES_PER_RUN):
        names = range(start, min(start + FILES_PER_RUN, files))
        batch = user.batch_of({f"{name:05}.txt": f"text {name}".encode() for name in names})
        runs.append(user.start_run(APP, batch))
    return runs


def _done(user: User) -> int:
    return sum(
        queue["counts"]["done"]
        for queue in user.get("/longshore/v1/queues")["queues"]
        if APP in queue["name"]
    )


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", [20_261])
def test_workers_killed_again_and_again_lose_nothing_and_record_nothing_twice(
    harbour: Harbour, size: Size, seed: int
) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    workers = [harbour.worker(server, name, slots=SLOTS) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    wait_for_apps(user, [APP])
    queue = next(
        queue["id"] for queue in user.get("/longshore/v1/queues")["queues"] if APP in queue["name"]
    )
    user.post(f"/longshore/v1/queues/{queue}/hold", {"why": "until all files are there"})
    runs = _start_runs(user, size.files)

    killer = Killer(workers, random.Random(seed))
    pause = threading.Event()
    deadline = time.monotonic() + size.within_s
    with invariants.Watch(user, runs[:1]) as watch:
        user.post(f"/longshore/v1/queues/{queue}/release")
        while (done := _done(user)) < size.files:
            assert time.monotonic() < deadline, f"{done} files are done, {killer.kills} kills"
            if done >= (killer.kills + 1) * size.files_per_kill:
                killer.strike()
            pause.wait(killer.chance.uniform(0.0, 0.05))
        for run_id in runs:
            user.finished(run_id, within_s=30.0)
    assert watch.looks > 0

    invariants.check_all(user)
    works = [work for run_id in runs for work in user.works(run_id)]
    assert {work["state"] for work in works} == {"success"}
    extra = sum(work["attempt"] for work in works) - size.files
    print(f"{killer.kills} kills, {extra} executions more than files")
    assert killer.kills == size.kills
    assert extra <= killer.kills * SLOTS

    texts = {values["text"] for run_id in runs for values in user.values(run_id).values()}
    assert texts == {f"text {name}" for name in range(size.files)}
    for worker in workers:
        worker.stop()
    server.stop()
    eventually(lambda: not marked(harbour.mark), 10.0, "no process is left behind")


def test_a_killed_worker_takes_all_that_it_started_with_it(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    worker = harbour.worker(server)
    worker.start()
    wait_for_apps(user, ["Patient"])
    marker = harbour.directory / "marker"
    user.run_files("Patient", {"a.txt": f"spawn {marker}".encode()})
    eventually((harbour.directory / "marker.pid").exists, 20.0, "the grandchild runs")
    worker.kill()
    eventually(
        lambda: {process.pid for process in marked(harbour.mark)} == {server.pid},
        15.0,
        "only the server is left",
    )
    assert not list(worker.scratch.iterdir()), "its copies of users' files are gone as well"

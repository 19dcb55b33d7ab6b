"""R2: hosts' workers, and the processes of steps, are killed at every point of a step."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually, marked
from tests.acceptance.scripts import (
    AGAIN,
    Dispatcher,
    HostWorker,
    Log,
    check_run,
    step,
    swap,
    workflow,
)
from tests.conftest import KINDS, PostgreSQLServer

SLOTS = 2
HOSTS = ("alpha", "beta")
PLACES = {"first": "begun", "then": "let in", "last": "stored"}
"""Where a step stands still -> what it has noted by then."""
VICTIMS = ("step", "worker")


@dataclass(frozen=True, slots=True)
class Size:
    runs: int
    kills: int
    within_s: float


SHORT = Size(runs=6, kills=6, within_s=90.0)
LONG = Size(runs=400, kills=300, within_s=3_400.0)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return LONG if request.config.getoption("--long", default=False) else SHORT


@dataclass
class Berth:
    """A server, a worker for each host, and what their steps have noted."""

    server: Server
    user: Dispatcher
    workers: dict[str, HostWorker]
    log: Log


def _berth(harbour: Harbour, server: Server, hosts: tuple[str, ...]) -> Berth:
    server.start()
    user = Dispatcher(server)
    harbour.clients.append(user)
    workers = {}
    for host in hosts:
        user.host(host)
        workers[host] = HostWorker(harbour.directory, host, harbour.mark, server, slots=SLOTS)
        harbour.commands.append(workers[host])
        workers[host].start()
    return Berth(server, user, workers, Log(harbour.directory / "steps.log"))


@pytest.fixture(scope="module")
def berth(module_harbour: Harbour) -> Berth:
    return _berth(module_harbour, module_harbour.server(), ("alpha",))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_step_that_is_killed_at_a_point_runs_once_more_and_counts_once(
    berth: Berth, place: str, victim: str, tmp_path: Path
) -> None:
    user, log, worker = berth.user, berth.log, berth.workers["alpha"]
    name, marker = f"{place}-{victim}", tmp_path / "go"
    steps = {
        "before": step(log.path),
        "struck": step(log.path, "alpha", "before", retries=AGAIN, **{place: f"until {marker}"}),
        "after": step(log.path, "alpha", "struck"),
    }
    user.apply(workflow(name, steps))
    run_id = user.event(name)
    first = log.wait(PLACES[place], run=run_id, step="struck")
    kept = user.payload(run_id, "before")
    code = log.lines("begun", run=run_id, step="struck")[0]["code"]
    psutil.Process(first["pid"] if victim == "step" else worker.pid).kill()
    if victim == "worker":
        worker.wait(10.0)
        # Nobody keeps the step from ending well but that its worker is no more.
        eventually(lambda: not psutil.pid_exists(first["pid"]), 10.0, "its process is gone, too")
        worker.start()
    marker.touch()
    user.finish(run_id)
    assert check_run(user, log, run_id) == 4
    outcomes = [attempt["outcome"] for attempt in user.step(run_id, "struck")["attempts"]]
    assert outcomes == ["lost" if victim == "worker" else "failure", "success"]
    assert user.payload(run_id, "before") == kept
    assert swap(berth.server, code).status == 401, "the code of the killed attempt is void"


@pytest.fixture(params=KINDS)
def fleet(request: pytest.FixtureRequest, harbour: Harbour) -> Iterator[Berth]:
    """A server on either database with workers of two hosts."""
    if request.param == "sqlite":
        yield _berth(harbour, harbour.server(), HOSTS)
        return
    postgresql: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    database = postgresql.new_database()
    yield _berth(harbour, harbour.server(database=database), HOSTS)
    harbour.close()
    postgresql.drop(database)


@dataclass
class Killer:
    """Kills workers of hosts and processes of steps, and starts the workers again."""

    berth: Berth
    chance: random.Random
    kills: int = 0
    struck: list[str] = field(default_factory=list)

    def strike(self) -> None:
        if self.chance.random() < 0.5:
            self._strike_step()
        else:
            self._strike_worker()

    def _strike_step(self) -> None:
        done = {(line["run"], line["step"]) for line in self.berth.log.lines("done")}
        begun = [
            line["pid"]
            for line in self.berth.log.lines("begun")
            if (line["run"], line["step"]) not in done and psutil.pid_exists(line["pid"])
        ]
        if begun:
            self._kill(self.chance.choice(begun), "step")

    def _strike_worker(self) -> None:
        worker = self.chance.choice(list(self.berth.workers.values()))
        victim = worker.pid
        children = [process.pid for process in worker.descendants()]
        if children and self.chance.random() < 0.3:
            victim = self.chance.choice(children)
        self._kill(victim, "worker" if victim == worker.pid else "child")
        if victim == worker.pid:
            worker.wait(10.0)
            worker.start()

    def _kill(self, pid: int, what: str) -> None:
        try:
            psutil.Process(pid).send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return
        self.kills += 1
        self.struck.append(what)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_workers_and_steps_killed_again_and_again_lose_no_step_and_count_none_twice(
    harbour: Harbour, fleet: Berth, size: Size
) -> None:
    user, log = fleet.user, fleet.log
    steps = {
        "extract": step(log.path, retries=AGAIN, then="nap 0.1"),
        "left": step(log.path, "alpha", "extract", retries=AGAIN, last="nap 0.05"),
        "right": step(log.path, "beta", "extract", retries=AGAIN, first="nap 0.05"),
        "load": step(log.path, "beta", "left", "right", retries=AGAIN, then="nap 0.1"),
    }
    user.apply(workflow("diamond", steps))
    runs = [user.event("diamond", {"number": number}) for number in range(size.runs)]
    killer = Killer(fleet, random.Random(20_266))
    pause = threading.Event()
    deadline = time.monotonic() + size.within_s
    every = len(steps) * size.runs
    while (done := len(log.lines("done"))) < every * 0.9 or killer.kills < size.kills:
        assert time.monotonic() < deadline, f"{done} steps of {every}, {killer.struck}"
        if killer.kills < size.kills and done >= killer.kills * every // (size.kills + 1):
            killer.strike()
        pause.wait(killer.chance.uniform(0.0, 0.1))
    for run_id in runs:
        user.finish(run_id, max(1.0, deadline - time.monotonic()))
    begun = sum(check_run(user, log, run_id) for run_id in runs)
    print(f"killed {killer.struck}, {begun - every} executions more than steps")
    assert begun - every <= killer.kills * SLOTS
    assert killer.kills == size.kills
    for worker in fleet.workers.values():
        worker.stop()
    fleet.server.stop()
    eventually(lambda: not marked(harbour.mark), 10.0, "no process is left behind")

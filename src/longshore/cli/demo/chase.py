"""Drives a run to its end while its worker is killed again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from longshore.cli.demo.processes import DemoWorker
from longshore.cli.demo.screen import Screen
from longshore.errors import ConfigurationError, WaitTimeout

if TYPE_CHECKING:
    from longshore import Client
    from longshore.sdk import Run
    from longshore.sdk.operations import WorkInfo

_LOOK_S: Final = 0.1
_START_S: Final = 60.0
_NO_PROGRESS_S: Final = 120.0


def wait_until_served(client: Client, worker: DemoWorker, app: str) -> None:
    """Wait until the worker serves the app of that name.

    Raises:
        WaitTimeout: it does not within a minute.
        ConfigurationError: the worker ended by itself.
    """
    deadline = time.monotonic() + _START_S
    while not any(
        version.workers_online
        for found in client.apps.list()
        if found.name == app
        for version in found.versions
    ):
        _expect_alive(worker)
        if time.monotonic() > deadline:
            raise WaitTimeout(
                f"No worker serves {app!r} after {_START_S:.0f} s. "
                f"Last words of the worker: {worker.last_words()}"
            )
        time.sleep(_LOOK_S)


def drive(client: Client, run: Run, worker: DemoWorker, screen: Screen, *, kills: int) -> int:
    """Wait until the run has ended, killing the worker `kills` times; return how often it was.

    Raises:
        WaitTimeout: nothing has moved for two minutes.
        ConfigurationError: the worker ended by itself.
    """
    killed = 0
    moved = (0, time.monotonic())
    with screen.bar("working"):
        while True:
            works = client.works.list(run.id)
            done = sum(work.state == "success" for work in works)
            screen.advance(done, len(works))
            if run.refresh().finished:
                return killed
            moved = _moved(done, moved, run, worker)
            due = killed < kills and done >= _threshold(len(works), killed, kills)
            if due and _held_by_newest(client, works):
                _kill(client, run, worker, screen)
                killed += 1
                worker.start()
            time.sleep(_LOOK_S)


def _threshold(total: int, killed: int, kills: int) -> int:
    """Return after how many finished works the next kill comes: spread over the run."""
    return total * (killed + 1) // (kills + 2)


def _kill(client: Client, run: Run, worker: DemoWorker, screen: Screen) -> None:
    pid = worker.pid
    worker.kill()
    works = client.works.list(run.id)
    done = sum(work.state == "success" for work in works)
    held = _held_by_newest(client, works)
    screen.step(
        f"killed the worker (kill -9 {pid}) after {done} of {len(works)}, "
        f"with {held} in its hands; starting another"
    )


def _held_by_newest(client: Client, works: list[WorkInfo]) -> int:
    """Count what the newest worker holds; a dead one's leases go on for a moment, too."""
    newest = next((worker.id for worker in client.workers.list()), None)
    return sum(work.state == "running" and work.worker_id == newest for work in works)


def _moved(done: int, before: tuple[int, float], run: Run, worker: DemoWorker) -> tuple[int, float]:
    """Return when `done` last grew; raise when that is too long ago or the worker has gone."""
    _expect_alive(worker)
    if done > before[0]:
        return done, time.monotonic()
    if time.monotonic() - before[1] > _NO_PROGRESS_S:
        raise WaitTimeout(
            f"Nothing was finished for {_NO_PROGRESS_S:.0f} s; the run says: {run.message}. "
            f"Last words of the worker: {worker.last_words()}"
        )
    return before


def _expect_alive(worker: DemoWorker) -> None:
    if worker.ended:
        raise ConfigurationError(
            f"The worker of the demo ended by itself. Its last words: {worker.last_words()}"
        )

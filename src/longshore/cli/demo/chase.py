"""Follows work to its end while its worker is killed again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from longshore.cli.demo.processes import DemoWorker
from longshore.cli.demo.screen import Screen
from longshore.errors import ConfigurationError, WaitTimeout

if TYPE_CHECKING:
    from longshore import Client

_LOOK_S: Final = 0.05
_START_S: Final = 120.0
_NO_PROGRESS_S: Final = 120.0


def wait_until_served(client: Client, worker: DemoWorker, app: str) -> None:
    """Wait until the worker serves the app of that name.

    Raises:
        WaitTimeout: it does not within two minutes.
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


class Chased(Protocol):
    """What is worked on while the worker is killed."""

    def look(self) -> tuple[int, int, bool]:
        """Return how many are done, how many there are, and whether it is over."""
        ...


def drive(client: Client, chased: Chased, worker: DemoWorker, screen: Screen, *, kills: int) -> int:
    """Wait until it is over, killing the worker `kills` times; return how often it was.

    Raises:
        WaitTimeout: nothing has moved for two minutes.
        ConfigurationError: the worker ended by itself.
    """
    killed = 0
    moved = (-1, time.monotonic())
    with screen.bar("working"):
        while True:
            done, total, over = chased.look()
            screen.advance(done, total)
            if over:
                return killed
            moved = _moved(done, moved, worker)
            due = killed < kills and done >= _threshold(total, killed, kills)
            if due and (held := _held(client, worker)):
                pid = worker.pid
                worker.kill()
                screen.step(
                    f"killed the worker (kill -9 {pid}) after {chased.look()[0]:,} of {total:,}, "
                    f"with {held} in its hands; starting another"
                )
                killed += 1
                worker.start()
            time.sleep(_LOOK_S)


def _threshold(total: int, killed: int, kills: int) -> int:
    """Return after how many finished works the next kill comes: spread over the run."""
    return total * (killed + 1) // (kills + 2)


def _held(client: Client, worker: DemoWorker) -> int:
    """Count what the worker's present process holds; a dead one's leases go on for a moment, too."""
    return sum(each.running for each in client.workers.list() if each.name == worker.name)


def _moved(done: int, before: tuple[int, float], worker: DemoWorker) -> tuple[int, float]:
    """Return when `done` last grew; raise when that is too long ago or the worker has gone."""
    _expect_alive(worker)
    if done > before[0]:
        return done, time.monotonic()
    if time.monotonic() - before[1] > _NO_PROGRESS_S:
        raise WaitTimeout(
            f"Nothing was finished for {_NO_PROGRESS_S:.0f} s. "
            f"Last words of the worker: {worker.last_words()}"
        )
    return before


def _expect_alive(worker: DemoWorker) -> None:
    if worker.ended:
        raise ConfigurationError(
            f"The worker of the demo ended by itself. Its last words: {worker.last_words()}"
        )

"""Working through elements: one process or several, the ways to claim them, and the tally."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from longshore.corpus.activities import ActivityQueue, told_by_worker
from longshore.corpus.performing import (
    Ended,
    Item,
    Outcome,
    Place,
    Telling,
    Work,
    count,
    failed,
    in_batches,
    perform,
)
from longshore.corpus.progress import Progress
from longshore.corpus.slots import Slots
from longshore.corpus.stopping import Stop
from longshore.corpus.utils import pluralize

if TYPE_CHECKING:
    from longshore.corpus.elements_worker import ElementsWorker

logger = logging.getLogger("longshore.corpus")

POLL_S: Final = 0.2
"""How soon a signal is heard, and reports are sent, while all slots are busy."""


class SlotDied(Exception):
    """The process that worked on an element has died."""


@dataclass(slots=True)
class Tally:
    """How many elements there are; `total` is None while that is unknown."""

    total: int | None
    seen: int = 0
    failed: int = 0

    @property
    def all(self) -> int:
        """All elements, as far as they are known."""
        return self.seen if self.total is None else self.total


class Run:
    """One run of a worker over its elements."""

    def __init__(self, worker: ElementsWorker, elements: Iterable[Any], stop: Stop) -> None:
        """Prepare to work on `elements`, until there are none left or `stop` says so."""
        self._worker = worker
        self._stop = stop
        self.tally = Tally(len(elements) if isinstance(elements, Sized) else None)
        self._bulk = worker.bulk_activities(elements, lambda: bool(stop))
        self._works: Iterable[tuple[Item, Telling]]
        if self._bulk is not None:
            self._works = self._bulk
        else:
            telling = Telling.END if isinstance(elements, ActivityQueue) else Telling.ALL
            self._works = told_by_worker(elements, telling)

    def work(self, slots: int) -> Tally:
        """Work on all elements with so many slots, and return how they ended.

        Raises:
            SlotError: a slot could not be set up.
            ErrorResponse: the server does not give elements, or take reports.
        """
        with ExitStack() as stack:
            if self._bulk is not None:
                stack.callback(self._bulk.hand_back)
            batches = in_batches(self._placed(), self._worker.args.batch_size)
            if slots > 1:
                processes = stack.enter_context(Slots(self._worker, slots))
                processes.start()
                progress = stack.enter_context(Progress(self.tally.total))
                self._work_in(processes, batches, progress)
            else:
                progress = stack.enter_context(Progress(self.tally.total))
                self._work_here(batches, progress)
            self._send_reports(now=True)
        return self.tally

    def _work_here(self, batches: Iterable[list[Work]], progress: Progress) -> None:
        for batch in batches:
            self._take(batch, perform(self._worker, batch))
            self._send_reports()
            self._show(progress)
            if self._stop:
                return

    def _work_in(self, slots: Slots, batches: Iterable[list[Work]], progress: Progress) -> None:
        waiting = iter(batches)
        alone: deque[Sequence[Work]] = deque()
        is_empty = False
        while True:
            while slots.free and not self._stop and (alone or not is_empty):
                works = alone.popleft() if alone else next(waiting, None)
                if works is None:
                    is_empty = True
                else:
                    slots.send(works)
            if not slots.busy and (self._stop or (is_empty and not alone)):
                return
            for works, outcome in slots.receive(POLL_S):
                if isinstance(outcome, str):
                    alone += self._recover(works, outcome)
                    slots.start()
                else:
                    self._take(works, outcome)
            self._send_reports()
            self._show(progress)

    def _recover(self, works: Sequence[Work], how: str) -> list[list[Work]]:
        """Say what is to be done about elements whose slot has died: each is tried alone."""
        if len(works) > 1:
            # They have been started; the server would refuse to start them again.
            return [[replace(work, telling=_once_started(work.telling))] for work in works]
        work = replace(works[0], telling=_once_started(works[0].telling))
        self._take([work], [failed(self._worker, work, None, SlotDied(how))])
        return []

    def _take(self, works: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
        self.tally.seen += len(works)
        self.tally.failed += count(outcomes, Ended.FAILED)
        if self._bulk is not None:
            for work, outcome in zip(works, outcomes, strict=True):
                if work.telling is Telling.NONE:
                    self._bulk.report(work.element_id, outcome.problem)

    def _send_reports(self, *, now: bool = False) -> None:
        if self._bulk is not None:
            self.tally.failed += len(self._bulk.flush(now=now))

    def _show(self, progress: Progress) -> None:
        total = self.tally.total
        if total is None and self._bulk is not None:
            total = self.tally.seen + self._bulk.queued
        progress.update(self.tally.seen, self.tally.failed, total)

    def _placed(self) -> Iterator[Work]:
        for index, (item, telling) in enumerate(self._works, start=1):
            yield Work(Place(index, self.tally.total), item, telling)


def _once_started(telling: Telling) -> Telling:
    return Telling.END if telling is Telling.ALL else telling


def finish(tally: Tally, noun: str, *, stopped: bool = False) -> None:
    """Log how a run ended, and exit with 1 if everything has failed, or there was nothing.

    One that was `stopped` speaks of what it has seen, and exits by the signal that stopped it.
    """
    if stopped:
        tally.total = tally.seen
    elif not tally.all:
        logger.warning("No %s to process, stopping.", pluralize(noun, 2))
        sys.exit(1)
    message = "Ran on %d %s: %d completed, %d failed"
    values = (
        tally.all,
        pluralize(noun, tally.all),
        tally.all - tally.failed,
        tally.failed,
    )
    if not tally.failed:
        logger.info(message, *values)
        return
    logger.error(message, *values)
    if tally.failed >= tally.all and not stopped:
        sys.exit(1)

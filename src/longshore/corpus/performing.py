"""Doing elements: what happens to them in each process that works, and what becomes of errors."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from longshore.corpus.cache import CachedElement
from longshore.corpus.client import ErrorResponse
from longshore.corpus.models import Element
from longshore.corpus.process import ActivityState

if TYPE_CHECKING:
    from longshore.corpus.elements_worker import ElementsWorker

logger = logging.getLogger("longshore.corpus")


class Telling(StrEnum):
    """Who tells the server of an element's activity."""

    ALL = "all"
    """It is told here: `started`, then how it ended."""

    END = "end"
    """The server has started it; only its end is told here."""

    NONE = "none"
    """It was claimed in bulk, and whoever claimed it reports it."""

    SKIP = "skip"
    """The server did not give it when it was claimed: it is another worker's, or done."""


class Ended(StrEnum):
    """What became of an element."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class Problem(msgspec.Struct, frozen=True):
    """What an element has failed with."""

    type: str
    message: str
    traceback: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one element; `problem` is there for failed ones."""

    ended: Ended
    problem: Problem | None = None


Item = str | Element | CachedElement
"""An element to work on, or its id."""


class Place(msgspec.Struct, frozen=True):
    """Which one of how many an element is; `count` is None while that is unknown."""

    index: int
    count: int | None

    def __str__(self) -> str:
        return f"(n°{self.index})" if self.count is None else f"({self.index}/{self.count})"


@dataclass(frozen=True, slots=True)
class Work:
    """An element to be worked on, its place among the others, and who tells of it."""

    place: Place
    item: Item
    telling: Telling

    @property
    def element_id(self) -> str:
        """The id of the element."""
        return self.item if isinstance(self.item, str) else str(self.item.id)


Begun = tuple[int, Work, Element | CachedElement]


def perform(worker: ElementsWorker, works: Sequence[Work]) -> list[Outcome]:
    """Work on elements, together where the worker takes several at a time.

    Nothing that goes wrong with an element is raised: it is logged, told to the server, and
    returned as the element's outcome.
    """
    outcomes: dict[int, Outcome] = {}
    begun: list[Begun] = []
    for number, work in enumerate(works):
        element: Element | CachedElement | None = None
        try:
            if work.telling is not Telling.SKIP:
                element = _element(worker, work.item)
                logger.info("Processing %s %s", element, work.place)
            if element is not None and _starts(worker, work, element):
                begun.append((number, work, element))
            else:
                logger.info("Skipping element %s as it was already processed", work.element_id)
                outcomes[number] = Outcome(Ended.SKIPPED)
        except Exception as error:  # noqa: BLE001 - one element's error is not the others'
            outcomes[number] = failed(worker, work, element, error)
    outcomes |= _run(worker, begun)
    return [outcomes[number] for number in range(len(works))]


def failed(
    worker: ElementsWorker,
    work: Work,
    element: Element | CachedElement | None,
    error: BaseException,
) -> Outcome:
    """Log that an element has failed, tell the server, and return its outcome.

    Args:
        worker: whose element.
        work: what was to be done.
        element: the element, or None if it could not be had.
        error: what it has failed with.
    """
    trace = error if worker.args.verbose else None
    if isinstance(error, ErrorResponse):
        logger.warning(
            "An API error occurred while processing element %s: %s - %s",
            *(work.element_id, error.title, error.content),
            exc_info=trace,
        )
    else:
        logger.warning(
            "Failed running worker on element %s: %r", work.element_id, error, exc_info=trace
        )
    # Without an element it was not even started, unless the server did that.
    if work.telling is Telling.END or (work.telling is Telling.ALL and element is not None):
        worker.tell_error(work.element_id)
    lines = traceback.format_exception(error)
    return Outcome(Ended.FAILED, Problem(type(error).__name__, str(error), "".join(lines)))


def _starts(worker: ElementsWorker, work: Work, element: Element | CachedElement) -> bool:
    if work.telling is not Telling.ALL:
        return True
    return worker.update_activity(element.id, ActivityState.Started)


def _run(worker: ElementsWorker, begun: Sequence[Begun]) -> dict[int, Outcome]:
    if worker.takes_batches and len(begun) > 1:
        try:
            worker.process_elements([element for _, _, element in begun])
        except Exception as error:
            logger.warning(
                "Failed running worker on %d elements together, trying each alone: %r",
                *(len(begun), error),
                exc_info=error if worker.args.verbose else None,
            )
        else:
            return {number: _ended(worker, work, element) for number, work, element in begun}
    return {number: _run_one(worker, work, element) for number, work, element in begun}


def _run_one(worker: ElementsWorker, work: Work, element: Element | CachedElement) -> Outcome:
    try:
        if worker.takes_batches:
            worker.process_elements([element])
        else:
            worker.process_element(element)
    except Exception as error:  # noqa: BLE001 - one element's error is not the others'
        return failed(worker, work, element, error)
    return _ended(worker, work, element)


def _ended(worker: ElementsWorker, work: Work, element: Element | CachedElement) -> Outcome:
    if work.telling is not Telling.NONE:
        try:
            worker.update_activity(element.id, ActivityState.Processed)
        except Exception as error:  # noqa: BLE001 - one element's error is not the others'
            return failed(worker, work, element, error)
    return Outcome(Ended.DONE)


def _element(worker: ElementsWorker, item: Item) -> Element | CachedElement:
    if isinstance(item, Element | CachedElement):
        return item
    return Element(**worker.api_client.request("RetrieveElement", id=item))


def count(outcomes: Iterable[Outcome], ended: Ended) -> int:
    """Return how many elements ended that way."""
    return sum(outcome.ended is ended for outcome in outcomes)


def in_batches(works: Iterable[Work], size: int) -> Iterable[list[Work]]:
    """Cut works into lists, in order; the next ones are only asked for when they are needed."""
    batch: list[Work] = []
    for work in works:
        batch.append(work)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch

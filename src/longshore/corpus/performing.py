"""Doing elements: what happens to them in each process that works, and what becomes of errors."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from longshore.corpus.activities import Problem
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
    """Each call is made here: `started`, then how it ended."""

    END = "end"
    """The server has started it; only its end is told here."""

    NONE = "none"
    """It was claimed in bulk, and whoever claimed it reports it."""


class Ended(StrEnum):
    """What became of an element."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


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


def perform(
    worker: ElementsWorker, items: Sequence[tuple[Place, Item]], telling: Telling
) -> list[Outcome]:
    """Work on elements, together where the worker takes several at a time.

    Nothing that goes wrong with an element is raised: it is logged, told to the server, and
    returned as the element's outcome.
    """
    outcomes: dict[int, Outcome] = {}
    begun: list[tuple[int, Element | CachedElement]] = []
    for number, (place, item) in enumerate(items):
        element: Element | CachedElement | None = None
        try:
            element = _element(worker, item)
            logger.info("Processing %s %s", element, place)
            if telling is not Telling.ALL or worker.update_activity(
                element.id, ActivityState.Started
            ):
                begun.append((number, element))
            else:
                logger.info("Skipping element %s as it was already processed", element.id)
                outcomes[number] = Outcome(Ended.SKIPPED)
        except Exception as error:  # noqa: BLE001 - one element's error is not the others'
            outcomes[number] = failed(worker, element, item, error, telling)
    outcomes |= _run(worker, begun, telling)
    return [outcomes[number] for number in range(len(items))]


def failed(
    worker: ElementsWorker,
    element: Element | CachedElement | None,
    item: Item,
    error: BaseException,
    telling: Telling,
) -> Outcome:
    """Log that an element has failed, tell the server, and return its outcome."""
    element_id = element.id if element is not None else item
    if isinstance(error, ErrorResponse):
        logger.warning(
            "An API error occurred while processing element %s: %s - %s",
            *(element_id, error.title, error.content),
            exc_info=error if worker.args.verbose else None,
        )
    else:
        logger.warning(
            "Failed running worker on element %s: %r",
            *(element_id, error),
            exc_info=error if worker.args.verbose else None,
        )
    # Without an element it was not even started, unless the server did that.
    if telling is Telling.END or (telling is Telling.ALL and element is not None):
        worker.tell_error(str(element_id))
    lines = traceback.format_exception(error)
    return Outcome(Ended.FAILED, Problem(type(error).__name__, str(error), "".join(lines)))


def _run(
    worker: ElementsWorker,
    begun: Sequence[tuple[int, Element | CachedElement]],
    telling: Telling,
) -> dict[int, Outcome]:
    if worker.takes_batches and len(begun) > 1:
        try:
            worker.process_elements([element for _, element in begun])
        except Exception as error:
            logger.warning(
                "Failed running worker on %d elements together, trying each alone: %r",
                *(len(begun), error),
                exc_info=error if worker.args.verbose else None,
            )
        else:
            return {number: _ended(worker, element, telling) for number, element in begun}
    return {number: _run_one(worker, element, telling) for number, element in begun}


def _run_one(worker: ElementsWorker, element: Element | CachedElement, telling: Telling) -> Outcome:
    try:
        if worker.takes_batches:
            worker.process_elements([element])
        else:
            worker.process_element(element)
    except Exception as error:  # noqa: BLE001 - one element's error is not the others'
        return failed(worker, element, element.id, error, telling)
    return _ended(worker, element, telling)


def _ended(worker: ElementsWorker, element: Element | CachedElement, telling: Telling) -> Outcome:
    if telling is not Telling.NONE:
        try:
            worker.update_activity(element.id, ActivityState.Processed)
        except Exception as error:  # noqa: BLE001 - one element's error is not the others'
            return failed(worker, element, element.id, error, telling)
    return Outcome(Ended.DONE)


def _element(worker: ElementsWorker, item: Item) -> Element | CachedElement:
    if isinstance(item, Element | CachedElement):
        return item
    return Element(**worker.api_client.request("RetrieveElement", id=item))


def count(outcomes: Iterable[Outcome], ended: Ended) -> int:
    """Return how many elements ended that way."""
    return sum(outcome.ended is ended for outcome in outcomes)


def in_batches(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """Cut items into lists, in order; the next ones are only asked for when they are needed."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch

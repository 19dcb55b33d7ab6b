"""The base class of workers that go through the elements of a corpus, one by one or in batches."""

from __future__ import annotations

import json
import logging
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, ClassVar

from longshore.corpus.activities import ActivityQueue, BulkActivities
from longshore.corpus.base import BaseWorker
from longshore.corpus.cache import CachedElement
from longshore.corpus.checks import check
from longshore.corpus.classifications import ClassificationMixin
from longshore.corpus.client import ErrorResponse
from longshore.corpus.corpora import CorpusMixin
from longshore.corpus.datasets import DatasetMixin
from longshore.corpus.elements import ElementMixin
from longshore.corpus.embeddings import EmbeddingMixin
from longshore.corpus.entities import EntityMixin
from longshore.corpus.heartbeat import Heartbeat
from longshore.corpus.images import ImageMixin
from longshore.corpus.metadata import MetaDataMixin
from longshore.corpus.models import Element
from longshore.corpus.process import ActivityState, ProcessMode
from longshore.corpus.process_elements import ProcessMixin
from longshore.corpus.running import Run, Tally, finish
from longshore.corpus.stopping import stopping
from longshore.corpus.tasks import TaskMixin
from longshore.corpus.transcriptions import TranscriptionMixin
from longshore.corpus.worker_versions import WorkerVersionMixin
from longshore.settings import task_variable

logger = logging.getLogger("longshore.corpus")


class ElementsWorker(
    ElementMixin,
    DatasetMixin,
    BaseWorker,
    ClassificationMixin,
    CorpusMixin,
    TranscriptionMixin,
    WorkerVersionMixin,
    EntityMixin,
    MetaDataMixin,
    ImageMixin,
    ProcessMixin,
    EmbeddingMixin,
    TaskMixin,
):
    """Goes through elements, and calls `process_element` with each of them.

    Override `process_element`, or `process_elements` to be given several at a time; `setup` to
    load a model once in each process.
    """

    batch_size: ClassVar[int] = 8
    """How many elements `process_elements` is given at most, unless --batch-size says."""

    def __init__(
        self, description: str = "Longshore Elements Worker", support_cache: bool = False
    ) -> None:
        """Read the environment; see BaseWorker."""
        super().__init__(description, support_cache)
        self._heartbeat: Heartbeat | None = None

    @property
    def takes_batches(self) -> bool:
        """Whether this worker has a `process_elements` of its own."""
        return type(self).process_elements is not ElementsWorker.process_elements

    @property
    def store_activity(self) -> bool:
        """Whether the server is told how far the elements are."""
        if self.is_read_only or self.args.no_worker_activity:
            return False
        if self.process_mode in {ProcessMode.Dataset, ProcessMode.Export}:
            return False
        process = self.process_information
        check(process, "the worker is not configured yet")
        return bool((process or {}).get("activity_state") == "ready")

    @property
    def consume_worker_activities(self) -> bool:
        """Whether the server is asked for each next element, instead of there being a list."""
        asked = (self.process_information or {}).get("skip_elements_json")
        return bool(self.args.consume_worker_activities if asked is None else asked)

    def add_arguments(self) -> None:
        """Declare the arguments that say how elements are worked on."""
        _add_arguments(self.parser, self.batch_size if self.takes_batches else 1)
        super().add_arguments()

    def get_elements(
        self,
    ) -> Iterable[CachedElement] | list[str] | list[Element] | ActivityQueue:
        """Return the elements to work on, or their ids: from the first of these that has some.

        The cache of the tasks before this one; --elements-list; --element; sets of datasets;
        the elements of an export process; the queue of activities.

        Raises:
            AssertionError: both lists are given, the list is none, or an id is no UUID.
        """
        listed, named = self.args.elements_list, self.args.element
        check(not (listed and named), "elements-list and element CLI args shouldn't be both set")
        if self.use_cache:
            initial = CachedElement.select().where(CachedElement.initial == True)  # noqa: E712
            if initial.exists():
                return initial
        if listed or named:
            return _checked_ids(_listed_ids(listed) if listed else named)
        if self.process_mode is ProcessMode.Dataset or self.args.set:
            return list(chain.from_iterable(map(self.list_set_elements, self.list_sets())))
        if self.process_mode is ProcessMode.Export:
            return _checked_ids(list({str(one["id"]) for one in self.list_process_elements()}))
        if self.consume_worker_activities:
            logger.info("The server is asked for the next element each time")
            return ActivityQueue(self.api_client)
        return []

    def run(self) -> None:
        """Work on all elements.

        Exits with 1 when there are none or all have failed; an element that fails is logged and
        told to the server, and the others go on. SIGTERM and Ctrl-C end the run after the element
        it is at.
        """
        slots = self._slots_wanted()
        if slots > 1:
            # Each slot configures all of the worker; this process only what gives it elements.
            BaseWorker.configure(self)
        else:
            self.configure()
        elements = self.get_elements()
        if isinstance(elements, list) and not elements:
            finish(Tally(0), "element")
        if not self.store_activity:
            logger.info("No worker activity will be stored as it is disabled for this process")
        with stopping() as stop:
            if slots > 1:
                self._share_heartbeat()
            try:
                if slots == 1:
                    self.setup()
                tally = Run(self, elements, stop).work(slots)
            finally:
                if slots == 1:
                    self.cleanup()
                self._end_heartbeat()
            finish(tally, "element", stopped=bool(stop))

    def process_element(self, element: Element | CachedElement) -> None:
        """Override this to work on one element.

        Args:
            element: the element: a CachedElement when it comes from the cache.
        """

    def process_elements(self, elements: list[Any]) -> None:
        """Override this to work on several elements at a time.

        When it raises, each of them is tried again alone; those that raise alone have failed.

        Args:
            elements: the elements: CachedElements when they come from the cache.
        """
        for element in elements:
            self.process_element(element)

    def update_activity(self, element_id: str | uuid.UUID, state: ActivityState) -> bool:
        """Tell the server how far an element is.

        Returns:
            False if another worker is at the element, or has done it: then it is to be skipped.

        Raises:
            AssertionError: an argument is wrong.
            ErrorResponse: the server refused it for another reason.
        """
        if not self.store_activity:
            logger.debug("Activities are not stored in this process")
            return True
        check(
            element_id and isinstance(element_id, uuid.UUID | str),
            "element_id shouldn't be null and should be an UUID or str",
        )
        check(isinstance(state, ActivityState), "state should be an ActivityState")
        body = {
            "element_id": str(element_id),
            "process_id": (self.process_information or {})["id"],
            "state": state.value,
        }
        try:
            answer = self.api_client.request(
                "UpdateWorkerActivity", id=self.worker_run_id, body=body
            )
        except ErrorResponse as error:
            if state is ActivityState.Started and error.status_code == 409:
                logger.debug("Element %s is another worker's, or done", element_id)
                return False
            logger.warning(
                "Failed to update activity of element %s to %s due to an API error: %s",
                *(element_id, state.value, error.content),
            )
            raise
        self._keep_alive(str(element_id), state, answer)
        logger.debug("Updated activity of element %s to %s", element_id, state.value)
        return True

    def tell_error(self, element_id: str) -> None:
        """Tell the server that an element has failed, if it listens."""
        try:
            self.update_activity(element_id, ActivityState.Error)
        except Exception:  # noqa: BLE001 - the element has failed whether or not this is heard
            logger.debug("The server was not told that %s has failed", element_id)

    def guard_slot(self, process_id: int) -> None:
        """Let a slot end with this process, whatever ends it."""
        if self._heartbeat is not None:
            self._heartbeat.guard(process_id)

    def unguard_slot(self, process_id: int) -> None:
        """Forget a slot that has ended."""
        if self._heartbeat is not None:
            self._heartbeat.unguard(process_id)

    def bulk_activities(
        self, elements: Iterable[Any], stopped: Callable[[], bool]
    ) -> BulkActivities | None:
        """Return what claims and reports these elements many at a time, where that can be.

        Args:
            elements: what `get_elements` returned.
            stopped: says that there is no more to wait for.
        """
        is_own = type(self).update_activity is not ElementsWorker.update_activity
        if is_own or not self.store_activity:
            return None
        if not self.api_client.document.has_bulk_activities:
            return None
        is_queue = isinstance(elements, ActivityQueue)
        return BulkActivities(
            self.api_client,
            str(self.worker_run_id),
            self._started_heartbeat,
            at_once=self.args.batch_size * self.args.slots,
            listed=None if is_queue else list(elements),
            stopped=stopped,
        )

    def _keep_alive(self, element_id: str, state: ActivityState, answer: Any) -> None:
        """Renew what was started until it ends, where the server can do that."""
        attempt = answer.get("attempt") if isinstance(answer, dict) else None
        if attempt is None or not self.api_client.document.has_bulk_activities:
            return
        held = [(element_id, int(attempt))]
        if state is ActivityState.Started:
            self._started_heartbeat().hold(held)
        else:
            self._started_heartbeat().release(held)

    def _share_heartbeat(self) -> None:
        """Start the heartbeat before there are slots, so that all of them have the same one."""
        if self.store_activity and self.api_client.document.has_bulk_activities:
            self._started_heartbeat()

    def _started_heartbeat(self) -> Heartbeat:
        if self._heartbeat is None:
            access = self.api_client.access
            self._heartbeat = Heartbeat(access.url, access.headers, str(self.worker_run_id))
        return self._heartbeat

    def _end_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.close()
            self._heartbeat = None

    def _slots_wanted(self) -> int:
        """Return how many slots the command line asks for, before all of it is read."""
        parser = ArgumentParser(add_help=False)
        parser.add_argument("--slots", type=_at_least_one, default=self.parser.get_default("slots"))
        return int(parser.parse_known_args()[0].slots)


def _add_arguments(parser: ArgumentParser, batch_size: int) -> None:
    parser.add_argument(
        "--no-elements-list",
        dest="consume_worker_activities",
        action="store_true",
        default=task_variable("SKIP_TASK_ELEMENTS") is not None,
        help="ask the server for each next element",
    )
    parser.add_argument(
        "--no-worker-activity",
        action="store_true",
        help="do not tell the server how far the elements are, and process all of them",
    )
    parser.add_argument(
        "--slots",
        type=_at_least_one,
        default=1,
        help="how many processes work side by side; each is set up once",
    )
    parser.add_argument(
        "--batch-size",
        type=_at_least_one,
        default=batch_size,
        help="how many elements a worker that takes several is given at a time",
    )


def _at_least_one(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("at least 1")
    return number


def _listed_ids(file: Any) -> list[str]:
    with file:
        listed = json.load(file)
    check(isinstance(listed, list), "Elements list must be a list")
    check(listed, "No elements in elements list")
    return [element["id"] for element in listed if element.get("id")]


def _checked_ids(ids: list[str]) -> list[str]:
    invalid = [one for one in ids if not _is_uuid(one)]
    check(not invalid, f"These element IDs are invalid: {', '.join(map(str, invalid))}")
    return ids


def _is_uuid(value: Any) -> bool:
    try:
        uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        return False
    return True

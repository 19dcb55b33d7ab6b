"""Where a worker gets its elements from when the server decides which is next."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from longshore.corpus.client import ErrorResponse
from longshore.corpus.document import CLAIM_PATH
from longshore.corpus.heartbeat import Heartbeat, Held
from longshore.corpus.models import Element

logger = logging.getLogger("longshore.corpus")

REPORT_PATH: Final = "/longshore/v1/corpus/activities/report"
CLAIM_MAX: Final = 500
CLAIMED_S: Final = 1.0
"""How long the elements that are claimed at a time shall last: the others are there for others."""
REPORT_EVERY_S: Final = 0.25
REPORTS_MAX: Final = 500

_END: Final = frozenset({400, 404})


class Problem(msgspec.Struct, frozen=True):
    """What an element has failed with."""

    type: str
    message: str
    traceback: str = ""


class ActivityQueue:
    """The elements of a worker run's queue, one by one: the form of the published protocol."""

    def __init__(self, client: Any) -> None:
        """Ask `client` for them."""
        self._client = client

    def __iter__(self) -> Iterator[str]:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Start the activity of the next element and return its id.

        Raises:
            ErrorResponse: the server refused for another reason than that there are none left.
        """
        try:
            return str(self._client.request("StartWorkerActivity")["id"])
        except ErrorResponse as error:
            if error.status_code in _END:
                raise StopIteration from None
            logger.warning("Failed to start the activity of an element: %s", error.content)
            raise


class BulkActivities:
    """The elements of a worker run's queue, claimed and reported many at a time.

    What is claimed is kept alive by the heartbeat until it is reported or handed back.

    Attributes:
        queued: how many were left in the queue when it was last asked.
    """

    def __init__(
        self,
        client: Any,
        worker_run_id: str,
        heartbeat: Callable[[], Heartbeat],
        *,
        at_once: int = 1,
    ) -> None:
        """Prepare; nothing is claimed yet.

        Args:
            client: of the API.
            worker_run_id: whose elements.
            heartbeat: returns what keeps them alive.
            at_once: how many are worked on at the same time.
        """
        self._client = client
        self._run_id = worker_run_id
        self._heartbeat = heartbeat
        self._at_once = at_once
        self._ready: deque[Element] = deque()
        self._attempts: dict[str, int] = {}
        self._reports: list[dict[str, Any]] = []
        self._reported_s = time.monotonic()
        self._claimed_s = 0.0
        self._wanted = at_once
        self.queued = 0

    def __iter__(self) -> Iterator[Element]:
        """Return itself."""
        return self

    def __next__(self) -> Element:
        """Return the next element, which this worker holds then.

        Raises:
            ErrorResponse: the server refused.
        """
        if not self._ready:
            self._claim()
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def report(self, element_id: str, problem: Problem | None) -> None:
        """Tell how an element ended; it is sent together with others, within a short time."""
        attempt = self._attempts[element_id]
        state = "processed" if problem is None else "error"
        self._reports.append(
            {"element_id": element_id, "attempt": attempt, "state": state, "error": problem}
        )

    def flush(self, *, now: bool = False) -> list[str]:
        """Send what was reported, if it is time to, or `now`.

        Returns:
            The ids of processed elements whose report was refused, since others have been given
            them.
        """
        waited_s = time.monotonic() - self._reported_s
        due = now or waited_s >= REPORT_EVERY_S or len(self._reports) >= REPORTS_MAX
        if not self._reports or not due:
            return []
        reports, self._reports = self._reports, []
        answer = self._client.post(REPORT_PATH, {"worker_run_id": self._run_id, "reports": reports})
        self._reported_s = time.monotonic()
        self._forget(one["element_id"] for one in reports)
        lost = {one[0] for one in answer.get("lost", ())}
        for element_id in sorted(lost):
            logger.warning("Element %s was given to another worker meanwhile", element_id)
        done = (one["element_id"] for one in reports if one["state"] == "processed")
        return [element_id for element_id in done if element_id in lost]

    def hand_back(self) -> None:
        """Put what was claimed and not reported back into the queue, and send all reports."""
        self._ready.clear()
        reported = {one["element_id"] for one in self._reports}
        self._reports += [
            {"element_id": element_id, "attempt": attempt, "state": "queued", "error": None}
            for element_id, attempt in self._attempts.items()
            if element_id not in reported
        ]
        self.flush(now=True)

    def _claim(self) -> None:
        now_s = time.monotonic()
        if self._claimed_s:
            # Twice as many when they did not last, fewer when they lasted too long.
            lasted_s = max(now_s - self._claimed_s, 0.001)
            fitting = int(self._wanted * CLAIMED_S / lasted_s)
            self._wanted = min(max(fitting, self._at_once), 2 * self._wanted, CLAIM_MAX)
        answer = self._client.post(
            CLAIM_PATH, {"worker_run_id": self._run_id, "limit": self._wanted}
        )
        self._claimed_s = time.monotonic()
        self.queued = int(answer.get("queued", 0))
        held: list[Held] = []
        for one in answer["activities"]:
            element = Element(one["element"])
            self._attempts[str(element.id)] = one["attempt"]
            held.append((str(element.id), one["attempt"]))
            self._ready.append(element)
        if held:
            self._heartbeat().hold(held)

    def _forget(self, element_ids: Iterable[str]) -> None:
        self._heartbeat().release(
            (element_id, self._attempts.pop(element_id)) for element_id in element_ids
        )

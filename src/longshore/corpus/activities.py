"""Where a worker gets its elements from when the server decides which is next, or may be begun."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from longshore import limits
from longshore.corpus.client import ErrorResponse
from longshore.corpus.document import CLAIM_PATH
from longshore.corpus.heartbeat import Heartbeat
from longshore.corpus.models import Element
from longshore.corpus.performing import Item, Problem, Telling

logger = logging.getLogger("longshore.corpus")

REPORT_PATH: Final = "/longshore/v1/corpus/activities/report"
CLAIMED_S: Final = 1.0
"""How long the elements that are claimed at a time shall last: the others are there for others."""
REPORT_EVERY_S: Final = 0.25
WAIT_S: Final = 5.0
PATIENCE_S: Final = 60.0
"""How long a queue is waited for that has elements and gives none: those of a worker that died
come back after a pause."""

_END: Final = frozenset({400, 404})


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
    """Elements of a worker run, claimed and reported many at a time.

    They come from the run's queue, or are those of a list that may be begun. What is claimed is
    kept alive by the heartbeat until it is reported or handed back.

    Attributes:
        queued: how many were left in the queue when it was last asked.
    """

    def __init__(
        self,
        client: Any,
        worker_run_id: str,
        heartbeat: Callable[[], Heartbeat],
        *,
        at_once: int,
        listed: Sequence[Item] | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; nothing is claimed yet.

        Args:
            client: of the API.
            worker_run_id: whose elements.
            heartbeat: returns what keeps them alive.
            at_once: how many are worked on at the same time.
            listed: the elements to claim, instead of those of the queue.
            stopped: says that there is no more to wait for.
        """
        self._client = client
        self._run_id = worker_run_id
        self._heartbeat = heartbeat
        self._at_once = at_once
        self._listed = None if listed is None else deque(listed)
        self._stopped = stopped
        self._ready: deque[tuple[Item, Telling]] = deque()
        self._attempts: dict[str, int] = {}
        self._reports: list[dict[str, Any]] = []
        self._reported_s = time.monotonic()
        self._claimed_s = 0.0
        self._wanted = at_once
        self.queued = 0

    def __iter__(self) -> Iterator[tuple[Item, Telling]]:
        """Give each element, and who tells of it, once this worker holds it.

        Raises:
            ErrorResponse: the server refused.
        """
        while True:
            if not self._ready:
                self._claim()
            if not self._ready:
                return
            yield self._ready.popleft()

    def report(self, element_id: str, problem: Problem | None) -> None:
        """Tell how an element ended; it is sent together with others, within a short time."""
        self._add(element_id, "processed" if problem is None else "error", problem)

    def flush(self, *, now: bool = False) -> list[str]:
        """Send what was reported, if it is time to, or `now`.

        Returns:
            The ids of processed elements whose report was refused, since they are no more held.
        """
        waited_s = time.monotonic() - self._reported_s
        most = limits.ACTIVITIES_PER_CALL
        if not (now or waited_s >= REPORT_EVERY_S or len(self._reports) >= most):
            return []
        refused: list[str] = []
        while self._reports:
            reports, self._reports = self._reports[:most], self._reports[most:]
            refused += self._send(reports)
        self._reported_s = time.monotonic()
        return refused

    def hand_back(self) -> None:
        """Put what was claimed and not reported back into the queue, and send all reports."""
        self._ready.clear()
        reported = {one["element_id"] for one in self._reports}
        for element_id in self._attempts:
            if element_id not in reported:
                self._add(element_id, "queued", None)
        self.flush(now=True)

    def _add(self, element_id: str, state: str, problem: Problem | None) -> None:
        attempt = self._attempts[element_id]
        self._reports.append(
            {"element_id": element_id, "attempt": attempt, "state": state, "error": problem}
        )

    def _send(self, reports: list[dict[str, Any]]) -> list[str]:
        answer = self._client.post(REPORT_PATH, {"worker_run_id": self._run_id, "reports": reports})
        self._heartbeat().release(
            (one["element_id"], self._attempts.pop(one["element_id"])) for one in reports
        )
        lost = {element_id: reason for element_id, _, reason in answer.get("lost", ())}
        for element_id, reason in lost.items():
            logger.warning("The report on element %s was refused: %s", element_id, reason)
        done = (one["element_id"] for one in reports if one["state"] == "processed")
        return [element_id for element_id in done if element_id in lost]

    def _claim(self) -> None:
        self._fit()
        if self._listed is None:
            self._claim_next()
        else:
            self._claim_listed(self._listed)
        self._claimed_s = time.monotonic()

    def _claim_next(self) -> None:
        waited_s, wait_s = 0.0, 0.0
        while not self._ready:
            answer = self._ask(limit=self._wanted, wait_s=wait_s)
            self._ready += [(one, Telling.NONE) for one in self._taken(answer).values()]
            self.queued = int(answer.get("queued", 0))
            if not self.queued or waited_s >= PATIENCE_S or self._stopped():
                return
            wait_s = WAIT_S
            waited_s += wait_s

    def _claim_listed(self, listed: deque[Item]) -> None:
        wanted = [listed.popleft() for _ in range(min(self._wanted, len(listed)))]
        if not wanted:
            return
        ids = [one if isinstance(one, str) else str(one.id) for one in wanted]
        answer = self._ask(limit=len(ids), elements=ids)
        taken = self._taken(answer)
        # Of what has no activity, the server says in the words of the protocol what is wrong.
        unknown = set(answer.get("unknown", ids))
        for element_id, item in zip(ids, wanted, strict=True):
            if element_id in taken:
                element = taken[element_id] if isinstance(item, str) else item
                self._ready.append((element, Telling.NONE))
            else:
                telling = Telling.ALL if element_id in unknown else Telling.SKIP
                self._ready.append((item, telling))
        self.queued = len(listed)

    def _ask(self, **what: Any) -> dict[str, Any]:
        body = {"worker_run_id": self._run_id, **what}
        answer: dict[str, Any] = self._client.post(CLAIM_PATH, body)
        return answer

    def _taken(self, answer: dict[str, Any]) -> dict[str, Element]:
        """Return the elements that this worker holds now, by their ids."""
        taken = {}
        for one in answer["activities"]:
            element_id = str(one["element"]["id"])
            self._attempts[element_id] = one["attempt"]
            taken[element_id] = Element(one["element"])
        if taken:
            self._heartbeat().hold((one, self._attempts[one]) for one in taken)
        return taken

    def _fit(self) -> None:
        """Claim more than before when that did not last, fewer when it lasted too long."""
        if not self._claimed_s:
            return
        lasted_s = max(time.monotonic() - self._claimed_s, 0.001)
        fitting = max(int(self._wanted * CLAIMED_S / lasted_s), self._at_once)
        self._wanted = min(fitting, 2 * self._wanted, limits.ACTIVITIES_PER_CALL)


def told_by_worker(items: Iterable[Item], telling: Telling) -> Iterator[tuple[Item, Telling]]:
    """Give elements whose activities are told one by one."""
    for item in items:
        yield item, telling

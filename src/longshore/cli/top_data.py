"""What `longshore top` shows: one look at a server over its public API."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from longshore.clock import SystemClock
from longshore.sdk import Client
from longshore.sdk._calls import NATIVE, Call
from longshore.sdk.operations import Queue, Worker
from longshore.sdk.records import Record

WORKS: Final = 50
FAILED: Final = 20
EXACT: Final = 10_000
"""Works up to which they are counted for each look; of more, the server's last census is shown."""
_BY_ITSELF: Final = frozenset({"system"})


class _Page(Record):
    counted: datetime
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs a person.

    Attributes:
        kind: "held", "no worker" or "failed".
        what: the queue, or the work and its queue.
        why: in words.
        queue_id: the queue that it is about.
        work_id: the work that it is about, if it is one.
    """

    kind: str
    what: str
    why: str
    queue_id: int
    work_id: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """How a server stands.

    Attributes:
        at_s: when its works were counted, by the server's clock.
        totals: works by state.
        queues: those that ever had a work, the fullest first.
        rates: works that ended in each queue, a second, between the last two counts; by queue.
        workers: those that are online.
        running: works that run, the newest first, as the API has them.
        needs: what needs a person.
    """

    at_s: float
    totals: dict[str, int]
    queues: list[Queue]
    rates: dict[int, float]
    workers: list[Worker]
    running: list[dict[str, Any]]
    needs: list[Need]
    ended: dict[int, int] = field(default_factory=dict)


class Looker:
    """Looks at a server again and again, and remembers the last look for the rates."""

    def __init__(self, client: Client) -> None:
        """Use a client; nothing is asked yet."""
        self._client = client
        self._last: Look | None = None

    def look(self) -> Look:
        """Ask the server.

        Raises:
            LongshoreError: it cannot be asked.
        """
        queues, at_s = self._queues()
        workers = [each for each in self._client.workers.list() if each.online]
        running = self._find("state:running -surface:system", WORKS)
        failed = self._find("state:failure", FAILED)
        ended = {each.id: _ended(each) for each in queues}
        look = Look(
            at_s=at_s,
            totals=_totals(queues),
            queues=sorted((each for each in queues if _used(each)), key=_fullest),
            rates=self._rates(ended, at_s),
            workers=workers,
            running=running,
            needs=_needs(queues, failed),
            ended=ended,
        )
        self._last = look
        return look

    def _queues(self) -> tuple[list[Queue], float]:
        """Return the queues that are not the server's own, and when their works were counted."""
        if self._last is not None and sum(self._last.totals.values()) <= EXACT:
            return self._counted("exact")
        found, at_s = self._counted("census")
        few = self._last is None and sum(_totals(found).values()) <= EXACT
        return self._counted("exact") if few else (found, at_s)

    def _counted(self, how: str) -> tuple[list[Queue], float]:
        call = Call("GET", f"{NATIVE}/queues", query={"counts": how})
        page = self._client._transport.fetch(call, _Page)  # noqa: SLF001 - the SDK has no such call
        own = [each for each in page.queues if each.surface not in _BY_ITSELF]
        return own, page.counted.timestamp()

    def _rates(self, ended: dict[int, int], at_s: float) -> dict[int, float]:
        if self._last is None:
            return {}
        passed_s = at_s - self._last.at_s
        if passed_s <= 0:
            # The same census once more.
            return self._last.rates
        before = self._last.ended
        # Works that retention takes away make a count fall.
        return {id_: max(now - before.get(id_, now), 0) / passed_s for id_, now in ended.items()}

    def _find(self, text: str, limit: int) -> list[dict[str, Any]]:
        call = Call("GET", f"{NATIVE}/works", query={"q": text, "limit": limit})
        answer = self._client._transport.fetch_json(call)  # noqa: SLF001 - the SDK has no such call
        found: list[dict[str, Any]] = answer["works"]
        return found


def age_text(since: datetime | str | None) -> str:
    """Return how long ago something was, such as 12 s, 5 min or 3 h."""
    if since is None:
        return ""
    moment = datetime.fromisoformat(since) if isinstance(since, str) else since
    now = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, tz=UTC)
    seconds = max((now - moment).total_seconds(), 0.0)
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def by_state(queue: Queue, *states: str) -> int:
    """Return how many works of a queue are in any of these states."""
    counts = queue.counts.by_state if queue.counts is not None else {}
    return sum(counts.get(state, 0) for state in states)


def _totals(queues: list[Queue]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for queue in queues:
        for state, count in (queue.counts.by_state if queue.counts is not None else {}).items():
            totals[state] = totals.get(state, 0) + count
    return totals


def _used(queue: Queue) -> bool:
    return queue.held is not None or bool(queue.counts and queue.counts.submitted)


def _fullest(queue: Queue) -> tuple[int, str]:
    return -(queue.counts.pending if queue.counts is not None else 0), queue.name


def _ended(queue: Queue) -> int:
    counts = queue.counts
    return 0 if counts is None else counts.done + counts.failed + counts.cancelled


def _needs(queues: list[Queue], failed: list[dict[str, Any]]) -> list[Need]:
    held = [
        Need("held", each.name, each.held.why, each.id) for each in queues if each.held is not None
    ]
    unserved = [
        Need(
            "no worker", each.name, f"{by_state(each, 'queued')} works wait, nobody online", each.id
        )
        for each in queues
        if each.held is None and by_state(each, "queued") and not each.workers_online
    ]
    dead = [
        Need(
            "failed",
            f"{each['id']} in {each['queue_name']}",
            str(each["error"] or each["reason"] or ""),
            each["queue"],
            each["id"],
        )
        for each in failed
        if each["final"]
    ]
    return [*held, *unserved, *dead]

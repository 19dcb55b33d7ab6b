"""Waking those who wait for work, on the event loop, when a committed transaction brings some."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from longshore.storage import Database

_QUEUE: Final = "queue:"
_EVERYTHING: Final = "*"
NOTICES: Final = "notices"
"""Topic of the ends of attempts that somebody follows (`longshore.engine.notices`)."""
JOBS: Final = "jobs"
"""Topic of queues of system jobs that were just made, so that nobody listens to them yet."""
QUEUES: Final = "queues"
"""Topic of queues that were just made (`longshore.engine.queues`)."""
PIPELINE: Final = "pipelines:"
"""Beginning of the topic of a pipeline, or of an execution, whose outputs have grown."""
EXPORTS: Final = "exports"
"""Topic of exports of corpora that have ended."""
_HEARD: Final = (_QUEUE, _EVERYTHING, NOTICES, JOBS, QUEUES, PIPELINE, EXPORTS)


class Bell:
    """Rings when there may be something to do on one of the topics that it listens to."""

    def __init__(self) -> None:
        """Begin silent."""
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it has rung since the last wait, or False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Wakeups:
    """The event loop's side of `Database.subscribe`.

    Take a bell *before* looking for work, so that work which arrives between the look and the
    wait still rings:

        with wakeups.listen(queue_ids) as bell:
            while not (works := await claim()) and await bell.wait(rest_s): ...
    """

    def __init__(self, database: Database) -> None:
        """Listen to `database` from the first waiter on."""
        self._database = database
        self._bells: defaultdict[str, set[Bell]] = defaultdict(set)
        self._unsubscribe: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._released = False

    @contextmanager
    def listen(self, queue_ids: Iterable[int], *topics: str) -> Iterator[Bell]:
        """Give a bell that rings for these queues and topics until the block is left."""
        with self.listen_to([*(f"{_QUEUE}{queue_id}" for queue_id in queue_ids), *topics]) as bell:
            yield bell

    @contextmanager
    def listen_to(self, topics: Sequence[str]) -> Iterator[Bell]:
        """Give a bell that rings for these topics: those of queues, or a name above."""
        self._start()
        bell = Bell()
        if self._released:
            bell.ring()
        for topic in topics:
            self._bells[topic].add(bell)
        try:
            yield bell
        finally:
            for topic in topics:
                self._bells[topic].discard(bell)
                if not self._bells[topic]:
                    del self._bells[topic]

    def crowded(self, queue_ids: Iterable[int], most: int) -> bool:
        """Whether more than `most` listen to one of these queues, and all wake up at once."""
        return any(len(self._bells.get(f"{_QUEUE}{queue_id}", ())) > most for queue_id in queue_ids)

    async def wait(self, queue_ids: Iterable[int], timeout_s: float) -> bool:
        """Wait for news of these queues; True as soon as there is some, False after `timeout_s`."""
        with self.listen(queue_ids) as bell:
            return await bell.wait(timeout_s)

    def release(self) -> None:
        """Ring all bells, now and for whoever listens later: the server is stopping."""
        self._released = True
        self._ring(_EVERYTHING)

    def close(self) -> None:
        """End the subscription; safe to call twice."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _start(self) -> None:
        if self._unsubscribe is None:
            self._loop = asyncio.get_running_loop()
            self._unsubscribe = self._database.subscribe(self._heard)

    def _heard(self, topic: str) -> None:
        # In a thread of the database: only pass it on.
        loop = self._loop
        if loop is not None and not loop.is_closed() and topic.startswith(_HEARD):
            loop.call_soon_threadsafe(self._ring, topic)

    def _ring(self, topic: str) -> None:
        if topic == _EVERYTHING:
            for bells in self._bells.values():
                for bell in bells:
                    bell.ring()
            return
        for bell in self._bells.get(topic, ()):
            bell.ring()

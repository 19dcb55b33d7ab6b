"""Asking the server for work: as much as there are idle slots, and short works ahead of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from longshore.errors import (
    InvalidRequest,
    LongshoreError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from longshore.limits import CLAIM_WORKS
from longshore.wire.worker import ClaimAnswer, Claimed, ClaimRequest, Held, Lost
from longshore.worker.backoff import Backoff
from longshore.worker.leases import Leases
from longshore.worker.membership import Membership
from longshore.worker.options import WorkerOptions
from longshore.worker.pace import Pace
from longshore.worker.transport import Transport

_WAIT_S = 10.0
# A server that was cut off without a word is given up after this long.
_PATIENCE_S = 5.0
_TOLD_AT_FAILURE = 3
# What was claimed ahead, and finds no slot for this long, is given back for others.
_KEEP_S = 1.0
# After this long without work, what comes next may be of another kind.
_LULL_S = 1.0


class Claims:
    """Hands claimed works to the slots that wait for one."""

    def __init__(
        self,
        transport: Transport,
        membership: Membership,
        leases: Leases,
        pace: Pace,
        options: WorkerOptions,
        *,
        hand_back: Callable[[Claimed], None],
        log: Any,
    ) -> None:
        """Claim nothing yet.

        Args:
            transport: to the server.
            membership: who this worker is, and its queues.
            leases: told of each work that was claimed.
            pace: says how many works to claim ahead.
            options: the filter for works of buckets, and how many works to claim in all.
            hand_back: gets a work that no slot is there for.
            log: takes notice of a server that does not answer.
        """
        self._transport = transport
        self._membership = membership
        self._leases = leases
        self._pace = pace
        self._where = None if options.where is None else dict(options.where)
        self._lives = options.lives
        self._hand_back = hand_back
        self._log = log
        self._idle: deque[asyncio.Future[Claimed | None]] = deque()
        self._ahead: deque[Claimed] = deque()
        self._ahead_changed_s = 0.0
        self._exhausted = False
        self._wanted = asyncio.Event()

    @property
    def some_ahead(self) -> bool:
        """Whether claimed works wait here for a slot."""
        return bool(self._ahead)

    def take(self) -> Claimed | None:
        """Return a work that was claimed ahead, if there is one."""
        if not self._ahead:
            return None
        work = self._ahead.popleft()
        self._ahead_changed_s = asyncio.get_running_loop().time()
        self._look()
        return work

    def enqueue(self) -> asyncio.Future[Claimed | None]:
        """Take a place in the row of idle slots; the future gets a work, or None by `withdraw`."""
        place: asyncio.Future[Claimed | None] = asyncio.get_running_loop().create_future()
        self._idle.append(place)
        self._look()
        return place

    def withdraw(self, place: asyncio.Future[Claimed | None]) -> None:
        """Leave the row without a work, unless there is one already."""
        if place in self._idle:
            self._idle.remove(place)
            place.set_result(None)
            self._look()

    def drop(self, lost: Lost) -> Claimed | None:
        """Take out a work that was claimed ahead and is to be given up; None if it is not here."""
        for work in self._ahead:
            if work.work_id == lost.work_id and work.attempt == lost.attempt:
                self._ahead.remove(work)
                return work
        return None

    def clear(self) -> None:
        """Hand back all that was claimed ahead."""
        while self._ahead:
            self._return(self._ahead.pop())
        self._look()

    async def run(self) -> None:
        """Claim for ever; ends by being cancelled.

        Raises:
            Unauthenticated, PermissionDenied, InvalidRequest: the key or the request is refused,
                which no repetition changes.
        """
        keeping = asyncio.create_task(self._keep_little())
        try:
            await self._claim_for_ever()
        finally:
            keeping.cancel()
            self.clear()

    async def _claim_for_ever(self) -> None:
        backoff, failures = Backoff(), 0
        while True:
            await self._wanted.wait()
            limit = self._limit()
            if limit < 1:
                # Works have become longer since; the next idle slot asks.
                self._wanted.clear()
                continue
            try:
                works = await self._claim(limit)
            except (Unauthenticated, PermissionDenied, InvalidRequest):
                raise
            except LongshoreError as error:
                failures += 1
                # A single failure is what a server that stops in good order causes.
                if failures == _TOLD_AT_FAILURE:
                    self._log.warning("the server does not answer; trying again", why=str(error))
                await backoff.wait()
                continue
            if failures >= _TOLD_AT_FAILURE:
                self._log.info("the server answers again")
            failures = 0
            backoff.reset()
            self._hand_out(works)
            # The slots begin with them before the next claim is put together.
            await asyncio.sleep(0)

    def _limit(self) -> int:
        """Return how many works to claim now."""
        limit = len(self._idle) + max(self._pace.ahead() - len(self._ahead), 0)
        most = CLAIM_WORKS if self._lives is None else min(self._lives, CLAIM_WORKS)
        return min(limit, most)

    async def _claim(self, limit: int) -> list[Claimed]:
        worker_id = self._membership.worker_id
        request = ClaimRequest(
            worker_id=worker_id,
            queues=self._membership.queues,
            limit=limit,
            # Only for idle slots is it worth to wait.
            wait_s=_WAIT_S if self._idle else 0.0,
            where=self._where,
        )
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        try:
            answer = await self._transport.post(
                "worker/claim", request, ClaimAnswer, timeout_s=_WAIT_S + _PATIENCE_S
            )
        except NotFound:
            await self._membership.rejoin(worker_id)
            return []
        self._exhausted = len(answer.works) < limit
        if loop.time() - asked_s > _LULL_S:
            self._pace.reset()
        return answer.works

    def _hand_out(self, works: list[Claimed]) -> None:
        if self._lives is not None:
            self._lives -= len(works)
        for work in works:
            if self._idle:
                self._idle.popleft().set_result(work)
            else:
                self._ahead.append(work)
        # After the slots were woken, so that they come first; nothing of them has run yet.
        if works:
            self._leases.hold([Held(work.work_id, work.attempt) for work in works])
        self._ahead_changed_s = asyncio.get_running_loop().time()
        self._look()

    def _look(self) -> None:
        """See whether it is time to claim: for an idle slot, or before the slots run out of work."""
        low = not self._exhausted and 2 * len(self._ahead) < self._pace.ahead()
        if self._lives != 0 and (self._idle or low):
            self._wanted.set()
        else:
            self._wanted.clear()

    async def _keep_little(self) -> None:
        """Hand back what was claimed ahead when the slots turn out to be busy for longer."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_KEEP_S / 4)
            if self._ahead and loop.time() - self._ahead_changed_s > _KEEP_S:
                self._pace.reset()
                self.clear()

    def _return(self, work: Claimed) -> None:
        if self._lives is not None:
            self._lives += 1
        self._hand_back(work)

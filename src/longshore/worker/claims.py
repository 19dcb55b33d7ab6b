"""Asking the server for work, as much as there are idle slots."""

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
from longshore.wire.worker import ClaimAnswer, Claimed, ClaimRequest, Held
from longshore.worker.backoff import Backoff
from longshore.worker.leases import Leases
from longshore.worker.membership import Membership
from longshore.worker.transport import Transport

_WAIT_S = 10.0
# A server that was cut off without a word is given up after this long.
_PATIENCE_S = 5.0
_TOLD_AT_FAILURE = 3


class Claims:
    """Hands claimed works to the slots that wait for one."""

    def __init__(
        self,
        transport: Transport,
        membership: Membership,
        leases: Leases,
        *,
        hand_back: Callable[[Claimed], None],
        log: Any,
    ) -> None:
        """Claim nothing yet; `hand_back` gets a work whose slot has gone meanwhile."""
        self._transport = transport
        self._membership = membership
        self._leases = leases
        self._hand_back = hand_back
        self._log = log
        self._idle: deque[asyncio.Future[Claimed]] = deque()
        self._some_idle = asyncio.Event()

    def enqueue(self) -> asyncio.Future[Claimed]:
        """Take a place in the row of idle slots; the future gets a work."""
        place: asyncio.Future[Claimed] = asyncio.get_running_loop().create_future()
        self._idle.append(place)
        self._some_idle.set()
        return place

    def withdraw(self, place: asyncio.Future[Claimed]) -> None:
        """Leave the row without a work."""
        self._idle.remove(place)
        if not self._idle:
            self._some_idle.clear()

    async def run(self) -> None:
        """Claim for ever; ends by being cancelled.

        Raises:
            Unauthenticated, PermissionDenied, InvalidRequest: the key or the request is refused,
                which no repetition changes.
        """
        backoff, failures = Backoff(), 0
        while True:
            await self._some_idle.wait()
            try:
                works = await self._claim(len(self._idle))
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

    async def _claim(self, limit: int) -> list[Claimed]:
        worker_id = self._membership.worker_id
        request = ClaimRequest(
            worker_id=worker_id, queues=self._membership.queues, limit=limit, wait_s=_WAIT_S
        )
        try:
            answer = await self._transport.post(
                "worker/claim", request, ClaimAnswer, timeout_s=_WAIT_S + _PATIENCE_S
            )
        except NotFound:
            await self._membership.rejoin(worker_id)
            return []
        return answer.works

    def _hand_out(self, works: list[Claimed]) -> None:
        self._leases.hold([Held(work.work_id, work.attempt) for work in works])
        for work in works:
            if self._idle:
                self._idle.popleft().set_result(work)
            else:
                self._hand_back(work)
        if not self._idle:
            self._some_idle.clear()

"""The worker's end of the heartbeat process: what it renews, and what it has heard."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from longshore.wire.worker import Held, Lost
from longshore.worker.channel import (
    FromHeartbeat,
    GivenUp,
    Guard,
    Hold,
    Identity,
    Release,
    Scratch,
    Unguard,
    Unknown,
)
from longshore.worker.child_process import SupervisedProcess
from longshore.worker.slots import first_of

_RESTART_S = 0.2


class Leases:
    """All leases of this worker, kept alive by a process that is started again if it dies."""

    def __init__(
        self,
        directory: str,
        *,
        on_lost: Callable[[Lost], None],
        on_unknown: Callable[[str], None],
        log: Any,
    ) -> None:
        """Begin with none.

        Args:
            directory: the worker's scratch space, removed when it dies.
            on_lost: called with each lease that the server wants given up.
            on_unknown: called with the worker's id when the server does not know it.
            log: takes notice of a heartbeat process that died.
        """
        self._directory = directory
        self._on_lost = on_lost
        self._on_unknown = on_unknown
        self._log = log
        self._identity: Identity | None = None
        self._held: dict[tuple[str, int], Held] = {}
        self._held_since_s: dict[tuple[str, int], float] = {}
        self._groups: set[int] = set()
        self._process: SupervisedProcess | None = None
        self._orders: asyncio.Queue[msgspec.Struct] = asyncio.Queue()

    async def run(self) -> None:
        """Run the heartbeat process for ever; ends by being cancelled."""
        try:
            while True:
                process = self._process = SupervisedProcess(
                    "longshore.worker.heartbeat",
                    receives=FromHeartbeat,
                    on_message=self._hear,
                )
                await self._serve(process)
                self._log.warning(
                    "the heartbeat process ended and is started again",
                    how=str(process.exited.result()),
                )
                await asyncio.sleep(_RESTART_S)
        finally:
            if self._process is not None:
                await self._process.stop(0)

    def identify(self, identity: Identity) -> None:
        """Renew for this worker from now on."""
        self._identity = identity
        self._orders.put_nowait(identity)

    def hold(self, leases: Sequence[Held]) -> None:
        """Keep leases alive."""
        self._held |= {(held.work_id, held.attempt): held for held in leases}
        now_s = time.monotonic()
        self._held_since_s |= {(held.work_id, held.attempt): now_s for held in leases}
        self._orders.put_nowait(Hold(list(leases)))

    def release(self, leases: Sequence[Held]) -> None:
        """Let leases go."""
        known = [held for held in leases if self._held.pop((held.work_id, held.attempt), None)]
        for held in known:
            self._held_since_s.pop((held.work_id, held.attempt), None)
        if known:
            self._orders.put_nowait(Release(known))

    def age_s(self, work_id: str, attempt: int) -> float:
        """Return how long ago a lease came, in seconds; infinity for one that is gone."""
        return time.monotonic() - self._held_since_s.get((work_id, attempt), -math.inf)

    def guard(self, group: int, present: bool) -> None:
        """Have a process group killed if the worker dies, or no longer."""
        if present:
            self._groups.add(group)
            self._orders.put_nowait(Guard(group))
        else:
            self._groups.discard(group)
            self._orders.put_nowait(Unguard(group))

    async def _serve(self, process: SupervisedProcess) -> None:
        # A fresh process is told everything; orders that wait say the same again, harmlessly.
        await process.send(Scratch(self._directory))
        if self._identity is not None:
            await process.send(self._identity)
        await process.send(Hold(list(self._held.values())))
        for group in self._groups:
            await process.send(Guard(group))
        while not process.exited.done():
            order = asyncio.create_task(self._orders.get())
            await first_of(order, process.exited)
            if order.done():
                await process.send(order.result())
            else:
                order.cancel()

    def _hear(self, message: FromHeartbeat) -> None:
        match message:
            case GivenUp(lost=lost):
                for each in lost:
                    self._on_lost(each)
            case Unknown(worker_id=worker_id):
                self._on_unknown(worker_id)

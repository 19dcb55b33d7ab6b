"""One pipeline that records flow through: pushed in the background while the caller pulls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

import httpx

from longshore import ids
from longshore.errors import (
    BufferFull,
    Conflict,
    ServerUnreachable,
    Unavailable,
)
from longshore.sdk import _chunking
from longshore.sdk._arrivals import Arrival, Arrived, Cut, push_of, read_answer
from longshore.sdk._async.pipelines import DELIVERY
from longshore.sdk._async.pipelines_cutter import AsyncCutter
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._background import AsyncBackground
from longshore.sdk._calls import Call, Query
from longshore.sdk._chunking import Sizer
from longshore.sdk._deliveries import Deliveries
from longshore.sdk._journal import Planned
from longshore.sdk._waiting import async_sleep

OUTAGE_S: Final = 300.0
"""A server that is away for no longer than this is waited for."""
_LONGEST_PAUSE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.002
_LONGEST_IDLE_S: Final = 0.05
_QUEUE_PAUSE_S: Final = 0.002
_FULL_PAUSE_S: Final = 1.0
_NEVER_S: Final = 3_600.0
_KEEP_ALIVE_S: Final = 300.0
_LINGER_S: Final = 0.02
_PULL_WAIT_S: Final = 2.0
_PULL_FEW: Final = 8
_PULL_PAUSE_S: Final = 0.1
_PULL_WAITED_S: Final = 0.01
_PULL_CHUNKS: Final = 1_000
_PULL_BYTES: Final = 4_000_000
_STUCK_S: Final = 2.0


class AsyncFlow:
    """Pushes what a source gives and pulls what comes of it, with a bounded amount in between.

    Attributes:
        deliveries: which answers can be confirmed to the server.
        compute_ms: how long workers computed so far, together.
        position: how much of the source was taken when the last chunk given was taken.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        path: str,
        cutter: AsyncCutter,
        sizer: Sizer,
        push_bytes: int,
    ) -> None:
        """Prepare; nothing is taken and nothing sent before `recover` or `arrivals`.

        Args:
            transport: the connection.
            path: of the pipeline.
            cutter: gives the chunks.
            sizer: is told what is known of those that came back.
            push_bytes: most bytes of a push, unless a single chunk has more.
        """
        self._transport = transport
        self._path = path
        self._cutter = cutter
        self._sizer = sizer
        self._push_bytes_max = push_bytes
        self._push_bytes = min(push_bytes, _chunking.FIRST_PUSH_BYTES)
        self._outstanding: dict[str, Cut] = {}
        self._body: bytes | None = None
        self._request = ""
        self._pushed_at = time.monotonic()
        self._lingers_until: float | None = None
        self._ended = False
        self._closing = False
        self._over = False
        self._failure: Exception | None = None
        self._background = AsyncBackground(self._push_some, "longshore-push")
        self.deliveries: Final = Deliveries()
        self.compute_ms = 0.0
        self.position = 0.0

    async def recover(self, plan: Sequence[Planned]) -> list[Arrival]:
        """Go through the records that an earlier run of the program had on their way.

        Args:
            plan: what to do with them, in order.

        Returns:
            The chunks that were delivered to that run, and not confirmed.

        Raises:
            InvalidRequest: the input is not what it was.
        """
        delivered = 0
        for planned in plan:
            self._outstanding.update({cut.id: cut for cut in await self._cutter.again(planned)})
            delivered += planned.delivered
        found: list[Arrival] = []
        while len(found) < delivered:
            arrivals = await self._pull(again=True)
            if not arrivals:
                break
            found += arrivals
        return found

    @property
    def pipeline_id(self) -> str:
        """Id of the pipeline."""
        return self._path.rpartition("/")[2]

    async def arrivals(self, early: Sequence[Arrival] = ()) -> AsyncIterator[list[Arrival]]:
        """Give what comes back, as it comes, until all that the source has given is there.

        Args:
            early: what `recover` has found, to be given first.

        Raises:
            LongshoreError: the server refuses, or is away for too long.
            Exception: what the source raises, after what came before it was given.
        """
        self._cutter.start()
        self._background.start(0.0)
        if early:
            yield list(early)
        pause_s = _FIRST_PAUSE_S
        while True:
            ended = self._ended
            if self._failure is not None:
                raise self._failure
            asked = time.monotonic()
            found = await self._pull() if self._outstanding else []
            if found:
                pause_s = _FIRST_PAUSE_S
                slow = len(found) < _PULL_FEW and time.monotonic() - asked > _PULL_WAITED_S
                yield found
                if slow and self._outstanding:
                    # Chunks come one by one; some more come with the next request, each of which
                    # takes processor time from whoever computes them.
                    await async_sleep(_PULL_PAUSE_S)
            elif ended and not self._outstanding:
                break
            else:
                # Nothing was pushed yet, or the push is still on its way.
                await async_sleep(pause_s)
                pause_s = min(pause_s * 1.5, _LONGEST_IDLE_S)
        if self._cutter.failure is not None:
            raise self._cutter.failure

    def given(self, arrival: Arrival) -> None:
        """Note that the caller has no more use for a chunk, which makes room for another."""
        self._cutter.give_back(arrival.cut)
        self.position = max(self.position, arrival.cut.position)

    async def confirm(self) -> None:
        """Tell the server what it need not keep any more."""
        confirmed = self.deliveries.take()
        if confirmed:
            query: Query = {"max": 1, "confirm": ",".join(confirmed), "again": True}
            await self._patiently(Call("GET", f"{self._path}/chunkresults", query=query))

    async def stop(self) -> None:
        """End the pushing; the pipeline stays as it is."""
        self._closing = True
        await self._background.stop(_STUCK_S)
        await self._cutter.stop()

    async def end(self, word: str) -> None:
        """Stop, and close or cancel the pipeline; it is only done once."""
        if not self._over:
            self._over = True
            await self.stop()
            if word == "closed":
                await self.confirm()
            call = Call("PATCH", self._path, json={"batch_status": word}, repeatable=True)
            await self._patiently(call, None if word == "closed" else 0.0)

    async def _pull(self, *, again: bool = False) -> list[Arrival]:
        confirmed = self.deliveries.take()
        call = Call(
            "GET",
            f"{self._path}/chunkresults",
            query={
                "max": _PULL_CHUNKS,
                "max_bytes": _PULL_BYTES,
                "wait_s": None if again else _PULL_WAIT_S,
                "confirm": ",".join(confirmed) or None,
                "again": True if again else None,
            },
            # The same request sent again gives the same chunks; compressing costs more than it
            # saves between programs on one machine.
            headers={"x-request-id": ids.new("rq"), "Accept-Encoding": "identity"},
            patience_s=_PULL_WAIT_S,
        )
        response = await self._patiently(call)
        answer = read_answer(response.content)
        self.deliveries.add(response.headers.get(DELIVERY), [each.id for each in answer.data])
        return self._matched(answer)

    def _matched(self, answer: Arrived) -> list[Arrival]:
        status = answer.status
        self.compute_ms = status.compute_time_ms
        self._sizer.workers = max(status.workers_in_use, 1)
        found = []
        for chunk in answer.data:
            cut = self._outstanding.pop(chunk.id, None)
            if cut is None:
                # Given to the caller before, in this run or an earlier one.
                self.deliveries.settle(chunk.id)
                continue
            arrival = Arrival(cut, chunk)
            record_ms = status.compute_time_ms / max(status.records_completed, 1)
            self._sizer.learn(cut.records, len(cut.data), arrival.output_bytes, record_ms)
            found.append(arrival)
        if not found and status.batch_status == "cancelled":
            raise Conflict(
                f"The pipeline {self.pipeline_id} was cancelled while records were "
                "in it. Begin again to have them computed."
            )
        return found

    async def _patiently(self, call: Call, outage_s: float | None = None) -> httpx.Response:
        """Send a request, and again for as long as the server may come back."""
        until = time.monotonic() + (OUTAGE_S if outage_s is None else outage_s)
        pause_s = 0.25
        while True:
            try:
                return await self._transport.send(call)
            except (ServerUnreachable, Unavailable):
                if time.monotonic() > until or (self._closing and call.method == "POST"):
                    raise
            await async_sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _push_some(self) -> float:
        """Push once; return the pause until the next time."""
        try:
            return await self._push_once()
        except Exception as error:  # noqa: BLE001 - raised by arrivals(), where the caller is
            self._failure = error
            return _NEVER_S

    async def _push_once(self) -> float:
        if self._closing or self._ended:
            return _NEVER_S
        if self._body is None:
            pause_s = self._gather()
            if self._body is None:
                return pause_s
        call = Call(
            "POST",
            f"{self._path}/chunks",
            encoded=self._body,
            headers={"x-request-id": self._request},
            repeatable=True,
            handled=frozenset({429}),
        )
        try:
            await self._patiently(call)
        except BufferFull as error:
            return min(float(error.details.get("retry_after_s", _FULL_PAUSE_S)), _LONGEST_PAUSE_S)
        self._body = None
        self._pushed_at = time.monotonic()
        self._push_bytes = min(self._push_bytes * 2, self._push_bytes_max)
        return 0.0

    def _gather(self) -> float:
        """Put a push together from the chunks that wait, if it is time; else return a pause."""
        # Asked first: what comes after the last chunk would be missed.
        ended = self._cutter.ended
        queue = self._cutter.queue
        now = time.monotonic()
        if not queue:
            self._ended = ended
            if now - self._pushed_at > _KEEP_ALIVE_S:
                # The caller takes its time, or the source does: idle pipelines close.
                self._body, self._request = b'{"chunks":[]}', ids.new("rq")
            return _QUEUE_PAUSE_S
        self._lingers_until = self._lingers_until or now + _LINGER_S
        waiting_bytes = sum(len(cut.data) for cut in list(queue))
        if waiting_bytes < self._push_bytes and now < self._lingers_until and not ended:
            return _QUEUE_PAUSE_S
        self._lingers_until = None
        cuts = [queue.popleft()]
        size_bytes = len(cuts[0].data)
        while queue and size_bytes + len(queue[0].data) <= self._push_bytes:
            cuts.append(queue.popleft())
            size_bytes += len(cuts[-1].data)
        # Known before they are sent: results may be here before the answer.
        self._outstanding.update({cut.id: cut for cut in cuts})
        self._body, self._request = push_of(cuts), ids.new("rq")
        return 0.0

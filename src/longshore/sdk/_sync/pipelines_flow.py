# Generated from _async/pipelines_flow.py by tools/unasync.py; edit that file instead.
"""One pipeline that records flow through: pushed in the background while the caller pulls."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from longshore import ids
from longshore.errors import (
    BufferFull,
    Conflict,
    InvalidRequest,
    ServerUnreachable,
    Unavailable,
)
from longshore.sdk import _chunking, _pipelines
from longshore.sdk._arrivals import Arrival, Arrived, Cut, push_of, read_answer
from longshore.sdk._background import Background
from longshore.sdk._calls import Call, Query
from longshore.sdk._chunking import Sizer, Tally
from longshore.sdk._deliveries import Deliveries
from longshore.sdk._journal import Planned, Step
from longshore.sdk._records import Source, take
from longshore.sdk._sync.pipelines import DELIVERY
from longshore.sdk._sync.transport import Transport
from longshore.sdk._waiting import sleep

OUTAGE_S: Final = 300.0
"""A server that is away for no longer than this is waited for."""
_LONGEST_PAUSE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.002
_LONGEST_IDLE_S: Final = 0.05
_ROOM_PAUSE_S: Final = 0.004
_FULL_PAUSE_S: Final = 1.0
_NEVER_S: Final = 3_600.0
_KEEP_ALIVE_S: Final = 300.0
_LINGER_S: Final = 0.1
_PULL_WAIT_S: Final = 2.0
_PULL_CHUNKS: Final = 1_000
_PULL_BYTES: Final = 4_000_000
_STUCK_S: Final = 2.0
_SKIPPED_AT_ONCE: Final = 10_000


class Flow:
    """Pushes what a source gives and pulls what comes of it, with a bounded amount in between.

    Attributes:
        deliveries: which answers can be confirmed to the server.
        compute_ms: how long workers computed so far, together.
        position: how much of the source was taken when the last chunk given was taken.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        source: Source,
        sizer: Sizer,
        *,
        parameters: Mapping[str, Any] | None,
        in_flight: int,
        push_bytes: int,
    ) -> None:
        """Prepare; nothing is taken and nothing sent before `recover` or `arrivals`.

        Args:
            transport: the connection.
            path: of the pipeline.
            source: where the records come from.
            sizer: says how many records go into a chunk.
            parameters: inputs that all records have in common.
            in_flight: most records on their way.
            push_bytes: most bytes of a push, unless a single chunk has more.
        """
        self._transport = transport
        self._path = path
        self._source = source
        self._sizer = sizer
        self._in_flight = in_flight
        self._push_bytes_max = push_bytes
        self._push_bytes = min(push_bytes, _chunking.FIRST_PUSH_BYTES)
        self._tail = b',"parameters":' + _pipelines.encode(parameters or {}) + b',"summary":null}'
        self._next = 0
        self._outstanding: dict[str, Cut] = {}
        self._spare: list[Cut] = []
        self._body: bytes | None = None
        self._request = ""
        self._pushed, self._given = Tally(), Tally()
        self._pushed_at = time.monotonic()
        self._ended = False
        self._closing = False
        self._over = False
        self._source_failure: BaseException | None = None
        self._failure: BaseException | None = None
        self._background = Background(self._push_some, "longshore-push")
        self.deliveries: Final = Deliveries()
        self.compute_ms = 0.0
        self.position = 0.0

    def recover(self, plan: Sequence[Planned]) -> list[Arrival]:
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
            if planned.step is Step.SKIP:
                self._skip(planned.records)
                continue
            for cut in self._cut_again(planned):
                if planned.step is Step.PUSH:
                    self._spare.append(cut)
                    continue
                self._outstanding[cut.id] = cut
                self._pushed.add(cut.records, len(cut.data))
            delivered += planned.delivered
        found: list[Arrival] = []
        while len(found) < delivered:
            arrivals = self._pull(again=True)
            if not arrivals:
                break
            found += arrivals
        return found

    @property
    def pipeline_id(self) -> str:
        """Id of the pipeline."""
        return self._path.rpartition("/")[2]

    def arrivals(self, early: Sequence[Arrival] = ()) -> Iterator[list[Arrival]]:
        """Give what comes back, as it comes, until all that the source has given is there.

        Args:
            early: what `recover` has found, to be given first.

        Raises:
            LongshoreError: the server refuses, or is away for too long.
            Exception: what the source raises, after what came before it was given.
        """
        self._background.start(0.0)
        if early:
            yield list(early)
        pause_s = _FIRST_PAUSE_S
        while True:
            ended = self._ended
            if self._failure is not None:
                raise self._failure
            found = self._pull() if self._outstanding else []
            if found:
                pause_s = _FIRST_PAUSE_S
                yield found
            elif ended and not self._outstanding:
                break
            else:
                # Nothing was pushed yet, or the push is still on its way.
                sleep(pause_s)
                pause_s = min(pause_s * 1.5, _LONGEST_IDLE_S)
        if self._source_failure is not None:
            raise self._source_failure

    def given(self, arrival: Arrival) -> None:
        """Note that the caller has no more use for a chunk, which makes room for another."""
        self._given.add(arrival.cut.records, len(arrival.cut.data))
        self.position = max(self.position, arrival.cut.position)

    def confirm(self) -> None:
        """Tell the server what it need not keep any more."""
        confirmed = self.deliveries.take()
        if confirmed:
            query: Query = {"max": 1, "confirm": ",".join(confirmed), "again": True}
            self._patiently(Call("GET", f"{self._path}/chunkresults", query=query))

    def stop(self) -> None:
        """End the pushing; the pipeline stays as it is."""
        self._closing = True
        self._background.stop(_STUCK_S)
        self._source.close()

    def end(self, word: str) -> None:
        """Stop, and close or cancel the pipeline; it is only done once."""
        if not self._over:
            self._over = True
            self.stop()
            if word == "closed":
                self.confirm()
            call = Call("PATCH", self._path, json={"batch_status": word}, repeatable=True)
            self._patiently(call, None if word == "closed" else 0.0)

    def _pull(self, *, again: bool = False) -> list[Arrival]:
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
        response = self._patiently(call)
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

    def _patiently(self, call: Call, outage_s: float | None = None) -> httpx.Response:
        """Send a request, and again for as long as the server may come back."""
        until = time.monotonic() + (OUTAGE_S if outage_s is None else outage_s)
        pause_s = 0.25
        while True:
            try:
                return self._transport.send(call)
            except (ServerUnreachable, Unavailable):
                if time.monotonic() > until or (self._closing and call.method == "POST"):
                    raise
            sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _push_some(self) -> float:
        """Push once; return the pause until the next time."""
        try:
            return self._push_once()
        except Exception as error:  # noqa: BLE001 - raised by arrivals(), where the caller is
            self._failure = error
            return _NEVER_S

    def _push_once(self) -> float:
        if self._closing or self._ended:
            return _NEVER_S
        if self._body is None:
            if not self._room(Tally()):
                return self._keep_alive()
            self._gather()
            if self._body is None:
                self._ended = True
                return _NEVER_S
        call = Call(
            "POST",
            f"{self._path}/chunks",
            encoded=self._body,
            headers={"x-request-id": self._request},
            repeatable=True,
            handled=frozenset({429}),
        )
        try:
            self._patiently(call)
        except BufferFull as error:
            return min(float(error.details.get("retry_after_s", _FULL_PAUSE_S)), _LONGEST_PAUSE_S)
        self._body = None
        self._pushed_at = time.monotonic()
        self._push_bytes = min(self._push_bytes * 2, self._push_bytes_max)
        return 0.0

    def _keep_alive(self) -> float:
        """Push nothing, now and then, while the caller takes its time: idle pipelines close."""
        if time.monotonic() - self._pushed_at > _KEEP_ALIVE_S:
            self._body, self._request = b'{"chunks":[]}', ids.new("rq")
        return _ROOM_PAUSE_S

    def _gather(self) -> None:
        """Cut chunks for one push, and put its body together."""
        cuts: list[Cut] = []
        tally = Tally()
        until = time.monotonic() + _LINGER_S
        while self._room(tally) and tally.size_bytes < self._push_bytes:
            cut = self._cut()
            if cut is None:
                break
            if cuts and tally.size_bytes + len(cut.data) > self._push_bytes_max:
                self._spare.insert(0, cut)
                break
            cuts.append(cut)
            tally.add(cut.records, len(cut.data))
            if time.monotonic() > until:
                break
        if cuts:
            self._put_together(cuts)

    def _put_together(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            # Known before they are sent: results may be here before the answer.
            self._outstanding[cut.id] = cut
            self._pushed.add(cut.records, len(cut.data))
        self._body, self._request = push_of(cuts), ids.new("rq")

    def _room(self, more: Tally) -> bool:
        pushed, given = self._pushed, self._given
        size_bytes = pushed.size_bytes - given.size_bytes + more.size_bytes
        return (
            pushed.records - given.records + more.records < self._in_flight
            and pushed.chunks - given.chunks + more.chunks < self._sizer.chunks_ahead
            and size_bytes * self._sizer.expansion < _chunking.BYTES_AHEAD
        )

    def _cut(self) -> Cut | None:
        """Return the next chunk; None at the end of the source, or where it failed."""
        if not self._spare and self._source_failure is None:
            try:
                self._spare = self._take()
            except Exception as error:  # noqa: BLE001 - raised when what came before is given
                self._source_failure = error
        return self._spare.pop(0) if self._spare else None

    def _take(self) -> list[Cut]:
        wanted = min(self._sizer.records, self._in_flight)
        items: list[Any] = []
        while taken := take(self._source.items, wanted - len(items), _LINGER_S):
            admitted = self._source.admit(taken)
            items += admitted
            # A row of names is made up for by the next record.
            if len(admitted) == len(taken):
                break
        return self._cuts(items) if items else []

    def _cuts(self, items: list[Any]) -> list[Cut]:
        """Return records as a chunk, or as several where they are too large for one."""
        data = b'{"inputs":' + self._source.pack(items) + self._tail
        largest = min(_chunking.SPLIT_BYTES, self._push_bytes_max)
        if len(data) > largest and len(items) > 1:
            middle = len(items) // 2
            return [*self._cuts(items[:middle]), *self._cuts(items[middle:])]
        cut = Cut(self._next, len(items), data, self._source.position)
        self._next = cut.end
        return [cut]

    def _cut_again(self, planned: Planned) -> list[Cut]:
        items = self._take_exactly(planned.records)
        if planned.step is Step.PUSH:
            return self._cuts(items)
        data = b'{"inputs":' + self._source.pack(items) + self._tail
        if hashlib.sha256(data).hexdigest() != planned.digest:
            raise InvalidRequest(
                f"The records from {self._next} on are not those that were pushed before, so the "
                "run cannot be resumed. Restore the input, or begin anew."
            )
        cut = Cut(self._next, planned.records, data, self._source.position)
        self._next = cut.end
        return [cut]

    def _skip(self, records: int) -> None:
        end = self._next + records
        while self._next < end:
            self._next += len(self._take_exactly(min(end - self._next, _SKIPPED_AT_ONCE)))

    def _take_exactly(self, records: int) -> list[Any]:
        items: list[Any] = []
        while len(items) < records:
            taken = take(self._source.items, records - len(items), _NEVER_S)
            if not taken:
                raise InvalidRequest(
                    f"The input ends at record {self._next + len(items)}, and the run that is to "
                    f"be resumed had {self._next + records}. Restore the input, or begin anew."
                )
            items += self._source.admit(taken)
        return items

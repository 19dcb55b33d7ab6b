# Generated from _async/pipelines_cutter.py by tools/unasync.py; edit that file instead.
"""Cutting a source of records into chunks, beside the pushing: a source may keep one waiting."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from longshore.errors import InvalidRequest
from longshore.sdk import _chunking, _pipelines
from longshore.sdk._arrivals import Cut
from longshore.sdk._background import Background
from longshore.sdk._chunking import Sizer, Tally
from longshore.sdk._journal import Planned, Step
from longshore.sdk._records import Source, take

_ROOM_PAUSE_S: Final = 0.004
_NEVER_S: Final = 3_600.0
_LINGER_S: Final = 0.1
_STUCK_S: Final = 2.0
_SKIPPED_AT_ONCE: Final = 10_000


class Cutter:
    """Takes records from a source while there is room, and gives chunks of them.

    Attributes:
        queue: chunks that wait to be pushed; another thread may take them from the left.
        ended: whether no more will come.
        failure: what the source raised, if it did; what came before it is in the queue.
    """

    def __init__(
        self,
        source: Source,
        sizer: Sizer,
        *,
        parameters: Mapping[str, Any] | None,
        in_flight: int,
        largest_bytes: int,
    ) -> None:
        """Prepare; nothing is taken before `start` or one of the methods for resumed runs.

        Args:
            source: where the records come from.
            sizer: says how many records go into a chunk.
            parameters: inputs that all records have in common.
            in_flight: most records that were taken and not given back.
            largest_bytes: a chunk of more bytes is cut in two.
        """
        self._source = source
        self._sizer = sizer
        self._in_flight = in_flight
        self._largest_bytes = largest_bytes
        self._tail = b',"parameters":' + _pipelines.encode(parameters or {}) + b',"summary":null}'
        self._next = 0
        self._spare: list[Cut] = []
        self._taken, self._given = Tally(), Tally()
        self._background = Background(self._cut_some, "longshore-cut")
        self.queue: Final[deque[Cut]] = deque()
        self.ended = False
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin to take."""
        self._background.start(0.0)

    def stop(self) -> None:
        """Take no more, and close the source; a source that keeps one waiting is left to itself."""
        self.ended = True
        self._background.stop(_STUCK_S)
        self._source.close()

    def give_back(self, cut: Cut) -> None:
        """Note that nobody has a use for a chunk any more, which makes room for another."""
        self._given.add(cut.records, len(cut.data))

    def again(self, planned: Planned) -> list[Cut]:
        """Return the chunks of records that an earlier run had on their way; none to skip them.

        Raises:
            InvalidRequest: the input is not what it was.
        """
        if planned.step is Step.SKIP:
            end = self._next + planned.records
            while self._next < end:
                items = self._take_exactly(min(end - self._next, _SKIPPED_AT_ONCE))
                self._next += len(items)
            return []
        items = self._take_exactly(planned.records)
        if planned.step is Step.PUSH:
            self._spare += self._cuts(items)
            return []
        cut = self._cut(items)
        if hashlib.sha256(cut.data).hexdigest() != planned.digest:
            raise InvalidRequest(
                f"The records from {cut.start} on are not those that were pushed before, so the "
                "run cannot be resumed. Restore the input, or begin anew."
            )
        self._taken.add(cut.records, len(cut.data))
        return [cut]

    def _cut_some(self) -> float:
        """Put a chunk into the queue; return the pause until the next one."""
        if self.ended:
            return _NEVER_S
        if not self._room():
            return _ROOM_PAUSE_S
        if not self._spare:
            try:
                self._spare = self._take()
            except Exception as error:  # noqa: BLE001 - raised when what came before is given
                self.failure = error
        if not self._spare:
            self.ended = True
            return _NEVER_S
        cut = self._spare.pop(0)
        self._taken.add(cut.records, len(cut.data))
        self.queue.append(cut)
        return 0.0

    def _room(self) -> bool:
        taken, given = self._taken, self._given
        size_bytes = taken.size_bytes - given.size_bytes
        return (
            taken.records - given.records < self._in_flight
            and taken.chunks - given.chunks < self._sizer.chunks_ahead
            and size_bytes * self._sizer.expansion < _chunking.BYTES_AHEAD
        )

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

    def _cuts(self, items: list[Any]) -> list[Cut]:
        """Return records as a chunk, or as several where they are too large for one."""
        start = self._next
        cut = self._cut(items)
        if len(cut.data) <= self._largest_bytes or len(items) == 1:
            return [cut]
        self._next = start
        middle = len(items) // 2
        return [*self._cuts(items[:middle]), *self._cuts(items[middle:])]

    def _cut(self, items: list[Any]) -> Cut:
        data = b'{"inputs":' + self._source.pack(items) + self._tail
        cut = Cut(self._next, len(items), data, self._source.position)
        self._next = cut.end
        return cut

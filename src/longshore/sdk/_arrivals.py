"""What comes back from a pipeline: matched with what was pushed, put in order, and read in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from longshore.errors import ServerFault
from longshore.sdk.mapping import RecordFailed, RecordWarning

_NONE: Final = msgspec.Raw(b"[]")


class ArrivedChunk(msgspec.Struct, frozen=True):
    """The result of a chunk, whose outputs nobody has looked at yet."""

    id: str
    outputs: msgspec.Raw
    warnings: msgspec.Raw = _NONE
    errors: msgspec.Raw = _NONE


class ArrivedStatus(msgspec.Struct, frozen=True):
    """The part of a status that a running map goes by."""

    batch_status: str = ""
    compute_time_ms: float = 0.0
    records_completed: int = 0
    workers_in_use: int = 0


class Arrived(msgspec.Struct, frozen=True):
    """The answer to a pull."""

    data: list[ArrivedChunk]
    status: ArrivedStatus


_ARRIVED: Final = msgspec.json.Decoder(Arrived)
_LIST: Final = msgspec.json.Decoder(list[Any])
_PER_RECORD: Final = msgspec.json.Decoder(list[list[dict[str, Any]] | None])


def read_answer(content: bytes) -> Arrived:
    """Return the answer to a pull.

    Raises:
        ServerFault: it is none.
    """
    try:
        return _ARRIVED.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServerFault(
            f"The server's answer to a pull cannot be read: {error}. Check that client and server "
            "are of the same version."
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Records that were pushed as a chunk.

    Attributes:
        start: position of the first one in the input, from 0.
        records: how many these are.
        data: the chunk's data as it was pushed: {"inputs": [...], "parameters", "summary"}.
        position: how much of the input was taken when it had been taken.
    """

    start: int
    records: int
    data: bytes
    position: float

    @property
    def id(self) -> str:
        """Id of the chunk; it follows from the records that are in it."""
        return chunk_id(self.start, self.records)

    @property
    def end(self) -> int:
        """Position of the first record behind it."""
        return self.start + self.records

    def inputs(self) -> list[Any]:
        """Return the records as mappings, as far as they can be."""
        return as_mappings(msgspec.json.decode(self.data)["inputs"])


def push_of(cuts: Sequence[Cut]) -> bytes:
    """Return the body of a push."""
    return b'{"chunks":[%b]}' % b",".join(
        [
            b'{"id":"%b","data":%b,"size":%d}' % (cut.id.encode(), cut.data, cut.records)
            for cut in cuts
        ]
    )


def chunk_id(start: int, records: int) -> str:
    """Return the id of the chunk with these records of the input."""
    return f"{start}-{records}"


def records_of(id: str) -> tuple[int, int] | None:  # noqa: A002
    """Return start and count of the records in a chunk, from its id; None for a foreign id."""
    start, dash, count = id.partition("-")
    return (int(start), int(count)) if dash and start.isdecimal() and count.isdecimal() else None


def as_mappings(items: list[Any]) -> list[Any]:
    """Return records or outputs in the form of mappings; a row that does not fit stays a row."""
    if not items or not isinstance(items[0], list):
        return items
    names = items[0]
    width = len(names)
    return [
        dict(zip(names, row, strict=True)) if isinstance(row, list) and len(row) == width else row
        for row in items[1:]
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A chunk that came back, beside what was pushed."""

    cut: Cut
    chunk: ArrivedChunk

    @property
    def clean(self) -> bool:
        """Whether no record has errors: those would be objects."""
        return b"{" not in bytes(self.chunk.errors)

    def outputs(self) -> list[Any]:
        """Return the outputs as mappings, one for each record, whatever its errors."""
        return as_mappings(_LIST.decode(self.chunk.outputs))

    def failures(self) -> dict[int, RecordFailed]:
        """Return the failures, by place in the chunk."""
        if self.clean:
            return {}
        inputs = self.cut.inputs()
        return {
            place: RecordFailed(self.cut.start + place, inputs[place], errors)
            for place, errors in enumerate(_PER_RECORD.decode(self.chunk.errors))
            if errors
        }

    def warnings(self) -> list[RecordWarning]:
        """Return all warnings, in order."""
        if b"{" not in bytes(self.chunk.warnings):
            return []
        return [
            RecordWarning(
                self.cut.start + place,
                str(one.get("message") or ""),
                str(one.get("source_path") or ""),
            )
            for place, found in enumerate(_PER_RECORD.decode(self.chunk.warnings))
            for one in found or ()
        ]

    @property
    def output_bytes(self) -> int:
        """Size of the outputs."""
        return memoryview(self.chunk.outputs).nbytes


class InOrder:
    """Holds arrivals back until all before them have come."""

    def __init__(self, start: int) -> None:
        """Begin with the record at `start`."""
        self._next = start
        self._held: dict[int, Arrival] = {}

    def add(self, arrivals: Sequence[Arrival]) -> Iterator[Arrival]:
        """Take arrivals; give those whose turn it is."""
        for arrival in arrivals:
            self._held[arrival.cut.start] = arrival
        while self._next in self._held:
            turn = self._held.pop(self._next)
            self._next = turn.cut.end
            yield turn

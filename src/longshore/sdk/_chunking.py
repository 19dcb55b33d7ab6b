"""How many records go into a chunk, and how many may be on their way at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TARGET_MS: Final = 350.0
"""How long a worker should have with a chunk: long beside what each costs, short beside the wait
for the last one and for what a crash costs."""
TARGET_BYTES: Final = 1_000_000
RECORDS_MAX: Final = 20_000
FIRST_RECORDS: Final = 20
_GROWTH: Final = 8
CHUNKS_AHEAD: Final = 64
"""Automatic chunks on their way at least; more where more workers compute at once."""
CHUNKS_AHEAD_MAX: Final = 5_000
BYTES_AHEAD: Final = 48_000_000
"""Inputs on their way; the server's own input buffer has 70,000,000 bytes unless it is told."""
PUSH_BYTES: Final = 3_000_000
FIRST_PUSH_BYTES: Final = 64_000
SPLIT_BYTES: Final = 8_000_000
"""A chunk of more bytes is cut in two; servers take 16 MiB."""


class Sizer:
    """Chooses the size of chunks: the one that is given, or one that suits what comes back.

    Only the thread that pulls calls `learn`, and only the one that pushes reads `records`.
    """

    def __init__(self, chunk_size: int | None) -> None:
        """Start small where no size is given."""
        self.automatic = chunk_size is None
        self.records = FIRST_RECORDS if chunk_size is None else chunk_size
        self.workers = 1
        self._input_bytes = self._output_bytes = 0

    @property
    def expansion(self) -> float:
        """How much larger outputs are than inputs, at least 1: both are held in memory."""
        return max(self._output_bytes / max(self._input_bytes, 1), 1.0)

    def learn(self, records: int, input_bytes: int, output_bytes: int, record_ms: float) -> None:
        """Take what is known of a chunk that came back.

        Args:
            records: how many it has.
            input_bytes: size of its inputs.
            output_bytes: size of its outputs.
            record_ms: how long workers compute a record, on average so far.
        """
        self._input_bytes += input_bytes
        self._output_bytes += output_bytes
        # An early, smaller chunk says nothing about what the present size would take.
        if not self.automatic or records * 2 < self.records:
            return
        wanted = RECORDS_MAX if record_ms <= 0 else int(TARGET_MS / record_ms)
        fitting = int(TARGET_BYTES * records / max(input_bytes, output_bytes, 1))
        self.records = max(1, min(wanted, fitting, RECORDS_MAX, self.records * _GROWTH))

    @property
    def chunks_ahead(self) -> int:
        """How many chunks may be on their way at once."""
        if not self.automatic:
            return CHUNKS_AHEAD_MAX
        return min(max(CHUNKS_AHEAD, 4 * self.workers), CHUNKS_AHEAD_MAX)


@dataclass(slots=True)
class Tally:
    """Running sums; the thread that pushes owns one and the thread that pulls another."""

    chunks: int = 0
    records: int = 0
    size_bytes: int = 0

    def add(self, records: int, size_bytes: int) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.records += records
        self.size_bytes += size_bytes

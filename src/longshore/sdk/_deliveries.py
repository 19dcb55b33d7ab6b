"""Which answers to pulls may be confirmed: those whose chunks are all safe."""

from __future__ import annotations

from collections.abc import Sequence


class Deliveries:
    """Chunks by the delivery that they came with; the server may give one again with another."""

    def __init__(self) -> None:
        """Begin with none."""
        self._of_chunk: dict[str, str] = {}
        self._open: dict[str, set[str]] = {}
        self._ready: list[str] = []

    def add(self, delivery: str | None, chunks: Sequence[str]) -> None:
        """Note a delivery; one without a name needs no confirmation."""
        if delivery is None:
            return
        for chunk in chunks:
            former = self._of_chunk.get(chunk)
            if former is not None and former != delivery:
                self._remove(former, chunk)
            self._of_chunk[chunk] = delivery
        self._open.setdefault(delivery, set()).update(chunks)
        if not chunks:
            self._remove(delivery, "")

    def settle(self, chunk: str) -> None:
        """Note that nobody needs a chunk from the server again."""
        delivery = self._of_chunk.pop(chunk, None)
        if delivery is not None:
            self._remove(delivery, chunk)

    def take(self) -> list[str]:
        """Return the deliveries that are all safe and were not returned before."""
        ready, self._ready = self._ready, []
        return ready

    def _remove(self, delivery: str, chunk: str) -> None:
        left = self._open.get(delivery)
        if left is None:
            return
        left.discard(chunk)
        if not left:
            del self._open[delivery]
            self._ready.append(delivery)

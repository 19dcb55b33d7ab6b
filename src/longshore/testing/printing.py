"""What user code prints while it runs in this process: kept as lines, and still printed."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from longshore.worker.texts import clean_line


class Printed:
    """The lines of one attempt, in order."""

    def __init__(self) -> None:
        """Have none yet."""
        self.lines: list[tuple[str, str]] = []

    def note(self, text: str) -> None:
        """Add a line of the worker's own."""
        self.lines.append(("worker", clean_line(text)))

    def tail(self, count: int = 20) -> str:
        """Return the last lines, for a message."""
        return "\n".join(text for _, text in self.lines[-count:])


class _Tee(io.TextIOBase):
    """Hands on what is written, and keeps it by lines."""

    def __init__(self, printed: Printed, stream: str, beyond: TextIO) -> None:
        self._printed, self._stream, self._beyond = printed, stream, beyond
        self._rest = ""

    def write(self, text: str) -> int:
        self._beyond.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        self._printed.lines += [(self._stream, clean_line(line)) for line in lines]
        return len(text)

    def flush(self) -> None:
        self._beyond.flush()

    def finish(self) -> None:
        if self._rest:
            self._printed.lines.append((self._stream, clean_line(self._rest)))
            self._rest = ""


@contextmanager
def capturing() -> Iterator[Printed]:
    """Keep what is printed in the block."""
    printed = Printed()
    out, err = _Tee(printed, "stdout", sys.stdout), _Tee(printed, "stderr", sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        yield printed
    out.finish()
    err.finish()

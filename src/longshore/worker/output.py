"""What user code prints: cut into lines, counted, and the last of them remembered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from longshore.limits import LOG_LINE_CHARACTERS, LOG_LINES_PER_ATTEMPT
from longshore.worker.texts import clean_line

_TAIL_LINES = 30
# UTF-8 takes at most four bytes for a character.
_LINE_BYTES = 4 * LOG_LINE_CHARACTERS

LineSink = Callable[[str, str], None]
"""Takes a line: the stream (`stdout`, `stderr` or `worker`) and its text."""


class LineSplitter:
    """Cuts a stream of bytes into lines; a line that is too long loses its end."""

    def __init__(self) -> None:
        """Start with an empty line."""
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take bytes and return the lines that they complete."""
        return [_text(line) for line in self.split(data)]

    def split(self, data: bytes) -> list[bytes]:
        """Do the same, and leave the lines as they are."""
        *lines, rest = (self._rest + data).split(b"\n")
        # A progress bar rewrites its line after each carriage return: only the last one counts.
        if b"\r" in rest[:-1]:
            rest = rest[rest.rindex(b"\r", 0, len(rest) - 1) + 1 :]
        self._rest = rest[:_LINE_BYTES]
        return lines

    def finish(self) -> str | None:
        """Return what was written after the last line break, if anything."""
        rest, self._rest = self._rest, b""
        return _text(rest) if rest else None


class AttemptOutput:
    """The output of one attempt; keeps the last lines, so that a failure can show them."""

    def __init__(self, sink: LineSink) -> None:
        """Pass lines to `sink`, up to the limit for one attempt."""
        self._sink = sink
        self._splitters = {"stdout": LineSplitter(), "stderr": LineSplitter()}
        self._lines = 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def feed(self, stream: str, data: bytes) -> None:
        """Take what was read from stdout or stderr."""
        lines = self._splitters[stream].split(data)
        # Of a flood only the tail matters: to look at each line would hold up other attempts.
        unseen = len(lines) - _TAIL_LINES if self._lines >= LOG_LINES_PER_ATTEMPT else 0
        if unseen > 0:
            self._lines += unseen
            del lines[:unseen]
        for line in lines:
            self.line(stream, _text(line))

    def line(self, stream: str, text: str) -> None:
        """Take one line."""
        self._tail.append(text)
        self._lines += 1
        if self._lines <= LOG_LINES_PER_ATTEMPT:
            self._sink(stream, text)

    def flush(self) -> None:
        """Write out what is left of unfinished lines."""
        for stream, splitter in self._splitters.items():
            rest = splitter.finish()
            if rest is not None:
                self.line(stream, rest)

    def finish(self) -> None:
        """Write out what is left, and how many lines were left out; once, at the end."""
        self.flush()
        left_out = self._lines - LOG_LINES_PER_ATTEMPT
        if left_out > 0:
            told = "1 more line was" if left_out == 1 else f"{left_out} more lines were"
            self._sink("worker", f"{told} not kept.")

    def forget(self) -> None:
        """Let the last lines begin anew: what follows is of another process."""
        self._tail.clear()

    def tail(self) -> str:
        """Return the last lines as one text."""
        return "\n".join(self._tail)


def _text(line: bytes) -> str:
    line = line.rstrip(b"\r")
    shown = line[line.rfind(b"\r") + 1 :]
    return clean_line(shown[:_LINE_BYTES].decode("utf-8", "backslashreplace"))

"""How far a worker is: a bar on a terminal, log lines now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from longshore.sdk._progress import bar

logger = logging.getLogger("longshore.corpus")

EVERY_S: Final = 30.0
"""Pause between two log lines."""


class Progress:
    """Shows how many elements are done, how fast, and when the rest may be."""

    def __init__(self, total: int | None, *, every_s: float = EVERY_S) -> None:
        """Prepare; `total` is None while it is unknown."""
        self._total = total
        self._every_s = every_s
        self._stack = ExitStack()
        self._begun_s = self._told_s = time.monotonic()

    def __enter__(self) -> Self:
        """Begin, with a bar where standard error is a terminal."""
        self._shown = sys.stderr.isatty()
        made = bar("Elements", shown=True, total=self._total)
        self._bar = self._stack.enter_context(made)
        if self._shown:
            self._stack.enter_context(_lines_above_bar())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it is."""
        self._stack.close()

    def update(self, done: int, failed: int, total: int | None) -> None:
        """Tell how many elements are done, skipped and failed ones included, of how many."""
        now_s = time.monotonic()
        rate = done / max(now_s - self._begun_s, 0.001)
        if self._shown:
            self._bar.update(done, total, _note(done, failed, rate, total))
        elif now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            of = "" if total is None else f" of {total:,}"
            logger.info("Done %s%s elements, %s", f"{done:,}", of, _note(done, failed, rate, total))


def _note(done: int, failed: int, rate: float, total: int | None) -> str:
    parts = [f"{rate:,.1f}/s"]
    if total is not None and done and total > done:
        parts.append(f"about {duration((total - done) / rate)} left")
    if failed:
        parts.append(f"{failed:,} failed")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds as people say them: 45 s, 3 min 20 s, 2 h 5 min."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


@contextmanager
def _lines_above_bar() -> Iterator[None]:
    """Let log lines go through the bar's stream, which writes them above it."""
    moved: list[tuple[logging.StreamHandler[Any], Any]] = []
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__:
            moved.append((handler, handler.stream))
            handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)

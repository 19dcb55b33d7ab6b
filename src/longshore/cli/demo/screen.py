"""What a demo shows while it runs: steps as lines, progress as a bar on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from longshore.cli.console import out

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINES_PER_RUN = 10
"""Without a terminal, progress is this many lines."""


class Screen:
    """Writes steps with the seconds since the start, and keeps a bar below them."""

    def __init__(self) -> None:
        """Start the clock."""
        self._begun = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._shown = 0

    def step(self, text: str) -> None:
        """Write a line with the time."""
        line = f"{time.monotonic() - self._begun:5.1f} s  {text}"
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stdout.flush()
            out(line)
            sys.stdout.flush()

    @contextmanager
    def bar(self, label: str) -> Iterator[None]:
        """Show a bar while the block runs, where standard output is a terminal."""
        if not sys.stdout.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("         {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(), transient=True) as progress:
            self._progress, self._task = progress, progress.add_task(label, total=None)
            try:
                yield
            finally:
                self._progress = self._task = None

    def advance(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
        elif done * _LINES_PER_RUN // total > self._shown * _LINES_PER_RUN // total:
            self.step(f"{done} of {total} done")
        self._shown = done

"""Progress on a terminal; nothing at all where standard error is not one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar(Protocol):
    """What the SDK tells about work that advances."""

    def update(self, completed: float, total: float | None = None, note: str = "") -> None:
        """Set how much is done, of how much, with a short note."""

    def advance(self, amount: float) -> None:
        """Add to what is done; may be called from several threads."""


class _Silent:
    def update(self, completed: float, total: float | None = None, note: str = "") -> None:
        """Show nothing."""

    def advance(self, amount: float) -> None:
        """Show nothing."""


class _Shown:
    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def update(self, completed: float, total: float | None = None, note: str = "") -> None:
        self._progress.update(self._task, completed=completed, total=total, note=note)

    def advance(self, amount: float) -> None:
        self._progress.advance(self._task, amount)


@contextmanager
def bar(
    label: str, *, shown: bool, total: float | None = None, sized: bool = False
) -> Iterator[Bar]:
    """Show a bar on standard error while the block runs.

    Args:
        label: what advances.
        shown: False shows nothing; True shows the bar where standard error is a terminal.
        total: what makes it complete, or None while that is unknown.
        sized: whether the amounts are bytes.
    """
    if not shown or not sys.stderr.isatty():
        yield _Silent()
        return
    # Loaded here, so that programs without a terminal do not pay for it.
    from rich import progress as rich_progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    amount = (
        [rich_progress.DownloadColumn(), rich_progress.TransferSpeedColumn()]
        if sized
        else [rich_progress.MofNCompleteColumn()]
    )
    columns = [
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        *amount,
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
    ]
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Shown(progress, progress.add_task(label, total=total, note=""))

"""Progress on a terminal; nothing at all where standard error is not one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

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
    label: str,
    *,
    shown: bool,
    total: float | None = None,
    sized: bool = False,
    estimated: bool = False,
) -> Iterator[Bar]:
    """Show a bar on standard error while the block runs.

    Args:
        label: what advances.
        shown: False shows nothing; True shows the bar where standard error is a terminal.
        total: what makes it complete, or None while that is unknown.
        sized: whether the amounts are bytes.
        estimated: show the share that is done and when the rest may be, not the amounts.
    """
    if not shown or not sys.stderr.isatty():
        yield _Silent()
        return
    # Loaded here, so that programs without a terminal do not pay for it.
    from rich import progress as rich_progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    amount: list[rich_progress.ProgressColumn] = (
        [rich_progress.DownloadColumn(), rich_progress.TransferSpeedColumn()]
        if sized
        else [rich_progress.MofNCompleteColumn()]
    )
    if estimated:
        amount = [rich_progress.TaskProgressColumn()] if total is not None else []
    columns = [
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        *amount,
        rich_progress.TimeElapsedColumn(),
        *([rich_progress.TimeRemainingColumn()] if estimated and total is not None else []),
        rich_progress.TextColumn("{task.fields[note]}"),
    ]
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Shown(progress, progress.add_task(label, total=total, note=""))


class Meter:
    """Shows how far records have come: a bar with their number, their rate and an estimate."""

    def __init__(self, label: str, total: float | None, *, shown: bool) -> None:
        """Prepare; `total` is in the unit of `position`, None while it is unknown."""
        self._label = label
        self._total = total
        self._shown = shown
        self._stack = ExitStack()
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bar."""
        made = bar(self._label, shown=self._shown, total=self._total, estimated=True)
        self._bar = self._stack.enter_context(made)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the bar as it is."""
        self._stack.close()

    def update(self, position: float, records: int, failed: int) -> None:
        """Tell how much of the input is done, how many records that is, and how many failed."""
        rate = records / max(time.monotonic() - self._begun, 0.001)
        errors = f", {failed:,} failed" if failed else ""
        self._bar.update(position, self._total, f"{records:,} records, {rate:,.0f}/s{errors}")

"""The end of each demo: the numbers, the clean-up, and a look at what is left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from longshore.cli.console import bytes_text, out
from longshore.cli.demo import ledger
from longshore.cli.demo.ledger import Leftovers, Tally
from longshore.cli.demo.screen import Screen

if TYPE_CHECKING:
    from longshore import Client
    from longshore.sdk import Run

_SWEEP_S: Final = 30.0
"""Rows go at once, the files behind them a moment later; this long they are waited for."""


def clean_up(client: Client, run: Run, blobs: Path, screen: Screen) -> Leftovers:
    """Delete the run with all its parts, print what each job removed, and look what is left."""
    screen.step("cleaning up: deleting the run with its input, output, logs and rows")
    deletion = run.delete()
    total = deletion.wait(timeout_s=120)
    for name, job in (
        ("input", deletion.input),
        ("output", deletion.output),
        ("logs", deletion.logs),
    ):
        if job is not None:
            removed = job.removed
            out(
                f"           {name:<7} {removed.rows:>5} rows  {removed.objects:>4} objects  "
                f"{bytes_text(removed.size_bytes):>9}  (job {job.id})"
            )
    out(
        f"           {'all':<7} {total.rows:>5} rows  {total.objects:>4} objects  "
        f"{bytes_text(total.size_bytes):>9}"
    )
    deadline = time.monotonic() + _SWEEP_S
    left = ledger.leftovers(client, run.id, blobs)
    while not left.nothing and time.monotonic() < deadline:
        time.sleep(0.2)
        left = ledger.leftovers(client, run.id, blobs)
    screen.step(f"left behind: {left.sentence()}")
    return left


def verdict(tally: Tally, left: Leftovers, killed: int, kills: int) -> bool:
    """Print the numbers that matter; return whether the demo has shown what it promises."""
    out()
    times = {0: "never", 1: "once", 2: "twice"}.get(killed, f"{killed} times")
    how = f"worker killed {times} with kill -9 · " if kills else ""
    out(f"{how}{tally.sentence()}")
    if killed < kills:
        out(f"(The run was over before all {kills} kills; give it more files.)")
    if not tally.clean:
        out("This must not happen. Please report it with the output above.")
    if not left.nothing:
        out(f"The clean-up left something behind: {left.sentence()}.")
    out()
    return tally.clean and left.nothing

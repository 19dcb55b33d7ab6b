"""`longshore demo all` and `longshore demo clear`, as commands."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from longshore.cli.console import out
from longshore.cli.demo import clearing, everything
from longshore.cli.demo.crew import Crew
from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.names import DEMO_BUCKET_FAILING
from longshore.cli.demo.screen import Screen
from longshore.cli.exit_codes import ExitCode


def live(server: str | None, *, for_s: float | None, once: bool) -> ExitCode:
    """Fill a server and keep it alive until Ctrl-C, until the time is over, or until it settled."""
    screen = Screen()
    with (
        tempfile.TemporaryDirectory(prefix="longshore-demo-") as directory,
        Reach(server) as reach,
        contextlib.suppress(KeyboardInterrupt),
    ):
        reach.client.whoami()
        screen.step(f"filling {reach.url}")
        with Crew(reach, Path(directory)) as crew:
            made = everything.fill(reach, tell=screen.step)
            _look_around(reach, made)
            if once:
                everything.settle(reach, made)
                screen.step("what ends by itself has ended; the rest waits for a worker")
                return _left()
            if for_s is None:
                screen.step("new work comes each second; Ctrl-C stops it and its workers")
            everything.go_on(reach, for_s=for_s, check=crew.expect_alive)
    return _left()


def clear_away(server: str | None) -> ExitCode:
    """Delete what the demos made."""
    with Reach(server) as reach:
        removed = clearing.clear(reach)
    for name, count in sorted(removed.items()):
        out(f"{count:>6}  {name}")
    if not removed:
        out("There is nothing of the demos on this server.")
    return ExitCode.OK


def _look_around(reach: Reach, made: Made) -> None:
    out()
    out(f"dashboard  {reach.url}/")
    out(f"next       longshore why {made.works[DEMO_BUCKET_FAILING][1]}")


def _left() -> ExitCode:
    out("next: longshore demo clear")
    return ExitCode.OK

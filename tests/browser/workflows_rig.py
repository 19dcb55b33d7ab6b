"""Workflows that run on real workers while a browser looks on; gates say how far they get."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.acceptance.harness import Server
from tests.acceptance.scripts import API, Dispatcher, HostWorker
from tests.browser.rig import WITHIN_MS

STEPS = Path(__file__).with_name("steps")
expect.set_options(timeout=WITHIN_MS)
ATTACK = "<img src=x onerror=alert(1)>"
CLOSING = '"><script>alert(1)</script>{{7*7}}'


@dataclass
class Plant:
    """A workflow with a name of its own, its hosts, and the gates of its steps."""

    server: Server
    directory: Path
    user: Dispatcher
    mark: str = field(default_factory=lambda: secrets.token_hex(3))
    description: str = f"Brings the sales of the day {ATTACK}"

    @property
    def name(self) -> str:
        return f"night-{self.mark}"

    def host(self, name: str) -> str:
        return f"{name}-{self.mark}"

    def shut(self, *steps: str, kind: str = "shut") -> None:
        for step in steps:
            (self.directory / f"{step}.{kind}").touch()

    def open(self, *steps: str, kind: str = "shut") -> None:
        for step in steps:
            (self.directory / f"{step}.{kind}").unlink()

    def step(self, *after: str, host: str = "etl", **more: Any) -> dict[str, Any]:
        return {
            "script": "gate.py",
            "host": self.host(host),
            "depends_on": list(after),
            "environment": {"GATES": str(self.directory)},
            **more,
        }

    def apply(self, steps: dict[str, Any] | None = None, **more: Any) -> None:
        """Apply the workflow, of eight steps on two hosts unless others are given."""
        for host in ("etl", "mart"):
            self.user.host(self.host(host))
        self.user.apply(
            json.dumps(
                {
                    "workflow": self.name,
                    "description": self.description,
                    "triggers": {"events": [{"name": self.name, "parallel": 9}]},
                    "steps": steps or self.steps(),
                    **more,
                },
                indent=1,
            )
        )

    def steps(self) -> dict[str, Any]:
        step = self.step
        return {
            "download": step(area="feeds"),
            "rates": step(area="feeds"),
            "check": step("download", area="feeds"),
            "load": step("check", description=f"Loads {CLOSING}"),
            "convert": step("load", "rates"),
            "sales": step("convert", host="mart", area="marts"),
            "stock": step("convert", host="mart", area="marts"),
            "report": step("sales", "stock", host="mart", area="marts"),
        }

    def start(self, payload: Any = None) -> int:
        return self.user.event(self.name, payload)

    def run_for(self, day: str) -> int:
        """Start a run for a business date."""
        body = {"business_date": day}
        answer = self.user.ask(
            "POST", f"{API}/workflows/{self.name}/runs", json=body, expect=(201,)
        )
        return int(answer.json()["id"])

    @contextmanager
    def workers(self, hosts: Sequence[str] = ("etl", "mart"), slots: int = 2) -> Iterator[None]:
        """Serve hosts with real worker processes."""
        mark = f"browser-{os.getpid()}"
        made = [
            HostWorker(
                self.directory, self.host(host), mark, self.server, slots=slots, scripts=STEPS
            )
            for host in hosts
        ]
        try:
            for each in made:
                each.start()
            yield
        finally:
            for each in made:
                each.close()


def plant_of(server: Server, directory: Path) -> Plant:
    return Plant(server, directory, Dispatcher(server))


def say_yes(page: Page, button: str, reason: str, confirm: str | None = None) -> None:
    """Open the dialog of an action, say why, and confirm."""
    page.get_by_role("button", name=button, exact=True).click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label(re.compile("^Why")).fill(reason)
    dialog.get_by_role("button", name=confirm or button, exact=True).click()
    expect(dialog).to_be_hidden()

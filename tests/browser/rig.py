"""A browser that looks at the dashboard of a real server, and what the tests do with it."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
IMAGES = Path(__file__).parents[2] / "docs" / "images" / "dashboard"
WITHOUT_NETWORK = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
"""A browser that asks nobody else for anything; tests often run as root, where there is no sandbox."""
PICTURE_HEIGHT = 1_500
"""Of a longer page only the beginning is shown."""
WITHIN_MS = 20_000
"""Longest that a page may take to show what a test waits for, on a busy machine."""


def launch(playwright: Playwright) -> Browser:
    """Start the browser that is installed on this machine."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=WITHOUT_NETWORK)


@dataclass
class Visitor:
    """A person at a browser, who keeps an eye on what pages do that they must not do."""

    context: BrowserContext
    url: str
    scripts_run: list[str] = field(default_factory=list)
    """What alert() and the like were called with: nothing that users stored may get that far."""
    faults: list[str] = field(default_factory=list)
    """Errors of our scripts, and what the policy of the page refused."""

    def page(self) -> Page:
        """Open an empty page."""
        page = self.context.new_page()
        page.set_default_timeout(WITHIN_MS)
        page.on(
            "dialog", lambda dialog: (self.scripts_run.append(dialog.message), dialog.dismiss())
        )
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._console)
        return page

    def open(self, path: str) -> Page:
        """Open a page of the dashboard."""
        page = self.page()
        page.goto(self.url + path)
        return page

    def sign_in(self, secret: str) -> Page:
        """Sign in with a code or a key, as a person does, and return the overview."""
        page = self.open("/ui/sign-in")
        page.get_by_label("One-time code or API key").fill(secret)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Overview", level=1).wait_for()
        return page

    def _console(self, message: Any) -> None:
        # A page that was refused, as a test meant it to be, is no fault of our scripts.
        refused = "the server responded with a status" in message.text
        refused = refused or "Response Status Error Code" in message.text
        if message.type == "error" and not refused:
            self.faults.append(message.text)


def picture(page: Page, name: str, *, whole: bool = True) -> None:
    """Write a picture of the page into the documentation, when the run is asked to."""
    if os.environ.get("LONGSHORE_PICTURES") != "1":
        return
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.wait_for_load_state("load")
    taken = Image.open(io.BytesIO(page.screenshot(full_page=whole, animations="disabled")))
    shown = taken.crop((0, 0, taken.width, min(taken.height, PICTURE_HEIGHT)))
    shown.convert("RGB").quantize(200, dither=Image.Dither.NONE).save(
        IMAGES / f"{name}.png", optimize=True
    )

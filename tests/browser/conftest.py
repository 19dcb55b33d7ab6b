"""A browser for each module, a server for all tests of a process; a visitor for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.harness import Server, kill_marked
from tests.browser.rig import CHROMIUM, Visitor, launch

WITHOUT_BROWSER = (
    "Chromium is not installed, so that the pages cannot be looked at. "
    "Debian, Ubuntu: apt install chromium"
)


# Playwright keeps an event loop running while it is there; tests of other modules need their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        # A person without it may run the other tests; where tests guard a release, it is missing.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(WITHOUT_BROWSER)
    with sync_playwright() as playwright:
        launched = launch(playwright)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server process on SQLite, for tests that do not mind what others leave there."""
    directory = tmp_path_factory.mktemp("browser")
    mark = f"browser-{os.getpid()}"
    started = Server(directory / "data", mark)
    started.start()
    yield started
    started.close()
    kill_marked(mark)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Give visitors; at the end none may have seen a script run that is not ours, or a fault."""
    visitors: list[Visitor] = []

    def make(server: Server, *, phone: bool = False, dark: bool = False) -> Visitor:
        context = browser.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1360, "height": 850},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        visitors.append(Visitor(context, server.url))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert [text for visitor in visitors for text in visitor.scripts_run] == []
    assert [text for visitor in visitors for text in visitor.faults] == []


@pytest.fixture
def visitor(visit: Callable[..., Visitor], server: Server) -> Visitor:
    """A visitor of the common server, signed in as its admin."""
    made = visit(server)
    made.sign_in(server.key).close()
    return made

"""Every page with living data: as a person sees it on a screen, in the dark, and on a phone."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from longshore.access import Permission, Principal, Role
from longshore.cli.demo import names
from longshore.dashboard.navigation import sections
from tests.acceptance.harness import Command, Server, eventually, kill_marked
from tests.browser.rig import Visitor, picture

FILLED_S = 120.0
DEMO_S = 600


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that `longshore demo all` fills, and goes on to feed."""
    directory = tmp_path_factory.mktemp("tour")
    mark = f"tour-{os.getpid()}-{secrets.token_hex(4)}"
    server = Server(directory / "data", mark)
    server.start()
    demo = Command(directory, "demo", mark)
    demo.launch(
        ["demo", "all", "--for", str(DEMO_S)],
        {"LONGSHORE_URL": server.url, "LONGSHORE_KEY": server.key},
    )
    eventually(lambda: "dashboard  " in demo.log or not demo.running, FILLED_S, "it is filled")
    assert demo.running, demo.tail()
    yield server
    demo.close()
    server.close()
    kill_marked(mark)


def menu() -> list[str]:
    """List the pages that the menu leads an admin to."""
    nobody = Principal("", "", "", "", None, None, Role.ADMIN)
    assert all(nobody.allows(permission) for permission in Permission)
    return [entry.path for section in sections(nobody) for entry in section.entries]


def file_name(path: str) -> str:
    return path.removeprefix("/ui/").strip("/").replace("/", "-")


def check(page: Page, visitor: Visitor, path: str) -> None:
    """Check what holds for each page."""
    assert page.locator("main h1").count() == 1, path
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
    unnamed = page.evaluate(
        """[...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")]
           .filter((e) => !e.labels?.length && !e.getAttribute("aria-label")).map((e) => e.outerHTML)"""
    )
    assert unnamed == [], path
    twice = page.evaluate(
        """(() => { const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
           return ids.filter((id, place) => ids.indexOf(id) !== place); })()"""
    )
    assert twice == [], path
    assert visitor.faults == [], path


def test_every_page_of_the_menu_looks_right_with_living_data(
    visit: Callable[..., Visitor], living: Server
) -> None:
    visitor = visit(living)
    visitor.sign_in(living.key).close()
    for path in menu():
        page = visitor.page()
        answer = page.goto(living.url + path)
        assert answer is not None
        assert answer.status == 200, path
        check(page, visitor, path)
        if path != "/":
            # That of the overview is drawn where there is a day of work to look at.
            picture(page, file_name(path))
        page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_every_page_of_the_menu_is_readable_on_a_phone(
    visit: Callable[..., Visitor], living: Server, dark: bool
) -> None:
    visitor = visit(living, phone=True, dark=dark)
    visitor.sign_in(living.key).close()
    page = visitor.page()
    for path in menu():
        page.goto(living.url + path)
        check(page, visitor, path)


INNER = {
    # Name of the picture -> the list, and what the link in it says or where it leads.
    "work": ("/ui/works?q=state:failure", r"^/ui/works/wk_"),
    "bucket": ("/ui/buckets", rf"^/ui/buckets/{names.DEMO_BUCKET}$"),
    "pipeline": ("/ui/pipelines", r"^/ui/pipelines/bp_"),
    "run": ("/ui/runs", r"^/ui/runs/[^/]+$"),
    "document": ("/ui/reviews", r"^/ui/runs/[^/]+/documents/"),
    "corpus": ("/ui/corpora", r"^/ui/corpora/[0-9a-f-]+$"),
    "process": ("/ui/processes", r"^/ui/processes/[0-9a-f-]+$"),
    "workflow": ("/ui/workflows", rf"^/ui/workflows/{names.DEMO_WORKFLOW_LONG}$"),
    "workflow-run": ("/ui/workflow-runs", r"^/ui/workflow-runs/\d+$"),
    "host": ("/ui/hosts", rf"^/ui/hosts/{names.DEMO_HOST}$"),
    "worker": ("/ui/workers", r"^/ui/workers/wr_"),
}


def inner_link(page: Page, pattern: str) -> str:
    links = page.locator("main a[href]").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('href'))"
    )
    return next(link for link in links if re.search(pattern, link.partition("?")[0]))


@pytest.mark.parametrize("name", INNER)
def test_what_lists_lead_to_looks_right(
    visit: Callable[..., Visitor], living: Server, name: str
) -> None:
    outer, pattern = INNER[name]
    visitor = visit(living)
    visitor.sign_in(living.key).close()
    page = visitor.open(outer)
    link = inner_link(page, pattern)
    page.goto(living.url + link)
    check(page, visitor, link)
    picture(page, name)
    small = visit(living, phone=True)
    small.sign_in(living.key).close()
    check(small.open(link), small, link)


def test_an_element_of_a_corpus_shows_its_page(
    visit: Callable[..., Visitor], living: Server
) -> None:
    visitor = visit(living)
    visitor.sign_in(living.key).close()
    page = visitor.open("/ui/corpora")
    page.goto(living.url + inner_link(page, r"^/ui/corpora/[0-9a-f-]+$"))
    page.goto(living.url + inner_link(page, r"^/ui/elements/"))
    link = page.get_by_role("link", name="Letter 1").get_attribute("href")
    assert link is not None
    page.goto(living.url + link)
    check(page, visitor, link)
    picture(page, "element")


def test_the_pictures_in_the_documentation_are_small() -> None:
    images = Path(__file__).parents[2] / "docs" / "images" / "dashboard"
    sizes = {image.name: image.stat().st_size for image in images.glob("*.png")}
    assert json.dumps({name: size for name, size in sizes.items() if size > 250_000}) == "{}"

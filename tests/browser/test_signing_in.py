"""Into the dashboard and out of it again, and what stays shut to everybody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import Visitor, picture

Visit = Callable[..., Visitor]


def link(server: Server) -> str:
    with Client(url=server.url, key=server.key) as client:
        return client.keys.sign_in_link()


def test_a_one_time_link_signs_in_once(visit: Visit, server: Server) -> None:
    address = link(server)
    first = visit(server)
    page = first.open(address.removeprefix(server.url))
    page.get_by_role("heading", name="Overview", level=1).wait_for()
    assert "code=" not in page.url
    again = visit(server).open(address.removeprefix(server.url))
    again.get_by_text("used already").wait_for()


def test_a_person_signs_in_with_a_key_and_out(visit: Visit, server: Server) -> None:
    visitor = visit(server)
    picture(visitor.open("/ui/sign-in"), "sign-in")
    page = visitor.sign_in(server.key)
    page.get_by_text("admin key of the data directory").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in to Longshore").wait_for()
    assert page.goto(server.url + "/").status == 401  # type: ignore[union-attr]


def test_signing_in_leads_back_to_the_page_that_was_asked_for(visit: Visit, server: Server) -> None:
    page = visit(server).open("/?from=here")
    page.get_by_label("One-time code or API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/\?from=here$"))


@pytest.mark.parametrize(
    "following", ["//evil.example/", "https://evil.example/", "/\\evil.example"]
)
def test_signing_in_leads_nowhere_else(server: Server, following: str) -> None:
    form = {"secret": server.key, "next": following}
    answer = httpx.post(f"{server.url}/ui/sign-in", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_of_a_hundred_that_use_a_code_at_once_one_gets_in(server: Server) -> None:
    address = link(server)

    def enter(_: int) -> int:
        return httpx.get(address, timeout=60).status_code

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(enter, range(100)))
    assert found.count(303) == 1
    assert set(found) <= {303, 401, 429}

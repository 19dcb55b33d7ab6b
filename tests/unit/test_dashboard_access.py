"""Who gets into the dashboard, and what a session is good for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Route

from longshore.access import Role, keys, sessions
from longshore.clock import ManualClock
from longshore.dashboard.access import COOKIE, FORM_HEADER
from longshore.dashboard.throttle import FREE_TRIES, LONGEST_WAIT_S
from longshore.errors import Unauthenticated
from longshore.server.app import OPEN_PAGES
from longshore.storage import Database
from tests.unit.serving import Served, serving

ADDRESS = re.compile(r"\{[^}]*\}")


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


@pytest.fixture
def browser(served: Served) -> httpx.AsyncClient:
    """A client without a key, as a browser is."""
    del served.client.headers["Authorization"]
    return served.client


def key_of(served: Served, role: Role) -> tuple[keys.Key, str]:
    return served.database.write_blocking(
        keys.create, served.organisation.id, name=f"a {role}", role=role
    )


def code_for(served: Served, key: keys.Key) -> str:
    return served.database.write_blocking(sessions.make_code, key.id, served.organisation.id)


async def enter(browser: httpx.AsyncClient, secret: str) -> httpx.Response:
    return await browser.post("/ui/sign-in", data={"secret": secret})


def form_token(page: str) -> str:
    found = re.search(r"X-Form-Token&#34;:&#34;([0-9a-f]{64})", page)
    assert found, page[:2000]
    return found[1]


def pages(served: Served) -> list[tuple[str, str]]:
    """List every operation of the dashboard, with 1 in the place of each parameter."""

    def walk(routes: list[BaseRoute]) -> list[Route]:
        found: list[Route] = []
        for route in routes:
            nested = getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", None
            )
            if isinstance(route, Route):
                found.append(route)
            elif nested:
                found += walk(nested)
        return found

    return sorted(
        {
            (method, route.path)
            for route in walk(served.app.routes)
            if route.path == "/" or route.path.startswith("/ui/")
            for method in route.methods or ()
        }
    )


async def test_every_page_but_the_open_ones_needs_a_session(
    served: Served, browser: httpx.AsyncClient
) -> None:
    walked = [(method, path) for method, path in pages(served) if path not in OPEN_PAGES]
    assert len(walked) > 20
    for method, path in walked:
        for cookies in ({}, {COOKIE: "wrong"}, {COOKIE: "a" * 43}):
            browser.cookies = httpx.Cookies(cookies)
            answer = await browser.request(method, ADDRESS.sub("1", path))
            assert answer.status_code == 401, (method, path)
            if method == "GET":
                assert "Sign in to Longshore" in answer.text, path


async def test_no_page_changes_anything_without_the_token_of_its_forms(
    served: Served, browser: httpx.AsyncClient
) -> None:
    _, token = key_of(served, Role.ADMIN)
    await enter(browser, token)
    changing = [
        path for method, path in pages(served) if method == "POST" and path not in OPEN_PAGES
    ]
    assert len(changing) > 5
    for path in changing:
        for headers in ({}, {FORM_HEADER: "0" * 64}, {FORM_HEADER: ""}):
            answer = await browser.post(ADDRESS.sub("1", path), headers=headers)
            assert answer.status_code == 403, path
            assert "did not come from a page" in answer.text


async def test_a_form_from_another_site_is_refused_even_with_a_token(
    served: Served, browser: httpx.AsyncClient
) -> None:
    _, token = key_of(served, Role.ADMIN)
    await enter(browser, token)
    right = {FORM_HEADER: form_token((await browser.get("/ui/keys")).text)}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = await browser.post("/ui/sign-out", headers={**right, **headers})
        assert answer.status_code == 403, headers
    assert (await browser.post("/ui/sign-out", headers=right)).status_code == 303


async def test_a_session_ends_with_its_key(served: Served, browser: httpx.AsyncClient) -> None:
    key, token = key_of(served, Role.VIEWER)
    await enter(browser, token)
    assert (await browser.get("/")).status_code == 200
    served.database.write_blocking(keys.revoke, served.organisation.id, key.id)
    assert (await browser.get("/")).status_code == 401


async def test_a_session_ends_by_itself(
    served: Served, browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    _, token = key_of(served, Role.VIEWER)
    await enter(browser, token)
    clock.advance(sessions.SESSION_S + 1)
    assert (await browser.get("/")).status_code == 401
    assert served.database.write_blocking(sessions.expire) == 1


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    served: Served, browser: httpx.AsyncClient
) -> None:
    _, token = key_of(served, Role.VIEWER)
    cookie = (await enter(browser, token)).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    kept = served.database.read_blocking(
        lambda connection: connection.exec_driver_sql("SELECT digest FROM sessions").scalars().all()
    )
    assert all(digest not in cookie for digest in kept)


async def test_a_code_works_once_and_for_ten_minutes(
    served: Served, browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    key, _ = key_of(served, Role.VIEWER)
    code = code_for(served, key)
    late = code_for(served, key)
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert (await enter(browser, typed)).status_code == 303
    assert (await enter(browser, code)).status_code == 401
    clock.advance(sessions.CODE_S + 1)
    refused = await enter(browser, late)
    assert refused.status_code == 401
    assert "longshore dashboard" in refused.text


async def test_of_many_that_use_a_code_at_once_one_gets_in(served: Served) -> None:
    key, _ = key_of(served, Role.VIEWER)
    code = code_for(served, key)

    async def redeem() -> bool:
        try:
            await served.database.write(sessions.redeem, code)
        except Unauthenticated:
            return False
        return True

    assert sum(await asyncio.gather(*(redeem() for _ in range(100)))) == 1


async def test_guessing_is_slowed_down_and_nobody_waits_for_long(
    served: Served, browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    key, token = key_of(served, Role.VIEWER)
    for _ in range(FREE_TRIES):
        assert (await enter(browser, "AAAA-AAAA")).status_code == 401
    looked_up = 0
    for _ in range(300):
        answer = await enter(browser, "AAAA-AAAA")
        looked_up += answer.status_code == 401
        clock.advance(1)
    assert looked_up <= 8
    refused = await enter(browser, token)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= LONGEST_WAIT_S
    clock.advance(LONGEST_WAIT_S)
    assert (await enter(browser, code_for(served, key))).status_code == 303


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        (Role.VIEWER, "/", 200),
        (Role.VIEWER, "/ui/workers", 200),
        (Role.VIEWER, "/ui/keystore", 403),
        (Role.DEVELOPER, "/ui/keystore", 200),
        (Role.DEVELOPER, "/ui/keys", 403),
        (Role.OPERATOR, "/ui/audit", 403),
        (Role.ADMIN, "/ui/audit", 200),
        (Role.ADMIN, "/ui/keys", 200),
        (Role.ADMIN, "/ui/storage", 200),
        (Role.INGRESS, "/", 403),
    ],
)
async def test_pages_respect_roles(
    served: Served, browser: httpx.AsyncClient, role: Role, path: str, status: int
) -> None:
    _, token = key_of(served, role)
    await enter(browser, token)
    answer = await browser.get(path)
    assert answer.status_code == status
    if status == 403:
        assert "which does not include" in answer.text


async def test_a_viewer_may_not_act(served: Served, browser: httpx.AsyncClient) -> None:
    _, token = key_of(served, Role.VIEWER)
    await enter(browser, token)
    page = (await browser.get("/ui/workers")).text
    headers = {FORM_HEADER: form_token(page)}
    changing = [
        path
        for method, path in pages(served)
        if method == "POST" and path not in {*OPEN_PAGES, "/ui/sign-out"}
    ]
    for path in changing:
        answer = await browser.post(ADDRESS.sub("1", path), headers=headers)
        assert answer.status_code == 403, path


async def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(
    served: Served, browser: httpx.AsyncClient
) -> None:
    _, token = key_of(served, Role.ADMIN)
    await enter(browser, token)
    walked = [path for method, path in pages(served) if method == "GET" and "{" not in path]
    shown = 0
    for path in walked:
        if path == "/ui/live":
            continue
        answer = await browser.get(path)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        shown += 1
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        inline = re.search(
            r"<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:|<style", answer.text
        )
        assert inline is None, (path, inline)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.text), path
    assert shown > 8


async def test_an_error_of_an_address_of_the_dashboard_is_a_page(
    served: Served, browser: httpx.AsyncClient
) -> None:
    _, token = key_of(served, Role.ADMIN)
    await enter(browser, token)
    answer = await browser.get("/ui/workers/wr_of-nobody")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no worker" in answer.text
    partial: Any = await browser.get("/ui/workers/wr_x", headers={"HX-Request": "true"})
    assert partial.json()["detail"].startswith("There is no worker")


async def test_a_link_on_another_site_neither_signs_in_nor_counts_as_a_try(
    served: Served, browser: httpx.AsyncClient
) -> None:
    key, _ = key_of(served, Role.VIEWER)
    code = code_for(served, key)
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    for _ in range(FREE_TRIES + 3):
        answer = await browser.get("/?code=AAAA-AAAA", headers=elsewhere)
        assert answer.status_code == 200
    answer = await browser.get(f"/?code={code}", headers=elsewhere)
    assert "set-cookie" not in answer.headers
    assert f'value="{code}"' in answer.text
    assert (await enter(browser, code)).status_code == 303


async def test_a_form_with_nul_changes_nothing(served: Served, browser: httpx.AsyncClient) -> None:
    _, token = key_of(served, Role.ADMIN)
    await enter(browser, token)
    headers = {FORM_HEADER: form_token((await browser.get("/ui/keystore")).text)}
    form = {"name": "n", "value": "x\0y", "scope": "organisation"}
    answer = await browser.post("/ui/keystore", data=form, headers=headers)
    assert answer.status_code == 400
    assert "NUL" in answer.text
    assert "<code>n</code>" not in (await browser.get("/ui/keystore")).text

"""Whatever stands in the address of a page, it is answered or refused, and never breaks it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from longshore.storage import Database
from tests.unit.serving import Served, serving

ADDRESS = re.compile(r"\{[^}]*\}")
WRONG = (str(10**30), str(-(10**30)), "x")


@pytest.fixture
async def browser(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Served, Any]]:
    """A client with a session of an admin, and with the key for the API."""
    async with serving(database, tmp_path) as served:
        page = httpx.AsyncClient(transport=httpx.ASGITransport(served.app), base_url="http://test")
        async with page:
            entered = await page.post("/ui/sign-in", data={"secret": served.first.token})
            assert entered.status_code == 303
            yield served, page


def pages(served: Served) -> list[APIRoute]:
    """List the pages of the dashboard that are read."""

    def walk(routes: list[BaseRoute]) -> Iterator[APIRoute]:
        for route in routes:
            nested = getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", None
            )
            if isinstance(route, APIRoute):
                yield route
            elif nested:
                yield from walk(nested)

    return [
        route
        for route in walk(served.app.routes)
        if "GET" in (route.methods or ()) and (route.path == "/" or route.path.startswith("/ui/"))
        # It does not end.
        if route.path != "/ui/live"
    ]


def numbers(route: APIRoute) -> tuple[list[str], list[str]]:
    """Return the names of parameters of the query that are numbers, and of all others."""
    found: tuple[list[str], list[str]] = ([], [])
    for field in route.dependant.query_params:
        found["int" not in str(field.field_info.annotation)].append(field.alias)
    return found


async def test_numbers_that_no_column_holds_are_refused(browser: tuple[Served, Any]) -> None:
    served, page = browser
    asked = 0
    for route in pages(served):
        for name in numbers(route)[0]:
            for wrong in WRONG:
                address = ADDRESS.sub("1", route.path)
                answer = await page.get(address, params={name: wrong})
                assert 400 <= answer.status_code < 500, (route.path, name, wrong)
                # It is refused for the number, not because there is no such page.
                assert answer.status_code != 404, (route.path, name, wrong)
                asked += 1
    assert asked >= 3 * 6


async def test_no_odd_address_breaks_a_page(browser: tuple[Served, Any]) -> None:
    served, page = browser
    asked = 0
    for route in pages(served):
        for wrong in WRONG:
            address = ADDRESS.sub(wrong, route.path)
            params = dict.fromkeys(numbers(route)[1], wrong)
            for given in [{}, params] if params else [{}]:
                answer = await page.get(address, params=given)
                assert answer.status_code < 500, (address, given)
                asked += 1
    assert asked > 100


def test_no_page_names_its_parts_by_the_rows_that_they_are_in() -> None:
    templates = resources.files("longshore.dashboard") / "templates"
    found = list(Path(str(templates)).rglob("*.html"))
    assert len(found) > 30
    for path in found:
        text = path.read_text()
        assert not re.search(r'(?:id|for)="[^"]*\{\{[^}"]*loop\.', text), path
        assert not re.search(r"action\([^,)]*loop\.", text), path


async def test_what_is_open_of_a_result_stays_that_of_the_same_result(
    browser: tuple[Served, Any],
) -> None:
    served, page = browser

    async def shown(*more: str) -> dict[str, str]:
        results = [
            {"id": each, "pipeline": "scans", "site": "local", "user": "ann", "status": "success"}
            for each in more
        ]
        stored = await served.client.post("/results/results", json=results)
        assert stored.status_code == 200, stored.text
        text = (await page.get("/ui/buckets/scans/results")).text
        return dict(re.findall(r'id="(result-\w+)">\s*<summary><code>([^<]*)', text))

    before = await shown("one", '"><b>')
    after = await shown("three")
    assert sorted(before.values()) == ["&#34;&gt;&lt;b&gt;", "one"]
    assert len(after) == 3
    assert before.items() < after.items()
    text = (await page.get("/ui/buckets/scans/results")).text
    assert "Result one: the document and the files" in text
    assert "Result one: nobody can change" in text

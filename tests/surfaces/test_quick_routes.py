"""The short way to the routes of works answers exactly as the framework does."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from longshore.server.quick import QuickRoutes
from tests.surfaces.buckets_rig import BUCKET, Buckets, payload

FILTER = {"pipeline": BUCKET}
TOLD = ("date", "x-request-id", "content-length")
"""Headers that differ from one answer to the next."""

REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/work", [payload()]),
    ("POST", "/work", []),
    ("POST", "/work", {"no": "list"}),
    ("POST", "/work", [payload(priority=9)]),
    ("POST", "/work?return_ids=False&return_ids=False", [payload()]),
    ("POST", "/work/withdraw", FILTER),
    ("POST", "/work/withdraw?limit=2", FILTER),
    ("POST", "/work/withdraw?limit=1&limit=3", FILTER),
    ("POST", "/work/withdraw?limit=0", FILTER),
    ("POST", "/work/withdraw?limit=-1", FILTER),
    ("POST", "/work/withdraw?limit=many", FILTER),
    ("POST", "/work/withdraw?limit=1.5", FILTER),
    ("POST", "/work/withdraw?limit=", FILTER),
    ("POST", "/work/withdraw?limit=+4", FILTER),
    ("POST", "/work/withdraw?limit=%32", FILTER),
    ("POST", "/work/withdraw?wait_s=0.01&lease_s=60.5", FILTER),
    ("POST", "/work/withdraw?wait_s=1e-3", FILTER),
    ("POST", "/work/withdraw?lease_s=nan", FILTER),
    ("POST", "/work/withdraw?lease_s=0", FILTER),
    ("POST", "/work/withdraw?else=1", FILTER),
    ("POST", "/work/withdraw", "no filter"),
    ("PUT", "/work", []),
    ("PUT", "/work", [payload(id="wk_none")]),
    ("PUT", "/work", [payload(id=7)]),
    ("DELETE", "/work", None),
    ("DELETE", "/work?ids=a&ids=b", None),
    ("GET", "/work", None),
    ("PATCH", "/work", None),
]


def _told(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    headers = {name: text for name, text in answer.headers.items() if name not in TOLD}
    body = answer.json()
    if isinstance(body, dict):
        body.pop("request_id", None)
    if isinstance(body, list):
        # Two withdrawals get two works.
        body = [set(each) for each in body]
    elif isinstance(body, dict) and "pipeline" in body:
        body = set(body)
    return answer.status_code, headers, body


@pytest.mark.parametrize(("method", "path", "content"), REQUESTS)
async def test_the_answer_is_that_of_the_framework(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, method: str, path: str, content: Any
) -> None:
    await buckets.deposit(*[payload() for _ in range(12)])
    quick = await buckets.client.request(method, f"/buckets{path}", json=content)

    async def pass_on(self: QuickRoutes, *request: Any) -> None:
        await self._app(*request)

    monkeypatch.setattr(QuickRoutes, "__call__", pass_on)
    plain = await buckets.client.request(method, f"/buckets{path}", json=content)
    assert _told(quick) == _told(plain)


@pytest.mark.parametrize("key", ["", "Bearer nonsense", "Bearer ls_aaaaaaaaaaaa_bbbbbbbbbbbb"])
async def test_nobody_gets_in_without_a_key(buckets: Buckets, key: str) -> None:
    headers = {"Authorization": key}
    answer = await buckets.client.post("/buckets/work", json=[payload()], headers=headers)
    assert answer.status_code == 401
    assert (await buckets.ask("POST", "/count", {"query": {}})) == 0


async def test_quick_requests_are_counted_under_their_route(buckets: Buckets) -> None:
    await buckets.deposit()
    await buckets.ask("POST", "/work/withdraw", FILTER, limit=1)
    text = (await buckets.client.get("/metrics")).text
    for line in (
        'longshore_requests_total{method="POST",route="/buckets/work",status="200"} 1.0',
        'longshore_requests_total{method="POST",route="/buckets/work/withdraw",status="200"} 1.0',
    ):
        assert line in text.splitlines()


async def test_a_busy_route_writes_a_line_only_for_what_fails(
    buckets: Buckets, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="longshore.access"):
        await buckets.deposit()
        assert not caplog.records
        await buckets.ask("POST", "/work", {"no": "list"}, expect=400)
        assert len(caplog.records) == 1
    with caplog.at_level(logging.DEBUG, logger="longshore.access"):
        await buckets.deposit()
        assert len(caplog.records) == 2

"""X10 for buckets: numbers, texts and times that no column holds are refused, and harm nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from longshore.clock import ManualClock
from longshore.engine.states import State
from longshore.storage import Database
from tests.surfaces.buckets_rig import Buckets, buckets_of, payload

NUL = "a\0b"
HUGE = 10**400
NUMBERS: tuple[Any, ...] = (
    -(10**30), -1, 0.5, 1.5e9, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30, HUGE, 1e300, 1e308,
    True, "1", "x", None, [], {},
)  # fmt: skip
TEXTS = (NUL, "\ud800", "x" * 300, "", "'; DROP TABLE works; --", "../..")
ENDLESS = ("inf", "1e400", "9" * 400)
JSON = {"Content-Type": "application/json"}
WITHIN_S = 15.0


@pytest.fixture
async def buckets(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Buckets]:
    async with buckets_of(database, clock, tmp_path) as made:
        yield made


async def refused_or_done(buckets: Buckets, method: str, path: str, body: Any = None) -> int:
    """Send a request; return its status, which is neither a fault of the server nor a hang."""
    content = None if body is None else json.dumps(body).encode()
    async with asyncio.timeout(WITHIN_S):
        answer = await buckets.client.request(method, path, content=content, headers=JSON)
    what = f"{method} {path[:200]} {str(body)[:300]}"
    assert answer.status_code < 500, f"{what} -> {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        assert answer.json()["detail"], what
        assert len(answer.content) < 4_000, "what was sent is not sent back"
    return answer.status_code


async def test_numbers_of_any_size_in_a_work_are_kept_or_refused(buckets: Buckets) -> None:
    taken = 0
    for value in NUMBERS:
        for name in ("attempt", "timeout", "retries", "priority", "creation", "start", "stop"):
            given = [{**payload(), name: value}]
            taken += await refused_or_done(buckets, "POST", "/buckets/work", given) == 200
    assert taken > 20, "what a work may hold is taken"
    assert (await buckets.details())["total"] == taken


async def test_numbers_of_any_size_in_other_requests_are_refused(buckets: Buckets) -> None:
    (work_id,) = await buckets.deposit(pipeline="p")
    for value in NUMBERS:
        for body in (
            {"works": [{"id": work_id, "attempt": value}]},
            {"works": [{"id": work_id, "attempt": 0}], "lease_s": value},
            {"works": value},
        ):
            await refused_or_done(buckets, "POST", "/buckets/work/renew", body)
        for service in ("buckets", "results"):
            for name in ("skip", "limit", "sort", "query", "projection"):
                await refused_or_done(buckets, "POST", f"/{service}/view", {name: value})
        for name in (
            "archive_after_s", "results_retention_s", "retry_pause_s", "concurrency_max",
        ):  # fmt: skip
            await refused_or_done(buckets, "PUT", "/buckets/settings/p", {name: value})
        await refused_or_done(buckets, "GET", f"/buckets/audit/stale/{quote(str(value), safe='')}")


async def test_a_length_of_time_in_an_address_is_a_number_or_refused(buckets: Buckets) -> None:
    wanted = {"pipeline": "empty"}
    for text in ("nan", "-nan", "-inf", "-1", "1e-320", "0x1", "", "1,5", *ENDLESS):
        if text not in ENDLESS:
            # Those mean as long as the server allows, which a test need not wait for.
            await refused_or_done(buckets, "POST", f"/buckets/work/withdraw?wait_s={text}", wanted)
        await refused_or_done(buckets, "POST", f"/buckets/work/withdraw?lease_s={text}", wanted)
        await refused_or_done(buckets, "POST", f"/buckets/work/withdraw?limit={text}", wanted)
        await refused_or_done(buckets, "GET", f"/buckets/audit/stale/{text or '%20'}")


async def test_texts_of_any_kind_in_a_work_are_kept_or_refused(buckets: Buckets) -> None:
    for text in TEXTS:
        await _send_works_with(buckets, text)


async def _send_works_with(buckets: Buckets, text: str) -> None:
    works: list[dict[str, Any]] = [{name: text} for name in ("user", "site", "function", "id")]
    works += [{name: [text]} for name in ("products", "plots", "tags", "command")]
    works += [{name: {text: text}} for name in ("parameters", "results")]
    works += [{text: text}, {"pipeline": text}, {"config": {"parent": text}}]
    works += [{"notify": {"slack": {"channel_id": text, "message": text}}}]
    works += [{"notify": {"slack": {"member_ids": [text], "blocks": {text: text}}}}]
    for fields in works:
        await refused_or_done(buckets, "POST", "/buckets/work", [{**payload(), **fields}])
        done = {**payload(), "id": "r", **fields, "status": "success"}
        for method in ("POST", "PUT"):
            await refused_or_done(buckets, method, "/results/results", [done])
        await refused_or_done(buckets, "PUT", "/buckets/work", [done])
        held = await buckets.held(pipeline="p")
        ended = {**held, **fields, "status": "success"}
        await refused_or_done(buckets, "PUT", "/buckets/work", [ended])


async def test_texts_of_any_kind_in_other_requests_are_refused(buckets: Buckets) -> None:
    for text in TEXTS:
        await _send_requests_with(buckets, text)


async def _send_requests_with(buckets: Buckets, text: str) -> None:
    for where in ({"pipeline": text}, {"pipeline": {"$in": [text]}}, {"pipeline": "p", text: text}):
        await refused_or_done(buckets, "POST", "/buckets/work/withdraw", where)
        for path in ("/buckets/view", "/buckets/count", "/results/view", "/results/view/count"):
            await refused_or_done(buckets, "POST", path, {"query": where})
    for name in ("projection", "sort"):
        for path in ("/buckets/view", "/results/view"):
            await refused_or_done(buckets, "POST", path, {name: {text: 1}})
    for chosen in ({"ids": [text]}, {"query": {"id": text}}):
        await refused_or_done(buckets, "POST", "/buckets/actions", {"action": "retry", **chosen})
    await refused_or_done(buckets, "POST", "/buckets/actions", {"action": text, "ids": []})
    for body in ({"url": text}, {"url": f"https://example.com/{text}", "pipeline": text}):
        await refused_or_done(buckets, "POST", "/buckets/webhooks", body)
    place = quote(text.encode("utf-8", "surrogatepass"), safe="") or "%20"
    for path in (
        "status/details", "settings", "artifacts", "actions", "audit/stale", "webhooks",
    ):  # fmt: skip
        await refused_or_done(buckets, "GET", f"/buckets/{path}/{place}")
    await refused_or_done(buckets, "DELETE", f"/buckets/work?ids={place}")
    await refused_or_done(buckets, "DELETE", f"/results/results?{place}={place}")


async def test_an_update_with_a_fence_that_cannot_be_changes_nothing(buckets: Buckets) -> None:
    for name in ("attempt", "start"):
        for value in (2**63, 1e300, 1e308, -1e300, HUGE):
            held = await buckets.held()
            changed = [{**held, name: value}]
            assert await refused_or_done(buckets, "PUT", "/buckets/work", changed) == 400
            assert await buckets.see(held["id"]) == held
            assert await buckets.update({**held, "status": "success"}) is True


@pytest.mark.parametrize("ahead_s", [60.0, 9e9])
async def test_a_holder_cannot_keep_a_work_for_ever_by_a_start_to_come(
    buckets: Buckets, ahead_s: float
) -> None:
    held = await buckets.held(timeout=10, retries=1)
    later = {**held, "start": held["start"] + ahead_s}
    assert await buckets.update(later) is True
    buckets.tidy(after_s=25.0)
    (seen,) = await buckets.view({"id": held["id"]}, projection={"longshore": True})
    assert seen["longshore"]["state"] == State.FAILURE
    assert seen["longshore"]["reason"] == "lease_expired"

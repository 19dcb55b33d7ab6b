"""`client.results`, and the webhooks of `client.buckets`, on a scripted server."""

from __future__ import annotations

import json as json_module
from typing import Any

import httpx
import pytest

from tests.unit.sdk_support import COLOURS, Script, client, close, json, settle


def work(**fields: Any) -> dict[str, Any]:
    return {"pipeline": "p-1", "site": "local", "user": "me", **fields}


def nothing() -> httpx.Response:
    return httpx.Response(200, content=b"null")


def body(request: httpx.Request) -> Any:
    return json_module.loads(request.content)


@pytest.mark.parametrize("colour", COLOURS)
async def test_results_have_a_store_of_their_own(colour: Any) -> None:
    done = work(id="wk_1", status="success", results={"a": 1}, products=["x"])
    script = Script(
        *(json({"p-1": True}), json(True), json([done]), json(4), json({"p-1": 4})),
        *(json([done]), json({"p-1": True})),
    )
    used = client(colour, script)
    results = used.results
    assert await settle(results.deposit([done])) == {"p-1": True}
    assert await settle(results.update([done])) is True
    assert await settle(results.view("p-1", {"event": [5]}, limit=3)) == [done]
    assert await settle(results.count("p-1")) == 4
    assert await settle(results.status()) == {"p-1": 4}
    assert await settle(results.get_by_id("p-1", ["wk_1"])) == [done]
    assert await settle(results.delete_ids("p-1", ["wk_1", "wk_2"])) is True
    await close(used)
    assert script.paths == [
        "POST /results/results",
        "PUT /results/results",
        "POST /results/view",
        "POST /results/view/count",
        "GET /results/status",
        "POST /results/view",
        "DELETE /results/results?p-1=wk_1&p-1=wk_2",
    ]
    assert body(script.requests[2])["query"] == {"event": [5], "pipeline": "p-1"}
    assert body(script.requests[3]) == {"query": {"pipeline": "p-1"}}


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_lock_changes_nothing_else(colour: Any) -> None:
    done = work(id="wk_1", status="success", results=None, products=["x"])
    script = Script(
        *(json([done]), json(True)),
        *(json([{**done, "results": {"a": 1, "locked": True}}]), json(True)),
        json([]),
    )
    used = client(colour, script)
    results = used.results
    assert await settle(results.lock("p-1", ["wk_1"])) is True
    assert await settle(results.unlock("p-1", ["wk_1"], force=True)) is True
    assert await settle(results.lock("p-1", ["wk_2"])) is False
    assert await settle(results.unlock("p-1", ["wk_1"], confirm=lambda _: False)) is False
    await close(used)
    kept = {"id": "wk_1", "pipeline": "p-1", "status": "success"}
    assert body(script.requests[1]) == [{**kept, "results": {"locked": True}}]
    assert body(script.requests[3]) == [{**kept, "results": {"a": 1, "locked": False}}]


@pytest.mark.parametrize("colour", COLOURS)
async def test_webhooks_are_made_shown_changed_and_removed(colour: Any) -> None:
    shown = {
        "id": "hk_1",
        "url": "https://example.com/hook",
        "pipeline": "p-1",
        "kinds": ["work.exhausted"],
        "created": "2026-11-20T10:00:00Z",
        "old_valid": False,
        "old_until": None,
    }
    script = Script(
        *(json({**shown, "secret": "whsec_1"}, 201), json([shown])),
        *(json({**shown, "secret": "whsec_2", "old_valid": True}), httpx.Response(204)),
    )
    used = client(colour, script)
    webhooks = used.buckets.webhooks
    made = await settle(
        webhooks.create("https://example.com/hook", pipeline="p-1", kinds=["work.exhausted"])
    )
    assert (made.secret, made.pipeline, made.kinds) == ("whsec_1", "p-1", ("work.exhausted",))
    assert "whsec" not in repr(made)
    (listed,) = await settle(webhooks.list())
    assert (listed.id, listed.secret) == ("hk_1", None)
    changed = await settle(webhooks.rotate("hk_1", keep_s=60))
    assert (changed.secret, changed.old_valid) == ("whsec_2", True)
    await settle(webhooks.delete("hk_1"))
    await close(used)
    assert script.paths == [
        "POST /buckets/webhooks",
        "GET /buckets/webhooks",
        "POST /buckets/webhooks/hk_1/rotate",
        "DELETE /buckets/webhooks/hk_1",
    ]
    assert not any("Idempotency-Key" in request.headers for request in script.requests)

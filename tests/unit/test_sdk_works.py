"""Finding works and acting on them over the wire, in both colours."""

from __future__ import annotations

import json as json_module
from typing import Any

import pytest

from longshore import errors
from tests.unit.sdk_support import COLOURS, Script, client, close, gather, json, settle
from tests.unit.test_sdk_operations import work


def found(id: str, **more: Any) -> dict[str, Any]:  # noqa: A002
    more = {"queue_name": "scans", "surface": "buckets", "error": None, **more}
    return work(id, **more)


def action(state: str, **more: Any) -> dict[str, Any]:
    body = {
        "id": "wk_job", "action": "retry", "q": "state:failure", "reason": "because",
        "state": state, "final": state == "success", "message": None,
        "done": 0, "skipped": {}, "failed": {},
    }  # fmt: skip
    return {**body, **more}


@pytest.mark.parametrize("colour", COLOURS)
async def test_pages_are_gone_through_also_past_an_empty_one(colour: Any) -> None:
    script = Script(
        json({"works": [found("wk_3")], "next": "wk_2", "searched_to": None}),
        json({"works": [], "next": "wk_1", "searched_to": "2026-11-20T12:00:00Z"}),
        json({"works": [found("wk_0", error="OSError: no")], "next": None, "searched_to": None}),
    )
    used = client(colour, script)
    got = await gather(used.works.find('error:"a b"'))
    await close(used)
    assert [(each.id, each.queue_name, each.error) for each in got] == [
        ("wk_3", "scans", None),
        ("wk_0", "scans", "OSError: no"),
    ]
    asked = [dict(request.url.params) for request in script.requests]
    assert [each.get("before") for each in asked] == [None, "wk_2", "wk_1"]
    assert {each["q"] for each in asked} == {'error:"a b"'}


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_action_is_waited_for_and_tells_what_was_left_alone(colour: Any) -> None:
    script = Script(
        json(action("queued"), status=202),
        json(action("running", done=1)),
        json(action("success", done=2, skipped={"it succeeded": 3})),
    )
    used = client(colour, script)
    done = await settle(used.works.act("retry", "state:failure", reason="because", expected=5))
    await close(used)
    assert (done.final, done.done, done.skipped) == (True, 2, {"it succeeded": 3})
    sent = json_module.loads(script.requests[0].content)
    assert sent == {
        "action": "retry", "q": "state:failure", "reason": "because", "expected": 5,
    }  # fmt: skip
    assert script.requests[0].headers["idempotency-key"]


@pytest.mark.parametrize("colour", COLOURS)
async def test_more_works_than_expected_are_a_conflict(colour: Any) -> None:
    problem = {
        "title": "conflict",
        "status": 409,
        "detail": "More works fit now",
        "code": "conflict",
    }
    used = client(colour, Script(json(problem, status=409)))
    with pytest.raises(errors.Conflict, match="More works fit now"):
        await settle(used.works.act("cancel", "state:queued", reason="x", expected=1))
    await close(used)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("verb", ["hold", "release", "retry"])
async def test_one_work_is_held_released_and_retried(colour: Any, verb: str) -> None:
    script = Script(json(work("wk_1", "waiting", reason="held")))
    used = client(colour, script)
    changed = await settle(getattr(used.works, verb)("wk_1", why="because"))
    await close(used)
    assert changed.reason == "held"
    assert script.requests[0].url.path == f"/longshore/v1/works/wk_1/{verb}"
    assert json_module.loads(script.requests[0].content) == {"why": "because"}


@pytest.mark.parametrize("colour", COLOURS)
async def test_works_are_counted(colour: Any) -> None:
    used = client(colour, Script(json({"count": 10_000, "exact": False})))
    counted = await settle(used.works.count("state:queued"))
    await close(used)
    assert (counted.count, counted.exact) == (10_000, False)

"""`client.buckets` and `client.results` on a scripted server: what they send and make of answers."""

from __future__ import annotations

import json as json_module
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.errors import (
    Conflict,
    InvalidRequest,
    LeaseLost,
    NotFound,
    ServerFault,
    ServerUnreachable,
    TooLarge,
)
from longshore.sdk import Client, _buckets
from tests.unit.sdk_support import COLOURS, Script, client, close, json, settle


def work(**fields: Any) -> dict[str, Any]:
    return {"pipeline": "p-1", "site": "local", "user": "me", **fields}


def nothing() -> httpx.Response:
    return httpx.Response(200, content=b"null")


def body(request: httpx.Request) -> Any:
    return json_module.loads(request.content)


@pytest.mark.parametrize("colour", COLOURS)
async def test_works_are_deposited_under_new_ids(colour: Any) -> None:
    script = Script(json(["wk_1", "wk_2"]), json(["wk_3"]))
    used = client(colour, script)
    given = [work(id="wk_old", beyond={"a": 1}), work(tags=["t"])]
    assert await settle(used.buckets.deposit(given, return_ids=True)) == ["wk_1", "wk_2"]
    assert await settle(used.buckets.deposit([work()])) is True
    await close(used)
    assert script.paths[0] == "POST /buckets/work?return_ids=true"
    assert script.requests[0].headers["Content-Type"] == "application/json"
    sent = body(script.requests[0])
    assert [one["id"] for one in sent] == [None, None]
    assert sent[0]["beyond"] == {"a": 1}
    assert given[0]["id"] == "wk_old", "what the caller holds is left alone"
    keys = [request.headers["Idempotency-Key"] for request in script.requests]
    assert len(set(keys)) == 2


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_deposit_whose_answer_was_lost_is_repeated_under_its_key(colour: Any) -> None:
    script = Script(httpx.ReadError("reset"), json({}, 503), json(["wk_1"]))
    used = client(colour, script)
    assert await settle(used.buckets.deposit([work()], return_ids=True)) == ["wk_1"]
    await close(used)
    assert len({request.headers["Idempotency-Key"] for request in script.requests}) == 1
    assert len({request.content for request in script.requests}) == 1


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_refused_deposit_is_not_repeated(colour: Any) -> None:
    script = Script(json({"detail": "no room", "code": "conflict"}, 409))
    used = client(colour, script)
    with pytest.raises(Conflict, match="no room"):
        await settle(used.buckets.deposit([work()]))
    await close(used)
    assert len(script.requests) == 1


@pytest.fixture
def few_works(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a request take 5 works."""
    monkeypatch.setattr(limits, "DEPOSIT_WORKS", 5)
    return 5


@pytest.mark.parametrize("colour", COLOURS)
async def test_many_works_go_in_several_requests(colour: Any, few_works: int) -> None:
    first = [f"wk_{number}" for number in range(few_works)]
    script = Script(json(first), json(["wk_last"]))
    used = client(colour, script)
    ids = await settle(used.buckets.deposit([work(event=[n]) for n in range(few_works + 1)], True))
    await close(used)
    assert ids == [*first, "wk_last"]
    assert [len(body(request)) for request in script.requests] == [few_works, 1]
    assert body(script.requests[1])[0]["event"] == [few_works]


def test_large_works_go_in_requests_that_the_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [work(parameters={"text": "x" * 100}) for _ in range(3)]
    one = len(json_module.dumps(documents[0], separators=(",", ":")))
    monkeypatch.setattr(limits, "BUCKETS_BODY_BYTES", 2 * one + 3)
    pieces = _buckets.pieces(documents)
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 2), (2, 3)]
    assert len(pieces[0].body) == limits.BUCKETS_BODY_BYTES, "what just fits is not cut"
    assert [each for piece in pieces for each in json_module.loads(piece.body)] == documents


def test_a_work_that_is_too_large_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = len(json_module.dumps(work(), separators=(",", ":")))
    monkeypatch.setattr(limits, "DOCUMENT_BYTES", one)
    assert len(_buckets.pieces([work()])) == 1
    with pytest.raises(TooLarge, match="Work 1 of the list takes"):
        _buckets.pieces([work(), work(tags=[])])


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_failure_in_the_middle_says_what_was_deposited(colour: Any, few_works: int) -> None:
    script = Script(json(["wk_1"] * few_works), json({"detail": "full"}, 507))
    used = client(colour, script)
    with pytest.raises(ServerFault, match="full") as caught:
        await settle(used.buckets.deposit([work()] * (few_works + 1)))
    await close(used)
    assert len(caught.value.details["deposited_ids"]) == few_works


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (work(timeout=0), r"Work 1 of the list: Field timeout"),
        (work(parameters={"snr": float("nan")}), r"Work 1 of the list cannot be written as JSON"),
        (work(parameters={"path": object()}), r"Work 1 of the list cannot be written as JSON"),
        (work(user="\ud800"), r"Work 1 of the list cannot be written as JSON"),
    ],
)
async def test_a_work_that_cannot_be_sent_keeps_all_from_being_sent(
    colour: Any, bad: Any, problem: str
) -> None:
    script = Script()
    used = client(colour, script)
    with pytest.raises(InvalidRequest, match=problem) as caught:
        await settle(used.buckets.deposit([work(), bad]))
    await close(used)
    assert caught.value.details["position"] == 1
    assert script.requests == []


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_withdrawal_sends_the_filters_that_are_given(colour: Any) -> None:
    script = Script(json(work(id="wk_1")), nothing(), json([]))
    used = client(colour, script)
    taken = await settle(
        used.buckets.withdraw(
            ["p-1", "p-2"], [1, 2], "local", 5, "me", ["t"], "parent", wait_s=0, lease_s=60
        )
    )
    assert taken["id"] == "wk_1"
    assert await settle(used.buckets.withdraw("p-1", event=[], tags=None)) is None
    assert await settle(used.buckets.withdraw("p-1", limit=7)) == []
    await close(used)
    assert body(script.requests[0]) == {
        "pipeline": {"$in": ["p-1", "p-2"]},
        "site": "local",
        "priority": 5,
        "user": "me",
        "event": {"$in": [1, 2]},
        "tags": {"$in": ["t"]},
        "config.parent": {"$in": ["parent"]},
    }
    assert body(script.requests[1]) == {"pipeline": {"$in": ["p-1"]}}
    assert script.paths == [
        "POST /buckets/work/withdraw?lease_s=60",
        "POST /buckets/work/withdraw",
        "POST /buckets/work/withdraw?limit=7",
    ]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_withdrawal_is_not_repeated_since_it_could_take_two_works(colour: Any) -> None:
    script = Script(httpx.ReadError("reset"))
    used = client(colour, script)
    with pytest.raises(ServerUnreachable):
        await settle(used.buckets.withdraw("p-1"))
    await close(used)
    assert len(script.requests) == 1


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_long_wait_is_several_polls(colour: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 30.0, 60.0])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr(_buckets, "time", clock)
    script = Script(nothing(), nothing(), json(work(id="wk_1")))
    used = client(colour, script, timeout_s=5)
    taken = await settle(used.buckets.withdraw("p-1", wait_s=70.0))
    await close(used)
    assert taken["id"] == "wk_1"
    assert [request.url.params["wait_s"] for request in script.requests] == ["30.0", "30.0", "10.0"]
    assert script.requests[0].extensions["timeout"]["read"] == 35.0


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_update_is_put_whole(colour: Any) -> None:
    script = Script(json(True))
    used = client(colour, script)
    done = work(id="wk_1", attempt=1, start=5.5, status="success", results={"a": 1})
    assert await settle(used.buckets.update([done])) is True
    await close(used)
    assert script.paths == ["PUT /buckets/work"]
    assert body(script.requests[0]) == [done]


REFUSED = {
    "id": "wk_1",
    "code": "lease_lost",
    "message": "Work wk_1 is in attempt 2, held by host-7; this report is of attempt 1.",
    "state": "running",
    "attempt": 2,
    "holder": "host-7",
}


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_refused_update_says_who_holds_the_work(colour: Any) -> None:
    missing = {"id": "wk_2", "code": "not_found", "message": "There is no work wk_2."}
    script = Script(
        json({"updated": 1, "refused": [missing, REFUSED]}),
        json({"updated": 0, "refused": [missing]}),
        json({"updated": 0, "refused": [{**missing, "code": "invalid_request"}]}),
        json({"what": "ever"}),
    )
    used = client(colour, script)
    given = [work(id=f"wk_{number}", attempt=1) for number in range(3)]
    with pytest.raises(LeaseLost, match=r"held by host-7.* \(1 more of 3 refused") as caught:
        await settle(used.buckets.update(given))
    details = caught.value.details
    assert (details["id"], details["holder"], details["attempt"]) == ("wk_1", "host-7", 2)
    assert (details["updated"], len(details["refused"])) == (1, 2)
    with pytest.raises(NotFound, match="There is no work wk_2"):
        await settle(used.buckets.update(given[:1]))
    with pytest.raises(InvalidRequest):
        await settle(used.buckets.update(given[:1]))
    with pytest.raises(ServerFault, match="same version"):
        await settle(used.buckets.update(given[:1]))
    await close(used)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_view_reads_page_by_page(colour: Any) -> None:
    full = [{"id": f"wk_{number}"} for number in range(limits.PAGE_ROWS)]
    script = Script(json(full), json(full[:3]), json(full[:2]))
    used = client(colour, script)
    query = {"pipeline": "p-1", "attempt": {"$gte": 2}}
    found = await settle(used.buckets.view(query, {"id": True}, 5, None, [("creation", -1)]))
    assert len(found) == limits.PAGE_ROWS + 3
    assert len(await settle(used.buckets.view(query, limit=2))) == 2
    await close(used)
    first, second, third = (body(request) for request in script.requests)
    assert first == {
        "query": query,
        "projection": {"id": True},
        "skip": 5,
        "limit": limits.PAGE_ROWS,
        "sort": [["creation", -1]],
    }
    assert second["skip"] == 5 + limits.PAGE_ROWS
    assert third == {"query": query, "projection": {}, "skip": 0, "limit": 2}


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_view_of_large_works_takes_smaller_pages(colour: Any) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        asked = body(request)
        if asked["limit"] > 40:
            details = {"limit": 10_000, "limit_bytes": 100}
            return json({"detail": "too much", "code": "too_large", **details}, 413)
        rows = range(asked["skip"], min(asked["skip"] + asked["limit"], 90))
        return json([{"id": str(row)} for row in rows])

    used = client(colour, server)
    found = await settle(used.buckets.view({}, limit=None))
    await close(used)
    assert [one["id"] for one in found] == [str(row) for row in range(90)]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_query_that_is_too_large_is_not_tried_in_pieces(colour: Any) -> None:
    script = Script(json({"detail": "too many terms", "code": "too_large", "limit": 100}, 413))
    used = client(colour, script)
    with pytest.raises(TooLarge, match="too many terms"):
        await settle(used.buckets.view({"a": 1}))
    await close(used)


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_small_questions_go_to_their_places(colour: Any) -> None:
    counts = {"total": 1, "queued": 1, "running": 0, "success": 0, "failure": 0}
    files = [{"kind": "plot", "path": "a.png", "blob_id": "bl_1", "size_bytes": 3, "sha256": "00"}]
    script = Script(
        *(json(7), json(counts), json({"p-1": counts}), json(["p-1"])),
        *(json(1), json(2), json(3), json({"version": "0.1.0"}), json(files)),
    )
    used = client(colour, script)
    buckets = used.buckets
    assert await settle(buckets.count({"status": "queued"})) == 7
    assert await settle(buckets.status("p-1")) == counts
    assert await settle(buckets.status()) == {"p-1": counts}
    assert await settle(buckets.pipelines()) == ["p-1"]
    assert await settle(buckets.audit()) == {"failed": 1, "expired": 2, "stale": 3}
    assert (await settle(buckets.info()))["server"] == {"version": "0.1.0"}
    (file,) = await settle(buckets.artifacts("wk_1"))
    assert (file.kind, file.path, file.size_bytes) == ("plot", "a.png", 3)
    await close(used)
    assert script.paths == [
        "POST /buckets/count",
        "GET /buckets/status/details/p-1",
        "GET /buckets/status",
        "GET /buckets/status/pipelines",
        "GET /buckets/audit/failed",
        "GET /buckets/audit/expired",
        "GET /buckets/audit/stale/7.0",
        "GET /buckets/version",
        "GET /buckets/artifacts/wk_1",
    ]


@pytest.mark.parametrize("colour", COLOURS)
async def test_deleting_many_asks_first(colour: Any) -> None:
    ids = [{"id": f"wk_{number}"} for number in range(7)]
    script = Script(json(ids), json(ids), json(True), json(ids[:1]), json(True), json([]))
    asked: list[str] = []

    def no(text: str) -> bool:
        asked.append(text)
        return False

    used = client(colour, script)
    delete = used.buckets.delete_many
    assert await settle(delete("p-1", "failure", [1], ["t"], "up", confirm=no)) is False
    assert await settle(delete("p-1", confirm=lambda _: True)) is True
    assert await settle(delete("p-1", force=True, limit=1)) is True
    assert await settle(delete("p-1", confirm=no)) is False, "there is nothing to ask about"
    await close(used)
    query = {
        "pipeline": "p-1",
        "status": "failure",
        "event": {"$in": [1]},
        "tags": {"$in": ["t"]},
        "config.parent": "up",
    }
    assert body(script.requests[0]) == {
        "query": query,
        "projection": {"id": True},
        "skip": 0,
        "limit": 100,
    }
    assert asked == [
        f"Delete 7 works that match {json_module.dumps(query)}?\n"
        "    wk_0, wk_1, wk_2, wk_3, wk_4, ...\n"
    ]
    expected = "&".join(f"ids=wk_{number}" for number in range(7))
    assert script.paths[2] == f"DELETE /buckets/work?{expected}"
    assert script.paths[4] == "DELETE /buckets/work?ids=wk_0"


async def test_without_a_terminal_nothing_is_deleted_unasked() -> None:
    script = Script(json([{"id": "wk_1"}]))
    with client(Client, script) as used, pytest.raises(InvalidRequest, match="force=True"):
        used.buckets.delete_many("p-1")
    assert len(script.requests) == 1


async def test_many_ids_are_deleted_in_several_requests() -> None:
    script = Script(json(True), json(True))
    with client(Client, script) as used:
        assert used.buckets.delete_ids([f"wk_{number}" for number in range(501)])
    sizes = [len(request.url.params.get_list("ids")) for request in script.requests]
    assert sizes == [500, 1]


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_action_is_a_job_with_counts(colour: Any) -> None:
    script = Script(
        json({"id": "wk_9"}, 202),
        json({"id": "wk_9", "action": "retry", "state": "RUNNING", "changed": 2, "left": 0}),
        json({"id": "wk_9", "action": "retry", "state": "COMPLETE", "changed": 5, "left": 1}),
        json({"id": "wk_8"}, 202),
        json({"state": "COMPLETE", "id": "wk_8", "works": 3, "rows": 9, "objects": 1, "bytes": 7}),
        json({"id": "wk_7"}, 202),
        json({"id": "wk_7", "state": "FAILED", "message": "the disk is full"}),
    )
    used = client(colour, script)
    action = await settle(used.buckets.act("retry", {"status": "failure"}))
    assert "PENDING" in repr(action)
    await settle(action.wait())
    assert (action.info.changed, action.info.left) == (5, 1)
    deleting = await settle(used.buckets.act("delete", ids=["wk_1"]))
    info = (await settle(deleting.wait())).info
    assert (info.changed, info.rows, info.objects, info.size_bytes) == (3, 9, 1, 7)
    failing = await settle(used.buckets.act("cancel", {}))
    with pytest.raises(ServerFault, match="the disk is full"):
        await settle(failing.wait())
    await close(used)
    assert script.paths[:2] == ["POST /buckets/actions", "GET /buckets/actions/wk_9"]
    assert body(script.requests[0]) == {"action": "retry", "query": {"status": "failure"}}
    assert body(script.requests[3]) == {"action": "delete", "ids": ["wk_1"]}
    assert body(script.requests[5]) == {"action": "cancel", "query": {}}
    assert "Idempotency-Key" in script.requests[0].headers


@pytest.mark.parametrize("colour", COLOURS)
async def test_settings_are_read_and_changed_one_by_one(colour: Any) -> None:
    answer = {
        "archive_after_s": None,
        "results_retention_s": 60.0,
        "retry_pause_s": 30.0,
        "concurrency_max": 4,
    }
    script = Script(json(answer), json(answer))
    used = client(colour, script)
    assert (await settle(used.buckets.settings("p-1"))).concurrency_max == 4
    changed = await settle(used.buckets.configure("p-1", archive_after_s=None, concurrency_max=4))
    await close(used)
    assert changed.archive_after_s is None
    assert script.paths == ["GET /buckets/settings/p-1", "PUT /buckets/settings/p-1"]
    assert body(script.requests[1]) == {"archive_after_s": None, "concurrency_max": 4}

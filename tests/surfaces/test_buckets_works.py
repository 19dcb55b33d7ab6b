"""Deposit, withdraw, view, delete, status and audit, as the published client asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from longshore import limits
from longshore.access import Role
from longshore.limits import DEPOSIT_WORKS
from tests.surfaces.buckets_rig import BUCKET, Buckets, payload

RICH: dict[str, Any] = {
    "function": "frb.search.dispersion",
    "parameters": {
        "dm": 331.7,
        "tiny": 5e-324,
        "negative": -0.0,
        "whole": 1.0,
        "long": 2**70,
        "text": 'quote " back \\ nul \x00 rocket 🚀 line\u2028end',
        "": {"nested": [[], {}, [None, True, {"a.b": "$c"}]]},
    },
    "results": {"snr": 12.5, "list": [1, 2.5, "x", None]},
    "products": ["/data/a b.h5"],
    "plots": [],
    "tags": ["ärger", ""],
    "event": [2**60, 7],
    "stop": 1795198999.999999,
    "timeout": 259_200,
    "retries": -1,
    "priority": 5,
    "config": {
        "archive": {"results": False, "products": "bypass", "plots": "move", "logs": "delete"},
        "metrics": True,
        "parent": "night-12",
        "orgs": [],
        "teams": ["x"],
    },
}


async def test_whatever_a_client_deposits_comes_back_unchanged(buckets: Buckets) -> None:
    given = payload(**RICH)
    (work_id,) = await buckets.deposit(given)
    expected = {**given, "id": work_id, "status": "queued"}
    assert await buckets.see(work_id) == expected
    withdrawn = await buckets.withdraw()
    start = buckets.clock.now_us() / 1e6
    assert withdrawn == {**expected, "status": "running", "attempt": 1, "start": start}


async def test_defaults_are_filled_in_and_unknown_names_are_kept(buckets: Buckets) -> None:
    given = {"pipeline": "a", "site": "s", "user": "u", "group": ["old"], "config": {"extra": 1}}
    (work_id,) = await buckets.deposit(given)
    found = await buckets.see(work_id)
    full = payload("a", site="s", user="u", id=work_id, status="queued", group=["old"])
    full["creation"] = buckets.clock.now_us() / 1e6
    full["config"]["extra"] = 1
    assert found == full
    held = await buckets.withdraw("a")
    assert held is not None
    changed = {name: value for name, value in held.items() if name != "group"}
    assert await buckets.update({**changed, "status": "success"}) is True
    assert (await buckets.see(work_id))["group"] == ["old"]


@pytest.mark.parametrize("flag", ["True", "true", "1"])
async def test_ids_are_answered_in_order_when_asked_for(buckets: Buckets, flag: str) -> None:
    works = [payload(name, user=f"user {n}") for n, name in enumerate(("a", "b", "a"))]
    found = await buckets.ask("POST", "/work", works, return_ids=[flag, flag])
    assert [(await buckets.see(one))["user"] for one in found] == ["user 0", "user 1", "user 2"]


@pytest.mark.parametrize("flag", ["False", "false", "0"])
async def test_a_flag_that_says_no_is_no(buckets: Buckets, flag: str) -> None:
    answer = await buckets.ask("POST", "/work", [payload()], return_ids=[flag, flag])
    assert answer is True


async def test_an_empty_deposit_is_fine(buckets: Buckets) -> None:
    assert await buckets.ask("POST", "/work", [], return_ids=["True", "True"]) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"pipeline": "has_underscore"}, "pipeline"),
        ({"pipeline": ""}, "pipeline"),
        ({"pipeline": "x" * 129}, "pipeline"),
        ({"site": None}, "site"),
        ({"user": 7}, "user"),
        ({"priority": 0}, "priority"),
        ({"priority": 6}, "priority"),
        ({"retries": 6}, "retries"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 259_201}, "timeout"),
        ({"timeout": 1.5}, "timeout"),
        ({"attempt": -1}, "attempt"),
        ({"status": "cancelled"}, "status"),
        ({"event": ["x"]}, "event"),
        ({"command": "ls"}, "command"),
        ({"parameters": []}, "parameters"),
        ({"id": 7}, "id"),
        ({"config": None}, "config"),
        ({"notify": {"slack": {"colour": "red"}}}, "slack"),
        ({"config": {"archive": {"products": "eat"}}}, "products"),
        ({"function": "a.b", "command": ["ls"]}, "function"),
    ],
)
async def test_what_no_client_could_validate_is_refused_whole(
    buckets: Buckets, fields: dict[str, Any], named: str
) -> None:
    answer = await buckets.client.post("/buckets/work", json=[payload(), payload(**fields)])
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["detail"]
    assert (await buckets.details())["total"] == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[1]", b"[", b'{"pipeline": "a"}', b"[NaN]", b'["\xff"]', b"null", b"[[]]"],
)
async def test_a_body_that_is_no_list_of_works_is_refused(buckets: Buckets, body: bytes) -> None:
    for method, path in (("POST", "/buckets/work"), ("PUT", "/buckets/work")):
        answer = await buckets.client.request(method, path, content=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"]


async def test_too_many_and_too_deep_works_are_refused(buckets: Buckets) -> None:
    many = [{"pipeline": "a", "site": "s", "user": "u"}] * (DEPOSIT_WORKS + 1)
    assert (await buckets.client.post("/buckets/work", json=many)).status_code == 413
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    answer = await buckets.client.post("/buckets/work", json=[payload(parameters={"a": deep})])
    assert answer.status_code == 413
    assert (await buckets.ask("GET", "/status"))["total"] == 0


async def test_whole_numbers_may_be_written_as_the_published_client_takes_them(
    buckets: Buckets,
) -> None:
    (work_id,) = await buckets.deposit(payload(timeout=60.0, event=["12", 13.0]))
    found = await buckets.see(work_id)
    assert (found["timeout"], found["event"]) == (60, [12, 13])


async def test_the_highest_priority_comes_first_and_then_the_oldest_over_all_buckets(
    buckets: Buckets,
) -> None:
    order = []
    for name, priority in (("a", 3), ("b", 3), ("a", 5), ("b", 1), ("c", 5)):
        order += await buckets.deposit(payload(name, priority=priority))
        buckets.clock.advance(1)
    taken = [await buckets.withdraw("a", "b", "c", "unknown") for _ in range(6)]
    ids = [work["id"] for work in taken if work is not None]
    assert ids == [order[2], order[4], order[0], order[1], order[3]]
    assert taken[5] is None


async def test_a_withdrawal_takes_only_from_the_buckets_that_it_names(buckets: Buckets) -> None:
    await buckets.deposit(payload("a"))
    assert await buckets.withdraw("b") is None
    # Older releases of the client send a plain name.
    found = await buckets.ask("POST", "/work/withdraw", {"pipeline": "a"})
    assert found["pipeline"] == "a"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"site": "chime"}, {"site": "chime"}),
        ({"priority": 4}, {"priority": 4}),
        ({"user": "bob"}, {"user": "bob"}),
        ({"event": [1, 2]}, {"event": {"$in": [2, 9]}}),
        ({"tags": ["x", "y"]}, {"tags": {"$in": ["y"]}}),
        ({"config": {"parent": "P"}}, {"config.parent": {"$in": ["P"]}}),
        ({"config": {"parent": "P"}}, {"config.parent": "P"}),
        ({"parameters": {"dm": 5}}, {"parameters.dm": {"$gt": 4}}),
    ],
)
async def test_a_withdrawal_takes_only_what_its_filter_matches(
    buckets: Buckets, fields: dict[str, Any], where: dict[str, Any]
) -> None:
    await buckets.deposit(payload())
    (wanted,) = await buckets.deposit(payload(**fields))
    found = await buckets.withdraw(BUCKET, **where)
    assert found is not None
    assert found["id"] == wanted
    assert await buckets.withdraw(BUCKET, **where) is None
    assert (await buckets.details())["queued"] == 1


async def test_a_filtered_withdrawal_keeps_the_order(buckets: Buckets) -> None:
    low = await buckets.deposit(payload("a", site="x", priority=1))
    high = await buckets.deposit(payload("b", site="x", priority=2))
    await buckets.deposit(payload("b", site="y", priority=5))
    taken = [await buckets.withdraw("a", "b", site="x") for _ in range(3)]
    assert [work and work["id"] for work in taken] == [*high, *low, None]


async def test_many_are_withdrawn_at_once_with_a_limit(buckets: Buckets) -> None:
    ids = await buckets.deposit(*[payload() for _ in range(5)])
    wanted = {"pipeline": BUCKET}
    found = await buckets.ask("POST", "/work/withdraw", wanted, limit=3)
    assert [work["id"] for work in found] == ids[:3]
    assert len(await buckets.ask("POST", "/work/withdraw", wanted, limit=3)) == 2
    assert await buckets.ask("POST", "/work/withdraw", wanted, limit=3) == []
    refused = await buckets.ask("POST", "/work/withdraw", wanted, limit=0, expect=400)
    assert "limit" in refused["detail"]


@pytest.mark.parametrize("wanted", [{}, {"site": "x"}, {"pipeline": {"$gt": "a"}}, [], "a", None])
async def test_a_withdrawal_must_name_its_buckets(buckets: Buckets, wanted: Any) -> None:
    answer = await buckets.client.post("/buckets/work/withdraw", json=wanted)
    assert answer.status_code == 400


async def test_a_view_gives_what_its_projection_names_and_pages(buckets: Buckets) -> None:
    ids = await buckets.deposit(*[payload(user=f"u{n}") for n in range(5)])
    shown = await buckets.view(
        {"pipeline": BUCKET}, projection={"id": True, "_id": False}, skip=1, limit=2
    )
    assert shown == [{"id": ids[1]}, {"id": ids[2]}]
    latest = await buckets.view(projection={"user": 1}, sort={"user": -1}, limit=1)
    assert latest == [{"user": "u4"}]
    assert len(await buckets.view(limit=None)) == 5
    assert len(await buckets.view(limit=0)) == 0


async def test_a_view_can_ask_for_what_the_engine_knows(buckets: Buckets) -> None:
    held = await buckets.held(retries=1)
    await buckets.update({**held, "status": "failure", "results": {"error": "no signal"}})
    (shown,) = await buckets.view(projection={"id": 1, "longshore": 1})
    assert shown["longshore"]["state"] == "failure"
    assert shown["longshore"]["reason"] == "failed"
    assert shown["longshore"]["error"]["message"] == "no signal"


async def test_works_are_counted_by_query_and_by_status(buckets: Buckets) -> None:
    await buckets.deposit(*[payload("a") for _ in range(3)], payload("b"))
    await buckets.withdraw("a")
    assert await buckets.ask("POST", "/count", {"query": {"status": "queued"}}) == 3
    expected = {"total": 3, "queued": 2, "running": 1, "success": 0, "failure": 0}
    found = await buckets.details("a")
    assert (list(found), found) == (list(expected), expected)
    assert (await buckets.ask("GET", "/status"))["total"] == 4
    assert (await buckets.details("unknown"))["total"] == 0
    assert await buckets.ask("GET", "/status/pipelines") == ["a", "b"]


async def test_works_are_deleted_in_whatever_state_they_are(buckets: Buckets) -> None:
    running = await buckets.held()
    done = await buckets.held()
    await buckets.update({**done, "status": "success"})
    (queued,) = await buckets.deposit()
    (kept,) = await buckets.deposit()
    ids = [running["id"], done["id"], queued, "wk_unknown"]
    assert await buckets.ask("DELETE", "/work", ids=ids) is True
    assert [work["id"] for work in await buckets.view()] == [kept]
    assert await buckets.ask("DELETE", "/work", ids=ids) is True
    assert await buckets.ask("DELETE", "/work") is True
    assert (await buckets.refusal({**running, "status": "success"}))["code"] == "not_found"
    await buckets.ask("DELETE", "/work", ids=[kept])
    assert await buckets.ask("GET", "/status/pipelines") == []


async def test_failed_works_are_queued_by_the_audit_while_attempts_are_left(
    buckets: Buckets,
) -> None:
    held = await buckets.held(retries=2)
    await buckets.update({**held, "status": "failure"})
    assert buckets.tidy().retried == 0
    assert await buckets.audit() == {"failed": 1, "expired": 0, "stale": 0}
    again = await buckets.withdraw()
    assert again is not None
    assert again["attempt"] == 2
    await buckets.update({**again, "status": "failure"})
    assert await buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}
    assert (await buckets.see(held["id"]))["status"] == "failure"


async def test_failed_works_are_queued_without_an_auditor_too(buckets: Buckets) -> None:
    held = await buckets.held()
    await buckets.update({**held, "status": "failure"})
    assert buckets.tidy(after_s=31).retried == 1
    assert (await buckets.see(held["id"]))["status"] == "queued"


async def test_works_whose_time_is_over_fail_and_are_queued_by_the_next_audit(
    buckets: Buckets,
) -> None:
    held = await buckets.held(timeout=60)
    buckets.clock.advance(61)
    assert buckets.tidy().expired == 0, "an auditor comes first"
    assert (await buckets.audit())["expired"] == 1
    assert (await buckets.see(held["id"]))["status"] == "failure"
    assert await buckets.audit() == {"failed": 1, "expired": 0, "stale": 0}


async def test_works_whose_time_is_over_fail_without_an_auditor_too(buckets: Buckets) -> None:
    held = await buckets.held(timeout=60)
    assert buckets.tidy(after_s=71).expired == 1
    assert buckets.tidy(after_s=31).retried == 1
    assert (await buckets.see(held["id"]))["status"] == "queued"


async def test_a_start_that_its_holder_moves_back_expires(buckets: Buckets) -> None:
    held = await buckets.held()
    held["start"] -= 2 * 3600.0
    assert await buckets.update(held) is True
    assert (await buckets.see(held["id"]))["start"] == held["start"]
    assert (await buckets.audit())["expired"] == 1


async def test_a_renewed_lease_does_not_expire(buckets: Buckets) -> None:
    await buckets.deposit(timeout=60)
    (held,) = await buckets.ask(
        "POST", "/work/withdraw", {"pipeline": BUCKET}, limit=1, lease_s=30.0
    )
    for _ in range(10):
        buckets.clock.advance(20)
        renewed = {"works": [{"id": held["id"], "attempt": 1}], "lease_s": 30.0}
        assert await buckets.ask("POST", "/work/renew", renewed) == {"lost": []}
        assert (await buckets.audit())["expired"] == 0
    assert buckets.tidy(after_s=31).expired == 1
    (lost,) = (await buckets.ask("POST", "/work/renew", renewed))["lost"]
    assert (lost["id"], lost["attempt"], lost["cancelled"]) == (held["id"], 1, False)


async def test_stale_works_are_counted_and_left_alone(buckets: Buckets) -> None:
    held = await buckets.held()
    held["creation"] = buckets.clock.now_us() / 1e6 - 60 * 86_400
    await buckets.update(held)
    assert await buckets.ask("GET", "/audit/stale/7.0") == 1
    assert await buckets.ask("GET", "/audit/stale/61") == 0
    assert (await buckets.details())["total"] == 1
    for days in ("-1", "inf", "nan", "1e300"):
        refused = await buckets.client.get(f"/buckets/audit/stale/{days}")
        assert refused.status_code == 400


async def test_anyone_can_see_what_answers_here(buckets: Buckets) -> None:
    for path in ("/buckets/version", "/results/version"):
        for method in ("HEAD", "GET"):
            answer = await buckets.client.request(method, path, headers={"Authorization": ""})
            assert answer.status_code == 200
        assert answer.json()["version"]


async def test_another_organisation_sees_and_reaches_nothing(buckets: Buckets) -> None:
    held = await buckets.held()
    (queued,) = await buckets.deposit()
    async with buckets.other() as other:
        assert (await other.post("/buckets/view", json={"query": {}})).json() == []
        assert (await other.post("/buckets/count", json={})).json() == 0
        assert (await other.get("/buckets/status")).json()["total"] == 0
        assert (await other.get("/buckets/status/pipelines")).json() == []
        wanted = {"pipeline": BUCKET}
        assert (await other.post("/buckets/work/withdraw", json=wanted)).json() is None
        put = await other.put("/buckets/work", json=[{**held, "status": "success"}])
        assert put.json()["refused"][0]["code"] == "not_found"
        gone = await other.request("DELETE", "/buckets/work", params={"ids": [queued]})
        assert gone.json() is True
        renewed = {"works": [{"id": held["id"], "attempt": 1}]}
        (lost,) = (await other.post("/buckets/work/renew", json=renewed)).json()["lost"]
        assert "does not exist" in lost["reason"]
        for audit in ("failed", "expired", "stale/0"):
            assert (await other.get(f"/buckets/audit/{audit}")).json() == 0
    assert (await buckets.details())["total"] == 2


async def test_a_viewer_may_look_and_nothing_else(buckets: Buckets) -> None:
    held = await buckets.held()
    async with buckets.as_key(buckets.served.token(Role.VIEWER)) as viewer:
        assert (await viewer.post("/buckets/view", json={})).status_code == 200
        for answer in (
            await viewer.post("/buckets/work", json=[payload()]),
            await viewer.post("/buckets/work/withdraw", json={"pipeline": BUCKET}),
            await viewer.put("/buckets/work", json=[held]),
            await viewer.request("DELETE", "/buckets/work", params={"ids": [held["id"]]}),
            await viewer.get("/buckets/audit/failed"),
        ):
            assert answer.status_code == 403
    async with buckets.as_key(buckets.served.token(Role.WORKER)) as worker:
        assert (await worker.put("/buckets/work", json=[held])).json() is True


async def test_a_view_of_more_works_than_fit_an_answer_is_refused_whole(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "VIEW_WORKS", 3)
    await buckets.deposit(*[payload() for _ in range(4)])
    for limit in (None, 4):
        body = {"query": {}, "limit": limit}
        refused = await buckets.ask("POST", "/view", body, expect=413)
        assert "More than 3 works match" in refused["detail"]
    assert len(await buckets.view(limit=3)) == 3

"""X18 for buckets: requests whose bodies name what belongs to another organisation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.tenancy import BUCKET, CANARY, STORED, World, Worlds, check_silent

OWN = {"pipeline": BUCKET, "site": "local", "user": "stranger"}


@pytest.fixture(scope="module")
def world(module_harbour: Harbour, worlds: Worlds) -> World:
    return worlds.open(module_harbour)


@pytest.fixture(autouse=True)
def nothing_changes(world: World) -> Iterator[None]:
    """Whatever the stranger tries, the owner sees what was there before."""
    yield
    assert world.look() == world.seen


def _names(world: World) -> list[str]:
    return [world.ids[name] for name in world.ids if name.startswith(("bucket", "result"))]


def _ask(world: World, method: str, path: str, body: Any, *, status: int = 200) -> Any:
    """Ask as the stranger; what comes back holds nothing of the owner but what was sent."""
    answer = world.stranger.http.request(method, path, json=body)
    what = f"{method} {path} {str(body)[:300]}"
    assert answer.status_code == status, f"{what} -> {answer.status_code} {answer.text[:300]}"
    check_silent(world, what, answer, *world.ids.values())
    return answer.json()


def _filters(world: World) -> list[dict[str, Any]]:
    every = {"pipeline": {"$exists": True}}
    filters: list[dict[str, Any]] = [
        {},
        every,
        {"pipeline": BUCKET},
        {"user": CANARY},
        {"tags": {"$elemMatch": {"$regex": "canary"}}},
        {"$or": [{"pipeline": BUCKET}, every]},
        {"$nor": [{"pipeline": "none"}]},
        {"pipeline": {"$not": {"$in": []}}},
        {"$expr": {"$eq": [1, 1]}},
        {"$expr": {"$eq": ["$pipeline", "$user"]}},
        {"organisation_id": world.server.credentials["organisation_id"]},
        {"$and": [{"organisation_id": {"$exists": False}}, every]},
    ]
    return filters + [{"id": name} for name in _names(world)]


def test_no_query_finds_a_document_of_another_organisation(world: World) -> None:
    for where in _filters(world):
        for service in ("buckets", "results"):
            count = f"/{service}/count" if service == "buckets" else f"/{service}/view/count"
            assert _ask(world, "POST", count, {"query": where}) == 0, where
            for projection in ({}, {"longshore": True, "id": True}, {"organisation_id": True}):
                for limit in (None, 0, 100):
                    view = {"query": where, "projection": projection, "limit": limit}
                    assert _ask(world, "POST", f"/{service}/view", view) == [], where


def test_no_withdrawal_takes_a_work_of_another_organisation(world: World) -> None:
    for where in _filters(world):
        for limited in ({"pipeline": BUCKET}, {"pipeline": {"$in": [BUCKET]}}):
            wanted = {"$and": [limited, where]}
            assert _ask(world, "POST", "/buckets/work/withdraw", wanted) is None, where
            assert _ask(world, "POST", "/buckets/work/withdraw?limit=50", wanted) == [], where
    leases = [{"id": name, "attempt": attempt} for name in _names(world) for attempt in (0, 1, 2)]
    told = _ask(world, "POST", "/buckets/work/renew", {"works": leases})
    assert len(told["lost"]) == len(leases)
    assert {each["reason"] for each in told["lost"]} == {"the work does not exist (any more)"}
    assert not any(each["cancelled"] for each in told["lost"])


@pytest.mark.parametrize("status", ["running", "success", "failure", "queued", "created"])
def test_no_update_reaches_a_work_of_another_organisation(world: World, status: str) -> None:
    forged = [
        {**world.bucket_held, "id": name, "status": status, "user": "forged"}
        for name in _names(world)
    ]
    told = _ask(world, "PUT", "/buckets/work", forged)
    assert told["updated"] == 0
    assert {each["code"] for each in told["refused"]} == {"not_found"}
    for each in told["refused"]:
        assert (each["state"], each["attempt"], each["holder"]) == (None, None, None)


def test_no_deletion_and_no_audit_reaches_another_organisation(world: World) -> None:
    query = "&".join(f"ids={name}" for name in _names(world))
    assert _ask(world, "DELETE", f"/buckets/work?{query}", None) is True
    for path in ("failed", "expired", "stale/0"):
        assert _ask(world, "GET", f"/buckets/audit/{path}", None) == 0
    for name in _names(world):
        answer = world.stranger.http.delete("/results/results", params={BUCKET: name})
        assert answer.status_code in (200, 404), answer.text
        check_silent(world, "delete results", answer, *world.ids.values())


@pytest.mark.parametrize("action", ["retry", "cancel", "delete"])
def test_no_action_reaches_another_organisation(world: World, action: str) -> None:
    for chosen in ({"query": {}}, {"query": {"pipeline": BUCKET}}, {"ids": _names(world)}):
        started = _ask(world, "POST", "/buckets/actions", {"action": action, **chosen}, status=202)
        world.stranger.job_done(started["id"])
        answer = world.stranger.http.get(f"/buckets/actions/{started['id']}")
        check_silent(world, f"{action} {chosen}", answer, *world.ids.values())
        assert answer.json()["state"] == "COMPLETE", answer.text
        assert answer.json()["changed"] == 0, answer.text


def test_a_bucket_and_a_result_of_the_same_name_are_apart(world: World) -> None:
    (mine,) = _ask(world, "POST", "/buckets/work?return_ids=True", [OWN])
    done = {**OWN, "id": world.ids["result"], "status": "success", "products": ["/mine"]}
    _ask(world, "POST", "/results/results", [done])
    _ask(world, "PUT", "/results/results", [{**done, "products": ["/mine", "/too"]}])
    _ask(world, "PUT", f"/buckets/settings/{BUCKET}", {"retry_pause_s": 1.0, "concurrency_max": 1})
    seen = _ask(world, "POST", "/buckets/view", {"query": {}, "projection": {"id": True}})
    assert [each["id"] for each in seen] == [mine]
    listed = _ask(world, "GET", f"/buckets/artifacts/{world.ids['result']}", None)
    assert [each["path"] for each in listed] == ["/mine", "/too"]
    withdrawn = _ask(world, "POST", "/buckets/work/withdraw", {"pipeline": BUCKET})
    assert (withdrawn["id"], withdrawn["user"]) == (mine, "stranger")
    _ask(world, "DELETE", f"/buckets/work?ids={mine}", None)
    assert world.look() == world.seen
    _ask(world, "DELETE", f"/results/results?{BUCKET}={world.ids['result']}", None)
    assert _ask(world, "POST", "/results/view/count", {"query": {}}) == 0


def test_a_worker_of_another_organisation_gets_no_work_and_no_file_of_a_bucket(
    world: World,
) -> None:
    token = world.stranger.ask(
        "POST", "/longshore/v1/keys", json={"name": "w", "role": "worker"}, expect=(201,)
    ).json()["key"]
    with httpx.Client(
        base_url=f"{world.server.url}/longshore/v1/worker/",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    ) as client:
        worker = {"name": "w", "slots": 1, "incarnation": "x" * 16, "buckets": [{"name": BUCKET}]}
        registered = client.post("register", json=worker).json()
        me, (queue,) = {"worker_id": registered["worker_id"]}, registered["queues"]
        queues = world.owner.get("/longshore/v1/queues")["queues"]
        theirs = [each["id"] for each in queues if each["surface"] == "buckets"]
        assert theirs
        assert queue not in theirs
        for where in (None, {}, {"user": CANARY}, {"id": world.ids["bucket_work"]}):
            for chosen in ([queue], [*theirs, queue], theirs):
                wanted = {**me, "queues": chosen, "limit": 9, "where": where}
                answer = client.post("claim", json=wanted)
                check_silent(world, f"claim {wanted}", answer, *world.ids.values())
                assert answer.status_code == 404 or answer.json()["works"] == [], answer.text
        _check_report_is_lost(world, client, me)
        claim = {**me, "queues": [queue], "limit": 1}
        uploaded = world.holder.ask("POST", "/longshore/v1/blobs", content=STORED, expect=(201,))
        # What is stored already is taken for what was swept away; what waits is another's for sure.
        for blob, status in (
            (world.ids["artifact_blob"], 200),
            (world.ids["blob"], 200),
            (uploaded.json()["blob_id"], 400),
        ):
            _ask(world, "POST", "/buckets/work", [OWN])
            (mine,) = client.post("claim", json=claim).json()["works"]
            _check_file_is_not_given(
                world, client, {**me, "reports": [_naming(mine, blob)]}, status
            )
            _ask(world, "DELETE", f"/buckets/work?ids={mine['work_id']}", None)


def _naming(mine: dict[str, Any], blob_id: str) -> dict[str, Any]:
    """Return a report that names a file of somebody else."""
    file = {
        "kind": "product",
        "path": "/stolen",
        "blob_id": blob_id,
        "size_bytes": len(STORED),
        "sha256": hashlib.sha256(STORED).hexdigest(),
    }
    result = {"results": None, "products": ["/stolen"], "artifacts": [file]}
    return {
        "work_id": mine["work_id"],
        "attempt": mine["attempt"],
        "outcome": "success",
        "result": result,
    }


def _check_file_is_not_given(
    world: World, client: httpx.Client, report: dict[str, Any], status: int
) -> None:
    answer = client.post("report", json=report)
    assert answer.status_code == status, answer.text
    check_silent(world, "a report with a stolen file", answer, *world.ids.values())
    (named,) = report["reports"]
    listed = _ask(world, "GET", f"/buckets/artifacts/{named['work_id']}", None)
    assert [each["blob_id"] for each in listed] == [None] * (status == 200)
    for file in named["result"]["artifacts"]:
        path = f"/longshore/v1/blobs/{file['blob_id']}"
        assert world.stranger.http.get(path).status_code == 404


def _check_report_is_lost(world: World, client: httpx.Client, me: dict[str, str]) -> None:
    held = {"work_id": world.bucket_held["id"], "attempt": world.bucket_held["attempt"]}
    result = {"results": {"forged": True}, "products": ["forged"]}
    report = {**held, "outcome": "success", "result": result}
    answer = client.post("report", json={**me, "reports": [report]})
    check_silent(world, "a report on another's work", answer, *world.ids.values())
    (lost,) = answer.json()["lost"]
    assert (lost["work_id"], lost["cancelled"]) == (held["work_id"], False)
    answer = client.post("renew", json={**me, "leases": [list(held.values())]})
    check_silent(world, "a renewal of another's work", answer, *world.ids.values())
    assert [each["work_id"] for each in answer.json()["lost"]] == [held["work_id"]]

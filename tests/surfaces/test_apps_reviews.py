"""Reviews of results: what needs a person, corrections, acceptance, and what results then show."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, delete, select

from longshore import limits
from longshore.access import Role
from longshore.surfaces.apps.review_tables import review_changes, reviews
from longshore.wire.payloads import AppDocument, AppField, AppPayload, AppResult
from tests.surfaces.apps_rig import Platform
from tests.unit.serving import bearer

API = "/longshore/v1/apps/reviews"
ALL = {
    "include_review_results": True,
    "include_validation_results": True,
    "include_confidence_scores": True,
}


async def ask(
    client: httpx.AsyncClient, method: str, path: str, expect: int = 200, **body: Any
) -> dict[str, Any]:
    sent = {"json": body} if method == "POST" and body else {}
    answer = await client.request(method, f"{API}{path}", **sent)  # type: ignore[arg-type]
    assert answer.status_code == expect, answer.text
    found: dict[str, Any] = answer.json()
    return found


def person(apps: Platform, name: str, role: Role = Role.OPERATOR) -> httpx.AsyncClient:
    """Return the client of somebody else in the organisation."""
    token = apps.served.token(role)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(apps.served.app),
        base_url="http://test",
        headers={**bearer(token), "X-Who": name},
    )


def doubtful(payload: AppPayload) -> AppResult:
    """Return one document that is fine, one that the app is unsure of, and one that it points out."""
    return AppResult(
        documents=[
            AppDocument(fields=[AppField(name="total", value="9.00", confidence=0.99)]),
            AppDocument(
                fields=[
                    AppField(name="total", value="12.00", confidence=0.4),
                    AppField(name="item", value="tea", confidence=0.9, ocr_confidence=0.3),
                    AppField(name="item", value="cake"),
                ],
                class_name="receipt",
            ),
            AppDocument(fields=[AppField(name="total", value="1.00")], review="it looks forged"),
        ],
        review_below=0.6,
    )


async def results(apps: Platform, run_id: str) -> dict[str, Any]:
    return await apps.get(f"/apps/runs/{run_id}/results", **ALL)


async def test_what_needs_a_person_is_listed_with_why(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    found = await ask(apps.client, "GET", "")
    assert [(each["document"], each["state"], each["version"]) for each in found["reviews"]] == [
        ("0-1", "needs_review", 1),
        ("0-2", "needs_review", 1),
    ]
    assert found["reviews"][0]["reasons"] == [
        "total: the app is 40% sure, below 60%",
        "item: the text recognition is 30% sure, below 60%",
    ]
    assert found["reviews"][1]["reasons"] == ["it looks forged"]
    assert {each["run_id"] for each in found["reviews"]} == {run_id}
    assert found["next"] is None
    first = await ask(apps.client, "GET", "?limit=1")
    rest = await ask(apps.client, "GET", f"?limit=1&after={first['next']}")
    assert [each["document"] for each in (*first["reviews"], *rest["reviews"])] == ["0-1", "0-2"]
    for wrong in ("?state=done", "?limit=0", "?after=-1"):
        await ask(apps.client, "GET", wrong, 400)
    assert (await ask(apps.client, "GET", "?app=Other"))["reviews"] == []


async def test_a_correction_is_what_results_show_and_the_original_is_kept(
    apps: Platform,
) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    before = await results(apps, run_id)
    assert before["review_completed"] is False
    path = f"/{run_id}/0-1"
    corrections = [{"field": "total", "value": "12.50"}, {"field": 2, "value": None}]
    told = await ask(
        apps.client,
        "POST",
        f"{path}/correct",
        version=1,
        corrections=corrections,
        class_name="bill",
        reason="the ink is pale",
    )
    assert (told["state"], told["version"], told["class_name"]) == ("in_review", 2, "bill")
    fields = [(each["value"], each["original"], each["corrected"]) for each in told["fields"]]
    assert fields == [("12.50", "12.00", True), ("tea", "tea", False), (None, "cake", True)]
    assert [(each["kind"], each["previous"], each["value"]) for each in told["history"]] == [
        ("field", "12.00", "12.50"),
        ("field", "cake", None),
        ("class", "receipt", "bill"),
    ]
    shown = (await results(apps, run_id))["files"][0]["documents"][1]
    assert shown["class_name"] == "bill"
    assert shown["review_completed"] is False
    total = shown["fields"][0]
    assert (total["value"], total["original_value"], total["corrected"]) == ("12.50", "12.00", True)
    edit = total["edit_history"][0]
    assert edit["modifications"] == [
        {"message": 'Value changed from "12.00" to "12.50": the ink is pale'}
    ]
    assert shown["class_edit_history"][0]["user_id"] == edit["user_id"]
    plain = await apps.get(f"/apps/runs/{run_id}/results")
    assert plain["files"][0]["documents"][1]["fields"][0] == {
        "field_name": "total",
        "value": "12.50",
        "type": "TEXT",
        "error_msg": None,
    }
    again = await ask(
        apps.client, "POST", f"{path}/correct", version=2,
        corrections=[{"field": 0, "value": "12.60"}],
    )  # fmt: skip
    assert again["fields"][0]["original"] == "12.00"
    assert again["history"][-1]["previous"] == "12.50"


async def test_a_run_is_reviewed_when_all_its_documents_are_accepted(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    accepted = await ask(
        apps.client, "POST", f"/{run_id}/0-1/accept", version=1,
        corrections=[{"field": "total", "value": "7.00"}],
    )  # fmt: skip
    assert (accepted["state"], accepted["version"]) == ("accepted", 2)
    shown = await results(apps, run_id)
    document = shown["files"][0]["documents"][1]
    assert (document["review_completed"], document["review_state"]) == (True, "accepted")
    assert document["validations"] == {"final_result_pass": True}
    assert shown["review_completed"] is False
    await ask(apps.client, "POST", f"/{run_id}/0-2/accept", version=1)
    assert (await results(apps, run_id))["review_completed"] is True
    assert (await ask(apps.client, "GET", ""))["reviews"] == []
    done = await ask(apps.client, "GET", "?state=accepted")
    assert [each["document"] for each in done["reviews"]] == ["0-1", "0-2"]
    told = await ask(apps.client, "POST", f"/{run_id}/0-1/accept", 409, version=2)
    assert "was accepted by" in told["detail"]


async def test_a_document_is_reopened_only_for_a_reason(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    fine = f"/{run_id}/0-0"
    told = await ask(apps.client, "POST", f"{fine}/correct", 409, version=0, class_name="x")
    assert "needs no review" in told["detail"]
    await ask(apps.client, "POST", f"{fine}/reopen", 400, version=0)
    await ask(apps.client, "POST", f"{fine}/reopen", 400, version=0, reason="")
    opened = await ask(apps.client, "POST", f"{fine}/reopen", version=0, reason="a sample")
    assert (opened["state"], opened["version"]) == ("needs_review", 1)
    await ask(apps.client, "POST", f"{fine}/reopen", 409, version=1, reason="twice")
    await ask(apps.client, "POST", f"{fine}/accept", version=1)
    again = await ask(apps.client, "POST", f"{fine}/reopen", version=2, reason="a doubt")
    assert (again["state"], again["accepted_by"]) == ("needs_review", None)
    assert [each["kind"] for each in again["history"]] == ["reopen", "accept", "reopen"]
    assert (await results(apps, run_id))["review_completed"] is False


async def test_two_reviewers_do_not_collide(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    path = f"/{run_id}/0-1"
    first, second = person(apps, "first"), person(apps, "second")
    taken = await ask(first, "POST", f"{path}/begin")
    assert (taken["state"], taken["version"]) == ("in_review", 1)
    change: dict[str, Any] = {"version": 1, "corrections": [{"field": 0, "value": "2"}]}
    for what in ("begin", "release"):
        told = await ask(second, "POST", f"{path}/{what}", 409)
        assert "reviews document 0-1" in told["detail"]
    for what in ("correct", "accept"):
        await ask(second, "POST", f"{path}/{what}", 409, **change)
    assert (await ask(second, "GET", "?state=in_review"))["reviews"][0]["document"] == "0-1"
    await ask(first, "POST", f"{path}/release")
    await ask(second, "POST", f"{path}/correct", **change)
    apps.clock.advance(limits.REVIEW_LEASE_S + 1)
    # The lease is over, but what the first one saw is not what there is now.
    stale = await ask(first, "POST", f"{path}/correct", 409, **change)
    assert "was changed since you saw it" in stale["detail"]
    assert (await ask(first, "GET", path))["fields"][0]["value"] == "2"
    await ask(first, "POST", f"{path}/correct", **{**change, "version": 2})
    await first.aclose()
    await second.aclose()


UNUSABLE: list[tuple[dict[str, Any], int]] = [
    ({}, 400),
    ({"version": 1}, 400),
    ({"version": "x", "corrections": []}, 400),
    ({"version": 1, "corrections": [{"field": "none", "value": "1"}]}, 404),
    ({"version": 1, "corrections": [{"field": 99, "value": "1"}]}, 404),
    ({"version": 1, "corrections": [{"field": "item", "value": "1"}]}, 400),
    ({"version": 1, "corrections": [{"field": 0, "value": "1"}] * 2}, 400),
    ({"version": 1, "corrections": [{"field": 0, "value": 12}]}, 400),
    ({"version": 1, "corrections": [{"field": 0, "value": "a\0b"}]}, 400),
    ({"version": 1, "corrections": [{"field": 0, "value": "x" * 20_001}]}, 400),
    ({"version": 1, "class_name": ""}, 400),
    ({"version": 1, "class_name": "a", "reason": "x" * 501}, 400),
    ({"version": 1, "class_name": "a", "unknown": 1}, 400),
]


async def test_what_cannot_be_used_changes_nothing(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    before = await ask(apps.client, "GET", f"/{run_id}/0-1")
    for body, status in UNUSABLE:
        answer = await apps.client.post(f"{API}/{run_id}/0-1/correct", json=body)
        assert answer.status_code == status, (body, answer.text)
    assert await ask(apps.client, "GET", f"/{run_id}/0-1") == before


async def test_a_document_may_be_changed_only_so_often(
    apps: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REVIEW_CHANGES", 3)
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    path = f"/{run_id}/0-1/correct"
    await ask(apps.client, "POST", path, version=1, corrections=[{"field": 0, "value": "2"}])
    told = await ask(
        apps.client, "POST", path, 413, version=2, corrections=[{"field": 0, "value": "3"}]
    )
    assert "changed 1 times" in told["detail"]


async def test_a_document_that_is_not_there_is_not_found(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    for name in ("9-0", "0-9", "x", "0-00", "-1-0", "0-0-0", "9999999-0"):
        await ask(apps.client, "GET", f"/{run_id}/{name}", 404)


async def test_a_run_that_goes_on_is_not_reviewed(apps: Platform) -> None:
    apps.offer("1.0.0")
    batch_id = await apps.batch("a.jpg", "b.jpg")
    run_id = (await apps.start(batch_id=batch_id))["id"]
    apps.work(doubtful, limit=1)
    assert (await ask(apps.client, "GET", f"/{run_id}/0-1"))["state"] == "needs_review"
    told = await ask(apps.client, "POST", f"/{run_id}/0-1/begin", 409)
    assert "is not finished" in told["detail"]


async def test_roles_workspaces_and_organisations(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    viewer = person(apps, "viewer", Role.VIEWER)
    await ask(viewer, "GET", f"/{run_id}/0-1")
    for what in ("begin", "release", "correct", "accept", "reopen"):
        await ask(viewer, "POST", f"/{run_id}/0-1/{what}", 403, version=1)
    await viewer.aclose()
    async with await apps.other() as other:
        assert (await ask(other, "GET", ""))["reviews"] == []
        strange = await ask(other, "GET", f"/{run_id}/0-1", 404)
        unknown = await ask(other, "GET", "/rn_unknown/0-1", 404)
        assert strange["detail"].replace(run_id, "rn_unknown") == unknown["detail"]
        await ask(other, "POST", f"/{run_id}/0-1/begin", 404)
        await ask(other, "POST", f"/{run_id}/0-1/accept", 404, version=1)


async def test_reviews_are_audited_without_values(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    await ask(
        apps.client, "POST", f"/{run_id}/0-1/accept", version=1,
        corrections=[{"field": "total", "value": "secret-12"}], reason="pale ink",
    )  # fmt: skip
    log = (await apps.client.get("/longshore/v1/audit")).json()["entries"]
    entry = next(each for each in log if each["action"] == "reviews.accept")
    assert entry["target"] == f"{run_id}/0-1"
    assert entry["detail"] == {"fields": ["total"], "reason": "pale ink"}
    assert "secret-12" not in json.dumps(log)


async def test_reviews_go_with_their_run(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    await ask(apps.client, "POST", f"/{run_id}/0-1/accept", version=1, class_name="x")
    answer = await apps.client.delete(f"/api/v2/apps/runs/{run_id}")
    assert answer.status_code == 202
    for table in (review_changes, reviews):
        assert not apps.database.read_blocking(Connection.execute, select(table)).all()
    await ask(apps.client, "GET", f"/{run_id}/0-1", 404)


async def test_secrets_do_not_get_into_corrections(apps: Platform) -> None:
    apps.offer("1.0.0")
    answer = await apps.client.put(
        "/longshore/v1/keystore/entries/vault", json={"value": "hunter2-hunter2"}
    )
    assert answer.status_code < 300, answer.text
    run_id = await apps.finished("a.jpg", worker=doubtful)
    told = await ask(
        apps.client, "POST", f"/{run_id}/0-1/correct", version=1,
        corrections=[{"field": 0, "value": "a hunter2-hunter2 b"}], reason="hunter2-hunter2",
    )  # fmt: skip
    assert told["fields"][0]["value"] == "a ***vault*** b"
    assert told["history"][0]["reason"] == "***vault***"


async def test_runs_of_before_there_were_reviews_get_them(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    apps.database.write_blocking(Connection.execute, delete(reviews))
    assert (await results(apps, run_id))["files"][0]["documents"][1]["review_completed"] is False
    assert apps.sweep()["reviews"] == 1
    assert apps.sweep()["reviews"] == 0
    found = await ask(apps.client, "GET", "")
    assert [each["document"] for each in found["reviews"]] == ["0-1", "0-2"]


async def test_the_same_request_again_gets_the_same_answer(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", worker=doubtful)
    headers = {"Idempotency-Key": "once"}
    body = {"version": 1, "class_name": "bill"}
    url = f"{API}/{run_id}/0-1/accept"
    first = await apps.client.post(url, json=body, headers=headers)
    again = await apps.client.post(url, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()

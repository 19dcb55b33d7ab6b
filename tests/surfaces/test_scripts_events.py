"""Events: what they start, once for each key, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.access import Role
from longshore.access.tables import audit
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.scripts.tables import scripts_events, scripts_runs
from tests.surfaces import collector_rig as rig
from tests.surfaces.scripts_rig import Scripts, scripts_of
from tests.unit.serving import bearer

ORDERS = """
workflow: orders
triggers:
  events:
    - name: Order.Placed
      parallel: 2
      priority: 7
      stop_on_error: true
    - name: order-changed
steps:
  extract: {script: extract.py, host: host1}
  Load: {script: load.py, host: host1, depends_on: [extract], area: second}
"""


@pytest.fixture
async def scripts(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Scripts]:
    async with scripts_of(database, tmp_path, clock) as made:
        await made.serve("host1")
        await made.call("POST", "/workflows", body={"text": ORDERS})
        yield made


async def post(
    scripts: Scripts,
    payload: Any = None,
    *,
    name: str = "Order.Placed",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> httpx.Response:
    body = {"eventName": name, "payload": payload, **more}
    return await rig.send(scripts.served, "POST", "/rtevent", headers=headers, body=body)


async def status(scripts: Scripts, run_id: int) -> dict[str, Any]:
    told: dict[str, Any] = await scripts.call("GET", f"/rtevent/status/{run_id}")
    return told


async def test_an_event_starts_a_run_whose_steps_read_its_payload(scripts: Scripts) -> None:
    answer = await post(scripts, {"order": 17}, eventSource="shop")
    assert answer.status_code == 201
    made = answer.json()
    assert set(made) == {"eventId", "actionId", "createdAt"}
    assert (made["eventId"], made["actionId"], made["createdAt"]) == (
        1, 1, "2023-11-14T22:13:20.000Z",
    )  # fmt: skip
    (held,) = await scripts.claim("host1")
    assert (held.payload.run_id, held.payload.action) == (made["actionId"], True)
    assert held.payload.business_date == "2023-11-14"
    token = await scripts.token(held)
    read = await rig.send(scripts.served, "GET", f"/rtevent/{made['actionId']}", headers=token)
    assert read.json() == {"actionId": made["actionId"], "payload": {"order": 17}}


async def test_the_status_follows_the_run_to_its_end(scripts: Scripts) -> None:
    run_id = (await post(scripts)).json()["actionId"]
    told = await status(scripts, run_id)
    assert {name: told[name] for name in ("eventId", "eventName", "workflow", "version")} == {
        "eventId": 1, "eventName": "Order.Placed", "workflow": "orders", "version": 1,
    }  # fmt: skip
    assert (told["status"], told["finishedAt"]) == ("running", None)
    seen = []
    for _ in range(2):
        told = await status(scripts, run_id)
        seen.append([(each["stepname"], each["status"]) for each in told["steps"]])
        (held,) = await scripts.claim("host1")
        told = await status(scripts, run_id)
        assert "running" in [each["status"] for each in told["steps"]]
        await scripts.report("host1", held)
    assert seen == [
        [("extract", "ready"), ("Load", "waiting")],
        [("extract", "finished"), ("Load", "ready")],
    ]
    told = await status(scripts, run_id)
    assert told["status"] == "finished"
    assert told["finishedAt"] is not None
    assert [(each["status"], each["exitCode"]) for each in told["steps"]] == [("finished", 0)] * 2


async def test_names_are_in_any_case_and_unknown_ones_are_answered_with_near_ones(
    scripts: Scripts,
) -> None:
    assert (await post(scripts, name="ORDER.placed")).status_code == 201
    unknown = await post(scripts, name="order.place")
    assert unknown.status_code == 404
    assert "Did you mean 'Order.Placed'" in unknown.json()["detail"]
    assert unknown.json()["details"]["near"][0] == "Order.Placed"
    other = bearer(scripts.served.other_organisation()[1])
    foreign = await post(scripts, headers=other)
    assert foreign.status_code == 404
    assert "near" not in foreign.text or foreign.json()["details"]["near"] == []
    assert rig.rows(scripts.database, scripts_events, scripts_runs) == [1, 1]


async def test_an_event_that_is_sent_again_with_its_key_is_the_same(
    scripts: Scripts, clock: ManualClock
) -> None:
    payload = {"order": 17, "lines": [1, {"b": 2, "a": 1}]}
    first = await post(scripts, payload, idempotencyKey="o-17", eventSource="shop")
    assert "idempotency-replayed" not in first.headers
    clock.advance(100 * 86_400)
    same = {"lines": [1, {"a": 1, "b": 2}], "order": 17}
    again = [
        await post(scripts, same, idempotencyKey="o-17", eventSource="shop"),
        await post(scripts, same, headers={"Idempotency-Key": "o-17"}, eventSource="shop"),
        await post(scripts, same, name="order.placed", idempotencyKey="o-17", eventSource="shop"),
    ]
    for answer in again:
        assert (answer.status_code, answer.json()) == (201, first.json())
        assert answer.headers["idempotency-replayed"] == "true"
    assert rig.rows(scripts.database, scripts_events, scripts_runs) == [1, 1]


async def test_a_key_with_another_body_is_a_conflict(scripts: Scripts) -> None:
    first = (await post(scripts, {"order": 17}, idempotencyKey="o-17")).json()
    for answer in (
        await post(scripts, {"order": 18}, idempotencyKey="o-17"),
        await post(scripts, {"order": 17}, idempotencyKey="o-17", eventSource="shop"),
        await post(scripts, {"order": 17.5}, idempotencyKey="o-17"),
        await post(scripts, None, idempotencyKey="o-17"),
    ):
        assert answer.status_code == 409
        assert answer.json()["code"] == "idempotency_conflict"
        assert answer.json()["details"]["actionId"] == first["actionId"]
    # A key belongs to the name of its event, and an event without a key is always another one.
    others = [
        await post(scripts, {"order": 17}, name="order-changed", idempotencyKey="o-17"),
        await post(scripts, {"order": 17}),
        await post(scripts, {"order": 17}),
    ]
    assert rig.statuses(others) == [201, 201, 201]
    assert rig.rows(scripts.database, scripts_events, scripts_runs) == [4, 4]


async def test_an_event_is_the_same_also_when_its_name_starts_nothing_any_more(
    scripts: Scripts,
) -> None:
    first = await post(scripts, 1, idempotencyKey="o-17")
    without = ORDERS.replace("Order.Placed", "order-ordered")
    await scripts.call("POST", "/workflows", body={"text": without})
    again = await post(scripts, 1, idempotencyKey="o-17")
    assert (again.status_code, again.json()) == (201, first.json())
    assert (await post(scripts, 2, idempotencyKey="o-17")).status_code == 409
    assert (await post(scripts, 1, idempotencyKey="o-18")).status_code == 404


async def test_of_many_with_one_key_at_once_one_starts_a_run(scripts: Scripts) -> None:
    answers = await asyncio.gather(
        *[post(scripts, {"order": 17}, idempotencyKey="o-17") for _ in range(20)]
    )
    assert rig.statuses(answers) == [201] * 20
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
    differing = await asyncio.gather(
        *[post(scripts, number % 2, idempotencyKey="race") for number in range(20)]
    )
    found = rig.statuses(differing)
    assert (found.count(201), found.count(409)) == (10, 10)
    assert rig.rows(scripts.database, scripts_events, scripts_runs) == [2, 2]


async def test_keys_and_sources_that_cannot_be_kept_are_refused(scripts: Scripts) -> None:
    for more, expected in (
        ({"idempotencyKey": ""}, 400),
        ({"idempotencyKey": " "}, 400),
        ({"idempotencyKey": "a\nb"}, 400),
        ({"idempotencyKey": 5}, 400),
        ({"idempotencyKey": "x" * (limits.IDEMPOTENCY_KEY_CHARACTERS + 1)}, 413),
        ({"eventSource": "x" * 129}, 413),
        ({"eventSource": ""}, 400),
        ({"idempotencykey": "a"}, 400),
        ({"name": ""}, 404),
        ({"name": "x" * 100_000}, 404),
        ({"name": None}, 400),
        ({"payload": "x" * limits.STEP_PAYLOAD_BYTES}, 413),
        ({"idempotencyKey": "a", "headers": {"Idempotency-Key": "b"}}, 400),
    ):
        answer = await post(scripts, **more)
        assert answer.status_code == expected, (more, answer.text[:300])
    for text in ("no json", '{"eventName": "Order.Placed", "payload": NaN}', "[1]", ""):
        answer = await scripts.client.post("/coreauto/v1/rtevent", content=text.encode())
        assert answer.status_code == 400, text
    assert rig.rows(scripts.database, scripts_events, scripts_runs) == [0, 0]


async def test_programs_outside_send_events_and_look_at_them_and_nothing_else(
    scripts: Scripts,
) -> None:
    ingress = bearer(scripts.served.token(Role.INGRESS))
    run_id = (await post(scripts, headers=ingress)).json()["actionId"]
    for path, expected in (
        (f"/rtevent/status/{run_id}", 200),
        ("/rtevent/list", 200),
        (f"/rtevent/{run_id}", 403),
        (f"/rtstep/payload/{run_id}/extract", 403),
        ("/flag", 403),
        ("/workflows", 403),
        ("/runs", 403),
    ):
        answer = await rig.send(scripts.served, "GET", path, headers=ingress)
        assert answer.status_code == expected, path
    for path in ("/longshore/v1/queues", "/longshore/v1/keys", "/buckets/work", "/metrics"):
        assert (await scripts.client.get(path, headers=ingress)).status_code in (403, 405), path
    viewer = bearer(scripts.served.token(Role.VIEWER))
    assert (await post(scripts, headers=viewer)).status_code == 403
    assert (await post(scripts, headers={"Authorization": ""})).status_code == 401


async def test_a_step_may_send_events(scripts: Scripts) -> None:
    await post(scripts)
    (held,) = await scripts.claim("host1")
    token = await scripts.token(held)
    sent = await post(scripts, 1, name="order-changed", headers=token)
    assert sent.status_code == 201
    run = await scripts.call("GET", f"/runs/{sent.json()['actionId']}")
    assert run["started_by"] == "step extract of run 1"
    assert (
        await rig.send(
            scripts.served, "GET", f"/rtevent/status/{sent.json()['actionId']}", headers=token
        )
    ).status_code == 404


async def test_the_list_has_the_limits_and_the_counts_of_each_event(scripts: Scripts) -> None:
    for _ in range(3):
        await post(scripts)
    (held, _) = await scripts.claim("host1")
    await scripts.report("host1", held, outcome="failure", exit_code=1)
    listed = (await scripts.call("GET", "/rtevent/list"))["events"]
    assert listed == [
        {
            "eventName": "order-changed", "workflow": "orders", "parallel": 1, "priority": 100,
            "errormode": 0,
            "counts": {"pending": 0, "running": 0, "finished": 0, "failed": 0, "cancelled": 0},
        },
        {
            "eventName": "Order.Placed", "workflow": "orders", "parallel": 2, "priority": 7,
            "errormode": 1,
            "counts": {"pending": 1, "running": 1, "finished": 0, "failed": 1, "cancelled": 0},
        },
    ]  # fmt: skip
    other = bearer(scripts.served.other_organisation()[1])
    assert await scripts.call("GET", "/rtevent/list", headers=other) == {"events": []}


async def test_the_environment_is_the_organisation_in_any_case(scripts: Scripts) -> None:
    run_id = (await post(scripts, 1, headers={"Environment": "LOCAL"})).json()["actionId"]
    scripts.served.other_organisation()
    refused = [
        await rig.send(scripts.served, method, path, headers={"Environment": name}, body=body)
        for name in ("other", "nowhere")
        for method, path, body in (
            ("POST", "/rtevent", {"eventName": "Order.Placed", "payload": 1}),
            ("GET", f"/rtevent/{run_id}", None),
            ("GET", "/rtevent/list", None),
            ("GET", f"/rtevent/status/{run_id}", None),
            ("GET", "/flag", None),
            ("GET", "/workflows", None),
            ("GET", "/runs", None),
        )
    ]
    assert set(rig.statuses(refused)) == {404}
    details = {answer.json()["detail"].replace("nowhere", "other") for answer in refused}
    assert len(details) == 1
    assert "no environment 'other'" in details.pop()
    assert rig.rows(scripts.database, scripts_events) == [1]


async def test_each_accepted_event_is_audited(scripts: Scripts) -> None:
    await post(scripts, {"secret": "hunter2"}, idempotencyKey="o-17")
    found = scripts.database.read_blocking(
        lambda connection: connection.execute(
            audit.select().where(audit.c.action == "events.post")
        ).all()
    )
    assert [row.target for row in found] == ["1"]
    assert "o-17" in found[0].detail
    assert "hunter2" not in found[0].detail

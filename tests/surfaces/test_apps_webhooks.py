"""Being told when a run ends: a delivery from the run's start until it is taken or given up."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Table, func, select

from longshore.access.tables import audit
from longshore.edge import webhooks
from longshore.edge.jobs import JOB_MEMORY_S
from longshore.edge.outbound import Outbound
from longshore.engine import insights, janitor
from longshore.engine import tables as engine_tables
from longshore.engine.works import State
from longshore.storage import metadata
from longshore.webhooks import verify
from longshore.wire.payloads import AppPayload
from tests.surfaces.apps_rig import APP, OWNER, Answer, Platform
from tests.surfaces.webhooks_rig import (
    DEADLINE_S,
    SECRET,
    a_server,
    again,
    ended,
    hook,
    settled,
    state,
    until,
)
from tests.unit.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(autouse=True)
def allowed(apps: Platform) -> None:
    networks = [ipaddress.ip_network("127.0.0.0/8")]
    apps.served.context.outbound = Outbound(networks, limit_s=5)


def spoiled(_payload: AppPayload) -> Answer:
    return ValueError("not an image")


def rows_naming(apps: Platform, text: str) -> dict[str, int]:
    """Return where in the database a text is found: rows by table."""

    def search(connection: Connection) -> dict[str, int]:
        found = {}
        for table in metadata.sorted_tables:
            hits = [row for row in connection.execute(select(table)) if text in str(tuple(row))]
            found[table.name] = len(hits)
        return {name: count for name, count in found.items() if count}

    return apps.database.read_blocking(search)


async def test_the_end_of_a_run_is_told_with_the_headers_that_were_given(
    apps: Platform, receiver: Receiver
) -> None:
    run = await ended(apps, hook(receiver, **{"X-Token": SECRET, "content-type": "text/json"}))
    job_id = run["webhook_job_id"]
    assert (await apps.job(job_id))["state"] == "PENDING"

    async with a_server(apps):
        await settled(apps, job_id, 1)

    [got] = receiver.requests
    assert got.path == f"/hook?token={SECRET}"
    assert json.loads(got.body) == {
        "status": "OK",
        "job_id": run["id"],
        "input_dir": run["input_dir"],
        "output": run["output_dir"],
    }
    assert got.headers["x-token"] == SECRET
    assert got.headers["content-type"] == "text/json"
    assert got.headers["webhook-id"] == job_id
    # Signed with what an admin of the organisation can read.
    answer = await apps.client.get("/longshore/v1/webhooks/secret")
    assert answer.headers["cache-control"] == "no-store"
    message = verify(got.headers, got.body, answer.json()["secret"], clock=apps.clock)
    assert message.id == job_id
    assert got.headers["webhook-timestamp"] == str(apps.clock.now_us() // 1_000_000)
    assert await apps.job(job_id) == {
        "state": "COMPLETE",
        "message": "Delivered; the answer was 200.",
        "rows": None,
        "objects": None,
        "bytes": None,
    }


async def test_a_run_that_failed_or_was_cancelled_is_told_as_an_error(
    apps: Platform, receiver: Receiver
) -> None:
    failed = await ended(apps, hook(receiver), worker=spoiled)
    batch_id = await apps.batch("a.jpg")
    cancelled = await apps.start(batch_id=batch_id, settings=hook(receiver))
    await apps.client.post(f"/api/v2/apps/runs/{cancelled['id']}/cancel")

    async with a_server(apps):
        await until(lambda: len(receiver.requests) == 2)

    told = {body["job_id"]: body for body in (json.loads(got.body) for got in receiver.requests)}
    assert told[failed["id"]]["status"] == "ERROR"
    assert told[failed["id"]]["msg"] == failed["msg"]
    assert "not an image" in failed["msg"]
    assert told[cancelled["id"]]["status"] == "ERROR"
    assert told[cancelled["id"]]["msg"] == "0 of 1 files done, 1 cancelled"


async def test_a_run_without_a_webhook_delivers_nothing(apps: Platform) -> None:
    absent: list[dict[str, Any]] = [{}, {"webhook_config": None}, {"webhook_config": {}}]
    for settings in absent:
        run = await ended(apps, settings)
        assert run["webhook_job_id"] is None
        assert apps.job_leases() == []


async def test_a_delivery_that_is_not_taken_is_repeated_after_a_growing_pause(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = [500, "redirect", 200]
    run = await ended(apps, hook(receiver))
    job_id = run["webhook_job_id"]

    async with a_server(apps):
        first = await settled(apps, job_id, 1)
        pause_s = ((first.retry_us or 0) - apps.clock.now_us()) / 1e6
        assert webhooks.BACKOFF_S / 2 <= pause_s <= webhooks.BACKOFF_S
        job = await apps.job(job_id)
        assert (job["state"], job["message"][:26]) == ("PENDING", "The receiver answered 500,")
        await again(apps, job_id)
        second = await settled(apps, job_id, 2)
        pause_s = ((second.retry_us or 0) - apps.clock.now_us()) / 1e6
        assert webhooks.BACKOFF_S <= pause_s <= webhooks.BACKOFF_S * 2
        assert "Redirects are not followed" in (await apps.job(job_id))["message"]
        await again(apps, job_id)
        assert (await settled(apps, job_id, 3)).state is State.SUCCESS

    assert [got.headers["webhook-id"] for got in receiver.requests] == [job_id] * 3
    times = [int(got.headers["webhook-timestamp"]) for got in receiver.requests]
    assert times == sorted(set(times))
    assert len({got.body for got in receiver.requests}) == 1


async def test_a_delivery_that_nobody_takes_fails_and_says_why(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = [404] * 20
    run = await ended(apps, hook(receiver))
    job_id = run["webhook_job_id"]

    async with a_server(apps):
        for attempt in range(1, 8):
            assert (await settled(apps, job_id, attempt)).retry_us is not None
            await again(apps, job_id)
        last = await settled(apps, job_id, 8)

    assert (last.state, last.retry_us) == (State.FAILURE, None)
    assert len(receiver.requests) == 8
    job = await apps.job(job_id)
    assert job["state"] == "FAILED"
    assert "answered 404" in job["message"]
    why = (await apps.client.get(f"/longshore/v1/works/{job_id}/why")).json()
    assert "answered 404" in why["text"]
    assert "All 8 attempts are used up" in why["text"]
    assert (await apps.get(f"/apps/runs/{run['id']}"))["status"] == "COMPLETE"


async def test_a_receiver_that_hangs_is_given_up_and_one_that_talks_on_is_not(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = ["hang", "huge"]
    networks = apps.served.context.outbound.allowed
    apps.served.context.outbound = Outbound(networks, limit_s=0.3)
    run = await ended(apps, hook(receiver))
    job_id = run["webhook_job_id"]

    async with a_server(apps):
        await settled(apps, job_id, 1)
        told = (await apps.job(job_id))["message"]
        assert told == "127.0.0.1 did not answer within 0.3 s."
        await again(apps, job_id)
        assert (await settled(apps, job_id, 2)).state is State.SUCCESS


async def test_a_delivery_survives_a_stop_and_a_crash_in_its_middle(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = ["hang"]
    run = await ended(apps, hook(receiver))
    job_id = run["webhook_job_id"]

    # A server that stops hands it back.
    async with a_server(apps):
        await asyncio.to_thread(receiver.arrived.wait, DEADLINE_S)
    assert state(apps, job_id).state is State.QUEUED
    # One that is killed keeps the lease until it ends.
    [lease] = apps.job_leases()
    assert (lease.id, lease.attempt) == (job_id, 2)
    apps.clock.advance(61)
    await apps.database.write(janitor.tidy)
    await apps.database.write(janitor.tidy)
    async with a_server(apps):
        assert (await settled(apps, job_id, 3)).state is State.SUCCESS

    assert [got.headers["webhook-id"] for got in receiver.requests] == [job_id] * 2


async def test_hanging_deliveries_leave_room_for_other_jobs(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = ["hang"] * 4
    for _ in range(4):
        await apps.start(batch_id=await apps.batch("a.jpg"), settings=hook(receiver))
    apps.work()

    async with a_server(apps):
        await until(lambda: len(receiver.requests) == webhooks.CONCURRENCY)
        run_id = (await apps.start(batch_id=await apps.batch("b.jpg")))["id"]
        apps.work()
        await until(
            lambda: (
                apps.database.read_blocking(insights.state_counts).get(("system", "success")) == 5
            )
        )
        assert (await apps.get(f"/apps/runs/{run_id}"))["status"] == "COMPLETE"
        assert len(receiver.requests) == webhooks.CONCURRENCY


async def test_a_deleted_run_is_still_told_and_then_nothing_is_left(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = [500]
    run = await ended(apps, hook(receiver))
    job_id = run["webhook_job_id"]
    async with a_server(apps):
        await settled(apps, job_id, 1)
        deleted = await apps.client.delete(f"/api/v2/apps/runs/{run['id']}")
        assert deleted.status_code == 202
        await apps.get(f"/apps/runs/{run['id']}", 404)
        await again(apps, job_id)
        await until(lambda: len(receiver.requests) == 2)
        await until(lambda: rows_naming(apps, SECRET) == {})
        await until(lambda: not due(apps))

    assert json.loads(receiver.requests[1].body)["job_id"] == run["id"]
    await apps.get(f"/jobs/{job_id}", 404)
    # What is left are the jobs that did it; they go when their memory ends.
    apps.clock.advance(JOB_MEMORY_S + 90_000)
    apps.database.write_blocking(janitor.retain)
    apps.sweep()
    for table in (engine_tables.works, engine_tables.payloads, engine_tables.dependencies):
        assert count(apps, table) == 0
    assert rows_naming(apps, job_id) == {}


async def test_a_delivery_that_is_over_goes_with_its_run(
    apps: Platform, receiver: Receiver
) -> None:
    run = await ended(apps, hook(receiver))
    async with a_server(apps):
        await settled(apps, run["webhook_job_id"], 1)
    assert set(rows_naming(apps, SECRET)) == {"app_runs", "payloads"}

    deleted = await apps.client.delete(
        f"/api/v2/apps/runs/{run['id']}",
        params={"delete_input": False, "delete_output": False, "delete_logs": False},
    )

    assert deleted.status_code == 202
    assert rows_naming(apps, SECRET) == {}
    assert rows_naming(apps, run["webhook_job_id"]) == {}


async def test_a_deployments_webhook_is_told_unless_the_run_has_its_own(
    apps: Platform, receiver: Receiver
) -> None:
    own = {"webhook_config": {"url": f"http://127.0.0.1:{receiver.port}/own"}}
    made = await apps.client.post(
        "/api/v2/apps/deployments",
        json={"name": "d", "app_name": APP, "owner": OWNER, "settings": hook(receiver)},
    )
    assert made.status_code == 201, made.text
    path = f"/api/v2/apps/deployments/{made.json()['id']}"
    # Nobody can read the webhook back, so a change that leaves it out keeps it.
    changed = await apps.client.patch(path, json={"settings": {"tags": ["x"]}})
    assert changed.json()["webhook_host"] == "127.0.0.1"
    assert changed.json()["settings"]["tags"] == ["x"]
    batch_id = await apps.batch("a.jpg")
    for settings in ({}, own):
        started = await apps.client.post(
            f"{path}/runs", json={"batch_id": batch_id, "settings": settings}
        )
        assert started.status_code == 202, started.text
    apps.work()
    async with a_server(apps):
        await until(lambda: len(receiver.requests) == 2)

    assert {got.path for got in receiver.requests} == {f"/hook?token={SECRET}", "/own"}
    gone = await apps.client.patch(path, json={"settings": {"webhook_config": None}})
    assert gone.json()["webhook_host"] is None


async def test_the_url_and_the_headers_are_never_shown(
    apps: Platform, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    receiver.script = [500]
    run = await ended(apps, hook(receiver))
    job_id = run["webhook_job_id"]
    made = await apps.client.post(
        "/api/v2/apps/deployments",
        json={"name": "d", "app_name": APP, "owner": OWNER, "settings": hook(receiver)},
    )
    async with a_server(apps):
        await settled(apps, job_id, 1)
    answers = [made.text, json.dumps(run)]
    for path in (
        "/api/v2/apps/runs",
        f"/api/v2/apps/runs/{run['id']}/results",
        f"/api/v2/files/{run['output_dir']}/results.json",
        "/api/v2/apps/deployments",
        f"/api/v2/apps/deployments/{made.json()['id']}",
        f"/api/v2/jobs/{job_id}",
        f"/longshore/v1/works/{job_id}",
        f"/longshore/v1/works/{job_id}/why",
        f"/longshore/v1/works/{job_id}/events",
        "/longshore/v1/audit",
    ):
        answer = await apps.client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        answers.append(answer.text)

    assert receiver.requests[0].headers["x-token"] == SECRET
    assert not [text for text in answers if SECRET in text]
    assert SECRET not in caplog.text
    assert "system job failed" in caplog.text
    assert set(rows_naming(apps, SECRET)) == {"app_runs", "deployments", "payloads"}


@pytest.mark.parametrize(
    ("config", "status", "told"),
    [
        ({"url": "http://10.0.0.1/x"}, 400, "10.0.0.1 is a private address"),
        ({"url": "http://[::1]/x"}, 400, "a loopback address"),
        ({"url": "http://169.254.169.254/"}, 400, "a cloud metadata address"),
        ({"url": "http://2130706433/"}, 400, "by a number"),
        ({"url": "http://user:word@example.com/"}, 400, "name or password"),
        ({"url": "ftp://example.com/"}, 400, "webhook_config.url must begin with http"),
        ({"url": "x"}, 400, "webhook_config.url must begin with http"),
        ({"url": 5}, 400, "webhook_config.url"),
        ({"headers": {"a": "b"}}, 400, "headers and no url"),
        ({"url": "http://example.com", "headers": {"a": "b\r\nc"}}, 400, "cannot be sent"),
        ({"url": "http://example.com", "headers": {"Host": "b"}}, 400, "Longshore sets"),
        ({"url": "http://example.com", "headers": {"a": 5}}, 400, "webhook_config.headers.a"),
        ({"url": "http://example.com", "headers": {"a": "b" * 5000}}, 413, "4096 bytes"),
        ({"url": "http://example.com/" + "x" * 2000}, 413, "may have 2000"),
        ("http://example.com", 400, "webhook_config"),
    ],
)
async def test_a_webhook_that_cannot_be_sent_to_is_refused_and_changes_nothing(
    apps: Platform, config: Any, status: int, told: str
) -> None:
    batch_id = await apps.batch("a.jpg")
    wanted = {"app_name": APP, "owner": OWNER, "settings": {"webhook_config": config}}
    entries = count(apps, audit)

    run = await apps.client.post("/api/v2/apps/runs", json={**wanted, "batch_id": batch_id})
    deployment = await apps.client.post("/api/v2/apps/deployments", json={**wanted, "name": "d"})

    for answer in (run, deployment):
        assert answer.status_code == status, answer.text
        assert told in answer.json()["message"]
    assert (await apps.get("/apps/runs"))["runs"] == []
    assert (await apps.get("/apps/deployments"))["deployments"] == []
    assert count(apps, engine_tables.works) == 0
    assert count(apps, audit) == entries


async def test_a_network_that_is_allowed_no_more_is_not_called(
    apps: Platform, receiver: Receiver
) -> None:
    run = await ended(apps, hook(receiver))
    apps.served.context.outbound = Outbound()
    async with a_server(apps):
        await settled(apps, run["webhook_job_id"], 1)
    assert "a loopback address" in (await apps.job(run["webhook_job_id"]))["message"]
    assert receiver.connections == 0


def due(apps: Platform) -> int:
    """Return how many works are not over."""
    counts = apps.database.read_blocking(insights.state_counts)
    return sum(n for (_, state), n in counts.items() if state in ("waiting", "queued", "running"))


def count(apps: Platform, table: Table) -> int:
    def counted(connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()

    return apps.database.read_blocking(counted)

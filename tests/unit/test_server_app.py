"""The application as a whole: what needs a key, what others may not see, and the native routes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from longshore import errors, limits
from longshore.access import Role
from longshore.edge.jobs import system_queue
from longshore.engine import artifacts, logs, queues, workers, works
from longshore.engine.works import NewWork
from longshore.server.app import OPEN_PATHS, describe
from longshore.storage import Database
from longshore.surfaces.works import bodies
from tests.unit.serving import Served, bearer, serving

NATIVE = "/longshore/v1"


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


class Seeded:
    """A queue, a group of two works (one of them running) and a worker, in one organisation."""

    def __init__(self, connection: Connection, organisation_id: str) -> None:
        self.queue = queues.ensure(
            connection, organisation_id=organisation_id, surface="test", name="a queue"
        )
        self.group = f"rn_of_{organisation_id}"
        new = [NewWork(self.queue, b"{}", group_id=self.group) for _ in range(2)]
        self.works = [made.id for made in works.submit(connection, new, actor="test")]
        self.worker = workers.register(
            connection,
            organisation_id=organisation_id,
            name="a worker",
            incarnation="1",
            slots=2,
            queue_ids=[self.queue],
        )
        [lease] = works.claim(connection, [self.queue], limit=1, holder=self.worker, lease_s=60)
        self.running = lease.id
        line = logs.NewLine(lease.id, lease.attempt, 0, "stdout", "hello")
        logs.append(connection, [line] * 3, holder=self.worker)
        self.blob = artifacts.reserve(connection, organisation_id=organisation_id)
        artifacts.store(connection, self.blob, size_bytes=0, sha256="")


def seed(served: Served, organisation_id: str | None = None) -> Seeded:
    return served.database.write_blocking(Seeded, organisation_id or served.organisation.id)


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


def operations(served: Served) -> list[tuple[str, str]]:
    """List every operation of the OpenAPI document, with an id in the place of each parameter."""
    return [
        (method.upper(), filled(path))
        for path, methods in describe(served.app)["paths"].items()
        for method in methods
    ]


async def test_every_operation_but_the_open_ones_needs_a_key(served: Served) -> None:
    del served.client.headers["Authorization"]
    walked = operations(served)
    assert len(walked) > 30
    for method, path in walked:
        for headers in ({}, bearer("wrong"), bearer(f"ls_{'0' * 26}_{'a' * 43}")):
            answer = await served.client.request(
                method, path, headers=headers, content=b"{nonsense"
            )
            if path in map(filled, OPEN_PATHS):
                # Credentials that are none are a bad request where a token is asked for.
                assert answer.status_code in (200, 503) or (method, answer.status_code) == (
                    "POST",
                    400,
                ), path
                continue
            assert answer.status_code == 401, (method, path)
            if method == "HEAD":
                continue
            body = answer.json()
            assert body["code"] == "unauthenticated"
            if path.startswith(("/api/v1", "/api/v2")):
                assert answer.headers["content-type"] == "application/json"
                # Under /api/v1 lie the corpora, and some old addresses of services.
                assert body["errors"] if "errors" in body else body["message"]
            else:
                assert answer.headers["content-type"] == "application/problem+json"
                assert body["status"] == 401


async def test_paths_without_the_api_root_need_a_key_too(served: Served) -> None:
    del served.client.headers["Authorization"]
    for method, path in operations(served):
        if path.startswith("/api/v2"):
            answer = await served.client.request(method, path.removeprefix("/api"))
            assert answer.status_code == 401, (method, path)


def test_only_the_named_paths_are_open(served: Served) -> None:
    document = describe(served.app)
    assert document["security"] == [{"key": []}]
    open_paths = {
        path
        for path, methods in document["paths"].items()
        if any(operation.get("security") == [] for operation in methods.values())
    }
    assert open_paths == OPEN_PATHS


async def test_nothing_of_another_organisation_can_be_seen_or_changed(served: Served) -> None:
    other, token = served.other_organisation()
    mine, theirs = seed(served), seed(served, other.id)
    key_id = (await served.client.get(f"{NATIVE}/whoami", headers=bearer(token))).json()["key_id"]
    served.token(Role.ADMIN, organisation_id=other.id)
    before = served.database.read_blocking(works.events, theirs.running)
    asked = [
        ("GET", f"works/{theirs.works[0]}", None),
        ("GET", f"works/{theirs.works[0]}/why", None),
        ("GET", f"works/{theirs.works[0]}/events", None),
        ("GET", f"works/{theirs.running}/logs", None),
        ("POST", f"works/{theirs.running}/cancel", None),
        ("GET", f"groups/{theirs.group}/works", None),
        ("POST", f"groups/{theirs.group}/cancel", None),
        ("POST", f"queues/{theirs.queue}/hold", {"why": "x"}),
        ("POST", f"queues/{theirs.queue}/release", None),
        ("DELETE", f"keys/{key_id}", None),
        ("GET", f"blobs/{theirs.blob}", None),
        ("POST", "worker/leave", {"worker_id": theirs.worker}),
        ("POST", "worker/renew", {"worker_id": theirs.worker, "leases": []}),
        ("POST", "worker/report", {"worker_id": theirs.worker, "reports": []}),
        ("POST", "worker/logs", {"worker_id": theirs.worker, "lines": []}),
        ("POST", "worker/claim", {"worker_id": theirs.worker, "queues": [mine.queue], "limit": 1}),
        ("POST", "worker/claim", {"worker_id": mine.worker, "queues": [theirs.queue], "limit": 1}),
    ]
    for method, path, content in asked:
        answer = await served.client.request(method, f"{NATIVE}/{path}", json=content)
        assert answer.status_code == 404, (path, answer.text)
        unknown = path
        for known, other_id in (
            (theirs.works[0], "wk_unknown"),
            (theirs.running, "wk_unknown"),
            (theirs.group, "rn_unknown"),
            (key_id, "ky_unknown"),
            (theirs.blob, "bl_unknown"),
        ):
            unknown = unknown.replace(known, other_id)
        if unknown != path:
            same = await served.client.request(method, f"{NATIVE}/{unknown}", json=content)
            assert same.status_code == 404
            assert same.json()["code"] == answer.json()["code"]
    assert served.database.read_blocking(works.events, theirs.running) == before
    listed = [
        await served.client.get(f"{NATIVE}/{path}")
        for path in ("queues", "workers", "keys", "audit")
    ]
    for answer in [*listed, await served.client.get("/metrics")]:
        for secret in (theirs.group, theirs.worker, key_id, *theirs.works):
            assert secret not in answer.text
    assert [queue["id"] for queue in listed[0].json()["queues"]] == [mine.queue]


async def test_a_work_is_shown_with_its_reason_its_history_and_its_lines(served: Served) -> None:
    seeded = seed(served)
    work = (await served.client.get(f"{NATIVE}/works/{seeded.running}")).json()
    assert (work["state"], work["attempt"], work["worker"]) == ("running", 1, seeded.worker)
    why = (await served.client.get(f"{NATIVE}/works/{seeded.running}/why")).json()
    assert why["text"].startswith("running: ")
    history = (await served.client.get(f"{NATIVE}/works/{seeded.running}/events")).json()
    assert [event["to"] for event in history["events"]] == ["queued", "running"]
    first = (await served.client.get(f"{NATIVE}/works/{seeded.running}/logs?limit=2")).json()
    assert [line["text"] for line in first["lines"]] == ["hello", "hello"]
    rest = (
        await served.client.get(f"{NATIVE}/works/{seeded.running}/logs?after={first['next']}")
    ).json()
    assert len(rest["lines"]) == 1
    assert rest["ended"] is False
    again = await served.client.get(f"{NATIVE}/works/{seeded.running}/logs?after={rest['next']}")
    assert again.json() == {"lines": [], "next": rest["next"], "ended": False}


async def test_a_group_is_listed_and_cancelled(served: Served) -> None:
    seeded = seed(served)
    listed = (await served.client.get(f"{NATIVE}/groups/{seeded.group}/works?limit=1")).json()
    assert listed["counts"]["submitted"] == 2
    assert [work["id"] for work in listed["works"]] == seeded.works[:1]
    answer = await served.client.post(f"{NATIVE}/groups/{seeded.group}/cancel")
    assert answer.json()["stopping"] == [seeded.running]
    [queued] = set(seeded.works) - {seeded.running}
    assert answer.json()["cancelled"] == [queued]
    why = await served.client.get(f"{NATIVE}/works/{queued}")
    assert why.json()["state"] == "cancelled"
    logs_of_it = (await served.client.get(f"{NATIVE}/works/{queued}/logs")).json()
    assert logs_of_it == {"lines": [], "next": 0, "ended": True}


async def test_a_chunk_is_not_cancelled_by_itself(served: Served) -> None:
    def push(connection: Connection) -> str:
        queue = queues.ensure(
            connection, organisation_id=served.organisation.id, surface="pipelines", name="p"
        )
        new = [NewWork(queue, b"{}", group_id="bp_1")]
        return works.submit(connection, new, actor="test")[0].id

    chunk = served.database.write_blocking(push)
    for path in (f"works/{chunk}/cancel", "groups/bp_1/cancel"):
        refused = await served.client.post(f"{NATIVE}/{path}")
        assert refused.status_code == 409
        assert "cancel or delete that" in refused.json()["detail"]
    assert (await served.client.get(f"{NATIVE}/works/{chunk}")).json()["state"] == "queued"


async def test_what_a_job_of_the_server_was_given_is_not_shown(served: Served) -> None:
    secret = {"job": "apps.deliver_webhook", "url": "https://x/TOKEN", "headers": {"A": "hunter2"}}

    def begin(connection: Connection) -> bodies.Bodies:
        queue = system_queue(connection, served.organisation.id)
        new = [NewWork(queue, json.dumps(secret).encode())]
        [made] = works.submit(connection, new, actor="test")
        return bodies.of(connection, works.get(connection, made.id))

    assert served.database.write_blocking(begin).payload == '{"job": "apps.deliver_webhook"}'


@pytest.mark.parametrize(
    ("job", "status"), [("corpus.delete", 409), ("apps.finish_run", 409), ("works.act", 200)]
)
async def test_a_job_that_nobody_could_ask_for_again_is_not_cancelled(
    served: Served, job: str, status: int
) -> None:
    def begin(connection: Connection) -> str:
        queue = system_queue(connection, served.organisation.id)
        new = [NewWork(queue, json.dumps({"job": job}).encode())]
        return works.submit(connection, new, actor="test")[0].id

    work_id = served.database.write_blocking(begin)
    answer = await served.client.post(f"{NATIVE}/works/{work_id}/cancel")
    assert answer.status_code == status


async def test_a_work_is_cancelled_with_a_reason(served: Served) -> None:
    seeded = seed(served)
    path = f"{NATIVE}/works/{seeded.running}/cancel"
    for bad in ({"why": 1}, {"why": "x" * 300}, [1]):
        assert (await served.client.post(path, json=bad)).status_code == 400
    assert (await served.client.post(path, json={"why": "wrong file"})).status_code == 200
    [entry] = (await served.client.get(f"{NATIVE}/audit?target={seeded.running}")).json()["entries"]
    assert entry["action"] == "works.cancel"


async def test_a_queue_is_held_and_released(served: Served) -> None:
    seeded = seed(served)
    path = f"{NATIVE}/queues/{seeded.queue}"
    for bad in ({}, {"why": ""}, {"why": "x", "more": 1}, {"why": "x" * 256}):
        assert (await served.client.post(f"{path}/hold", json=bad)).status_code == 400
    held = await served.client.post(f"{path}/hold", json={"why": "maintenance"})
    assert held.json()["held"]["why"] == "maintenance"
    [listed] = (await served.client.get(f"{NATIVE}/queues")).json()["queues"]
    assert listed["held"] is not None
    assert listed["counts"]["submitted"] == 2
    assert (await served.client.post(f"{path}/release")).json()["held"] is None
    viewer = bearer(served.token(Role.VIEWER))
    denied = await served.client.post(f"{path}/hold", json={"why": "x"}, headers=viewer)
    assert denied.status_code == 403


async def test_keys_are_made_listed_and_revoked(served: Served) -> None:
    made = await served.client.post(
        f"{NATIVE}/keys", json={"name": "reports", "role": "viewer", "lifetime_s": 3600}
    )
    assert made.status_code == 201
    token, key_id = made.json()["key"], made.json()["id"]
    who = await served.client.get(f"{NATIVE}/whoami", headers=bearer(token))
    assert (who.json()["role"], who.json()["permissions"]) == ("viewer", ["read"])
    listed = await served.client.get(f"{NATIVE}/keys")
    assert token not in listed.text
    assert "reports" in listed.text
    revoked = await served.client.delete(f"{NATIVE}/keys/{key_id}")
    assert revoked.json()["revoked"] is not None
    assert (await served.client.delete(f"{NATIVE}/keys/{key_id}")).json() == revoked.json()
    entries = (await served.client.get(f"{NATIVE}/audit")).json()["entries"]
    assert [entry["action"] for entry in entries] == ["keys.revoke", "keys.revoke", "keys.create"]
    assert token not in json.dumps(entries)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"name": "x"},
        {"name": "x", "role": "root"},
        {"name": "", "role": "viewer"},
        {"name": "a\nb", "role": "viewer"},
        {"name": "x" * 300, "role": "viewer"},
        {"name": "x", "role": "viewer", "lifetime_s": -1},
        {"name": "x", "role": "viewer", "lifetime_s": 1e300},
        {"name": "x", "role": "viewer", "surprise": 1},
        [],
        None,
    ],
)
async def test_a_key_that_cannot_be_made_changes_nothing(served: Served, bad: Any) -> None:
    before = (await served.client.get(f"{NATIVE}/keys")).json()
    answer = await served.client.post(f"{NATIVE}/keys", json=bad)
    assert answer.status_code in (400, 413)
    assert (await served.client.get(f"{NATIVE}/keys")).json() == before


async def test_a_secret_is_not_kept_for_an_idempotency_key(served: Served) -> None:
    answer = await served.client.post(
        f"{NATIVE}/keys",
        json={"name": "x", "role": "viewer"},
        headers={"Idempotency-Key": "one"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.WORKER])
async def test_only_an_admin_sees_keys_audit_and_doctor(served: Served, role: Role) -> None:
    headers = bearer(served.token(role))
    for path in ("keys", "audit", "doctor"):
        answer = await served.client.get(f"{NATIVE}/{path}", headers=headers)
        assert answer.status_code == 403
    made = await served.client.post(
        f"{NATIVE}/keys", json={"name": "x", "role": "admin"}, headers=headers
    )
    assert made.status_code == 403


async def test_the_limits_are_told(served: Served) -> None:
    told = (await served.client.get(f"{NATIVE}/limits")).json()["limits"]
    assert told["json_body_bytes"] == limits.JSON_BODY_BYTES
    assert told["idempotency_s"] == limits.IDEMPOTENCY_S


async def test_the_doctor_knows_the_server(served: Served) -> None:
    seed(served)
    found = (await served.client.get(f"{NATIVE}/doctor")).json()
    facts = found["facts"]
    assert facts["database"].lower().startswith(served.database.dialect)
    assert facts["database_bytes"] > 0 or served.database.dialect == "sqlite"
    assert facts["works"]["test.running"] == 1
    assert facts["stored_blobs"]["objects"] == 1
    assert any(problem.startswith("janitor") for problem in found["problems"])
    assert not found["healthy"]


async def test_the_doctor_finds_stuck_leases(served: Served, clock: Any) -> None:
    seed(served)
    clock.advance(60 + 31)
    found = (await served.client.get(f"{NATIVE}/doctor")).json()
    assert found["facts"]["stuck_leases"] == 1
    assert any("not taken back" in problem for problem in found["problems"])


async def test_metrics_count_requests_by_template_and_works_by_state(served: Served) -> None:
    seeded = seed(served)
    await served.client.get(f"{NATIVE}/works/{seeded.running}")
    await served.client.get("/api/v2/batches")
    await served.client.get("/v2/batches")
    await served.client.get("/wp-login.php")
    text = (await served.client.get("/metrics")).text
    assert (
        'longshore_requests_total{method="GET",route="/longshore/v1/works/{work_id}",status="200"} 1.0'
        in text
    )
    assert 'route="/v2/batches",status="200"} 2.0' in text
    assert 'route="(none)",status="404"} 1.0' in text
    assert 'longshore_works{state="running",surface="test"} 1.0' in text
    assert 'longshore_queue_works{queue="a queue",state="running",surface="test"} 1.0' in text
    assert 'longshore_queue_workers{queue="a queue",surface="test"} 1.0' in text
    assert seeded.running not in text


async def test_a_ready_server_says_so_and_a_stopping_one_does_not(
    database: Database, tmp_path: Path
) -> None:
    async with serving(database, tmp_path, background=True) as served:
        answer = await served.client.get("/readyz")
        for _ in range(200):
            if answer.status_code == 200:
                break
            served.app.state.health._until_s = 0.0
            answer = await served.client.get("/readyz")
        assert answer.json()["ready"]
        served.context.stop()
        served.app.state.health._until_s = 0.0
        answer = await served.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["server"] == "stopping"
        assert (await served.client.get("/healthz")).status_code == 200
        claim = {"worker_id": seed(served).worker, "queues": [], "limit": 1, "wait_s": 30}
        refused = await served.client.post(f"{NATIVE}/worker/claim", json=claim)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"


async def test_readiness_names_what_is_broken_without_details(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise errors.DiskFull("no space on /secret/place")

    monkeypatch.setattr(type(served.context.blobs), "delete", fail)
    answer = await served.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["blobs"] == "disk_full"
    assert "secret" not in answer.text


async def test_the_reference_holds_no_script_and_allows_none(served: Served) -> None:
    page = await served.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    from base64 import b64encode  # noqa: PLC0415
    from hashlib import sha256  # noqa: PLC0415

    assert b64encode(sha256(style.encode()).digest()).decode() in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)


async def test_the_reference_shows_every_operation(served: Served) -> None:
    page = (await served.client.get("/docs")).text
    document = (await served.client.get("/openapi.json")).json()
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    assert not any(path.startswith("/v2") for path in document["paths"])


async def test_answers_carry_the_headers_of_a_careful_server(served: Served) -> None:
    answer: httpx.Response = await served.client.get(f"{NATIVE}/whoami")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")

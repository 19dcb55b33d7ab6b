"""Webhooks of buckets: who may make them, what they are told, and where they may be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import standardwebhooks

from longshore import limits
from longshore.access import Role
from longshore.clock import ManualClock, SystemClock
from longshore.edge.outbound import Outbound
from longshore.engine import janitor, queues
from longshore.engine.works import State
from longshore.storage import Database
from longshore.surfaces.buckets.webhooks import KINDS
from longshore.webhooks import WebhookRefused, WebhookReplayed, verify
from tests.surfaces.notices_rig import Shore
from tests.unit.receiver import Receiver, receiving
from tests.unit.serving import bearer, serving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
async def shore(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Shore]:
    async with serving(database, tmp_path) as served:
        made = Shore(served, clock)
        made.reach_loopback()
        yield made


async def test_a_success_is_told_with_what_the_work_is_about(
    shore: Shore, receiver: Receiver
) -> None:
    await shore.deposit()
    hook = await shore.hook(receiver, pipeline="p-1")
    await shore.attempt()
    [work_id] = await shore.done(
        {"tags": ["t"], "event": [7], "config": {"parent": "pp"}, "retries": 3, "priority": 5}
    )
    assert await shore.tell() == 2

    told = shore.messages(receiver, hook["secret"])[1]
    assert told["type"] == "work.success"
    assert told["timestamp"] == "2023-11-14T22:13:20.000Z"
    data = told["data"]
    assert data.pop("creation") > 0
    assert data.pop("stop") == shore.clock.now_us() / 1e6
    assert data == {
        "id": work_id,
        "pipeline": "p-1",
        "site": "local",
        "user": "me",
        "function": None,
        "status": "success",
        "attempt": 1,
        "retries": 3,
        "event": [7],
        "tags": ["t"],
        "results": {"a": 1},
        "products": None,
        "plots": None,
        "config": {"parent": "pp"},
        "reason": "done",
        "error": None,
        "omitted": [],
        "deleted": False,
    }
    [one, two] = shore.deliveries()
    assert [got.headers["webhook-id"] for got in receiver.requests] == [one.id, two.id]
    assert {one.state, two.state} == {State.SUCCESS}


async def test_the_published_package_verifies_a_delivery_by_the_systems_clock(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    # It takes the time from the machine, so the server has to as well.
    database.clock = SystemClock()
    async with serving(database, tmp_path) as served:
        shore = Shore(served, SystemClock())  # type: ignore[arg-type]
        shore.reach_loopback()
        hook = await shore.hook(receiver)
        await shore.done()
        await shore.tell()
    [got] = receiver.requests
    told = standardwebhooks.Webhook(hook["secret"]).verify(got.body, got.headers)
    assert told["type"] == "work.success"


async def test_a_failure_is_told_apart_from_the_last_one(shore: Shore, receiver: Receiver) -> None:
    hook = await shore.hook(receiver)
    await shore.deposit({"retries": 2})
    await shore.attempt(status="failure")
    await shore.tell()
    assert await shore.call("GET", "/audit/failed") == 1
    await shore.attempt(status="failure")
    await shore.tell()

    told = shore.messages(receiver, hook["secret"])
    assert [each["type"] for each in told] == ["work.failure", "work.exhausted"]
    assert [each["data"]["attempt"] for each in told] == [1, 2]
    assert {each["data"]["status"] for each in told} == {"failure"}


async def test_a_lease_that_runs_out_says_why(shore: Shore, receiver: Receiver) -> None:
    hook = await shore.hook(receiver, kinds=["work.exhausted"])
    [work_id] = await shore.deposit({"retries": 1, "timeout": 5})
    await shore.call("POST", "/work/withdraw", json={"pipeline": "p-1"})
    shore.clock.advance(60)
    assert await shore.call("GET", "/audit/expired") == 1
    await shore.tell()
    [told] = shore.messages(receiver, hook["secret"])
    assert (told["data"]["id"], told["data"]["reason"]) == (work_id, "lease_expired")
    assert told["data"]["error"] == {
        "type": "LeaseLost",
        "message": "the lease ended without a renewal",
    }


async def test_a_webhook_is_told_of_its_bucket_and_its_kinds_only(
    shore: Shore, receiver: Receiver
) -> None:
    await shore.deposit(pipeline="p-1")
    with receiving() as other:
        one = await shore.hook(receiver, pipeline="p-1", kinds=["work.success"])
        every = await shore.hook(other, kinds=["work.failure", "work.exhausted"])
        # This bucket is made after the webhook for all of them.
        await shore.deposit({"retries": 1}, pipeline="later")
        await shore.attempt("p-1")
        await shore.attempt("later", status="failure")
        await shore.done(pipeline="later")
        await shore.tell()
        [told] = shore.messages(receiver, one["secret"])
        assert (told["type"], told["data"]["pipeline"]) == ("work.success", "p-1")
        [told] = shore.messages(other, every["secret"])
        assert (told["type"], told["data"]["pipeline"]) == ("work.exhausted", "later")


async def test_a_bucket_that_nobody_asks_about_keeps_no_notices(
    shore: Shore, receiver: Receiver
) -> None:
    await shore.deposit(pipeline="p-1")
    await shore.hook(receiver, pipeline="p-1")
    await shore.done(pipeline="quiet")

    def noticing(name: str) -> bool:
        queue = shore.database.read_blocking(queues.find, shore.organisation_id, "buckets", name)
        assert queue is not None
        return queue.notices

    assert (noticing("p-1"), noticing("quiet")) == (True, False)
    assert await shore.tell() == 0


async def test_organisations_hear_nothing_of_each_other(shore: Shore, receiver: Receiver) -> None:
    hook = await shore.hook(receiver)
    _, token = shore.served.other_organisation()
    headers = bearer(token)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(shore.served.app), base_url="http://test", headers=headers
    ) as other:
        assert (await other.get("/buckets/webhooks")).json() == []
        path = f"/buckets/webhooks/{hook['id']}"
        assert (await other.delete(path)).status_code == 404
        assert (await other.post(f"{path}/rotate")).status_code == 404
        elsewhere = {"url": "http://127.0.0.1:9/x", "pipeline": "p-1"}
        await shore.deposit()
        assert (await other.post("/buckets/webhooks", json=elsewhere)).status_code == 404
        theirs = {"pipeline": "p-1", "site": "local", "user": "them"}
        await other.post("/buckets/work", json=[theirs])
        withdrawn = (await other.post("/buckets/work/withdraw", json={"pipeline": "p-1"})).json()
        done = await other.put("/buckets/work", json=[{**withdrawn, "status": "success"}])
        assert done.json() is True
    assert await shore.tell() == 0
    assert [each["id"] for each in await shore.call("GET", "/webhooks")] == [hook["id"]]


async def test_the_secret_is_shown_once_and_written_nowhere_else(
    shore: Shore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url = f"{receiver.url}?token=geheim"
    made = await shore.client.post("/buckets/webhooks", json={"url": url})
    assert made.headers["cache-control"] == "no-store"
    hook = made.json()
    assert hook == {
        "id": hook["id"],
        "url": url,
        "pipeline": None,
        "kinds": list(KINDS),
        "created": "2023-11-14T22:13:20.000Z",
        "old_valid": False,
        "old_until": None,
        "secret": hook["secret"],
    }
    await shore.done()
    await shore.tell()
    [delivery] = shore.deliveries()
    shown = [
        json.dumps(await shore.call("GET", "/webhooks")),
        (await shore.client.get("/longshore/v1/audit")).text,
        (await shore.client.get(f"/longshore/v1/works/{delivery.id}")).text,
        (await shore.client.get(f"/longshore/v1/works/{delivery.id}/why")).text,
        (await shore.client.get(f"/longshore/v1/works/{delivery.id}/events")).text,
        caplog.text,
    ]
    assert not [text for text in shown if hook["secret"] in text]
    assert not [text for text in shown[1:] if "geheim" in text]
    entries = (await shore.client.get("/longshore/v1/audit")).json()["entries"]
    [entry] = [each for each in entries if each["target"] == hook["id"]]
    assert entry["action"] == "buckets.create_webhook"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.WORKER])
async def test_only_an_admin_sees_and_changes_webhooks(
    shore: Shore, receiver: Receiver, role: Role
) -> None:
    hook = await shore.hook(receiver)
    headers = bearer(shore.served.token(role))
    path = f"/webhooks/{hook['id']}"
    body = {"url": receiver.url}
    await shore.call("GET", "/webhooks", 403, headers=headers)
    await shore.call("POST", "/webhooks", 403, headers=headers, json=body)
    await shore.call("DELETE", path, 403, headers=headers)
    await shore.call("POST", f"{path}/rotate", 403, headers=headers)
    assert len(await shore.call("GET", "/webhooks")) == 1


async def test_a_secret_is_changed_without_a_gap(shore: Shore, receiver: Receiver) -> None:
    old = await shore.hook(receiver)
    path = f"/webhooks/{old['id']}/rotate"
    await shore.done()
    # The delivery is waiting when the secret is changed.
    shore.follow()
    new = await shore.call("POST", path)
    assert (new["id"], new["old_valid"], new["old_until"]) == (old["id"], True, None)
    await shore.tell()
    newest = await shore.call("POST", path, json={"keep_s": 60})
    assert newest["old_until"] == "2023-11-14T22:14:20.000Z"
    await shore.done()
    await shore.tell()
    shore.clock.advance(61)
    await shore.done()
    await shore.tell()
    at_once = await shore.call("POST", path, json={"keep_s": 0})
    await shore.done()
    await shore.tell()

    known = [each["secret"] for each in (old, new, newest, at_once)]
    assert len(set(known)) == 4
    assert [fitting(shore, got, known) for got in receiver.requests] == [
        [0, 1],
        [1, 2],
        [2],
        [3],
    ]


def fitting(shore: Shore, got: Any, secrets: list[str]) -> list[int]:
    """Return which of the secrets a message was signed with."""
    found = []
    for number, secret in enumerate(secrets):
        try:
            verify(got.headers, got.body, secret, clock=shore.clock)
        except WebhookRefused:
            continue
        found.append(number)
    return found


async def test_a_message_that_is_sent_again_is_a_replay_for_its_receiver(
    shore: Shore, receiver: Receiver
) -> None:
    receiver.script = ["nonsense"]
    hook = await shore.hook(receiver)
    await shore.done()
    # The receiver took it, and its answer was lost.
    await shore.tell()
    [delivery] = shore.deliveries()
    assert (delivery.state, delivery.retry_us is None) == (State.FAILURE, False)
    shore.clock.advance(31)
    await shore.call("GET", "/audit/failed")
    shore.database.write_blocking(janitor.tidy)
    await shore.tell()
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery.id
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert first.body == second.body
    verify(first.headers, first.body, hook["secret"], shore.replays, clock=shore.clock)
    with pytest.raises(WebhookReplayed):
        verify(second.headers, second.body, hook["secret"], shore.replays, clock=shore.clock)


async def test_a_removed_webhook_hears_nothing_more(shore: Shore, receiver: Receiver) -> None:
    hook = await shore.hook(receiver)
    await shore.done()
    shore.follow()
    await shore.call("DELETE", f"/webhooks/{hook['id']}", 204)
    await shore.call("DELETE", f"/webhooks/{hook['id']}", 404)
    await shore.call("POST", f"/webhooks/{hook['id']}/rotate", 404)
    await shore.tell()
    [delivery] = shore.deliveries()
    assert (delivery.state, delivery.retry_us) == (State.FAILURE, None)
    why = (await shore.client.get(f"/longshore/v1/works/{delivery.id}/why")).json()["text"]
    assert "was removed" in why
    await shore.done()
    await shore.tell()
    assert receiver.connections == 0
    actions = (await shore.client.get("/longshore/v1/audit")).json()["entries"]
    assert "buckets.delete_webhook" in [entry["action"] for entry in actions]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 400, "url"),
        ({"url": ""}, 400, "url"),
        ({"url": 5}, 400, "url"),
        ({"url": "ftp://example.com"}, 400, "http://"),
        ({"url": "http://10.0.0.1/x"}, 400, "a private address"),
        ({"url": "http://[::1]/x"}, 400, "a loopback address"),
        ({"url": "http://[::ffff:10.0.0.1]/x"}, 400, "a private address"),
        ({"url": "http://[fe80::1]/x"}, 400, "a link-local address"),
        ({"url": "http://169.254.169.254/latest"}, 400, "a cloud metadata address"),
        ({"url": "http://2130706433/"}, 400, "by a number"),
        ({"url": "http://user:word@example.com/"}, 400, "name or password"),
        ({"url": "https://example.com/" + "x" * 2000}, 413, "may have 2000"),
        ({"url": "https://example.com", "kinds": []}, 400, "kinds is empty"),
        ({"url": "https://example.com", "kinds": ["work.started"]}, 400, "work.started"),
        ({"url": "https://example.com", "kinds": "work.success"}, 400, "kinds"),
        ({"url": "https://example.com", "pipeline": "absent"}, 404, "no bucket 'absent'"),
        ({"url": "https://example.com", "pipeline": 5}, 400, "pipeline"),
        ({"url": "https://example.com", "secret": "x"}, 400, "secret"),
        ([], 400, "object"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_and_changes_nothing(
    shore: Shore, body: Any, status: int, told: str
) -> None:
    answer = await shore.client.post("/buckets/webhooks", json=body)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text
    assert await shore.call("GET", "/webhooks") == []
    assert (await shore.client.get("/longshore/v1/audit")).json()["entries"] == []


async def test_answers_with_secrets_are_not_kept(shore: Shore, receiver: Receiver) -> None:
    hook = await shore.hook(receiver)
    keyed = {"Idempotency-Key": "k"}
    await shore.call("POST", "/webhooks", 400, json={"url": receiver.url}, headers=keyed)
    await shore.call("POST", f"/webhooks/{hook['id']}/rotate", 400, headers=keyed)
    for body in ({"keep_s": -1}, {"keep_s": "soon"}, {"keep": 1}):
        await shore.call("POST", f"/webhooks/{hook['id']}/rotate", 400, json=body)
    assert await shore.call("GET", "/webhooks") == [
        {name: value for name, value in hook.items() if name != "secret"}
    ]


async def test_there_is_a_most_of_webhooks(
    shore: Shore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOKS", 2)
    for _ in range(2):
        await shore.hook(receiver)
    await shore.call("POST", "/webhooks", 413, json={"url": receiver.url})


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "0.0.0.0"],
)
async def test_a_host_that_comes_to_mean_a_forbidden_address_is_not_called(
    shore: Shore, receiver: Receiver, address: str
) -> None:
    """DNS rebinding: the name is harmless when the webhook is made, and not at the delivery."""

    async def resolver(_host: str, _port: int) -> list[str]:
        return [address]

    shore.served.context.outbound = Outbound(resolver=resolver, limit_s=5)
    url = f"http://rebinding.test:{receiver.port}/"
    await shore.call("POST", "/webhooks", 201, json={"url": url})
    await shore.done()
    await shore.tell()
    [delivery] = shore.deliveries()
    assert delivery.state is State.FAILURE
    why = (await shore.client.get(f"/longshore/v1/works/{delivery.id}/why")).json()["text"]
    assert f"rebinding.test means {address}" in why
    assert receiver.connections == 0


async def test_a_redirect_to_a_forbidden_address_is_not_followed(
    shore: Shore, receiver: Receiver
) -> None:
    receiver.script = ["redirect"]
    await shore.hook(receiver)
    await shore.done()
    await shore.tell()
    assert receiver.connections == 1
    assert shore.deliveries()[0].state is State.FAILURE

"""What the ends of runs are signed with, and receivers that are gone or hang."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator

import pytest

from longshore.access import Role
from longshore.edge import webhooks
from longshore.edge.outbound import Outbound
from longshore.engine.works import State
from longshore.webhooks import WebhookRefused, verify
from tests.surfaces.apps_rig import Platform
from tests.surfaces.webhooks_rig import a_server, ended, hook, settled, until
from tests.unit.receiver import Receiver, receiving
from tests.unit.serving import bearer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(autouse=True)
def allowed(apps: Platform) -> None:
    networks = [ipaddress.ip_network("127.0.0.0/8")]
    apps.served.context.outbound = Outbound(networks, limit_s=5)


async def test_the_secret_is_changed_without_a_gap_and_only_by_an_admin(
    apps: Platform, receiver: Receiver
) -> None:
    path = "/longshore/v1/webhooks/secret"
    old = (await apps.client.get(path)).json()["secret"]
    assert (await apps.client.get(path)).json() == {
        "secret": old,
        "old_valid": False,
        "old_until": None,
    }
    run = await ended(apps, hook(receiver))

    changed = (await apps.client.post(f"{path}/rotate", json={"keep_s": 60})).json()
    assert changed["secret"] != old
    assert changed["old_valid"]
    async with a_server(apps):
        await settled(apps, run["webhook_job_id"], 1)
    [got] = receiver.requests
    for secret in (old, changed["secret"]):
        verify(got.headers, got.body, secret, clock=apps.clock)

    apps.clock.advance(61)
    assert not (await apps.client.get(path)).json()["old_valid"]
    run = await ended(apps, hook(receiver))
    async with a_server(apps):
        await settled(apps, run["webhook_job_id"], 1)
    verify(
        receiver.requests[1].headers, receiver.requests[1].body, changed["secret"], clock=apps.clock
    )
    with pytest.raises(WebhookRefused):
        verify(receiver.requests[1].headers, receiver.requests[1].body, old, clock=apps.clock)

    for role in (Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.WORKER):
        headers = bearer(apps.served.token(role))
        assert (await apps.client.get(path, headers=headers)).status_code == 403
        assert (await apps.client.post(f"{path}/rotate", headers=headers)).status_code == 403
    other = await apps.other()
    assert (await other.get(path)).json()["secret"] not in (old, changed["secret"])
    await other.aclose()
    keyed = await apps.client.post(f"{path}/rotate", headers={"Idempotency-Key": "k"})
    assert keyed.status_code == 400
    for body in ({"keep_s": -1}, {"keep_s": "x"}, {"old": 1}):
        assert (await apps.client.post(f"{path}/rotate", json=body)).status_code == 400
    assert (await apps.client.get(path)).json()["secret"] == changed["secret"]
    entries = (await apps.client.get("/longshore/v1/audit")).json()["entries"]
    assert [each["action"] for each in entries].count("webhooks.rotate_secret") == 1
    assert "whsec_" not in json.dumps(entries)


async def test_a_receiver_that_is_gone_is_not_called_again(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = [410]
    run = await ended(apps, hook(receiver))
    async with a_server(apps):
        ended_work = await settled(apps, run["webhook_job_id"], 1)
    assert (ended_work.state, ended_work.retry_us) == (State.FAILURE, None)
    assert "gone for good" in (await apps.job(run["webhook_job_id"]))["message"]


async def test_a_receiver_that_hangs_does_not_hold_up_another(
    apps: Platform, receiver: Receiver
) -> None:
    receiver.script = ["hang"] * 20
    with receiving() as other:
        for _ in range(6):
            await apps.start(batch_id=await apps.batch("a.jpg"), settings=hook(receiver))
        # Another host, as far as the server knows: receivers are told apart by that.
        quick = {"webhook_config": {"url": f"http://127.0.0.2:{other.port}/hook"}}

        async def resolver(_host: str, _port: int) -> list[str]:
            return ["127.0.0.1"]

        networks = apps.served.context.outbound.allowed
        apps.served.context.outbound = Outbound(networks, resolver=resolver, limit_s=5)
        for _ in range(6):
            await apps.start(batch_id=await apps.batch("b.jpg"), settings=quick)
        apps.work()
        async with a_server(apps):
            await until(lambda: len(other.requests) == 6)
            assert len(receiver.requests) == webhooks.CONCURRENCY

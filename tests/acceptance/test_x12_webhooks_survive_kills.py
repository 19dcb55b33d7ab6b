"""X12: a server is killed at each step from the end of a work to its delivery; nobody misses it."""

from __future__ import annotations

import contextlib
import signal
from collections import defaultdict
from collections.abc import Iterator

import pytest

from longshore.webhooks import Replays, WebhookReplayed, verify
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually
from tests.unit.receiver import Receiver, receiving

WORKS = 20
SETTINGS = {"LONGSHORE_WEBHOOK_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.mark.parametrize(
    "point",
    ["before_commit:done", "after_commit:done", "before_commit:notices_followed",
     "after_commit:notices_followed", "delivery"],
)  # fmt: skip
def test_each_end_is_told_under_one_id_whenever_the_server_dies(
    harbour: Harbour, receiver: Receiver, point: str
) -> None:
    server = harbour.server(settings=SETTINGS)
    server.start()
    user = harbour.user(server)
    hook = user.ask("POST", "/buckets/webhooks", expect=(201,), json={"url": receiver.url}).json()
    work = {"pipeline": "p-1", "site": "local", "user": "me"}
    user.ask("POST", "/buckets/work", json=[work] * WORKS)
    [*withdrawn] = user.ask(
        "POST", f"/buckets/work/withdraw?limit={WORKS}", json={"pipeline": "p-1"}
    ).json()
    assert len(withdrawn) == WORKS
    if point == "delivery":
        receiver.script = ["hang"]
    else:
        assert server.stop() == 0
        server.start(fault=point)

    done = [{**each, "status": "success"} for each in withdrawn]
    if point == "delivery":
        user.ask("PUT", "/buckets/work", json=done)
        assert receiver.arrived.wait(20)
        server.kill()
        receiver.over.set()
    else:
        # Whether the answer still comes depends on the point; the next one will.
        user.patience_s = 1
        with contextlib.suppress(AssertionError):
            user.ask("PUT", "/buckets/work", json=done)
        assert server.wait(20) == -signal.SIGKILL
    server.start()
    user.patience_s = 30
    # The update is sent again, as by a client that outlives the server; it is the same end.
    assert user.ask("PUT", "/buckets/work", json=done).json() is True

    def told() -> bool:
        return len({got.headers["webhook-id"] for got in receiver.requests}) >= WORKS

    eventually(told, 40, "all works are told")
    replays = Replays()
    ids: defaultdict[str, set[str]] = defaultdict(set)
    accepted = 0
    for got in receiver.requests:
        try:
            message = verify(got.headers, got.body, hook["secret"], replays)
        except WebhookReplayed:
            continue
        accepted += 1
        ids[message.json()["data"]["id"]].add(message.id)
    assert set(ids) == {each["id"] for each in withdrawn}
    assert accepted == WORKS
    assert all(len(each) == 1 for each in ids.values()), "each end has one delivery"

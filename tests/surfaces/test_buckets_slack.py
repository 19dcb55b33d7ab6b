"""Telling Slack: what is sent, where the outcome is kept, and works that are nothing but messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import limits
from longshore.clock import ManualClock
from longshore.edge.outbound import Outbound
from longshore.engine import janitor, queues
from longshore.engine.works import State
from longshore.storage import Database
from longshore.surfaces.buckets import slack
from tests.surfaces.notices_rig import Shore
from tests.unit.receiver import Receiver, receiving
from tests.unit.serving import serving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
async def shore(
    database: Database, clock: ManualClock, tmp_path: Path, receiver: Receiver
) -> AsyncIterator[Shore]:
    async with serving(database, tmp_path) as served:
        made = Shore(served, clock)
        made.reach_loopback()
        made.use_slack(receiver.url)
        yield made


def asking(**fields: Any) -> dict[str, Any]:
    return {"notify": {"slack": {"channel_id": "C01", **fields}}}


async def reply(shore: Shore, work_id: str) -> Any:
    return (await shore.document(work_id))["notify"]["slack"]["reply"]


async def test_a_work_that_is_done_is_told_where_it_asks_for_it(
    shore: Shore, receiver: Receiver
) -> None:
    wish = asking(
        message="It is done", member_ids=["U1", "U2"], results=True, products=True, plots=True
    )
    [work_id] = await shore.deposit(wish)
    await shore.attempt(results={"dm": 56.7, "what": "<b> & more"}, products=["/a.dat", "/b.dat"])
    await shore.tell()

    [got] = receiver.requests
    body = json.loads(got.body)
    assert body["channel"] == "C01"
    assert body["text"] == "<@U1> <@U2> It is done"
    texts = [block["text"]["text"] for block in body["blocks"]]
    assert texts[0] == body["text"]
    assert texts[1].startswith("*Results*\n```{")
    assert '"what": "&lt;b&gt; &amp; more"' in texts[1]
    assert texts[2] == "*Products*\n```/a.dat\n/b.dat```"
    assert len(texts) == 3
    assert "webhook-signature" not in got.headers
    assert await reply(shore, work_id) == {
        "ok": True,
        "status": 200,
        "at": shore.clock.now_us() / 1e6,
        "attempt": 1,
    }
    # The rest of the document is as it was.
    document = await shore.document(work_id)
    assert document["results"]["dm"] == 56.7
    assert document["status"] == "success"
    assert document["notify"]["slack"]["message"] == "It is done"


async def test_a_work_that_failed_for_good_is_told_and_one_that_is_tried_again_is_not(
    shore: Shore, receiver: Receiver
) -> None:
    [work_id] = await shore.deposit({**asking(), "retries": 2})
    await shore.attempt(status="failure")
    await shore.tell()
    assert receiver.requests == []
    await shore.call("GET", "/audit/failed")
    await shore.attempt(status="failure")
    await shore.tell()
    assert json.loads(receiver.requests[0].body)["text"] == f"Work {work_id} in p-1: failure"
    assert (await reply(shore, work_id))["ok"] is True


async def test_a_work_that_names_nobody_is_not_told(shore: Shore, receiver: Receiver) -> None:
    await shore.done(
        {}, {"notify": {"slack": {"message": "hello", "channel_id": None, "member_ids": []}}}
    )
    await shore.tell()
    assert receiver.requests == []
    queue = shore.database.read_blocking(queues.find, shore.organisation_id, "buckets", "p-1")
    assert queue is not None
    assert not queue.notices


async def test_members_alone_are_enough(shore: Shore, receiver: Receiver) -> None:
    await shore.done({"notify": {"slack": {"member_ids": ["U7"]}}})
    await shore.tell()
    body = json.loads(receiver.requests[0].body)
    assert body["text"].startswith("<@U7> Work wk_")
    assert "channel" not in body


@pytest.mark.parametrize(
    ("blocks", "added", "more"),
    [
        ({"blocks": [{"type": "divider"}]}, [{"type": "divider"}], {}),
        ({"type": "divider"}, [{"type": "divider"}], {}),
        ({"attachments": [{"color": "#f00"}]}, [], {"attachments": [{"color": "#f00"}]}),
        ({"text": "other", "channel": "C99", "blocks": "x"}, [], {}),
        ({"blocks": [{"type": "divider"}] * 80}, [{"type": "divider"}] * 49, {}),
    ],
)
async def test_the_blocks_of_a_work_come_after_ours(
    shore: Shore, receiver: Receiver, blocks: Any, added: Any, more: Any
) -> None:
    await shore.done(asking(blocks=blocks))
    await shore.tell()
    body = json.loads(receiver.requests[0].body)
    assert body["blocks"][1:] == added
    assert {name: body[name] for name in body if name not in ("text", "blocks")} == {
        "channel": "C01",
        **more,
    }


async def test_a_message_is_bounded(shore: Shore, receiver: Receiver) -> None:
    await shore.deposit(
        asking(message="m" * 50_000, results=True, blocks={"x": "y" * limits.SLACK_BLOCKS_BYTES})
    )
    await shore.attempt(results={"a": "z" * 1_000_000})
    await shore.tell()
    body = json.loads(receiver.requests[0].body)
    assert len(body["text"]) == limits.SLACK_TEXT_CHARACTERS
    assert all(len(block["text"]["text"]) <= 3_000 for block in body["blocks"])
    assert "own blocks take more than" in body["blocks"][2]["text"]["text"]
    assert "x" not in body


async def test_without_an_address_the_reply_says_so_and_nothing_is_tried_again(
    shore: Shore, receiver: Receiver
) -> None:
    shore.use_slack(None)
    [work_id] = await shore.done(asking())
    await shore.tell()
    found = await reply(shore, work_id)
    assert (found["ok"], found["status"]) == (False, None)
    assert "LONGSHORE_SLACK_WEBHOOK_URL" in found["error"]
    [delivery] = shore.deliveries()
    assert (delivery.state, delivery.attempt) == (State.SUCCESS, 1)
    assert receiver.connections == 0


async def test_a_delivery_that_fails_is_tried_again_and_the_reply_keeps_up(
    shore: Shore, receiver: Receiver
) -> None:
    receiver.script = [503, 200]
    [work_id] = await shore.done(asking())
    await shore.tell()
    found = await reply(shore, work_id)
    assert (found["ok"], found["status"], found["attempt"]) == (False, 503, 1)
    assert "answered 503" in found["error"]
    shore.clock.advance(31)
    shore.database.write_blocking(janitor.tidy)
    await shore.tell()
    found = await reply(shore, work_id)
    assert (found["ok"], found["status"], found["attempt"]) == (True, 200, 2)
    assert "error" not in found
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 410])
async def test_what_slack_never_takes_is_not_sent_again(
    shore: Shore, receiver: Receiver, status: int
) -> None:
    receiver.script = [status]
    [work_id] = await shore.done(asking())
    await shore.tell()
    [delivery] = shore.deliveries()
    assert (delivery.state, delivery.retry_us) == (State.FAILURE, None)
    found = await reply(shore, work_id)
    assert (found["ok"], found["status"]) == (False, status)


async def test_the_address_is_kept_secret_and_held_to_the_same_rules(
    shore: Shore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    shore.use_slack(f"http://127.0.0.1:{receiver.port}/services/geheim")
    shore.served.context.outbound = Outbound()
    [work_id] = await shore.done(asking())
    await shore.tell()
    assert receiver.connections == 0
    found = await reply(shore, work_id)
    assert "a loopback address" in found["error"]
    assert "geheim" not in json.dumps(found)
    assert "geheim" not in repr(shore.served.context.settings)
    assert "geheim" not in caplog.text
    # An address that cannot be called is no better at the next try.
    assert shore.deliveries()[0].retry_us is None


async def test_a_work_in_the_bucket_notify_is_a_message_and_done_at_once(
    shore: Shore, receiver: Receiver
) -> None:
    told, plain = await shore.deposit(asking(message="hello"), {}, pipeline="notify")
    assert (await shore.document(told))["status"] == "success"
    assert (await shore.document(told))["attempt"] == 1
    # One that names nobody is a work like any other.
    assert (await shore.document(plain))["status"] == "queued"
    await shore.tell()
    [got] = receiver.requests
    assert json.loads(got.body)["text"] == "hello"
    assert (await reply(shore, told))["ok"] is True


async def test_the_reply_finds_a_work_that_is_among_the_results(
    shore: Shore, receiver: Receiver
) -> None:
    [work_id] = await shore.done(asking())
    shore.follow()
    stored = await shore.client.post("/results/results", json=[await shore.document(work_id)])
    assert stored.status_code == 200, stored.text
    await shore.call("DELETE", f"/work?ids={work_id}")
    await shore.tell()
    view = {"query": {"id": work_id, "pipeline": "p-1"}, "projection": {}, "skip": 0, "limit": 1}
    [found] = (await shore.client.post("/results/view", json=view)).json()
    assert found["notify"]["slack"]["reply"]["ok"] is True
    assert len(receiver.requests) == 1


async def test_a_work_that_is_gone_or_asks_no_more_gets_no_reply(
    shore: Shore, receiver: Receiver
) -> None:
    gone, changed = await shore.done(asking(), asking())
    shore.follow()
    await shore.call("DELETE", f"/work?ids={gone}")
    document = await shore.document(changed)
    document["notify"]["slack"]["channel_id"] = None
    assert await shore.call("PUT", "/work", json=[document]) is True
    await shore.tell()
    assert len(receiver.requests) == 2
    assert await reply(shore, changed) is None
    keep = slack.keep_reply
    assert not shore.database.write_blocking(keep, shore.organisation_id, gone, {"ok": True})
    other, _ = shore.served.other_organisation()
    assert not shore.database.write_blocking(keep, other.id, changed, {"ok": True})

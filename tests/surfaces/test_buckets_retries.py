"""A deposit whose answer was lost and that is sent again: no twins, and none swallowed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from longshore.surfaces.buckets import retries
from tests.surfaces.buckets_rig import BUCKET, Buckets, payload
from tests.unit.serving import bearer

Sender = Callable[[], Awaitable[None]]


async def post(
    buckets: Buckets, works: list[Any], *, hang_up: bool = False, date: str = "Sat Nov 21"
) -> Any:
    """Deposit as the published client does; a client that hangs up never reads the answer."""
    body = json.dumps(works).encode()
    gone = asyncio.Event()
    sent: list[dict[str, Any]] = []
    steps = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        step = next(steps, None)
        if step is not None:
            if hang_up:
                gone.set()
            return step
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = {**bearer(buckets.served.first.token), "date": date, "content-type": "text/plain"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/buckets/work",
        "raw_path": b"/buckets/work",
        "query_string": b"return_ids=True&return_ids=True",
        "root_path": "",
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }
    await buckets.served.app(scope, receive, send)
    if not sent:
        return None
    return json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def later(buckets: Buckets, seconds: float = 1.0) -> None:
    buckets.clock.advance(seconds)


async def test_a_deposit_whose_client_hung_up_is_found_again(buckets: Buckets) -> None:
    works = [payload(), payload(user="bob")]
    assert await post(buckets, works, hang_up=True) is None
    later(buckets)
    found = await post(buckets, works)
    assert [work["id"] for work in await buckets.view()] == found


async def test_a_retry_is_found_again_until_its_answer_is_read(buckets: Buckets) -> None:
    works = [payload()]
    for _ in range(3):
        assert await post(buckets, works, hang_up=True) is None
        later(buckets)
    assert len(await post(buckets, works)) == 1
    assert (await buckets.details())["total"] == 1


async def test_a_deposit_is_found_again_after_the_server_has_died(buckets: Buckets) -> None:
    works = [payload()]
    assert await post(buckets, works, hang_up=True) is None
    # Whatever the server remembered is gone; its database is not.
    buckets.served.context._shared.clear()
    later(buckets)
    assert len(await post(buckets, works)) == 1
    assert (await buckets.details())["total"] == 1


async def test_the_same_work_deposited_twice_on_purpose_is_two_works(buckets: Buckets) -> None:
    works = [payload()]
    first = await post(buckets, works)
    later(buckets)
    second = await post(buckets, works)
    assert first != second
    assert (await buckets.details())["total"] == 2


async def test_the_same_work_deposited_by_many_at_once_is_many_works(buckets: Buckets) -> None:
    works = [payload()]
    found = await asyncio.gather(*[post(buckets, works) for _ in range(8)])
    assert len({ids[0] for ids in found}) == 8


async def test_a_note_does_not_count_for_another_client_key_or_time(buckets: Buckets) -> None:
    works = [payload()]
    await post(buckets, works, hang_up=True)
    later(buckets)
    await post(buckets, works, date="another client")
    await post(buckets, [payload(user="bob")])
    later(buckets, retries.RETRY_S)
    await post(buckets, works)
    assert (await buckets.details())["total"] == 4


async def test_notes_do_not_pile_up(buckets: Buckets) -> None:
    await post(buckets, [payload()], hang_up=True)
    await post(buckets, [payload(user="bob")])
    later(buckets, retries.RETRY_S + 1)
    gone = buckets.database.write_blocking(retries.expire)["notes"]
    assert gone in (1, 2)
    assert buckets.database.write_blocking(retries.expire) == {"notes": 0}


async def test_a_deposit_with_an_idempotency_key_is_made_once(buckets: Buckets) -> None:
    headers = {"Idempotency-Key": "deposit-1"}
    url = "/buckets/work?return_ids=True"
    first = await buckets.client.post(url, json=[payload()], headers=headers)
    again = await buckets.client.post(url, json=[payload()], headers=headers)
    assert first.json() == again.json()
    other = await buckets.client.post(url, json=[payload(user="bob")], headers=headers)
    assert other.status_code == 409
    assert (await buckets.details())["total"] == 1


async def test_one_idempotency_key_many_times_at_once_is_made_once(buckets: Buckets) -> None:
    headers = {"Idempotency-Key": "deposit-1"}
    url = "/buckets/work?return_ids=True"
    sent = [buckets.client.post(url, json=[payload()], headers=headers) for _ in range(6)]
    ids = {answer.json()[0] for answer in await asyncio.gather(*sent)}
    assert len(ids) == 1
    assert (await buckets.details())["total"] == 1


async def test_deposits_that_arrive_together_are_answered_apart(buckets: Buckets) -> None:
    bodies = [[payload(user=f"user {n}")] for n in range(20)]
    bodies[7] = [payload(pipeline="not_valid")]
    url = "/buckets/work?return_ids=True"
    answers = await asyncio.gather(*[buckets.client.post(url, json=body) for body in bodies])
    assert [answer.status_code for answer in answers] == [400 if n == 7 else 200 for n in range(20)]
    for position, answer in enumerate(answers):
        if position != 7:
            assert (await buckets.see(answer.json()[0]))["user"] == f"user {position}"


@pytest.mark.parametrize("where", [{}, {"site": "local"}])
async def test_a_work_goes_back_when_nobody_is_there_to_take_it(
    buckets: Buckets, where: dict[str, str]
) -> None:
    (work_id,) = await buckets.deposit(retries=1)
    steps = iter(
        [{"type": "http.request", "body": json.dumps({"pipeline": BUCKET, **where}).encode()}]
    )

    async def receive() -> dict[str, Any]:
        return next(steps, {"type": "http.disconnect"})

    async def send(_message: Any) -> None:
        return None

    headers = bearer(buckets.served.first.token)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/buckets/work/withdraw",
        "raw_path": b"/buckets/work/withdraw",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }
    await buckets.served.app(scope, receive, send)
    assert (await buckets.see(work_id))["status"] == "queued"
    held = await buckets.withdraw()
    assert held is not None
    assert await buckets.update({**held, "status": "success"}) is True

"""`longshore why` about works of buckets: queued, held, leased, expired, exhausted."""

from __future__ import annotations

from longshore.engine import queues
from longshore.surfaces.buckets.depositing import queue_of
from tests.surfaces.buckets_rig import BUCKET, Buckets


async def why(buckets: Buckets, work_id: str) -> str:
    answer = await buckets.client.get(f"/longshore/v1/works/{work_id}/why")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["text"])


async def test_a_queued_work_says_what_is_ahead_of_it_and_who_might_take_it(
    buckets: Buckets,
) -> None:
    _, second = await buckets.deposit(*[_payload() for _ in range(2)])
    text = await why(buckets, second)
    assert text.startswith("queued: 1 work is ahead of it, and nobody has withdrawn it so far")
    assert "clients that withdraw by themselves are not counted" in text


async def test_a_work_in_a_held_bucket_says_who_holds_it_and_why(buckets: Buckets) -> None:
    (work_id,) = await buckets.deposit()
    queue_id = buckets.database.write_blocking(queue_of, buckets.served.organisation.id, BUCKET)
    buckets.database.write_blocking(
        queues.hold, queue_id, actor="ann", why="the telescope is being moved"
    )
    text = await why(buckets, work_id)
    assert "is held since" in text
    assert "by ann: the telescope is being moved" in text
    assert await buckets.withdraw() is None


async def test_a_leased_work_names_the_key_of_its_holder_and_the_end_of_the_lease(
    buckets: Buckets,
) -> None:
    held = await buckets.held(timeout=60)
    text = await why(buckets, held["id"])
    assert text.startswith("running: attempt 1 of 2 is held by key '")
    assert "the lease ends in 70 s unless it is renewed" in text


async def test_an_expired_work_says_so_and_when_it_is_tried_again(buckets: Buckets) -> None:
    held = await buckets.held(timeout=60)
    buckets.clock.advance(61)
    await buckets.audit()
    text = await why(buckets, held["id"])
    assert text.startswith("failure: The lease ended without a word from its holder.")
    assert "Attempt 2 of 2 is due at" in text


async def test_an_exhausted_work_says_that_its_attempts_are_used_up_and_why_they_failed(
    buckets: Buckets,
) -> None:
    held = await buckets.held(retries=1)
    await buckets.update({**held, "status": "failure", "results": {"error": "no such file"}})
    text = await why(buckets, held["id"])
    assert "no such file" in text
    assert text.endswith("Its only attempt is used up")


def _payload() -> dict[str, str]:
    return {"pipeline": BUCKET, "site": "local", "user": "ann"}

"""Withdrawals that wait for works of buckets which are not there yet."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from longshore.edge.wakeups import QUEUES
from tests.surfaces.buckets_rig import Buckets, payload

WAIT_S = 20.0
SOON_S = 10.0


async def _waiting(buckets: Buckets, *names: str) -> asyncio.Task[Any]:
    """Begin a withdrawal that waits, and return once it listens for new buckets."""
    wanted = {"pipeline": {"$in": list(names)}}
    asked = asyncio.create_task(
        buckets.ask("POST", "/work/withdraw", wanted, limit=5, wait_s=WAIT_S)
    )
    deadline_s = time.monotonic() + SOON_S
    while not buckets.served.context.wakeups._bells.get(QUEUES):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    return asked


async def test_a_withdrawal_waits_for_a_bucket_that_is_not_there_yet(buckets: Buckets) -> None:
    begun_s = time.monotonic()
    asked = await _waiting(buckets, "later")
    (work_id,) = await buckets.deposit(payload("later"))
    assert [work["id"] for work in await asked] == [work_id]
    assert time.monotonic() - begun_s < SOON_S


async def test_a_withdrawal_that_waits_goes_on_when_another_bucket_is_made(
    buckets: Buckets,
) -> None:
    await buckets.held(pipeline="known")
    begun_s = time.monotonic()
    asked = await _waiting(buckets, "known", "later")
    await buckets.deposit(payload("other"))
    (work_id,) = await buckets.deposit(payload("known"))
    assert [work["id"] for work in await asked] == [work_id]
    assert time.monotonic() - begun_s < SOON_S

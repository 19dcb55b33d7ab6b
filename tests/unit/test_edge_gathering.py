"""Requests that are written together, and what becomes of each when the writing fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from longshore.edge.gathering import Gatherer
from longshore.errors import InvalidRequest, Unavailable
from longshore.storage import Database


async def test_what_arrives_together_is_written_together_and_answered_apart(
    database: Database,
) -> None:
    batches: list[int] = []

    def double(_connection: Connection, items: Sequence[int]) -> list[int]:
        batches.append(len(items))
        return [2 * item for item in items]

    gatherer = Gatherer(database, double)
    answers = await asyncio.gather(*[gatherer.write(item) for item in range(50)])
    assert answers == [2 * item for item in range(50)]
    assert sum(batches) == 50
    assert len(batches) < 10


async def test_an_item_that_cannot_be_written_fails_alone(database: Database) -> None:
    def refuse_odd(_connection: Connection, items: Sequence[int]) -> list[int]:
        for item in items:
            if item % 2:
                raise InvalidRequest(f"{item} is odd; send an even number.")
        return list(items)

    gatherer = Gatherer(database, refuse_odd)
    answers = await asyncio.gather(
        *[gatherer.write(item) for item in range(6)], return_exceptions=True
    )
    assert answers[::2] == [0, 2, 4]
    assert all(isinstance(answer, InvalidRequest) for answer in answers[1::2])


async def test_nothing_is_written_again_when_the_database_is_at_fault(database: Database) -> None:
    calls = 0

    def lose(_connection: Connection, _items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        raise Unavailable("The database went away. Try again.")

    gatherer = Gatherer(database, lose)
    answers = await asyncio.gather(
        *[gatherer.write(item) for item in range(6)], return_exceptions=True
    )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert calls == 1


async def test_a_caller_that_gives_up_harms_nobody(database: Database) -> None:
    gatherer: Gatherer[int, int] = Gatherer(database, lambda _connection, items: list(items))
    first, second = (asyncio.ensure_future(gatherer.write(item)) for item in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await gatherer.write(3) == 3

"""Many small requests are written together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from longshore.edge.gathering import MOST, Gatherer
from longshore.errors import Unavailable
from longshore.storage import Database


class Squares:
    """A service that notes which items it was given together, and refuses 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, connection: Connection, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if 13 in items:
            raise ValueError("thirteen")
        return [item * item for item in items]


async def test_what_arrives_together_is_written_together(database: Database) -> None:
    squares = Squares()
    gatherer = Gatherer(database, squares)
    answers = await asyncio.gather(*[gatherer.write(item) for item in range(12)])
    assert answers == [item * item for item in range(12)]
    assert squares.batches == [list(range(12))]


async def test_who_needs_some_rounds_of_the_loop_to_arrive_is_let_in(
    database: Database,
) -> None:
    squares = Squares()
    gatherer = Gatherer(database, squares)

    async def arrive(rounds: int) -> int:
        for _ in range(rounds):
            await asyncio.sleep(0)
        return await gatherer.write(rounds)

    answers = await asyncio.gather(*[arrive(rounds) for rounds in range(10)])
    assert answers == [rounds * rounds for rounds in range(10)]
    assert len(squares.batches) == 1


async def test_an_endless_stream_is_not_waited_for(database: Database) -> None:
    squares = Squares()
    gatherer = Gatherer(database, squares)
    count = 3 * MOST
    await asyncio.gather(*[gatherer.write(item + 100) for item in range(count)])
    assert sum(len(batch) for batch in squares.batches) == count
    assert max(len(batch) for batch in squares.batches) <= MOST


async def test_an_item_that_cannot_be_written_fails_alone(database: Database) -> None:
    gatherer = Gatherer(database, Squares())
    answers = await asyncio.gather(
        *[gatherer.write(item) for item in (12, 13, 14)], return_exceptions=True
    )
    assert (answers[0], answers[2]) == (144, 196)
    assert isinstance(answers[1], ValueError)
    assert await gatherer.write(2) == 4


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

"""Ways to few works: the indexes that the engine has for its own, asked how much is behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from longshore.engine.choosing import constant
from longshore.engine.searching_bounds import Bounds
from longshore.engine.states import State
from longshore.engine.tables import works

FEW: Final = 5_000
"""So many works are read and filtered rather than walked to."""
_QUEUES: Final = 50
"""So many queues are asked one by one."""
_ENDED: Final = (State.SUCCESS, State.FAILURE, State.CANCELLED)


def candidates(connection: Connection, bounds: Bounds) -> list[str] | None:
    """Return the ids of all works that can fit, where an index shows that they are few."""
    if bounds.given is not None:
        return bounds.given
    for names, look in (
        (bounds.groups, _of_groups),
        (bounds.unique_keys, _of_unique_keys),
    ):
        if names is not None:
            found = look(connection, bounds, names)
            if found is not None:
                return found
    if bounds.any_queue and bounds.states == frozenset(State):
        return None
    return _of_states(connection, bounds)


def _of_states(connection: Connection, bounds: Bounds) -> list[str] | None:
    found: list[str] = []
    queue_ids = bounds.queue_ids
    for state in sorted(bounds.states):
        if state in (State.QUEUED, *_ENDED) and len(queue_ids) > _QUEUES:
            return None
        for query in _WAYS[state](bounds):
            room = FEW + 1 - len(found)
            found += connection.execute(query.limit(room), bounds.parameters).scalars()
            if len(found) > FEW:
                return None
    return found


def _of_groups(connection: Connection, bounds: Bounds, names: list[str]) -> list[str] | None:
    return _few(connection, bounds, select(works.c.id).where(works.c.group_id.in_(names)))


def _of_unique_keys(connection: Connection, bounds: Bounds, names: list[str]) -> list[str] | None:
    if len(bounds.queue_ids) > _QUEUES:
        return None
    query = select(works.c.id).where(
        works.c.queue_id.in_(bounds.queue_ids), works.c.unique_key.in_(names)
    )
    return _few(connection, bounds, query)


def _few(connection: Connection, bounds: Bounds, query: Select[Any]) -> list[str] | None:
    found = list(connection.execute(query.limit(FEW + 1), bounds.parameters).scalars())
    return None if len(found) > FEW else found


def _waiting(bounds: Bounds) -> Iterator[Select[Any]]:
    # The index is not by queue: what is looked at is bounded, whatever of it is ours.
    yield select(works.c.id).where(works.c.state == constant("waiting")).order_by(works.c.due_us)


def _queued(bounds: Bounds) -> Iterator[Select[Any]]:
    for queue_id in bounds.queue_ids:
        yield (
            select(works.c.id)
            .where(works.c.queue_id == queue_id, works.c.state == constant("queued"))
            .order_by(works.c.priority.desc(), works.c.due_us, works.c.id)
        )


def _running(bounds: Bounds) -> Iterator[Select[Any]]:
    yield (
        select(works.c.id)
        .where(works.c.lease_until_us.is_not(None))
        .order_by(works.c.lease_until_us)
    )


def _ended(state: State) -> Callable[[Bounds], Iterator[Select[Any]]]:
    def ways(bounds: Bounds) -> Iterator[Select[Any]]:
        for queue_id in bounds.queue_ids:
            # In the order of the index, so that it is taken, and not the whole table.
            yield (
                select(works.c.id)
                .where(
                    works.c.queue_id == queue_id,
                    works.c.state == constant(state.value),
                    works.c.finished_us.is_not(None),
                )
                .order_by(works.c.finished_us)
            )

    return ways


_WAYS: Final[dict[State, Callable[[Bounds], Iterator[Select[Any]]]]] = {
    State.WAITING: _waiting,
    State.QUEUED: _queued,
    State.RUNNING: _running,
    **{state: _ended(state) for state in _ENDED},
}
assert set(_WAYS) == set(State), "there is a way to works of every State"

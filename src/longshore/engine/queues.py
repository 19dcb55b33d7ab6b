"""Queues: where works wait, with their limits, retry policy and holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from longshore.engine.states import State
from longshore.engine.tables import queues, works
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import notify, now_us
from longshore.storage.bulk import given_parameters, given_rows
from longshore.storage.texts import begins_with

TOPIC: Final = "queues"
"""Topic of queues that were just made: who waits for work of one cannot listen to it before."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its settings; times in microseconds, lengths in seconds.

    Attributes:
        attempts_max: attempts of a work that does not say otherwise.
        timeout_s: time limit of an attempt, or None for none.
        backoff_s: pause before the second attempt; doubled for each further one.
        backoff_max_s: longest such pause.
        concurrency_max: most works that run at once, or None.
        key_concurrency_max: most works with one concurrency key that run at once, or None.
        retention_s: how long a finished work without a group is kept, or None for ever.
        expired_pause_s: pause before the next attempt when a lease ended by itself.
        parent_id: the queue whose workers serve this one as well, or None.
        notices: whether each end of an attempt is told to whoever follows (engine.notices).
        successes_told: whether a success is told as well; False where only failures matter.
        held_us: since when nothing may be claimed from it, or None.
    """

    id: int
    organisation_id: str
    surface: str
    name: str
    parent_id: int | None
    attempts_max: int
    timeout_s: float | None
    backoff_s: float
    backoff_max_s: float
    concurrency_max: int | None
    key_concurrency_max: int | None
    retention_s: float | None
    expired_pause_s: float
    notices: bool
    successes_told: bool
    held_us: int | None
    held_by: str | None
    held_why: str | None

    def tells(self, state: State) -> bool:
        """Whether an attempt that ended in `state` is told to whoever follows."""
        return self.notices and (self.successes_told or state is not State.SUCCESS)

    @property
    def limited(self) -> bool:
        """Whether a claim has to count what runs."""
        return self.concurrency_max is not None or self.key_concurrency_max is not None


_NEEDED = ("attempts_max", "backoff_s", "backoff_max_s", "expired_pause_s", "notices")
_COLUMNS = [queues.c[name] for name in Queue.__dataclass_fields__]
# Made once: each deposit asks, and to put it together takes longer than to run it.
_BY_NAME = select(*_COLUMNS).where(
    queues.c.organisation_id == bindparam("of_organisation"),
    queues.c.surface == bindparam("of_surface"),
    queues.c.name == bindparam("of_name"),
)


def ensure(  # noqa: PLR0913 - one argument a setting, all by name
    connection: Connection,
    *,
    organisation_id: str,
    surface: str,
    name: str,
    attempts_max: int = 3,
    timeout_s: float | None = None,
    backoff_s: float = 2.0,
    backoff_max_s: float = 300.0,
    concurrency_max: int | None = None,
    retention_s: float | None = None,
    expired_pause_s: float = 0.0,
    notices: bool = False,
    successes_told: bool = True,
    parent_id: int | None = None,
) -> int:
    """Return the id of the queue, making it with these settings if it is not there."""
    found = find(connection, organisation_id, surface, name)
    if found is not None:
        return found.id
    values = {
        "organisation_id": organisation_id,
        "surface": surface,
        "name": name,
        "attempts_max": attempts_max,
        "timeout_s": timeout_s,
        "backoff_s": backoff_s,
        "backoff_max_s": backoff_max_s,
        "concurrency_max": concurrency_max,
        "retention_s": retention_s,
        "expired_pause_s": expired_pause_s,
        "notices": notices,
        "successes_told": successes_told,
        "parent_id": parent_id,
        "created_us": now_us(connection),
    }
    try:
        with connection.begin_nested():
            queue_id = int(
                connection.execute(
                    insert(queues).values(values).returning(queues.c.id)
                ).scalar_one()
            )
    except IntegrityError:
        # Another server made it between our look and our insert.
        made = find(connection, organisation_id, surface, name)
        if made is None:
            raise
        return made.id
    notify(connection, TOPIC)
    return queue_id


def find(connection: Connection, organisation_id: str, surface: str, name: str) -> Queue | None:
    """Return the queue of that name, or None."""
    named = {"of_organisation": organisation_id, "of_surface": surface, "of_name": name}
    row = connection.execute(_BY_NAME, named).one_or_none()
    return None if row is None else _queue(row)


def get(connection: Connection, queue_id: int) -> Queue:
    """Return a queue; NotFound if there is none with that id."""
    return get_many(connection, {queue_id})[queue_id]


def get_many(connection: Connection, queue_ids: Collection[int]) -> dict[int, Queue]:
    """Return queues by id; NotFound if one is missing."""
    dialect = connection.dialect.name
    chosen = given_parameters(dialect, [(queue_id,) for queue_id in sorted(queue_ids)], 1)
    rows = connection.execute(_by_id(dialect), chosen)
    found = {row.id: _queue(row) for row in rows}
    missing = set(queue_ids) - set(found)
    if missing:
        raise NotFound(f"There is no queue {min(missing)}. List the queues to see which there are.")
    return found


@cache
def _by_id(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=BigInteger)
    return select(*_COLUMNS).where(queues.c.id == given.c.id)


def listing(connection: Connection, organisation_id: str) -> list[Queue]:
    """Return the organisation's queues by surface and name."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(queues.c.organisation_id == organisation_id)
        .order_by(queues.c.surface, queues.c.name)
    )
    return [_queue(row) for row in rows]


def search(
    connection: Connection,
    organisation_id: str,
    *,
    beginning: str = "",
    surface: str | None = None,
    only: Literal["held", "retained"] | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Queue]:
    """Return queues behind the id `after`, by id: those that match, as many as `limit`.

    Args:
        connection: a transaction.
        organisation_id: whose queues.
        beginning: what the name begins with, to the letter.
        surface: the surface that they belong to.
        only: those that are held, or those whose finished works are deleted after a while.
        after: the id of the last one of the page before.
        limit: most of them.
    """
    query = select(*_COLUMNS).where(
        queues.c.organisation_id == organisation_id, queues.c.id > after
    )
    if beginning:
        query = query.where(begins_with(queues.c.name, beginning))
    if surface is not None:
        query = query.where(queues.c.surface == surface)
    if only == "held":
        query = query.where(queues.c.held_us.is_not(None))
    if only == "retained":
        query = query.where(queues.c.retention_s.is_not(None))
    return [_queue(row) for row in connection.execute(query.order_by(queues.c.id).limit(limit))]


def surfaces(connection: Connection, organisation_id: str) -> list[str]:
    """Return the surfaces that the organisation has queues of, by name."""
    rows = connection.execute(
        select(queues.c.surface)
        .where(queues.c.organisation_id == organisation_id)
        .distinct()
        .order_by(queues.c.surface)
    )
    return [row.surface for row in rows]


def of_surface(connection: Connection, surface: str) -> list[Queue]:
    """Return the queues of a surface in all organisations."""
    rows = connection.execute(
        select(*_COLUMNS).where(queues.c.surface == surface).order_by(queues.c.id)
    )
    return [_queue(row) for row in rows]


def children(connection: Connection, parent_ids: Collection[int]) -> list[int]:
    """Return the ids of the queues below these that are not held and in which works wait."""
    dialect = connection.dialect.name
    chosen = given_parameters(dialect, [(parent_id,) for parent_id in sorted(parent_ids)], 1)
    return list(connection.execute(_children(dialect), chosen).scalars())


@cache
def _children(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=BigInteger)
    # Written out, the state lets the planner use the partial index of what can be claimed.
    waiting = (
        select(works.c.id)
        .where(works.c.queue_id == queues.c.id, works.c.state == literal_column("'queued'"))
        .exists()
    )
    return (
        select(queues.c.id)
        .where(queues.c.parent_id == given.c.id, queues.c.held_us.is_(None), waiting)
        .order_by(queues.c.id)
    )


def leave_parent(connection: Connection, queue_id: int) -> None:
    """Serve the queue no longer together with its parent: nothing more will be put into it."""
    connection.execute(update(queues).where(queues.c.id == queue_id).values(parent_id=None))


def remove(connection: Connection, queue_id: int) -> None:
    """Delete a queue whose works were forgotten."""
    connection.execute(delete(queues).where(queues.c.id == queue_id))


def hold(connection: Connection, queue_id: int, *, actor: str, why: str) -> Queue:
    """Let nothing more be claimed from the queue until it is released; what runs goes on."""
    get(connection, queue_id)
    connection.execute(
        update(queues)
        .where(queues.c.id == queue_id, queues.c.held_us.is_(None))
        .values(held_us=now_us(connection), held_by=actor, held_why=why)
    )
    return get(connection, queue_id)


def release(connection: Connection, queue_id: int) -> Queue:
    """Let works be claimed from the queue again."""
    get(connection, queue_id)
    connection.execute(
        update(queues)
        .where(queues.c.id == queue_id)
        .values(held_us=None, held_by=None, held_why=None)
    )
    wake(connection, [queue_id])
    return get(connection, queue_id)


def configure(connection: Connection, queue_id: int, **changes: float | None) -> Queue:
    """Change settings of a queue; see Queue for their names and units.

    Raises:
        InvalidRequest: a setting is unknown or out of range.
        NotFound: there is no such queue.
    """
    allowed = {
        "attempts_max", "timeout_s", "backoff_s", "backoff_max_s", "concurrency_max",
        "key_concurrency_max", "retention_s", "expired_pause_s", "notices",
    }  # fmt: skip
    for name, value in changes.items():
        if name not in allowed:
            raise InvalidRequest(
                f"{name!r} is not a setting of a queue. Known: {', '.join(sorted(allowed))}."
            )
        if value is not None and value < (1 if name == "attempts_max" else 0):
            raise InvalidRequest(f"{name} is {value}; it cannot be that small.")
        if value is None and name in _NEEDED:
            raise InvalidRequest(f"{name} needs a value.")
    get(connection, queue_id)
    if changes:
        connection.execute(update(queues).where(queues.c.id == queue_id).values(**changes))
        wake(connection, [queue_id])
    return get(connection, queue_id)


def wake(connection: Connection, queue_ids: Iterable[int]) -> None:
    """Tell who waits for work in these queues, or their parents, to look again, once it is durable."""
    woken = set(queue_ids)
    if not woken:
        return
    dialect = connection.dialect.name
    chosen = given_parameters(dialect, [(queue_id,) for queue_id in sorted(woken)], 1)
    woken.update(connection.execute(_parents(dialect), chosen).scalars())
    for queue_id in sorted(woken):
        notify(connection, f"queue:{queue_id}")


@cache
def _parents(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=BigInteger)
    return select(queues.c.parent_id).where(
        queues.c.id == given.c.id, queues.c.parent_id.is_not(None)
    )


def lock(connection: Connection, queue_ids: Collection[int]) -> None:
    """Keep other transactions from deciding about these queues until this one ends."""
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        connection.execute(
            select(queues.c.id)
            .where(queues.c.id.in_(sorted(queue_ids)))
            .order_by(queues.c.id)
            .with_for_update()
        )


def _queue(row: Row[Any]) -> Queue:
    return Queue(**row._asdict())

"""Changing what a work was submitted with, while nothing about its state changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Text, UpdateBase, bindparam, update

from longshore.engine import queues
from longshore.engine.states import State
from longshore.engine.tables import works
from longshore.storage.bulk import given_parameters, given_rows

_UNCHANGED: Final[Any] = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """New values for one work; what is not given stays.

    Attributes:
        work_id: which work.
        priority: higher ones are claimed first.
        timeout_s: time limit of an attempt, in seconds.
        attempts_max: attempts it may take; at least 1.
        started_us: when the present or last attempt began.
        lease_until_us: end of the lease; only a running work has one, on others it is ignored.
    """

    work_id: str
    priority: int = _UNCHANGED
    timeout_s: float | None = _UNCHANGED
    attempts_max: int = _UNCHANGED
    started_us: int | None = _UNCHANGED
    lease_until_us: int = _UNCHANGED


def amend(connection: Connection, amendments: Sequence[Amendment]) -> None:
    """Change works; those that do not exist are passed over.

    A failed work whose attempts are raised above those it has had is not tried again by itself:
    the decision was taken when the attempt ended. Reopen it.
    """
    for amendment in amendments:
        values = {
            field.name: value
            for field in fields(amendment)
            if field.name != "work_id"
            and (value := getattr(amendment, field.name)) is not _UNCHANGED
        }
        lease_until_us = values.pop("lease_until_us", None)
        chosen = works.c.id == amendment.work_id
        if values:
            connection.execute(update(works).where(chosen).values(values))
        if lease_until_us is not None:
            running = works.c.state.concat("") == State.RUNNING
            connection.execute(
                update(works).where(chosen, running).values(lease_until_us=lease_until_us)
            )


def move(connection: Connection, work_ids: Sequence[str], *, queue_id: int, group_id: str) -> None:
    """Put works that do not run into another queue and group; they stay what they are.

    Works that run are passed over: their holders know the queue that they were claimed from.
    """
    dialect = connection.dialect.name
    moved = connection.execute(
        _moving(dialect),
        {
            "to_queue": queue_id,
            "to_group": group_id,
            **given_parameters(dialect, [(work_id,) for work_id in work_ids], 1),
        },
    )
    if moved.rowcount:
        queues.wake(connection, [queue_id])


@cache
def _moving(dialect: str) -> UpdateBase:
    given = given_rows(dialect, id=Text)
    return (
        update(works)
        .where(works.c.id == given.c.id, works.c.state.concat("") != State.RUNNING)
        .values(
            queue_id=bindparam("to_queue", type_=BigInteger),
            group_id=bindparam("to_group", type_=Text),
        )
    )

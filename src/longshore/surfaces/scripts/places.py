"""What steps wait for outside of their run: places under concurrency keys, and flags.

A step has its place under a key from when it is ready until it has ended, over all hosts and
runs of the organisation. Those that wait for one are written down, so that whoever ends can ring
for them, and the one with the highest priority, then the longest wait, comes first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, text, tuple_

from longshore.engine.notices import TOPIC
from longshore.storage import notify, now_us
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.definition.model import Flag
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_flags,
    scripts_key_holders,
    scripts_waits,
)

DUE_RUNS: Final = 200
"""Runs that are looked for at once."""


@dataclass(slots=True)
class Waits:
    """What the steps of a run wait for; rows of scripts_waits in the making."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def key(self, step: RunStep, name: str, most: int, priority: int) -> None:
        """Note that a step waits for a place under a key."""
        self._add(step, "key", name, most=most, priority=priority)

    def flag(self, step: RunStep, flag: Flag, date: str) -> None:
        """Note that a step waits for a flag."""
        self._add(
            step,
            "flag",
            flag.name,
            system_name=flag.system_name,
            source_system_name=flag.source_system_name,
            date=date,
        )

    def _add(self, step: RunStep, kind: str, name: str, **more: Any) -> None:
        empty = {
            "system_name": "", "source_system_name": "", "date": "", "most": None, "priority": 0,
        }  # fmt: skip
        ids = {
            "organisation_id": step.organisation_id, "run_id": step.run_id, "step_id": step.id,
        }  # fmt: skip
        self.rows.append({**empty, **ids, "kind": kind, "name": name, **more})


def missing_flags(board: Board, step: RunStep) -> list[Flag]:
    """Return the flags that a step waits for, of those of its definition."""
    wanted = board.definition(step).flags
    if not wanted:
        return []
    table = scripts_flags
    rows = board.connection.execute(
        select(table.c.name, table.c.system_name, table.c.source_system_name).where(
            table.c.organisation_id == step.organisation_id,
            table.c.date == board.run.business_date,
            table.c.name.in_([flag.name for flag in wanted]),
        )
    )
    there = set(map(tuple, rows))
    return [
        flag
        for flag in dict.fromkeys(wanted)
        if (flag.name, flag.system_name, flag.source_system_name) not in there
    ]


def take(
    board: Board, ready: Sequence[RunStep], priorities: Mapping[str, int], waits: Waits
) -> list[RunStep]:
    """Give ready steps their places under the keys that they want; return those that may go on.

    The others are noted in `waits`, and why.
    """
    keyed = [step for step in ready if board.definition(step).concurrency]
    if not keyed:
        return list(ready)
    names = {fold(each.key) for step in keyed for each in board.definition(step).concurrency}
    connection, organisation_id = board.connection, board.run.organisation_id
    _lock(connection, organisation_id, names)
    taken = _taken(connection, organisation_id, names)
    waiting = _waiting(connection, organisation_id, names)
    gone: list[RunStep] = []
    for step in sorted(keyed, key=lambda each: -priorities[each.definition]):
        order = (-priorities[step.definition], _since(waiting, step) or now_us(connection))
        full = [
            each
            for each in board.definition(step).concurrency
            if taken[fold(each.key)] + _before(waiting, fold(each.key), step, order) >= each.limit
        ]
        for each in full:
            waits.key(step, fold(each.key), each.limit, priorities[step.definition])
        if full:
            names_text = ", ".join(f"{each.key} (at most {each.limit})" for each in full)
            step.why = f"waits for a place under the concurrency key {names_text}"
            gone.append(step)
            continue
        for each in board.definition(step).concurrency:
            taken[fold(each.key)] += 1
            _hold(connection, step, fold(each.key))
        waiting = [row for row in waiting if row.step_id != step.id]
    return [step for step in ready if step not in gone]


def give_back(connection: Connection, organisation_id: str, step_ids: Collection[str]) -> None:
    """Free the places of steps, and ring for those that wait for them."""
    if not step_ids:
        return
    table = scripts_key_holders
    freed = connection.execute(
        delete(table)
        .where(table.c.organisation_id == organisation_id, table.c.step_id.in_(step_ids))
        .returning(table.c.key)
    ).all()
    if freed:
        notify(connection, TOPIC)


def keep(board: Board, waits: Waits) -> None:
    """Write down what the steps of a run wait for, in the place of what was written before."""
    table = scripts_waits
    if not waits.rows and not _may_wait(board):
        return
    known = {
        (row.step_id, row.kind, row.name): row.since_us
        for row in board.connection.execute(select(table).where(table.c.run_id == board.run.id))
    }
    if known:
        board.connection.execute(delete(table).where(table.c.run_id == board.run.id))
    now = now_us(board.connection)
    rows = [
        {**row, "since_us": known.get((row["step_id"], row["kind"], row["name"]), now)}
        for row in waits.rows
    ]
    if rows:
        board.connection.execute(insert(table), rows)


def due(connection: Connection) -> list[int]:
    """Return runs with a step that waits for something which may be there by now."""
    waits, holders, flags = scripts_waits, scripts_key_holders, scripts_flags
    taken = (
        select(func.count())
        .select_from(holders)
        .where(holders.c.organisation_id == waits.c.organisation_id, holders.c.key == waits.c.name)
        .scalar_subquery()
    )
    set_now = (
        select(flags.c.name)
        .where(
            flags.c.organisation_id == waits.c.organisation_id,
            flags.c.name == waits.c.name,
            flags.c.system_name == waits.c.system_name,
            flags.c.source_system_name == waits.c.source_system_name,
            flags.c.date == waits.c.date,
        )
        .exists()
    )
    rows = connection.execute(
        select(waits.c.run_id, func.max(waits.c.priority), func.min(waits.c.since_us))
        .where(
            or_(
                and_(waits.c.kind == "key", taken < waits.c.most),
                and_(waits.c.kind == "flag", set_now),
            )
        )
        .group_by(waits.c.run_id)
        .order_by(func.max(waits.c.priority).desc(), func.min(waits.c.since_us))
        .limit(DUE_RUNS)
    )
    return [row.run_id for row in rows]


def waiting_for_flag(
    connection: Connection, organisation_id: str, flag: Flag, date: str
) -> list[int]:
    """Return the runs in which a step waits for this flag of a business date."""
    table = scripts_waits
    rows = connection.execute(
        select(table.c.run_id)
        .where(
            table.c.organisation_id == organisation_id,
            table.c.kind == "flag",
            table.c.name == flag.name,
            table.c.system_name == flag.system_name,
            table.c.source_system_name == flag.source_system_name,
            table.c.date == date,
        )
        .distinct()
        .order_by(table.c.run_id)
    )
    return list(rows.scalars())


def _may_wait(board: Board) -> bool:
    return any(step.flags or step.concurrency for step in board.workflow.steps.values())


def _lock(connection: Connection, organisation_id: str, keys: Iterable[str]) -> None:
    """Keep other transactions from deciding about these keys until this one ends."""
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        for key in sorted(keys):
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 6))"),
                {"name": f"{organisation_id}/{key}"},
            )


def _taken(connection: Connection, organisation_id: str, keys: Collection[str]) -> dict[str, int]:
    table = scripts_key_holders
    rows = connection.execute(
        select(table.c.key, func.count())
        .where(table.c.organisation_id == organisation_id, table.c.key.in_(keys))
        .group_by(table.c.key)
    )
    return dict.fromkeys(keys, 0) | dict(rows.all())


def _waiting(connection: Connection, organisation_id: str, keys: Collection[str]) -> list[Any]:
    table = scripts_waits
    return list(
        connection.execute(
            select(table.c.step_id, table.c.name, table.c.priority, table.c.since_us).where(
                tuple_(table.c.organisation_id, table.c.kind, table.c.name).in_(
                    [(organisation_id, "key", key) for key in keys]
                )
            )
        )
    )


def _since(waiting: Sequence[Any], step: RunStep) -> int | None:
    return next((row.since_us for row in waiting if row.step_id == step.id), None)


def _before(waiting: Sequence[Any], key: str, step: RunStep, order: tuple[int, int]) -> int:
    """Count those that wait for a key and come before a step."""
    return sum(
        row.name == key and row.step_id != step.id and (-row.priority, row.since_us) < order
        for row in waiting
    )


def _hold(connection: Connection, step: RunStep, key: str) -> None:
    connection.execute(
        insert(scripts_key_holders).values(
            organisation_id=step.organisation_id, key=key, step_id=step.id, run_id=step.run_id
        )
    )

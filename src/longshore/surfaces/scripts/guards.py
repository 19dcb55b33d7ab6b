"""What a workflow does once, whatever is run again (step.once): a key, who does it, what came of it.

Keys belong to a workflow and last over its runs. An attempt that dies between the deed and its
word that it is done leaves the key to the next one: the deed is then done again.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.access import masking
from longshore.errors import Conflict, InvalidRequest, TooLarge
from longshore.storage import now_us
from longshore.surfaces.scripts import callers
from longshore.surfaces.scripts.callers import Caller
from longshore.surfaces.scripts.tables import scripts_guards, scripts_runs

KEY_CHARACTERS: Final = 256


class Guard(StrEnum):
    NEW = "new"
    """It is the caller's to do now."""
    BUSY = "busy"
    """Another attempt that still runs is at it."""
    DONE = "done"


def take(connection: Connection, caller: Caller, key: str) -> tuple[Guard, str | None]:
    """Ask to do what `key` stands for; return how it stands, and its result as JSON if it is done.

    An attempt that asks again for what it has begun itself is told NEW again.

    Raises:
        InvalidRequest: the key cannot be one.
    """
    place = _place(connection, caller, key)
    holder = {"work_id": caller.work_id, "attempt": caller.attempt}
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        dialect(scripts_guards)
        .values(**place, **holder, created_us=now_us(connection))
        .on_conflict_do_nothing()
    )
    row = _locked(connection, place)
    if row.done_us is not None:
        return Guard.DONE, row.result
    if _is_held_by(row, caller):
        return Guard.NEW, None
    if callers.runs(connection, caller.organisation_id, row.work_id, row.attempt):
        return Guard.BUSY, None
    connection.execute(update(scripts_guards).filter_by(**place).values(**holder))
    return Guard.NEW, None


def done(connection: Connection, caller: Caller, key: str, result: Any) -> None:
    """Keep that what `key` stands for is done, and what came of it; a second time changes nothing.

    Raises:
        Conflict: the caller has not begun it, or it has gone to another attempt.
        TooLarge: the result has more than `limits.GUARD_RESULT_BYTES`.
        InvalidRequest: the key cannot be one.
    """
    result = masking.of(connection, caller.organisation_id).value(result)
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if len(text.encode()) > limits.GUARD_RESULT_BYTES:
        raise TooLarge(
            f"The result of {key[:80]!r} has {len(text.encode())} bytes as JSON and may have "
            f"{limits.GUARD_RESULT_BYTES}. Keep what is large elsewhere, and here where it is.",
            details={"limit_bytes": limits.GUARD_RESULT_BYTES},
        )
    place = _place(connection, caller, key)
    row = _locked(connection, place)
    if row is None or not _is_held_by(row, caller):
        raise Conflict(
            f"{key[:80]!r} is not for this attempt to end: it has not begun it, or another attempt "
            "has taken it over. Ask with rtstep/once first."
        )
    if row.done_us is None:
        connection.execute(
            update(scripts_guards)
            .filter_by(**place)
            .values(done_us=now_us(connection), result=text)
        )


def _place(connection: Connection, caller: Caller, key: str) -> dict[str, str]:
    if not key.strip() or len(key) > KEY_CHARACTERS or not key.isprintable():
        raise InvalidRequest(
            f"{key[:80]!a} cannot be a key: it must have 1 to {KEY_CHARACTERS} printable "
            "characters. Name what is to be done once, such as 'mail order 17'."
        )
    workflow_id = connection.execute(
        select(scripts_runs.c.workflow_id).where(scripts_runs.c.id == caller.run_id)
    ).scalar_one()
    return {
        "organisation_id": caller.organisation_id,
        "workflow_id": workflow_id,
        "key": key,
    }


def _locked(connection: Connection, place: dict[str, str]) -> Any:
    return connection.execute(
        select(scripts_guards).filter_by(**place).with_for_update()
    ).one_or_none()


def _is_held_by(row: Row[Any], caller: Caller) -> bool:
    return (row.work_id, row.attempt) == (caller.work_id, caller.attempt)

"""What steps hand to later steps: one slot for each attempt of a step.

The payload of a step is that of its latest attempt that succeeded, or else of its latest one:
a failed step may leave word of what went wrong, and a rerun does not hide what was finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Connection, Select, case, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.access import masking
from longshore.clock import iso
from longshore.engine.states import Outcome
from longshore.errors import NotFound, PermissionDenied, TooLarge
from longshore.storage import now_us
from longshore.surfaces.scripts import board
from longshore.surfaces.scripts.callers import Caller
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_attempts,
    scripts_inputs,
    scripts_payload_values,
    scripts_payloads,
    scripts_runs,
    scripts_steps,
)

INDEXED_CHARACTERS: Final = 256
"""Longest path and longest value by which a payload can be found."""
FOUND: Final = 100
"""Most actions that a search tells of."""
_NOTHING: Final = "null"


def text_of(payload: Any) -> str:
    """Return a payload as the JSON text that is kept.

    Raises:
        TooLarge: it has more than `limits.STEP_PAYLOAD_BYTES`.
    """
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    size = len(text.encode())
    if size > limits.STEP_PAYLOAD_BYTES:
        raise TooLarge(
            f"The payload has {size} bytes as JSON and may have {limits.STEP_PAYLOAD_BYTES}. Put "
            "what is large into a file or a bucket, and hand on where it is.",
            details={"limit_bytes": limits.STEP_PAYLOAD_BYTES, "size_bytes": size},
        )
    return text


def put(connection: Connection, caller: Caller, run_id: int, step: str, payload: Any) -> None:
    """Store the payload of an attempt, in the place of what it has stored before.

    Raises:
        NotFound: the run is not the caller's.
        PermissionDenied: the step is another one of the run.
        TooLarge: see `text_of`.
    """
    payload = masking.of(connection, caller.organisation_id).value(payload)
    text = text_of(payload)
    if run_id != caller.run_id:
        raise board.no_run(run_id)
    if fold(step) != caller.folded:
        raise PermissionDenied(
            f"Step {caller.step!r} stores its own payload only, not that of {step[:200]!r}. Send "
            "STEPNAME as the worker set it."
        )
    values = {
        "payload": text,
        "stored_us": now_us(connection),
        "step_id": caller.step_id,
        "run_id": caller.run_id,
    }
    place = {"work_id": caller.work_id, "attempt": caller.attempt}
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        dialect(scripts_payloads)
        .values(**place, **values)
        .on_conflict_do_update(index_elements=["work_id", "attempt"], set_=values)
    )
    _index(connection, caller, payload)


def of_run(connection: Connection, organisation_id: str, run_id: int) -> str:
    """Return the JSON text that a run was started with; null where that was nothing.

    Raises:
        NotFound: the organisation has no such run.
    """
    row = connection.execute(
        select(scripts_inputs.c.payload)
        .select_from(scripts_runs)
        .outerjoin(scripts_inputs, scripts_inputs.c.run_id == scripts_runs.c.id)
        .where(scripts_runs.c.id == run_id, scripts_runs.c.organisation_id == organisation_id)
    ).one_or_none()
    if row is None:
        raise board.no_run(run_id)
    return row.payload or _NOTHING


def of_step(connection: Connection, organisation_id: str, run_id: int, step: str) -> str:
    """Return the payload of a step of a run, whatever the name's case, as JSON text.

    Of a step with a matrix, by its name in the definition, it is the list of the payloads of its
    instances in their order; null for those that stored none.

    Raises:
        NotFound: there is no such run or step, or it has stored no payload.
    """
    rows = connection.execute(
        select(scripts_steps.c.id, scripts_steps.c.name, scripts_steps.c.kind).where(
            scripts_steps.c.run_id == run_id,
            scripts_steps.c.organisation_id == organisation_id,
        )
    ).all()
    if not rows:
        raise board.no_run(run_id)
    wanted = next((row for row in rows if fold(row.name) == fold(step)), None)
    if wanted is None:
        raise _no_step(run_id, step, [row.name for row in rows])
    if wanted.kind == "matrix":
        return _of_matrix(connection, run_id, wanted.id, wanted.name)
    found = current(connection, run_id, [wanted.id]).get(wanted.id)
    if found is None:
        raise NotFound(
            f"Step {wanted.name!r} of run {run_id} has stored no payload. A step stores one with "
            "PutStepPayload, and those that depend on it can read it."
        )
    return found


def current(connection: Connection, run_id: int, step_ids: list[str]) -> dict[str, str]:
    """Return the payloads of those steps that have one, as JSON text by the steps' ids."""
    rows = connection.execute(_best_last(run_id).where(scripts_payloads.c.step_id.in_(step_ids)))
    return {row.step_id: row.payload for row in rows}


def search(
    connection: Connection,
    organisation_id: str,
    path: str,
    value: str,
    *,
    of_runs_like: int | None = None,
) -> list[dict[str, Any]]:
    """Return the actions in whose steps' payloads a value is found, the newest first.

    Args:
        connection: of a transaction.
        organisation_id: whose runs are looked through.
        path: names of the properties, joined by commas.
        value: the text itself, or a number, true, false or null as JSON has them.
        of_runs_like: only runs of the workflow of this run.
    """
    table = scripts_payload_values
    query = (
        select(
            table.c.run_id,
            scripts_steps.c.name,
            scripts_runs.c.state,
            scripts_runs.c.created_us,
        )
        .join(
            scripts_payloads,
            (scripts_payloads.c.work_id == table.c.work_id)
            & (scripts_payloads.c.attempt == table.c.attempt),
        )
        .join(scripts_steps, scripts_steps.c.id == scripts_payloads.c.step_id)
        .join(scripts_runs, scripts_runs.c.id == table.c.run_id)
        .where(
            table.c.organisation_id == organisation_id, table.c.path == path, table.c.value == value
        )
        .distinct()
        .order_by(table.c.run_id.desc(), scripts_steps.c.name)
        .limit(FOUND)
    )
    if of_runs_like is not None:
        like = select(scripts_runs.c.workflow_id).where(scripts_runs.c.id == of_runs_like)
        query = query.where(scripts_runs.c.workflow_id == like.scalar_subquery())
    return [
        {
            "actionId": row.run_id,
            "stepname": row.name,
            "status": row.state,
            "createdAt": iso(row.created_us),
        }
        for row in connection.execute(query)
    ]


def _best_last(run_id: int) -> Select[Any]:
    """Select the payloads of a run, so that of each step the one that counts comes last."""
    table, ended = scripts_payloads, scripts_attempts
    succeeded = case((ended.c.outcome == Outcome.SUCCESS.value, 1), else_=0)
    return (
        select(table.c.step_id, table.c.payload)
        .outerjoin(
            ended, (ended.c.work_id == table.c.work_id) & (ended.c.attempt == table.c.attempt)
        )
        .where(table.c.run_id == run_id)
        .order_by(succeeded, table.c.work_id, table.c.attempt)
    )


def _of_matrix(connection: Connection, run_id: int, step_id: str, name: str) -> str:
    ids = connection.scalars(
        select(scripts_steps.c.id)
        .where(scripts_steps.c.run_id == run_id, scripts_steps.c.parent_id == step_id)
        .order_by(scripts_steps.c.position, scripts_steps.c.id)
    ).all()
    found = current(connection, run_id, list(ids))
    if not found:
        raise NotFound(
            f"No instance of step {name!r} of run {run_id} has stored a payload. A step "
            "stores one with PutStepPayload, and those that depend on it can read it."
        )
    return "[" + ",".join(found.get(each, _NOTHING) for each in ids) + "]"


def _no_step(run_id: int, step: str, names: list[str]) -> NotFound:
    spelled = {fold(name): name for name in names}
    near = get_close_matches(fold(step), list(spelled), n=1)
    hint = f" Did you mean {spelled[near[0]]!r}?" if near else ""
    return NotFound(
        f"Run {run_id} has no step {step[:200]!r}.{hint}",
        details={"near": [spelled[each] for each in near]},
    )


def _index(connection: Connection, caller: Caller, payload: Any) -> None:
    """Write down the values of a payload, so that its action is found by one of them."""
    table = scripts_payload_values
    connection.execute(
        delete(table).where(table.c.work_id == caller.work_id, table.c.attempt == caller.attempt)
    )
    found: dict[tuple[str, str], None] = {}
    for path, value in _values(payload, ()):
        if len(found) == limits.STEP_PAYLOAD_VALUES:
            break
        joined = ",".join(path)
        if path and max(len(joined), len(value)) <= INDEXED_CHARACTERS:
            found[joined, value] = None
    if found:
        connection.execute(
            insert(table),
            [
                {
                    "work_id": caller.work_id,
                    "attempt": caller.attempt,
                    "path": path,
                    "value": value,
                    "organisation_id": caller.organisation_id,
                    "run_id": caller.run_id,
                }
                for path, value in found
            ],
        )


def _values(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _values(part, (*path, name))
    elif isinstance(value, list):
        for part in value:
            yield from _values(part, path)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)

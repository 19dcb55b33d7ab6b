"""What the end of an attempt does to its step, and with it to the run.

A report does it in its own transaction. Ends without a report (a lost worker, a cancellation)
are told by the engine's notices, and whatever was not told is found by a regular look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select

from longshore.access import tokens
from longshore.clock import iso
from longshore.engine import notices, works
from longshore.engine.states import Reason, State
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.engine.works import Ending, Outcome, Work
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.scripts import SURFACE, advancing, codes, durations, holds, hosts, places
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.judging import OUTCOME, error_of
from longshore.surfaces.scripts.tables import scripts_attempts, scripts_step_works
from longshore.wire.scripts import StepResult

FOLLOWED: Final = 500
"""Notices that are followed in one transaction."""
LOST: Final = "lost"
_SERVER: Final = "server"
_REASONS: Final = {
    Reason.FAILED.value: Outcome.FAILURE.value,
    Reason.TIMED_OUT.value: Outcome.TIMED_OUT.value,
    Reason.REJECTED.value: Outcome.REJECTED.value,
    Reason.CANCEL_CONFIRMED.value: Outcome.CANCELLED.value,
    Reason.LEASE_EXPIRED.value: LOST,
    Reason.WORKER_LOST.value: LOST,
}


@dataclass(frozen=True, slots=True)
class _Ended:
    """One attempt that is over; `outcome` is an Outcome, or lost."""

    work_id: str
    attempt: int
    outcome: str
    result: StepResult
    error: dict[str, Any]


def record(connection: Connection, organisation_id: str, endings: Sequence[Ending]) -> None:
    """Keep how attempts ended, and let their runs go on.

    The engine has accepted these endings in this transaction.

    Raises:
        InvalidRequest: a result is none of a step.
    """
    ended = []
    for ending in endings:
        error = error_of(ending)
        outcome = error.get(OUTCOME) or ending.outcome.value
        ended.append(_Ended(ending.work_id, ending.attempt, str(outcome), _result(ending), error))
    _over(connection, ended)


def ended(connection: Connection) -> bool:
    """Whether there are notices to follow."""
    return notices.waiting(connection, surface=SURFACE)


def follow(connection: Connection, limit: int = FOLLOWED) -> int:
    """Do for attempts that ended without a report what one would have done; return how many."""
    found = notices.read(connection, surface=SURFACE, limit=limit)
    if not found:
        return 0
    _over(
        connection,
        [
            _Ended(each.work_id, each.attempt, _REASONS[each.reason], StepResult(), {})
            for each in found
            if each.reason in _REASONS
        ],
    )
    notices.erase(connection, [each.seq for each in found])
    return len(found)


def settle_active(board: Board) -> None:
    """Bring the active steps of a run to where their works are."""
    active = {
        step.work_id: step
        for step in board.steps.values()
        if step.state == "active" and step.work_id is not None
    }
    found = works.get_many(board.connection, list(active))
    for work_id, step in active.items():
        _settle(board, step, found.get(work_id), {})


def _over(connection: Connection, ended: Sequence[_Ended]) -> None:
    run_ids = _runs_of(connection, [each.work_id for each in ended])
    boards.lock_all(connection, set(run_ids.values()))
    by_run: defaultdict[int, list[_Ended]] = defaultdict(list)
    for each in ended:
        if each.work_id in run_ids:
            by_run[run_ids[each.work_id]].append(each)
    work_ids = [each.work_id for each in ended if each.work_id in run_ids]
    found = works.get_many(connection, work_ids)
    _forget_keys(connection, ended, found)
    fresh = _keep(connection, [each for some in by_run.values() for each in some], found)
    for run_id, some in sorted(by_run.items()):
        board = boards.load(connection, run_id, actor=_SERVER)
        if board is None:
            continue
        for each in some:
            step = _step_of(board, each.work_id)
            work = found.get(each.work_id)
            known = (each.work_id, each.attempt) not in fresh
            # What a report has said already is told again by a notice, which knows less of it.
            if step is None or (known and work is not None and not work.final):
                continue
            _settle(board, step, work, each.error)
            if not known:
                _remember(board, step, each, found[each.work_id])
        advancing.advance_all(board)


def _settle(board: Board, step: RunStep, work: Work | None, error: dict[str, Any]) -> None:
    """Bring an active step to where its work is."""
    if step.state != "active":
        return
    if work is None:
        board.settle(step, "cancelled", "its work was deleted")
    elif work.state is State.SUCCESS:
        step.started_us = step.started_us or work.started_us
        board.settle(step, "finished", "finished")
    elif work.state is State.CANCELLED:
        board.settle(step, "cancelled", "cancelled")
    elif work.final:
        step.started_us = step.started_us or work.started_us
        board.settle(step, "failed", _failed(work, error))
    else:
        _still_active(board, step, work, error)
        return
    if step.work_id is not None:
        places.give_back(board.connection, step.organisation_id, [step.id])


def _still_active(board: Board, step: RunStep, work: Work, error: dict[str, Any]) -> None:
    if work.state is State.FAILURE:
        step.why = f"{_failed(work, error)}; the next attempt is due at {iso(work.retry_us)}"
    elif work.state is State.QUEUED:
        step.why = f"ready: it is in line on host {step.host}"
    if work.state is not State.RUNNING and holds.of(board, step) is not None:
        # It was put on hold while it ran, and must not be claimed again.
        host = hosts.get(board.connection, step.organisation_id, step.host)
        works.move(
            board.connection,
            [work.id],
            queue_id=host.held_queue_id,
            group_id=board.run.group_id,
        )


def _failed(work: Work, error: dict[str, Any]) -> str:
    number = f"attempt {work.attempt}"
    if work.reason in (Reason.LEASE_EXPIRED, Reason.WORKER_LOST):
        return f"{number} was lost with its worker"
    if message := error.get("message"):
        return f"{number} failed: {' '.join(str(message).split())[:300]}"
    if work.reason == Reason.TIMED_OUT:
        return f"{number} passed its time limit"
    return f"{number} failed"


def _remember(board: Board, step: RunStep, each: _Ended, work: Work) -> None:
    """Remember how long a step took."""
    if each.outcome != Outcome.SUCCESS.value or work.started_us is None:
        return
    durations.record(
        board.connection,
        board.run.organisation_id,
        board.run.workflow_id,
        step.definition,
        duration_us=now_us(board.connection) - work.started_us,
        weekday=date.fromisoformat(board.run.business_date).weekday(),
    )


def _keep(
    connection: Connection, ended: Sequence[_Ended], found: dict[str, Work]
) -> set[tuple[str, int]]:
    """Write down attempts that are not yet; return which those are."""
    table = scripts_attempts
    work_ids = [each.work_id for each in ended]
    rows = connection.execute(
        select(table.c.work_id, table.c.attempt).where(table.c.work_id.in_(work_ids))
    )
    known = set(map(tuple, rows))
    places_of = _places(connection, work_ids)
    fresh = [
        each
        for each in ended
        if (each.work_id, each.attempt) not in known and each.work_id in found
    ]
    at_us = now_us(connection)
    values = []
    for each in fresh:
        work = found[each.work_id]
        step_id, host = places_of[each.work_id]
        values.append(
            {
                "work_id": each.work_id,
                "attempt": each.attempt,
                "step_id": step_id,
                "host": host,
                "outcome": each.outcome,
                "exit_code": each.result.exit_code,
                "script_sha256": each.result.script_sha256,
                # The work has the start of its latest attempt only.
                "started_us": work.started_us if work.attempt == each.attempt else None,
                "ended_us": at_us,
            }
        )
    if values:
        connection.execute(insert(table), values)
    return {(each.work_id, each.attempt) for each in fresh}


def _places(connection: Connection, work_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the step of each work, and the host in whose queue it is."""
    rows = connection.execute(
        select(scripts_step_works.c.work_id, scripts_step_works.c.step_id, queues_table.c.name)
        .join(works_table, works_table.c.id == scripts_step_works.c.work_id)
        .join(queues_table, queues_table.c.id == works_table.c.queue_id)
        .where(scripts_step_works.c.work_id.in_(work_ids))
    )
    return {row.work_id: (row.step_id, row.name) for row in rows}


def _forget_keys(connection: Connection, ended: Iterable[_Ended], found: dict[str, Work]) -> None:
    """End what attempts that are over could call the server with."""
    # The next attempt may have begun; its token and its code are others.
    over = [
        each.work_id
        for each in ended
        if each.work_id not in found or found[each.work_id].attempt == each.attempt
    ]
    tokens.forget(connection, over)
    codes.forget(connection, over)


def _runs_of(connection: Connection, work_ids: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        select(scripts_step_works.c.work_id, scripts_step_works.c.run_id).where(
            scripts_step_works.c.work_id.in_(work_ids)
        )
    )
    return {row.work_id: row.run_id for row in rows}


def _step_of(board: Board, work_id: str) -> RunStep | None:
    return next((step for step in board.steps.values() if step.work_id == work_id), None)


def _result(ending: Ending) -> StepResult:
    if ending.result is None:
        return StepResult()
    try:
        return msgspec.json.decode(ending.result, type=StepResult | None) or StepResult()
    except msgspec.MsgspecError as error:
        raise InvalidRequest(
            f"The result of {ending.work_id} is none of a step: {str(error)[:300]}."
        ) from error

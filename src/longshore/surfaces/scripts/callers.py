"""Steps that call the server: which attempt of which step a token is of, and that it still runs."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from longshore.access import tokens
from longshore.engine.states import State
from longshore.engine.tables import works
from longshore.errors import Unauthenticated
from longshore.surfaces.scripts.tables import scripts_step_works, scripts_steps


@dataclass(frozen=True, slots=True)
class Caller:
    """A running attempt of a step.

    Attributes:
        step: name of the step in its run, such as load or load[eu,1].
        folded: that name in the form in which names are compared.
        definition: name of the step in the definition.
    """

    organisation_id: str
    work_id: str
    attempt: int
    run_id: int
    step_id: str
    step: str
    folded: str
    definition: str


def runs(
    connection: Connection, organisation_id: str, work_id: str, attempt: int, *, lock: bool = False
) -> bool:
    """Return whether that attempt is running now.

    With `lock` it cannot end before this transaction does: what is written for it belongs to the
    time in which it ran. Take this lock before any other.
    """
    query = (
        select(works.c.id)
        .join(scripts_step_works, scripts_step_works.c.work_id == works.c.id)
        .where(
            works.c.id == work_id,
            works.c.attempt == attempt,
            works.c.state == State.RUNNING.value,
            scripts_step_works.c.organisation_id == organisation_id,
        )
    )
    if lock:
        query = query.with_for_update(read=True, of=works)
    return connection.scalar(query) is not None


def calling(
    connection: Connection, organisation_id: str, work: tuple[str, int], *, lock: bool = False
) -> Caller:
    """Return whose token `work` (Principal.work) is; see `runs` for `lock`.

    Raises:
        Unauthenticated: the attempt is over. The token of an ended attempt is forgotten at once;
            this refuses what was under way in that moment.
    """
    work_id, attempt = work
    if not runs(connection, organisation_id, work_id, attempt, lock=lock):
        raise Unauthenticated(tokens.REFUSAL)
    row = connection.execute(
        select(
            scripts_steps.c.run_id,
            scripts_steps.c.id,
            scripts_steps.c.name,
            scripts_steps.c.folded,
            scripts_steps.c.definition,
        )
        .join(scripts_step_works, scripts_step_works.c.step_id == scripts_steps.c.id)
        .where(scripts_step_works.c.work_id == work_id)
    ).one_or_none()
    if row is None:
        raise Unauthenticated(tokens.REFUSAL)
    return Caller(
        organisation_id=organisation_id,
        work_id=work_id,
        attempt=attempt,
        run_id=row.run_id,
        step_id=row.id,
        step=row.name,
        folded=row.folded,
        definition=row.definition,
    )

"""What starts runs by itself: flags that are set, and runs of other workflows that end."""

from __future__ import annotations

import hashlib
import logging
from typing import Final, Literal, Protocol

import msgspec
from sqlalchemy import Connection, insert, select

from longshore.errors import LongshoreError
from longshore.storage import now_us
from longshore.surfaces.scripts import starting
from longshore.surfaces.scripts.definition.model import Flag
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_flag_starts,
    scripts_flag_triggers,
    scripts_flags,
    scripts_followers,
    scripts_workflows,
)

ACTOR: Final = "trigger"
_STATES: Final = {"finished": ("finished",), "failed": ("failed",)}
_log = logging.getLogger(__name__)


class EndedRun(Protocol):
    """A run that has ended: its id, its workflow (id and name), its state and business date."""

    id: int
    organisation_id: str
    workflow_id: str
    workflow: str
    state: str
    business_date: str


def on_flag(
    connection: Connection, organisation_id: str, flag: Flag, date: str, *, actor: str
) -> list[int]:
    """Start what waits for a flag that was just set for a date; return the ids of the runs.

    A list of flags starts its workflow once for each date, also when flags are cleared and set
    again. To be called in the transaction that has set the flag, after it did.
    """
    query = select(
        scripts_flag_triggers.c.workflow_id,
        scripts_flag_triggers.c.flags,
    ).where(scripts_flag_triggers.c.organisation_id == organisation_id)
    query = query.order_by(scripts_flag_triggers.c.workflow_id, scripts_flag_triggers.c.position)
    if connection.dialect.name == "postgresql":
        # Two flags of one list may be set at the same moment: whoever comes second sees both.
        query = query.with_for_update()
    started = []
    for row in connection.execute(query).all():
        flags = msgspec.json.decode(row.flags, type=list[Flag])
        if flag not in flags:
            continue
        digest = hashlib.sha256(row.flags.encode()).hexdigest()
        if _has_started(connection, row.workflow_id, digest, date):
            continue
        if not _all_set(connection, organisation_id, flags, date):
            continue
        names = ", ".join(each.name for each in flags)
        run_id = _start(
            connection,
            organisation_id,
            row.workflow_id,
            trigger="flag",
            started_by=f"flags {names} of {date}",
            date=date,
            actor=actor,
        )
        if run_id is None:
            continue
        connection.execute(
            insert(scripts_flag_starts).values(
                workflow_id=row.workflow_id,
                sha256=digest,
                date=date,
                run_id=run_id,
                at_us=now_us(connection),
            )
        )
        started.append(run_id)
    return started


def on_run_ended(connection: Connection, run: EndedRun) -> list[int]:
    """Start the workflows that follow a run which has ended; return the ids of their runs.

    They are for the same business date. Each end counts: a failed run that is rerun to success
    has ended twice.
    """
    rows = connection.execute(
        select(scripts_followers.c.workflow_id, scripts_followers.c.ended)
        .join(scripts_workflows, scripts_workflows.c.id == scripts_followers.c.workflow_id)
        .where(
            scripts_followers.c.organisation_id == run.organisation_id,
            scripts_followers.c.followed == fold(run.workflow),
            scripts_workflows.c.retired_us.is_(None),
        )
        .order_by(scripts_followers.c.workflow_id)
    ).all()
    started = []
    for row in rows:
        # "ended" counts each state in which a run is over, cancelled among them.
        if run.state not in _STATES.get(row.ended, (run.state,)):
            continue
        run_id = _start(
            connection,
            run.organisation_id,
            row.workflow_id,
            trigger="workflow",
            started_by=f"run {run.id} of {run.workflow}, {run.state}",
            date=run.business_date,
            actor=ACTOR,
        )
        if run_id is not None:
            started.append(run_id)
    return started


def _start(
    connection: Connection,
    organisation_id: str,
    workflow_id: str,
    *,
    trigger: Literal["flag", "workflow"],
    started_by: str,
    date: str,
    actor: str,
) -> int | None:
    """Start a run, or log why it could not be: what has set it off must not fail by it."""
    try:
        with connection.begin_nested():
            return starting.start(
                connection,
                organisation_id,
                workflow_id,
                trigger=trigger,
                started_by=started_by,
                payload=None,
                business_date=date,
                actor=actor,
            )
    except LongshoreError as error:
        _log.warning(
            "workflow %s was not started by %s: %s", workflow_id, started_by, error.message
        )
        return None


def _has_started(connection: Connection, workflow_id: str, digest: str, date: str) -> bool:
    return (
        connection.execute(
            select(scripts_flag_starts.c.run_id).where(
                scripts_flag_starts.c.workflow_id == workflow_id,
                scripts_flag_starts.c.sha256 == digest,
                scripts_flag_starts.c.date == date,
            )
        ).first()
        is not None
    )


def _all_set(connection: Connection, organisation_id: str, flags: list[Flag], date: str) -> bool:
    names = sorted({each.name for each in flags})
    rows = connection.execute(
        select(
            scripts_flags.c.name, scripts_flags.c.system_name, scripts_flags.c.source_system_name
        ).where(
            scripts_flags.c.organisation_id == organisation_id,
            scripts_flags.c.date == date,
            scripts_flags.c.name.in_(names),
        )
    )
    there = {tuple(row) for row in rows}
    return all((each.name, each.system_name, each.source_system_name) in there for each in flags)

"""What cleans up by itself: runs past their deployment's retention, idle uploads, old records."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, exists, select, update

from longshore.access import Principal, Role
from longshore.clock import to_us
from longshore.edge.jobs import JOB_MEMORY_S
from longshore.engine import works
from longshore.engine.works import State
from longshore.errors import Conflict
from longshore.storage import now_us
from longshore.surfaces.apps import reviews, run_deletion, uploads
from longshore.surfaces.apps.run_deletion import Parts
from longshore.surfaces.apps.tables import app_runs, deletions, deployments
from longshore.wire.apps import RunStatus

ACTOR: Final = "retention"
"""Who does it, in the history of works."""
PASS_RUNS: Final = 100
"""Most runs that one pass takes; what is left waits for the next."""

_PARTS: Final = [
    deployments.c[name]
    for name in ("delete_db_data", "delete_input", "delete_output", "delete_logs")
]
_log = logging.getLogger(__name__)


def sweep(connection: Connection) -> dict[str, int]:
    """Do one pass, bounded and harmless to repeat; return what it did.

    Its counts are `runs` (given to deletion), `uploads` (idle sessions removed), `finishers`
    (revived), `reviews` (begun for runs of before there were any), `deployments` and `deletions`
    (old records removed).
    """
    return {
        "runs": _delete_runs(connection),
        "uploads": uploads.expire(connection),
        "finishers": _revive_finishers(connection),
        "reviews": reviews.begin_missing(connection),
        "deployments": _forget_deployments(connection),
        "deletions": _forget_deletions(connection),
    }


def _delete_runs(connection: Connection) -> int:
    """Delete the parts that their deployment names of runs that ended long enough ago."""
    due = connection.execute(
        select(app_runs.c.id, app_runs.c.organisation_id, *_PARTS)
        .join(deployments, deployments.c.id == app_runs.c.deployment_id)
        .where(
            app_runs.c.deployment_id.is_not(None),
            app_runs.c.retained_us.is_(None),
            app_runs.c.finished_us.is_not(None),
            deployments.c.retain_us.is_not(None),
            app_runs.c.finished_us <= now_us(connection) - deployments.c.retain_us,
        )
        .order_by(app_runs.c.finished_us)
        .limit(PASS_RUNS)
    ).all()
    return sum(_delete_run(connection, row) for row in due)


def _delete_run(connection: Connection, row: Row[Any]) -> bool:
    parts = Parts(
        record=row.delete_db_data,
        input=row.delete_input,
        output=row.delete_output,
        logs=row.delete_logs,
    )
    try:
        with connection.begin_nested():
            run_deletion.delete_run(connection, _keeper(row.organisation_id), row.id, parts)
            connection.execute(
                update(app_runs)
                .where(app_runs.c.id == row.id)
                .values(retained_us=now_us(connection))
            )
    except Conflict as error:
        # Its batch feeds another run that is not over: the next pass tries again.
        _log.info("retention leaves run %s for later: %s", row.id, error)
        return False
    return True


def _keeper(organisation_id: str) -> Principal:
    """Return the principal that retention acts as, in one organisation."""
    return Principal(
        key_id=ACTOR,
        key_name=ACTOR,
        organisation_id=organisation_id,
        organisation_name=organisation_id,
        workspace_id=None,
        workspace_name=None,
        role=Role.OPERATOR,
    )


def _revive_finishers(connection: Connection) -> int:
    """Queue finishers again that gave up, or that someone cancelled: their runs need an end."""
    running = connection.execute(
        select(app_runs.c.finisher_id).where(app_runs.c.status == RunStatus.RUNNING).limit(10_000)
    )
    stuck: Sequence[str] = [
        work.id
        for work in works.get_many(connection, list(running.scalars())).values()
        if work.final and work.state is not State.SUCCESS
    ]
    if stuck:
        works.reopen(connection, stuck, actor=ACTOR, why="its run is not finished")
    return len(stuck)


def _forget_deployments(connection: Connection) -> int:
    """Remove deleted deployments whose last run is gone."""
    used = exists().where(app_runs.c.deployment_id == deployments.c.id)
    return connection.execute(
        delete(deployments).where(deployments.c.deleted_us.is_not(None), ~used)
    ).rowcount


def _forget_deletions(connection: Connection) -> int:
    """Remove records of deletions that are older than the memory of their jobs."""
    # A day more, so that the job is never gone while its record can still be found.
    old_us = now_us(connection) - to_us(JOB_MEMORY_S + 86_400)
    old = select(deletions.c.id).where(deletions.c.created_us < old_us).limit(1_000)
    return connection.execute(delete(deletions).where(deletions.c.id.in_(old))).rowcount

"""Which entries of the keystore a step may read: those that its definition lists, as it was pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from longshore.access import keystore
from longshore.access.keystore import Reader
from longshore.surfaces.scripts import callers, workflows
from longshore.surfaces.scripts.tables import scripts_runs, scripts_workflows


def of_step(
    connection: Connection, reader: Reader, work: tuple[str, int], names: Sequence[str]
) -> dict[str, str]:
    """Return what the step of a running attempt may read among `names`.

    An entry of its workflow hides one of the organisation. What is absent and what it may not read
    are left out alike.

    Raises:
        Unauthenticated: the attempt is over.
    """
    caller = callers.calling(connection, reader.organisation_id, work, lock=True)
    run = connection.execute(
        select(scripts_runs.c.workflow_id, scripts_runs.c.version, scripts_workflows.c.name)
        .join(scripts_workflows, scripts_workflows.c.id == scripts_runs.c.workflow_id)
        .where(scripts_runs.c.id == caller.run_id)
    ).one()
    definition = workflows.document(connection, run.workflow_id, run.version)
    step = definition.steps[caller.definition]
    scopes = [keystore.of_workflow(run.name), keystore.ORGANISATION]
    who = {"run": caller.run_id, "step": caller.step, "workflow": run.name}
    return keystore.read(
        connection,
        replace(reader, detail={**reader.detail, **who}),
        names,
        scopes=scopes,
        allowed=step.keystore,
    )


def of_key(
    connection: Connection, reader: Reader, names: Sequence[str], *, ingress: bool
) -> dict[str, str]:
    """Return what an API key may read: entries of the organisation, or those marked for ingress."""
    return keystore.read(connection, reader, names, scopes=[keystore.ORGANISATION], ingress=ingress)

"""What a host's worker is given with a step that it claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, select

from longshore.access.tables import organisations
from longshore.engine import works
from longshore.engine.works import Ending, Lease, Outcome
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts import codes, holds, hosts, releasing, templates, workflows
from longshore.surfaces.scripts.board import Run, RunStep
from longshore.surfaces.scripts.definition.model import Step
from longshore.surfaces.scripts.tables import scripts_step_works
from longshore.wire.scripts import StepLimits, StepPayload


def claim(
    connection: Connection,
    queue_ids: Sequence[int],
    *,
    limit: int,
    holder: str,
    lease_s: float,
    code_s: float,
) -> list[tuple[Lease, bytes]]:
    """Lease steps to a worker of their host; return them with their wire.scripts.StepPayload.

    `code_s` is how long the one-time codes are valid. No row of a step is written, so that a
    claim never waits for who changes the run.
    """
    leases = works.claim(
        connection, queue_ids, limit=limit, holder=holder, lease_s=lease_s, with_payloads=False
    )
    if not leases:
        return []
    known = _steps(connection, [lease.id for lease in leases])
    leases = _without_held(connection, leases, known, holder=holder)
    # Somebody has let a work run again whose step has another one by now, or is over.
    strays = [lease.id for lease in leases if lease.id not in known]
    if strays:
        works.discard(connection, strays, actor="server", why="its step has another work")
    return [
        (lease, _payload(connection, lease, *known[lease.id], code_s))
        for lease in leases
        if lease.id in known
    ]


def _without_held(
    connection: Connection,
    leases: Sequence[Lease],
    known: Mapping[str, tuple[Run, RunStep]],
    *,
    holder: str,
) -> list[Lease]:
    """Put aside what is on hold: a step that was held while it ran, and then lost its worker."""
    parents = boards.steps_by_id(
        connection, sorted({step.parent_id for _, step in known.values() if step.parent_id})
    )
    held = [
        lease
        for lease in leases
        if lease.id in known
        and holds.of_step(*known[lease.id], parents.get(known[lease.id][1].parent_id or ""))
    ]
    for lease in held:
        works.finish(
            connection, [Ending(lease.id, lease.attempt, Outcome.HANDED_BACK)], holder=holder
        )
        run, step = known[lease.id]
        works.move(
            connection,
            [lease.id],
            queue_id=hosts.get(connection, run.organisation_id, step.host).held_queue_id,
            group_id=run.group_id,
        )
    return [lease for lease in leases if lease not in held]


def _steps(connection: Connection, work_ids: Sequence[str]) -> dict[str, tuple[Run, RunStep]]:
    rows = connection.execute(
        select(scripts_step_works.c.work_id, scripts_step_works.c.step_id).where(
            scripts_step_works.c.work_id.in_(work_ids)
        )
    )
    step_ids = {row.work_id: row.step_id for row in rows}
    steps = boards.steps_by_id(connection, sorted(set(step_ids.values())))
    runs = boards.runs_by_id(connection, sorted({step.run_id for step in steps.values()}))
    return {
        work_id: (runs[step.run_id], step)
        for work_id, step_id in step_ids.items()
        if (step := steps.get(step_id)) is not None
        and step.work_id == work_id
        and step.state == "active"
    }


def _payload(connection: Connection, lease: Lease, run: Run, step: RunStep, code_s: float) -> bytes:
    definition = workflows.document(connection, run.workflow_id, run.version).steps[step.definition]
    filled = templates.fill(definition, releasing.values_of(connection, run, step, definition))
    payload = StepPayload(
        run_id=run.id,
        action=run.event_id is not None,
        environment_name=_environment(connection, run.organisation_id),
        step=step.name,
        workflow=run.workflow,
        attempt=step.attempts_before + lease.attempt,
        business_date=run.business_date,
        script=definition.script,
        program=definition.program,
        arguments=filled.arguments,
        command=filled.command,
        environment=filled.environment,
        matrix=step.values,
        code=codes.create(connection, run.organisation_id, lease.id, lease.attempt, code_s),
        code_expires_s=code_s,
        success=definition.exit_codes.success,
        fatal=definition.exit_codes.fatal,
        retry=definition.exit_codes.retry,
        timeout_s=definition.timeout_s,
        grace_s=definition.grace_s,
        limits=_limits(definition),
    )
    return msgspec.json.encode(payload)


def _limits(step: Step) -> StepLimits:
    return StepLimits(
        memory_bytes=step.limits.memory_bytes,
        cpu_s=step.limits.cpu_s,
        open_files=step.limits.open_files,
        file_bytes=step.limits.file_bytes,
    )


def _environment(connection: Connection, organisation_id: str) -> str:
    return str(
        connection.execute(
            select(organisations.c.name).where(organisations.c.id == organisation_id)
        ).scalar_one()
    )

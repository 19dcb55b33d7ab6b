"""One host for people: what runs and waits there now, who serves it, and how busy it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from longshore.clock import SECOND_US
from longshore.engine import queues, workers
from longshore.engine.choosing import constant
from longshore.engine.tables import worker_queues
from longshore.engine.tables import works as works_table
from longshore.engine.workers import Worker
from longshore.storage import now_us
from longshore.surfaces.scripts import host_status, hosts
from longshore.surfaces.scripts.host_status import HostStatus
from longshore.surfaces.scripts.tables import (
    scripts_runs,
    scripts_step_works,
    scripts_steps,
    scripts_workflows,
)

STEPS: Final = 50
"""So many running and so many waiting steps are told."""
WORKS: Final = 5_000
"""So many of the last works are looked at for the load."""
LOAD_S: Final = 6 * 3_600
POINTS: Final = 72
_OVER: Final = ("success", "failure", "cancelled")


@dataclass(frozen=True, slots=True)
class HostStep:
    """A step that lies with the engine: it runs, or waits for a worker."""

    work_id: str
    run_id: int
    workflow: str
    step: str
    attempt: int
    priority: int
    worker_id: str | None
    started_us: int | None
    due_us: int


@dataclass(frozen=True, slots=True)
class Load:
    """How many slots were busy, on the average of each stretch; `times_s` are their beginnings."""

    times_s: list[int]
    busy: list[float]


@dataclass(frozen=True, slots=True)
class HostPage:
    """A host with its steps, the first ones of those that wait in the order of claims."""

    status: HostStatus
    workers: list[Worker]
    running: list[HostStep]
    waiting: list[HostStep]
    load: Load


def read(connection: Connection, organisation_id: str, name: str) -> HostPage:
    """Read a host.

    Raises:
        NotFound: the organisation has no host of that name.
    """
    status = host_status.get(connection, organisation_id, name)
    queue_id = status.host.queue_id
    served = select(worker_queues.c.worker_id).where(worker_queues.c.queue_id == queue_id)
    serving = set(connection.execute(served).scalars())
    return HostPage(
        status=status,
        workers=[
            each for each in workers.listing(connection, organisation_id) if each.id in serving
        ],
        running=_steps(connection, queue_id, "running"),
        waiting=_steps(connection, queue_id, "queued"),
        load=_load(connection, queue_id),
    )


def hold(
    connection: Connection, organisation_id: str, name: str, *, actor: str, why: str
) -> queues.Queue:
    """Let no step be claimed from a host until it is released; what runs goes on.

    Raises:
        NotFound: the organisation has no host of that name.
    """
    host = hosts.get(connection, organisation_id, name)
    return queues.hold(connection, host.queue_id, actor=actor, why=why)


def release(connection: Connection, organisation_id: str, name: str) -> queues.Queue:
    """Let steps be claimed from a host again.

    Raises:
        NotFound: the organisation has no host of that name.
    """
    return queues.release(connection, hosts.get(connection, organisation_id, name).queue_id)


def _steps(connection: Connection, queue_id: int, state: str) -> list[HostStep]:
    works = works_table
    rows = connection.execute(
        select(
            works.c.id.label("work_id"), scripts_step_works.c.run_id,
            scripts_workflows.c.name.label("workflow"), scripts_steps.c.name.label("step"),
            (scripts_step_works.c.attempts_before + works.c.attempt).label("attempt"),
            works.c.priority, works.c.worker_id, works.c.started_us, works.c.due_us,
        )
        .join(scripts_step_works, scripts_step_works.c.work_id == works.c.id)
        .join(scripts_steps, scripts_steps.c.id == scripts_step_works.c.step_id)
        .join(scripts_runs, scripts_runs.c.id == scripts_step_works.c.run_id)
        .join(scripts_workflows, scripts_workflows.c.id == scripts_runs.c.workflow_id)
        # The state is written out, since the indexes of works are for single states.
        .where(works.c.queue_id == queue_id, works.c.state == constant(state))
        .order_by(works.c.priority.desc(), works.c.due_us, works.c.id)
        .limit(STEPS)
    )  # fmt: skip
    return [HostStep(**row._asdict()) for row in rows]


def _load(connection: Connection, queue_id: int) -> Load:
    works = works_table
    at_us = now_us(connection)
    step_us = LOAD_S * SECOND_US // POINTS
    until_us = (at_us // step_us + 1) * step_us
    from_us = until_us - POINTS * step_us
    spans: list[Any] = []
    for state in _OVER:
        spans += connection.execute(
            select(works.c.started_us, works.c.finished_us)
            .where(
                works.c.queue_id == queue_id, works.c.state == state, works.c.finished_us >= from_us
            )
            .order_by(works.c.finished_us.desc())
            .limit(WORKS)
        ).all()
    running = connection.execute(
        select(works.c.started_us)
        .where(works.c.queue_id == queue_id, works.c.state == constant("running"))
        .limit(WORKS)
    ).scalars()
    spans += [(started_us, at_us) for started_us in running]
    return _averaged(spans, from_us, step_us)


def _averaged(spans: Sequence[Any], from_us: int, step_us: int) -> Load:
    busy_us = [0] * POINTS
    for started_us, ended_us in spans:
        if started_us is None:
            continue
        begin_us = max(started_us, from_us)
        while begin_us < ended_us:
            place = (begin_us - from_us) // step_us
            if place >= POINTS:
                break
            end_us = min(ended_us, from_us + (place + 1) * step_us)
            busy_us[place] += end_us - begin_us
            begin_us = end_us
    return Load(
        times_s=[(from_us + place * step_us) // SECOND_US for place in range(POINTS)],
        busy=[round(each / step_us, 3) for each in busy_us],
    )

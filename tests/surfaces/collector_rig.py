"""Runs of workflows with steps that a worker holds, made without anybody who would move them on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Connection, func, insert, select

from longshore import ids
from longshore.access import tokens
from longshore.engine import endings, workers, works
from longshore.engine.works import Ending, NewWork, Outcome
from longshore.storage import Database, now_us
from longshore.surfaces.scripts import SURFACE, hosts
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_attempts,
    scripts_inputs,
    scripts_runs,
    scripts_step_works,
    scripts_steps,
    scripts_workflows,
)
from tests.unit.serving import Served, bearer

HOST = "host1"


@dataclass(frozen=True)
class Running:
    """A step whose attempt a worker holds."""

    organisation_id: str
    worker_id: str
    run_id: int
    step_id: str
    name: str
    work_id: str
    attempt: int


def workflow(connection: Connection, organisation_id: str, name: str = "nightly") -> str:
    """Make a workflow that has nothing but a name; return its id."""
    table = scripts_workflows
    found = connection.scalar(
        select(table.c.id).where(
            table.c.organisation_id == organisation_id, table.c.folded == fold(name)
        )
    )
    if found is not None:
        return str(found)
    workflow_id = ids.new("wf")
    connection.execute(
        insert(table).values(
            id=workflow_id,
            organisation_id=organisation_id,
            name=name,
            folded=fold(name),
            version=1,
            created_us=now_us(connection),
        )
    )
    return workflow_id


def run(
    connection: Connection,
    organisation_id: str,
    *,
    of: str = "nightly",
    payload: Any = None,
    event: str | None = None,
) -> int:
    """Make a run; return its id."""
    at_us = now_us(connection)
    run_id: int = connection.execute(
        insert(scripts_runs)
        .values(
            organisation_id=organisation_id,
            group_id=ids.new("ac"),
            workflow_id=workflow(connection, organisation_id, of),
            version=1,
            trigger="event",
            started_by="a test",
            event_folded=event,
            priority=100,
            business_date="2025-01-31",
            state="running",
            ordering="{}",
            held_areas="[]",
            created_us=at_us,
            started_us=at_us,
        )
        .returning(scripts_runs.c.id)
    ).scalar_one()
    if payload is not None:
        connection.execute(
            insert(scripts_inputs).values(run_id=run_id, payload=json.dumps(payload))
        )
    return run_id


def step(
    connection: Connection,
    organisation_id: str,
    run_id: int,
    name: str,
    *,
    kind: str = "step",
    parent_id: str | None = None,
    position: int = 0,
) -> str:
    """Make a step that waits; return its id."""
    step_id = ids.new("st")
    connection.execute(
        insert(scripts_steps).values(
            id=step_id,
            run_id=run_id,
            organisation_id=organisation_id,
            name=name,
            folded=fold(name),
            definition=name.partition("[")[0],
            kind=kind,
            parent_id=parent_id,
            position=position,
            area="main",
            host=HOST,
            state="waiting",
            why="",
        )
    )
    return step_id


def begin(connection: Connection, step_id: str) -> Running:
    """Give a step a work and let a worker claim it."""
    row = connection.execute(select(scripts_steps).where(scripts_steps.c.id == step_id)).one()
    queue_id = hosts.ensure(connection, row.organisation_id, HOST, actor="a test").queue_id
    worker_id = workers.register(
        connection,
        organisation_id=row.organisation_id,
        name="a worker",
        incarnation=ids.secret(),
        slots=10,
        queue_ids=[queue_id],
    )
    new = NewWork(queue_id=queue_id, payload=None, attempts_max=10)
    work_id = works.submit(connection, [new], actor="a test")[0].id
    connection.execute(
        insert(scripts_step_works).values(
            work_id=work_id,
            step_id=step_id,
            run_id=row.run_id,
            organisation_id=row.organisation_id,
            attempts_before=0,
        )
    )
    return claimed(connection, queue_id, worker_id, step_id, work_id)


def claimed(
    connection: Connection, queue_id: int, worker_id: str, step_id: str, work_id: str
) -> Running:
    """Claim a work of a step."""
    row = connection.execute(select(scripts_steps).where(scripts_steps.c.id == step_id)).one()
    lease = works.claim(
        connection,
        [queue_id],
        limit=1,
        holder=worker_id,
        lease_s=60,
        among=[work_id],
        with_payloads=False,
    )[0]
    return Running(
        row.organisation_id,
        worker_id,
        row.run_id,
        step_id,
        row.name,
        lease.id,
        lease.attempt,
    )


def end(connection: Connection, held: Running, outcome: Outcome = Outcome.SUCCESS) -> None:
    """Let the attempt of a step end, as its worker reports it."""
    ending = Ending(held.work_id, held.attempt, outcome, retry_delay_s=0.0)
    assert works.finish(connection, [ending], holder=held.worker_id) == []
    connection.execute(
        insert(scripts_attempts).values(
            work_id=held.work_id,
            attempt=held.attempt,
            step_id=held.step_id,
            host=HOST,
            outcome=outcome.value,
            ended_us=now_us(connection),
        )
    )


def again(connection: Connection, held: Running) -> Running:
    """Let a step whose attempt has failed be claimed once more."""
    endings.retry(connection, limit=10)
    queue_id = hosts.get(connection, held.organisation_id, HOST).queue_id
    return claimed(connection, queue_id, held.worker_id, held.step_id, held.work_id)


def running(database: Database, organisation_id: str, name: str = "Load", **of_run: Any) -> Running:
    """Make a run of one step that a worker holds."""

    def make(connection: Connection) -> Running:
        run_id = run(connection, organisation_id, **of_run)
        return begin(connection, step(connection, organisation_id, run_id, name))

    return database.write_blocking(make)


def token(database: Database, held: Running) -> dict[str, str]:
    """Return the headers that carry the token of an attempt."""
    made = database.write_blocking(
        tokens.create, held.organisation_id, held.work_id, held.attempt, surface=SURFACE
    )
    return bearer(made)


def rows(database: Database, *tables: Any) -> list[int]:
    """Return how many rows tables have."""

    def count(connection: Connection) -> list[int]:
        return [connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables]

    return database.read_blocking(count)


async def send(
    served: Served,
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    body: Any = None,
) -> httpx.Response:
    """Call a path below /coreauto/v1."""
    content = None if body is None else json.dumps(body)
    return await served.client.request(
        method, f"/coreauto/v1{path}", content=content, headers=headers
    )


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def retry_due(connection: Connection) -> int:
    """Queue again what has failed and is due, as the janitor does."""
    return endings.retry(connection, limit=10)


def expire_due(connection: Connection) -> int:
    """Take works away whose leases have run out, as the janitor does."""
    return endings.expire(connection, limit=10)

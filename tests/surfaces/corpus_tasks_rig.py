"""Tasks of a process for tests, written straight into the tables, with tokens of their attempts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from sqlalchemy import Connection

from longshore import ids
from longshore.access import tokens
from longshore.edge.jobs import SYSTEM, JobContext
from longshore.engine import queues, works
from longshore.engine.works import NewWork
from longshore.errors import LongshoreError, Reject
from longshore.server.lifespan import HANDLERS
from longshore.surfaces.corpus.tables import corpus_processes, corpus_tasks
from tests.surfaces.corpus_rig import Corpora
from tests.unit.serving import bearer


@dataclass
class Task:
    """A running task."""

    id: str
    work_id: str
    worker_run_id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Ponos {self.token}"}


def run_task(corpora: Corpora, corpus_id: str, *, organisation_id: str | None = None) -> Task:
    """Make a task of a process of its own, and claim it."""
    organisation = organisation_id or corpora.served.organisation.id
    return corpora.database.write_blocking(_run, organisation, corpus_id)


async def end_task(corpora: Corpora, task: Task) -> None:
    """Let a task end well, as its worker reports it, and wait until that is known everywhere."""
    ending = works.Ending(task.work_id, 1, works.Outcome.SUCCESS, result=b"{}")
    assert not corpora.database.write_blocking(works.finish, [ending], holder="worker")
    corpora.database.write_blocking(tokens.forget, [task.work_id])
    async with asyncio.timeout(10):
        # A server hears of the end of a token a moment later, where the database tells it.
        while await _answers(corpora, task):  # noqa: ASYNC110 - it tells nobody that it has heard
            await asyncio.sleep(0.01)


async def _answers(corpora: Corpora, task: Task) -> bool:
    answer = await corpora.client.get("/api/v1/models/", headers=task.headers)
    return answer.status_code == 200


def _run(connection: Connection, organisation_id: str, corpus_id: str) -> Task:
    queue = queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface="corpus",
        name=f"worker-{ids.uuid()}/1",
    )
    work = works.submit(connection, [NewWork(queue, b"{}")], actor="test")[0]
    lease = works.claim(connection, [queue], limit=1, holder="worker", lease_s=3600.0)[0]
    task = Task(
        ids.uuid(),
        work.id,
        ids.uuid(),
        tokens.create(connection, organisation_id, work.id, lease.attempt, surface="corpus"),
    )
    process_id = ids.uuid()
    connection.execute(
        corpus_processes.insert().values(
            id=process_id,
            organisation_id=organisation_id,
            corpus_id=corpus_id,
            name="",
            mode="workers",
            creator="me",
            chunks=1,
            activity=True,
            queued=False,
            use_cache=False,
            activity_timeout_s=3600.0,
            selection="{}",
            created_us=0,
        )
    )
    connection.execute(
        corpus_tasks.insert().values(
            id=task.id,
            organisation_id=organisation_id,
            process_id=process_id,
            worker_run_id=task.worker_run_id,
            work_id=work.id,
            slug="worker",
            parents="[]",
            created_us=0,
        )
    )
    return task


async def run_jobs(corpora: Corpora) -> list[works.Outcome]:
    """Run the server's own jobs that wait, as the server does; return how each ended."""
    return [await run_job(corpora, lease) for lease in claim_jobs(corpora)]


async def run_job(corpora: Corpora, lease: works.Lease) -> works.Outcome:
    """Run one job, and note how it ended."""
    payload = json.loads(lease.payload)
    context = corpora.served.context
    job = JobContext(
        corpora.database,
        context.blobs,
        corpora.clock,
        context.outbound,
        corpora.database.read_blocking(works.organisation_of, lease.id),
        lease.id,
        lease.attempt,
    )
    outcome, result = works.Outcome.SUCCESS, b"{}"
    try:
        result = json.dumps(await HANDLERS[payload["job"]](job, payload)).encode()
    except Reject:
        outcome = works.Outcome.REJECTED
    except LongshoreError:
        outcome = works.Outcome.FAILURE
    ending = works.Ending(lease.id, lease.attempt, outcome, result=result)
    corpora.database.write_blocking(works.finish, [ending], holder="server")
    return outcome


def claim_jobs(corpora: Corpora) -> list[works.Lease]:
    """Claim the server's own jobs that wait, without running them."""
    return corpora.database.write_blocking(_claim_jobs)


def _claim_jobs(connection: Connection) -> list[works.Lease]:
    queue_ids = [queue.id for queue in queues.of_surface(connection, SYSTEM)]
    return works.claim(connection, queue_ids, limit=100, holder="server", lease_s=60.0)


__all__ = ["Task", "bearer", "claim_jobs", "end_task", "run_job", "run_jobs", "run_task"]

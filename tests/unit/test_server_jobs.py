"""System jobs and background passes inside a running server, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from longshore.access import answers
from longshore.access.organisations import ensure
from longshore.access.tables import answers as answers_table
from longshore.clock import ManualClock
from longshore.edge.context import Context
from longshore.edge.jobs import JOB_MEMORY_S, Handler, JobContext, system_queue
from longshore.engine import artifacts, janitor, queues, works
from longshore.engine.works import NewWork, State
from longshore.errors import Unavailable
from longshore.limits import IDEMPOTENCY_S
from longshore.server.jobs import JobRunner
from longshore.server.metrics import Metrics
from longshore.storage import Database
from tests.unit.serving import make_context, serving

DEADLINE_S = 15.0


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Iterator[Context]:
    made = make_context(database, tmp_path)
    yield made
    made.close()


def submit(database: Database, organisation_id: str, **payload: Any) -> str:
    def write(connection: Connection) -> str:
        queue = system_queue(connection, organisation_id)
        work = NewWork(queue, json.dumps(payload).encode())
        return works.submit(connection, [work], actor="test")[0].id

    return database.write_blocking(write)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, on real time: clocks of tests do not move by themselves."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "does not come to hold"
        await asyncio.sleep(0.01)


def state(database: Database, work_id: str) -> works.Work:
    return database.read_blocking(works.get, work_id)


@asynccontextmanager
async def running(context: Context, **handlers: Handler) -> AsyncIterator[JobRunner]:
    runner = JobRunner(context, handlers, Metrics())
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        context.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def organisation(database: Database) -> str:
    return database.write_blocking(ensure, "local").id


async def test_a_job_runs_at_once_and_its_counts_are_its_result(context: Context) -> None:
    seen: list[tuple[JobContext, dict[str, Any]]] = []

    async def count(job: JobContext, payload: dict[str, Any]) -> dict[str, int]:
        seen.append((job, payload))
        return {"rows": 3}

    database = context.database
    organisation_id = organisation(database)
    async with running(context, count=count):
        work_id = await asyncio.to_thread(submit, database, organisation_id, job="count", of="x")
        await until(lambda: state(database, work_id).state is State.SUCCESS)
    output = database.read_blocking(works.outputs, [work_id])[work_id]
    assert output.result is not None
    assert json.loads(output.result) == {"rows": 3}
    [(job, payload)] = seen
    assert payload == {"job": "count", "of": "x"}
    assert (job.organisation_id, job.work_id, job.attempt) == (organisation_id, work_id, 1)


async def test_jobs_that_waited_for_a_server_are_run(context: Context) -> None:
    async def nothing(_job: JobContext, _payload: dict[str, Any]) -> dict[str, int]:
        return {}

    organisation_id = organisation(context.database)
    waiting = [submit(context.database, organisation_id, job="nothing") for _ in range(11)]
    async with running(context, nothing=nothing):
        await until(lambda: all(state(context.database, each).final for each in waiting))
    assert {state(context.database, each).state for each in waiting} == {State.SUCCESS}


async def test_a_failing_job_is_tried_again_and_an_unknown_one_is_not(context: Context) -> None:
    async def fails(_job: JobContext, _payload: dict[str, Any]) -> dict[str, int]:
        raise Unavailable("the store is away")

    database = context.database
    organisation_id = organisation(database)
    async with running(context, fails=fails):
        failing = await asyncio.to_thread(submit, database, organisation_id, job="fails")
        unknown = await asyncio.to_thread(submit, database, organisation_id, job="what")
        await until(lambda: state(database, failing).state is State.FAILURE)
        await until(lambda: state(database, unknown).state is State.FAILURE)
    assert state(database, failing).retry_us is not None
    assert state(database, unknown).retry_us is None
    outputs = database.read_blocking(works.outputs, [failing, unknown])
    assert b"the store is away" in (outputs[failing].error or b"")
    assert b"'what'" in (outputs[unknown].error or b"")


async def test_a_stop_hands_a_running_job_back(context: Context) -> None:
    begun = asyncio.Event()

    async def long(_job: JobContext, _payload: dict[str, Any]) -> dict[str, int]:
        begun.set()
        await asyncio.Event().wait()
        return {}

    database = context.database
    organisation_id = organisation(database)
    async with running(context, long=long):
        work_id = await asyncio.to_thread(submit, database, organisation_id, job="long")
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
    found = state(database, work_id)
    assert (found.state, found.reason) == (State.QUEUED, "handed_back")


async def test_a_job_is_stopped_when_it_is_cancelled_and_when_its_lease_is_lost(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    context = make_context(database, tmp_path)
    context.settings = context.settings.model_copy(update={"lease_s": 0.3})
    stopped: list[tuple[str, int]] = []

    async def long(job: JobContext, _payload: dict[str, Any]) -> dict[str, int]:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append((job.work_id, job.attempt))
        return {}

    organisation_id = organisation(database)
    async with running(context, long=long):
        work_id = await asyncio.to_thread(submit, database, organisation_id, job="long")
        await until(lambda: state(database, work_id).state is State.RUNNING)
        await database.write(works.cancel, [work_id], actor="test", why="test")
        await until(lambda: state(database, work_id).state is State.CANCELLED)
        assert stopped == [(work_id, 1)]
        lost = await asyncio.to_thread(submit, database, organisation_id, job="long")
        await until(lambda: state(database, lost).state is State.RUNNING)
        clock.advance(3600)
        await database.write(janitor.tidy)
        await until(lambda: (lost, 1) in stopped)
    context.close()
    reasons = [event.reason for event in database.read_blocking(works.events, lost)]
    assert "lease_expired" in reasons


async def test_a_running_job_keeps_its_lease(database: Database, tmp_path: Path) -> None:
    context = make_context(database, tmp_path)
    context.settings = context.settings.model_copy(update={"lease_s": 0.3})

    async def long(_job: JobContext, _payload: dict[str, Any]) -> dict[str, int]:
        await asyncio.Event().wait()
        return {}

    organisation_id = organisation(database)
    clock = database.clock
    assert isinstance(clock, ManualClock)
    async with running(context, long=long):
        work_id = await asyncio.to_thread(submit, database, organisation_id, job="long")
        await until(lambda: state(database, work_id).state is State.RUNNING)
        for _ in range(3):
            clock.advance(0.2)
            await until(lambda: state(database, work_id).lease_until_us == clock.now_us() + 300_000)
    context.close()


async def test_the_passes_release_what_is_due_and_sweep_what_was_given_up(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    async with serving(database, tmp_path, background=True) as served:
        organisation_id = served.organisation.id

        def prepare(connection: Connection) -> tuple[str, str, str]:
            queue = queues.ensure(
                connection, organisation_id=organisation_id, surface="test", name="a"
            )
            [made] = works.submit(connection, [NewWork(queue, b"{}", delay_s=60)], actor="test")
            stored = artifacts.reserve(connection, organisation_id=organisation_id)
            artifacts.store(connection, stored, size_bytes=1, sha256="")
            pending = artifacts.reserve(connection, organisation_id=organisation_id)
            return made.id, stored, pending

        async def one() -> AsyncIterator[bytes]:
            yield b"x"

        work_id, stored, pending = await database.write(prepare)
        for blob_id in (stored, pending):
            await served.context.blobs.put(blob_id, one(), limit_bytes=10)
        assert state(database, work_id).state is State.WAITING
        await database.write(artifacts.discard, [stored])
        clock.advance(61)
        await until(lambda: state(database, work_id).state is State.QUEUED)
        blobs = tmp_path / "blobs"
        await until(lambda: {path.name for path in blobs.rglob("bl_*")} == {pending})
        clock.advance(2 * 3600)
        await until(lambda: not list(blobs.rglob("bl_*")))


def count_answers(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(answers_table)) or 0


async def test_retention_forgets_old_answers_and_old_jobs(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    def begin(connection: Connection) -> None:
        answers.begin(connection, "ky_1", "one", "print")

    database.write_blocking(begin)
    job = submit(database, organisation(database), job="unknown to all")
    async with serving(database, tmp_path, background=True) as served:
        await until(lambda: state(database, job).final)
        assert served.context.settings.retention_interval_s > 1
    clock.advance(max(IDEMPOTENCY_S, JOB_MEMORY_S) + 1)
    async with serving(database, tmp_path, background=True):
        await until(lambda: database.read_blocking(works.get_many, [job]) == {})
        await until(lambda: database.read_blocking(count_answers) == 0)


async def test_a_pass_that_fails_is_told_and_tried_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    tidy = janitor.tidy

    def sometimes(connection: Connection) -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise ZeroDivisionError
        return tidy(connection)

    monkeypatch.setattr(janitor, "tidy", sometimes)
    async with serving(database, tmp_path, background=True) as served:
        await until(lambda: len(calls) >= 4)
        text = (await served.client.get("/metrics")).text
    assert 'longshore_passes_total{name="janitor",outcome="failed"} 2.0' in text

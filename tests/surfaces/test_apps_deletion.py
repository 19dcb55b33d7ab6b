from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from longshore.engine import logs, works
from longshore.engine import tables as engine_tables
from longshore.engine.logs import NewLine
from longshore.engine.works import Ending, Outcome
from longshore.surfaces.apps import tables
from longshore.surfaces.apps.jobs import HANDLERS
from tests.surfaces.apps_rig import WORKER, Platform

NOTHING = {
    "delete_db_data": "false",
    "delete_input": "false",
    "delete_output": "false",
    "delete_logs": "false",
}


async def delete(apps: Platform, run_id: str, expect: int = 202, **flags: str) -> dict[str, Any]:
    answer = await apps.client.delete(f"/api/v2/apps/runs/{run_id}", params=flags)
    assert answer.status_code == expect, answer.text
    deleted: dict[str, Any] = answer.json()
    return deleted


async def run_with_logs(apps: Platform, *names: str) -> str:
    batch_id = await apps.batch(*names)
    run_id: str = (await apps.start(batch_id=batch_id))["id"]
    leases = apps.claim()

    def write(connection: Connection) -> None:
        lines = [
            NewLine(lease.id, lease.attempt, 0, "stdout", f"line {number}")
            for lease in leases
            for number in range(3)
        ]
        assert logs.append(connection, lines, holder=WORKER) == 0

    apps.database.write_blocking(write)

    endings = [
        Ending(lease.id, lease.attempt, Outcome.SUCCESS, result=b'{"documents": []}')
        for lease in leases
    ]
    apps.database.write_blocking(works.finish, endings, holder=WORKER)
    await apps.jobs()
    return run_id


def rows_left(apps: Platform, run_id: str) -> dict[str, int]:
    """Count what is left of a run in all tables of surface and engine."""

    def count(connection: Connection) -> dict[str, int]:
        group = select(engine_tables.works.c.id).where(engine_tables.works.c.group_id == run_id)
        questions = {
            "app_runs": (tables.app_runs, tables.app_runs.c.id == run_id),
            "run_files": (tables.run_files, tables.run_files.c.run_id == run_id),
            "drive_files": (tables.drive_files, tables.drive_files.c.run_id == run_id),
            "works": (engine_tables.works, engine_tables.works.c.group_id == run_id),
            "results": (engine_tables.results, engine_tables.results.c.work_id.in_(group)),
            "batches": (tables.batches, tables.batches.c.id.is_not(None)),
            "log lines": (engine_tables.logs, engine_tables.logs.c.seq.is_not(None)),
        }
        return {
            name: connection.execute(
                select(func.count()).select_from(table).where(condition)
            ).scalar_one()
            for name, (table, condition) in questions.items()
        }

    return apps.database.read_blocking(count)


async def test_deleting_a_run_leaves_nothing_of_it_behind(apps: Platform) -> None:
    run_id = await run_with_logs(apps, "a.jpg", "b.jpg")

    deleted = await delete(apps, run_id)

    # The record is gone when the answer arrives; the rest goes by jobs.
    assert (await apps.get("/apps/runs"))["runs"] == []
    await apps.get(f"/apps/runs/{run_id}", 404)
    await apps.get(f"/apps/runs/{run_id}/results", 404)
    assert all(isinstance(job_id, str) for job_id in deleted.values())
    await apps.jobs()
    jobs = [await apps.job(job_id) for job_id in deleted.values()]
    assert [job["state"] for job in jobs] == ["COMPLETE"] * 3
    by_part = dict(zip(deleted, jobs, strict=True))
    assert by_part["delete_input_dir_job_id"]["objects"] == 2
    assert by_part["delete_output_dir_job_id"]["objects"] == 1
    assert by_part["delete_log_dir_job_id"]["rows"] == 6
    assert set(rows_left(apps, run_id).values()) == {0}
    assert await apps.leftovers() == (0, [])


async def test_deleting_again_gives_the_same_jobs_even_when_all_is_gone(apps: Platform) -> None:
    run_id = await apps.finished()
    first = await delete(apps, run_id)
    before = await delete(apps, run_id)
    await apps.jobs()
    after = await delete(apps, run_id)

    assert first == before == after
    assert (await delete(apps, run_id, **NOTHING)) == dict.fromkeys(first)
    missing = await delete(apps, "rn_never", 404)
    assert "no run" in missing["message"]


async def test_the_batch_may_be_gone_before_the_run(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    run_id = (await apps.start(batch_id=batch_id))["id"]
    apps.work()
    await apps.jobs()
    batch_job = (await apps.client.delete(f"/api/v2/batches/{batch_id}")).json()["job_id"]
    await apps.jobs()

    deleted = await delete(apps, run_id)
    await apps.jobs()

    assert deleted["delete_input_dir_job_id"] == batch_job
    for job_id in deleted.values():
        assert (await apps.job(job_id))["state"] == "COMPLETE"


@pytest.mark.parametrize(
    ("flag", "job", "gone"),
    [
        ("delete_input", "delete_input_dir_job_id", {"batches"}),
        ("delete_output", "delete_output_dir_job_id", {"drive_files"}),
        ("delete_logs", "delete_log_dir_job_id", {"log lines"}),
        ("delete_db_data", None, {"app_runs", "run_files", "works", "results", "log lines"}),
    ],
)
async def test_each_part_can_be_deleted_alone(
    apps: Platform, flag: str, job: str | None, gone: set[str]
) -> None:
    run_id = await run_with_logs(apps, "a.jpg")

    deleted = await delete(apps, run_id, **{**NOTHING, flag: "true"})
    await apps.jobs()

    assert {name for name, value in deleted.items() if value is not None} == ({job} - {None})
    left = rows_left(apps, run_id)
    assert {name for name, count in left.items() if count == 0} == gone
    rest = await delete(apps, run_id)
    await apps.jobs()
    if job is not None:
        assert rest[job] == deleted[job]
    assert isinstance(rest["delete_output_dir_job_id"], str)
    assert rows_left(apps, run_id)["drive_files"] == 0


async def test_a_running_run_is_not_deleted(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    run_id = (await apps.start(batch_id=batch_id))["id"]

    refused = await delete(apps, run_id, 409)

    assert "not finished" in refused["message"]
    assert (await apps.get(f"/apps/runs/{run_id}"))["status"] == "RUNNING"


async def test_a_batch_that_another_run_needs_keeps_the_whole_run(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    done = (await apps.start(batch_id=batch_id))["id"]
    apps.work()
    await apps.jobs()
    running = (await apps.start(batch_id=batch_id))["id"]

    refused = await delete(apps, done, 409)

    assert running in refused["message"]
    assert (await apps.get(f"/apps/runs/{done}"))["status"] == "COMPLETE"
    kept = await delete(apps, done, delete_input="false")
    assert kept["delete_input_dir_job_id"] is None


async def test_the_input_of_a_folder_run_is_the_files_that_it_read(apps: Platform) -> None:
    async def put(rest: str) -> None:
        await apps.client.put(f"/api/v2/files/{apps.folder(rest)}", content=b"x")

    await put("in/read.jpg")
    run_id = (await apps.start(input_dir=apps.folder("in")))["id"]
    apps.work()
    await apps.jobs()
    await put("in/later.jpg")

    await delete(apps, run_id)
    await apps.jobs()

    listed = await apps.get(f"/files/{apps.folder('in')}", **{"expect-node-type": "folder"})
    assert [node["name"] for node in listed["nodes"]] == ["later.jpg"]


async def test_a_deletion_that_was_killed_goes_on_and_counts_everything(apps: Platform) -> None:
    """A job dies between deleting rows and their bytes, and is run again."""
    batch_id = await apps.batch(*[f"{number:03}" for number in range(120)], content=b"12345")
    job_id = (await apps.client.delete(f"/api/v2/batches/{batch_id}")).json()["job_id"]
    [lease] = apps.job_leases()
    context = apps.job_context(lease)
    removed = []

    class Killed(Exception):
        pass

    class DyingBlobs:
        async def delete(self, blob_id: str) -> None:
            if len(removed) == 50:
                raise Killed
            removed.append(blob_id)
            await apps.served.context.blobs.delete(blob_id)

    payload = json.loads(lease.payload)
    dying = dataclasses.replace(context, blobs=DyingBlobs())  # type: ignore[arg-type]
    with pytest.raises(Killed):
        await HANDLERS["apps.delete_batch"](dying, payload)

    counts = await HANDLERS["apps.delete_batch"](context, payload)
    again = await HANDLERS["apps.delete_batch"](context, payload)

    assert counts == again == {"rows": 121, "objects": 120, "bytes": 600}
    # The sweeper removes what the killed attempt gave up but did not reach.
    assert await apps.leftovers() == (0, [])
    assert (await apps.job(job_id))["state"] == "RUNNING"


async def test_a_deletion_that_gave_up_is_tried_again_when_asked_for_again(
    apps: Platform,
) -> None:

    batch_id = await apps.batch("a")
    job_id = (await apps.client.delete(f"/api/v2/batches/{batch_id}")).json()["job_id"]
    [lease] = apps.job_leases()
    error = b'{"type": "DiskGone", "message": "the disk is gone"}'
    ending = Ending(lease.id, lease.attempt, Outcome.REJECTED, error=error)
    apps.database.write_blocking(works.finish, [ending], holder=WORKER)
    failed = await apps.job(job_id)

    again = (await apps.client.delete(f"/api/v2/batches/{batch_id}")).json()["job_id"]
    await apps.jobs()

    assert failed["state"] == "FAILED"
    assert failed["message"] == "the disk is gone"
    assert again == job_id
    assert (await apps.job(job_id))["state"] == "COMPLETE"


async def test_an_unknown_job_is_not_found_and_works_are_no_jobs(apps: Platform) -> None:
    batch_id = await apps.batch("a")
    await apps.start(batch_id=batch_id)
    [lease] = apps.claim()

    for job_id in ("wk_none", lease.id):
        assert "no job" in (await apps.get(f"/jobs/{job_id}", 404))["message"]
        await apps.get(f"/batches/jobs/{job_id}", 404)

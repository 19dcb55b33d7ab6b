"""What was asked to be deleted: the job of each part, and what is gone so far.

A deletion's row outlives what it deletes. So a repeated request finds its job again, and a job
that is killed and run once more still counts everything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from longshore.access import Principal
from longshore.edge.jobs import JOB_MEMORY_S, SYSTEM, system_queue
from longshore.engine import queues, works
from longshore.engine.works import NewWork, State
from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import files
from longshore.surfaces.apps.files import Gone
from longshore.surfaces.apps.tables import deletions
from longshore.wire.apps import JobState, JobStatus

WHOLE: Final = "all"
"""The part of a target that is deleted in one piece."""
ANSWERED: Final = "status_code"
"""Key in the result of a job that delivers something: the HTTP status that the receiver gave."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One part of something, deleted at once (no work) or by a job."""

    id: int
    work_id: str | None


@dataclass(frozen=True, slots=True)
class Started:
    """A deletion and its job, just queued."""

    id: int
    work_id: str


def submit_job(
    connection: Connection,
    organisation_id: str,
    payload: dict[str, Any],
    *,
    actor: str,
    requires: tuple[str, ...] = (),
    attempts_max: int | None = None,
) -> str:
    """Queue a job that the server runs itself, after `requires` have ended; return its id."""
    queue_id = system_queue(connection, organisation_id)
    work = NewWork(
        queue_id,
        json.dumps(payload).encode(),
        requires=requires,
        requires_success=False,
        attempts_max=attempts_max,
    )
    return works.submit(connection, [work], actor=actor)[0].id


def find(connection: Connection, organisation_id: str, target: str, part: str) -> Deletion | None:
    """Return the latest deletion of a part, or None."""
    row = connection.execute(
        select(deletions.c.id, deletions.c.work_id)
        .where(
            deletions.c.organisation_id == organisation_id,
            deletions.c.target == target,
            deletions.c.part == part,
        )
        .order_by(deletions.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Deletion(row.id, row.work_id)


def record(connection: Connection, organisation_id: str, target: str, part: str) -> int:
    """Note a deletion and return its id; `count` and `start` add to it."""
    made = connection.execute(
        insert(deletions)
        .values(
            organisation_id=organisation_id,
            target=target,
            part=part,
            rows=0,
            objects=0,
            bytes=0,
            created_us=now_us(connection),
        )
        .returning(deletions.c.id)
    )
    return int(made.scalar_one())


def start(
    connection: Connection,
    organisation_id: str,
    target: str,
    part: str,
    job: dict[str, Any],
    *,
    actor: str,
) -> Started:
    """Queue the job that deletes a part."""
    deletion_id = record(connection, organisation_id, target, part)
    work_id = submit_job(connection, organisation_id, {**job, "deletion": deletion_id}, actor=actor)
    connection.execute(
        update(deletions).where(deletions.c.id == deletion_id).values(work_id=work_id)
    )
    return Started(deletion_id, work_id)


def adopt(
    connection: Connection, organisation_id: str, target: str, part: str, work_id: str
) -> None:
    """Note that a part goes with a job of another deletion, so that a repeat finds that job."""
    deletion_id = record(connection, organisation_id, target, part)
    connection.execute(
        update(deletions).where(deletions.c.id == deletion_id).values(work_id=work_id)
    )


def resume(connection: Connection, deletion: Deletion, *, actor: str) -> str | None:
    """Return the job of a deletion that was asked for again; one that failed is tried again."""
    if deletion.work_id is None:
        return None
    found = works.get_many(connection, [deletion.work_id]).get(deletion.work_id)
    if found is not None and found.final and found.state is not State.SUCCESS:
        works.reopen(connection, [found.id], actor=actor, why="the deletion was asked for again")
    return deletion.work_id


def delete_path(connection: Connection, principal: Principal, path: str) -> str | None:
    """Delete the file at a path, or the files below it, and return the job.

    The file is gone from the drive at once and the job removes its bytes; a folder is emptied
    by the job. Returns None where nothing is at the path and nothing of it was deleted before.
    """
    organisation_id, actor = principal.organisation_id, principal.key_name
    target = f"path:{path}"
    gone = files.remove(connection, organisation_id, [path])
    if gone.rows:
        job = {"job": "apps.delete_blobs", "blob_ids": list(gone.blob_ids)}
        started = start(connection, organisation_id, target, WHOLE, job, actor=actor)
        count(connection, started.id, gone)
        return started.work_id
    known = find(connection, organisation_id, target, WHOLE)
    if files.page(connection, organisation_id, path, limit=1) and not _under_way(connection, known):
        job = {"job": "apps.delete_folder", "folder": path}
        return start(connection, organisation_id, target, WHOLE, job, actor=actor).work_id
    return None if known is None else resume(connection, known, actor=actor)


def _under_way(connection: Connection, deletion: Deletion | None) -> bool:
    if deletion is None or deletion.work_id is None:
        return False
    found = works.get_many(connection, [deletion.work_id]).get(deletion.work_id)
    return found is not None and not found.final


def count(connection: Connection, deletion_id: int, gone: Gone) -> None:
    """Add what a step of a deletion removed; call it in the step's own transaction."""
    connection.execute(
        update(deletions)
        .where(deletions.c.id == deletion_id)
        .values(
            rows=deletions.c.rows + gone.rows,
            objects=deletions.c.objects + len(gone.blob_ids),
            bytes=deletions.c.bytes + gone.size_bytes,
        )
    )


def totals(connection: Connection, deletion_id: int) -> dict[str, int]:
    """Return rows, objects and bytes that a deletion has removed so far."""
    row = connection.execute(
        select(deletions.c.rows, deletions.c.objects, deletions.c.bytes).where(
            deletions.c.id == deletion_id
        )
    ).one()
    return {"rows": row.rows, "objects": row.objects, "bytes": row.bytes}


_STATES: Final = {
    State.WAITING: JobState.PENDING,
    State.QUEUED: JobState.PENDING,
    State.RUNNING: JobState.RUNNING,
    State.SUCCESS: JobState.COMPLETE,
    State.FAILURE: JobState.FAILED,
    State.CANCELLED: JobState.CANCELLED,
}


def status(connection: Connection, organisation_id: str, job_id: str) -> JobStatus:
    """Return the state of a job as the protocol words it.

    Raises:
        NotFound: there is no such job in the organisation, or it ended too long ago.
    """
    work = works.get_many(connection, [job_id]).get(job_id)
    queue = None if work is None else queues.get(connection, work.queue_id)
    if (
        work is None
        or queue is None
        or (queue.organisation_id, queue.surface)
        != (
            organisation_id,
            SYSTEM,
        )
    ):
        raise NotFound(
            f"There is no job {job_id[:80]!a}. Check the id; a job is remembered for "
            f"{JOB_MEMORY_S / 86_400:.0f} days after its end."
        )
    state = JobState.PENDING if work.retry_us is not None else _STATES[work.state]
    output = works.outputs(connection, [job_id]).get(job_id)
    if state is JobState.COMPLETE and output is not None and output.result is not None:
        counts = json.loads(output.result) or {}
        if ANSWERED in counts:
            return JobStatus(state=state, message=f"Delivered; the answer was {counts[ANSWERED]}.")
        rows, objects, size = (int(counts.get(name, 0)) for name in ("rows", "objects", "bytes"))
        message = f"Deleted {rows} rows and {objects} objects of {size} bytes."
        return JobStatus(state=state, message=message, rows=rows, objects=objects, bytes=size)
    return JobStatus(state=state, message=_trouble(output))


def _trouble(output: works.Output | None) -> str | None:
    if output is None or output.error is None:
        return None
    error = json.loads(output.error)
    return str(error.get("message") or error.get("type") or "") or None

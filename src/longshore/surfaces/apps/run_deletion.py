"""Deleting a run in its four parts: input, output, logs and database record.

The record goes in the request's own transaction, so that the run is gone from every listing when
the answer arrives (protocol §3.4). Each other part is a job, which a repeated request finds again
even after the record is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete

from longshore.access import Principal
from longshore.engine import works
from longshore.errors import Conflict, NotFound
from longshore.surfaces.apps import batches, deletions, reviews, runs, webhooks
from longshore.surfaces.apps.files import Gone
from longshore.surfaces.apps.runs import Run
from longshore.surfaces.apps.tables import app_runs, run_files
from longshore.wire.apps import RunDeletion

RECORD: Final = "db_data"
INPUT: Final = "input"
OUTPUT: Final = "output"
LOGS: Final = "logs"
_PARTS: Final = (RECORD, INPUT, OUTPUT, LOGS)


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of a run to delete.

    The record takes the logs with it: they are found through it. `logs` without `record`
    deletes the logs alone.
    """

    record: bool = True
    input: bool = True
    output: bool = True
    logs: bool = True


def delete_run(
    connection: Connection, principal: Principal, run_id: str, parts: Parts
) -> RunDeletion:
    """Delete parts of a run; a repeated request gets the same jobs.

    Raises:
        NotFound: the key reaches no such run, and none was deleted.
        Conflict: the run is not finished, or another running run uses its batch.
    """
    run = runs.find(connection, principal, run_id, lock=True)
    if run is None and not _was_deleted(connection, principal, run_id):
        runs.require(connection, principal, run_id)
    if run is not None and run.running:
        raise Conflict(
            f"Run {run_id} is not finished, so it cannot be deleted. Wait for its end, or cancel "
            f"it with POST /v2/apps/runs/{run_id}/cancel and then delete it.",
            details={"status": run.status},
        )
    deleter = _Deleter(connection, principal, run_id, run)
    jobs = RunDeletion(
        delete_input_dir_job_id=deleter.input() if parts.input else None,
        delete_output_dir_job_id=deleter.output() if parts.output else None,
        delete_log_dir_job_id=deleter.logs() if parts.logs else None,
    )
    if parts.record and run is not None:
        deleter.record(keep_logs=parts.logs)
    return jobs


@dataclass(frozen=True, slots=True)
class _Deleter:
    """One request to delete a run; `run` is None when its record is gone."""

    connection: Connection
    principal: Principal
    run_id: str
    run: Run | None

    def output(self) -> str:
        """Start the job that deletes what the run wrote; it is found by the run's id alone."""
        job = {"job": "apps.delete_output", "run_id": self.run_id}
        return self._known(OUTPUT) or self._start(OUTPUT, job)

    def logs(self) -> str | None:
        """Start the job that deletes the log lines of the run's works."""
        known = self._known(LOGS)
        if known is not None or self.run is None:
            return known
        files = runs.files_of(self.connection, self.run_id)
        job = {"job": "apps.delete_logs", "work_ids": [file.work_id for file in files]}
        return self._start(LOGS, job)

    def input(self) -> str | None:
        """Start the job that deletes the batch, or the files that the run read from a folder."""
        known = self._known(INPUT)
        if known is not None or self.run is None:
            return known
        if self.run.batch_id is not None:
            job_id = self._batch(self.run.batch_id)
            if job_id is not None:
                # The run's record, which names the batch, may be gone when this is asked again.
                deletions.adopt(
                    self.connection,
                    self.principal.organisation_id,
                    target(self.run_id),
                    INPUT,
                    job_id,
                )
            return job_id
        files = runs.files_of(self.connection, self.run_id)
        job = {"job": "apps.delete_files", "paths": [file.path for file in files]}
        return self._start(INPUT, job)

    def record(self, *, keep_logs: bool) -> None:
        """Delete the run's record and results at once."""
        counts = works.forget(self.connection, group_id=self.run_id, keep_logs=keep_logs)
        counts["reviews"] = reviews.forget(self.connection, self.run_id)
        for table, column in ((run_files, run_files.c.run_id), (app_runs, app_runs.c.id)):
            gone = self.connection.execute(delete(table).where(column == self.run_id))
            counts[table.name] = gone.rowcount
        if self.run is not None:
            actor = self.principal.key_name
            counts["deliveries"] = webhooks.forget(self.connection, self.run, actor=actor)
        deletion_id = deletions.record(
            self.connection, self.principal.organisation_id, target(self.run_id), RECORD
        )
        deletions.count(self.connection, deletion_id, Gone(rows=sum(counts.values())))

    def _batch(self, batch_id: int) -> str | None:
        try:
            batch = batches.require(self.connection, self.principal, batch_id)
        except NotFound:
            batch = None
        if batch is not None:
            return batches.delete(self.connection, self.principal, batch_id).job_id
        # The batch went before the run did, as in the protocol's tutorial: that job is the one.
        earlier = deletions.find(
            self.connection,
            self.principal.organisation_id,
            batches.deletion_target(batch_id),
            deletions.WHOLE,
        )
        return None if earlier is None else earlier.work_id

    def _known(self, part: str) -> str | None:
        organisation_id = self.principal.organisation_id
        known = deletions.find(self.connection, organisation_id, target(self.run_id), part)
        if known is None:
            return None
        return deletions.resume(self.connection, known, actor=self.principal.key_name)

    def _start(self, part: str, job: dict[str, Any]) -> str:
        return deletions.start(
            self.connection,
            self.principal.organisation_id,
            target(self.run_id),
            part,
            job,
            actor=self.principal.key_name,
        ).work_id


def _was_deleted(connection: Connection, principal: Principal, run_id: str) -> bool:
    organisation_id, named = principal.organisation_id, target(run_id)
    return any(deletions.find(connection, organisation_id, named, part) for part in _PARTS)


def target(run_id: str) -> str:
    """Return what the records of deletions call a run."""
    return f"run:{run_id}"

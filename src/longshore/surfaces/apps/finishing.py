"""The end of a run: its results are written to the drive and its final status is set, once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, update

from longshore import limits
from longshore.edge.files import StoredFile, receive
from longshore.edge.jobs import JobContext
from longshore.engine import artifacts
from longshore.errors import Conflict, NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import files, results, reviews, run_settings, runs, secrets, webhooks
from longshore.surfaces.apps.results import EVERYTHING, FileOutcome
from longshore.surfaces.apps.runs import Run
from longshore.surfaces.apps.tables import app_runs, run_files
from longshore.wire.apps import RunStatus

RESULTS_NAME: Final = "results.json"
"""File of the run's output folder that holds all results, with everything that is known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended."""

    status: RunStatus
    message: str
    documents_to_review: int


async def finish_run(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Write the results of a run whose works have all ended, and set its final status.

    Running it again does nothing once the status is set; before that, only bytes that belong to
    nothing are left behind, which the sweeper removes.
    """
    run_id = str(payload["run_id"])
    run = await context.database.read(runs.get, run_id)
    if run is not None and run.running:
        await context.database.write(_attach_pdfs, run)
        ended, text, needed = await context.database.read(_collect, run)
        written = await receive(
            context, run.organisation_id, _once(text), limits.MULTIPART_FILE_BYTES
        )
        await context.database.write(_finish, run, ended, written, needed)
    return {"rows": 0, "objects": 0, "bytes": 0}


def judge(run: Run, became: Sequence[FileOutcome]) -> Verdict:
    """Return how a run ended by what became of its files."""
    done = sum(each.result is not None for each in became)
    cancelled = sum(each.cancelled for each in became)
    failed = len(became) - done - cancelled
    message = f"{done} of {len(became)} files done"
    if failed:
        message += f", {failed} failed"
    if cancelled:
        message += f", {cancelled} cancelled"
    review = sum(len(results.to_review(each)) for each in became)
    if cancelled and (run.cancelled_us is not None or cancelled == len(became)):
        return Verdict(RunStatus.CANCELLED, message, review)
    if done:
        return Verdict(RunStatus.COMPLETE, message, review)
    first = next(each.error for each in became if not each.cancelled)
    return Verdict(RunStatus.FAILED, f"{message}. The first failed with: {first}", review)


def _attach_pdfs(connection: Connection, run: Run) -> None:
    """Put the PDFs that workers uploaded into the output folder; give up those not asked for."""
    wanted = run_settings.load(run.settings).generate_pdf
    for file, became in results.outcomes(connection, runs.files_of(connection, run.id)):
        if became.result is None or became.result.pdf_blob_id is None:
            continue
        try:
            blob = artifacts.get(connection, run.organisation_id, became.result.pdf_blob_id)
        except NotFound:
            # The upload was swept away before its report came: the results stand without it.
            continue
        pdf = StoredFile(blob.id, blob.size_bytes, blob.sha256)
        if not wanted or not _attach_pdf(connection, run, file.position, pdf):
            files.release(connection, [blob.id])


def _attach_pdf(connection: Connection, run: Run, position: int, pdf: StoredFile) -> bool:
    """Put a PDF into the output folder; return False if a user's file is in the way."""
    path = f"{run.output_dir}/pdf/{position + 1:04d}.pdf"
    try:
        files.check_place(connection, run.organisation_id, path)
    except Conflict:
        return False
    files.attach(connection, run.organisation_id, path, pdf, run_id=run.id)
    connection.execute(
        update(run_files)
        .where(run_files.c.run_id == run.id, run_files.c.position == position)
        .values(pdf_path=path)
    )
    return True


def _collect(connection: Connection, run: Run) -> tuple[Run, bytes, list[reviews.Needed]]:
    """Return the run as it will be once it is over, its results as JSON, and what to review."""
    found = results.outcomes(connection, runs.files_of(connection, run.id))
    verdict = judge(run, [became for _, became in found])
    ended = replace(
        run,
        status=verdict.status,
        message=verdict.message,
        documents_to_review=verdict.documents_to_review,
        finished_us=now_us(connection),
    )
    shaped = [results.shape(file, became, EVERYTHING) for file, became in found]
    whole = runs.compose(ended, shaped, EVERYTHING, has_more=False)
    needed = [need for file, became in found for need in reviews.needed(file, became)]
    return ended, json.dumps(whole, ensure_ascii=False).encode(), needed


def _finish(
    connection: Connection,
    run: Run,
    ended: Run,
    written: StoredFile,
    needed: Sequence[reviews.Needed],
) -> None:
    message = ended.message
    path = f"{run.output_dir}/{RESULTS_NAME}"
    try:
        files.check_place(connection, run.organisation_id, path)
    except Conflict as error:
        message = f"{message}. {RESULTS_NAME} was not written: {error.message}"
    else:
        files.write(connection, run.organisation_id, path, written, run_id=run.id)
    done = connection.execute(
        update(app_runs)
        .where(app_runs.c.id == run.id, app_runs.c.status == RunStatus.RUNNING)
        .values(
            status=ended.status,
            message=message,
            documents_to_review=ended.documents_to_review,
            finished_us=ended.finished_us,
        )
    ).rowcount
    if not done:
        raise Conflict(f"Run {run.id} was finished by another attempt. Nothing is left to do.")
    reviews.begin_all(connection, run, needed)
    secrets.forget(connection, run.organisation_id, run.id)
    webhooks.submit(connection, replace(ended, message=message))
    inputs = [file.blob_id for file in runs.files_of(connection, run.id)]
    files.release(connection, inputs)


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text

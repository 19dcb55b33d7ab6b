"""The jobs of this surface that the server runs itself, and its regular pass.

A deletion works in steps. Each step removes rows, gives up their blobs and adds to the deletion's
counts in one transaction; the bytes go after it. A job that is killed goes on where it was when it
is run again, and bytes that it left behind are removed by the sweeper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, delete, select

from longshore.edge.jobs import Handler, JobContext, Pass
from longshore.engine import artifacts, logs
from longshore.surfaces.apps import deletions, files, finishing, retention, uploads, webhooks
from longshore.surfaces.apps.files import Gone
from longshore.surfaces.apps.tables import batches

Step = Callable[[Connection], Gone]

_LOG_LINES: Final = 5_000
"""Log lines that one step deletes."""


async def delete_batch(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete the files of a batch, its open uploads and then the batch."""
    batch_id = int(payload["batch_id"])
    chosen = (batches.c.id == batch_id) & (batches.c.organisation_id == context.organisation_id)

    def step(connection: Connection) -> Gone:
        folder = connection.execute(select(batches.c.folder).where(chosen)).scalar()
        if folder is None:
            return Gone()
        gone = files.remove_some_below(connection, context.organisation_id, folder)
        gone = gone if gone.rows else uploads.forget_some_of_batch(connection, batch_id)
        return (
            gone if gone.rows else Gone(connection.execute(delete(batches).where(chosen)).rowcount)
        )

    return await _drain(context, payload, step)


async def delete_folder(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete all files below a folder."""
    folder = str(payload["folder"])
    return await _drain(
        context,
        payload,
        lambda connection: files.remove_some_below(connection, context.organisation_id, folder),
    )


async def delete_files(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete the files of a list."""
    paths = [str(path) for path in payload["paths"]]
    for start in range(0, len(paths), files.CHUNK_FILES):
        await _drain(context, payload, _removal(context, paths[start : start + files.CHUNK_FILES]))
    return await _totals(context, payload)


async def delete_output(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete the files that a run wrote."""
    run_id = str(payload["run_id"])
    return await _drain(
        context,
        payload,
        lambda connection: files.remove_some_of_run(connection, context.organisation_id, run_id),
    )


async def delete_logs(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete the log lines of a run's works."""
    work_ids = [str(work_id) for work_id in payload["work_ids"]]
    return await _drain(
        context,
        payload,
        lambda connection: Gone(logs.forget(connection, work_ids, limit=_LOG_LINES)),
    )


async def delete_blobs(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Remove the bytes of files that were deleted when the job was asked for."""
    await _erase(context, tuple(payload["blob_ids"]))
    return await _totals(context, payload)


def _removal(context: JobContext, paths: list[str]) -> Step:
    return lambda connection: files.remove(connection, context.organisation_id, paths)


async def _drain(context: JobContext, payload: Mapping[str, Any], step: Step) -> dict[str, int]:
    """Repeat a step until it finds nothing more; return what the whole deletion removed."""

    def counted(connection: Connection) -> Gone:
        gone = step(connection)
        deletions.count(connection, int(payload["deletion"]), gone)
        return gone

    while (gone := await context.database.write(counted)).rows:
        await _erase(context, gone.blob_ids)
    return await _totals(context, payload)


async def _erase(context: JobContext, blob_ids: tuple[str, ...]) -> None:
    """Remove the bytes of given-up blobs, then their rows; removing them again is fine."""
    for blob_id in blob_ids:
        await context.blobs.delete(blob_id)
    if blob_ids:
        await context.database.write(artifacts.erase, list(blob_ids))


async def _totals(context: JobContext, payload: Mapping[str, Any]) -> dict[str, int]:
    return await context.database.read(deletions.totals, int(payload["deletion"]))


HANDLERS: Final[dict[str, Handler]] = {
    "apps.finish_run": finishing.finish_run,
    webhooks.DELIVER: webhooks.deliver,
    webhooks.FORGET: webhooks.forget_delivery,
    "apps.delete_batch": delete_batch,
    "apps.delete_folder": delete_folder,
    "apps.delete_files": delete_files,
    "apps.delete_output": delete_output,
    "apps.delete_logs": delete_logs,
    "apps.delete_blobs": delete_blobs,
}

PASSES: Final[dict[str, Pass]] = {"apps.retention": retention.sweep}

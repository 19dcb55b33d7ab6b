"""`longshore runs`, `cancel`, `delete` and `apps`: what there is of the apps surface."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, bytes_text, emit_json, listing, note, out
from longshore.clock import SECOND_US, SystemClock
from longshore.ids import RUN

if TYPE_CHECKING:
    from longshore import Client
    from longshore.sdk import Run

_RUN_COLUMNS = (
    Column("id", "RUN"),
    Column("status", "STATUS"),
    Column("app", "APP"),
    Column("version", "VERSION"),
    Column("files", "FILES", "number"),
    Column("done", "DONE", "number"),
    Column("failed", "FAILED", "number"),
    Column("started", "STARTED"),
)
_APP_COLUMNS = (
    Column("name", "APP"),
    Column("owner", "OWNER"),
    Column("version", "VERSION"),
    Column("workers_online", "WORKERS", "number"),
    Column("description", "DESCRIPTION"),
)


def runs(
    app: Annotated[str | None, typer.Option("--app", help="Only runs of this app.")] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only these, such as RUNNING; repeatable.")
    ] = None,
    days: Annotated[
        float, typer.Option("--days", min=0.001, help="Only those started in the last days.")
    ] = 7.0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    server: ServerOption = None,
) -> None:
    """List runs, the newest first."""
    now = datetime.fromtimestamp(SystemClock().now_us() / SECOND_US, tz=UTC)
    with open_client(server) as client:
        found = client.runs.list(
            app=app, status=status or None, since=now - timedelta(days=days), limit=limit
        )
    if as_json:
        emit_json([run.info.model_dump(mode="json") for run in found if run.info is not None])
        return
    rows = [_run_row(run) for run in found]
    listing(rows, _RUN_COLUMNS, as_json=False, empty=f"No runs in the last {days:g} days.")


def _run_row(run: Run) -> dict[str, object]:
    info, counts = run.info, run.counts
    started = run.started_at
    return {
        "id": run.id,
        "status": run.status.value,
        "app": info.app if info else None,
        "version": info.version if info else None,
        "files": counts.submitted if counts else None,
        "done": counts.done if counts else None,
        "failed": counts.failed if counts else None,
        "started": f"{started:%Y-%m-%d %H:%M:%S}Z" if started else None,
    }


def delete(
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of the runs.")],
    keep_input: Annotated[
        bool, typer.Option("--keep-input", help="Leave the batch and its files alone.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="End when the deletion is accepted; print its jobs.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was removed as JSON.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Delete runs with their input, output, logs and rows, and say what was removed."""
    answers = []
    with open_client(server) as client:
        for run_id in run:
            deletion = client.runs.of(run_id).delete(input=not keep_input)
            jobs = [job.id for job in deletion.jobs]
            if no_wait:
                answers.append({"run": run_id, "jobs": jobs})
                if not as_json:
                    out(f"{run_id}: accepted, jobs {', '.join(jobs)}")
                continue
            removed = deletion.wait()
            answers.append({"run": run_id, "jobs": jobs, **removed.model_dump(mode="json")})
            if not as_json:
                size = bytes_text(removed.size_bytes)
                out(f"{run_id}: removed {removed.rows} rows, {removed.objects} objects, {size}")
    if as_json:
        emit_json(answers)


def cancel(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of runs (rn_...) or works (wk_...).")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    server: ServerOption = None,
) -> None:
    """Stop runs or works: nothing more is begun, and what runs is stopped.

    Files that were done before keep their results; what has ended stays as it is.
    """
    answers = []
    with open_client(server) as client:
        for wanted in ids:
            answer, text = _cancel(client, wanted)
            answers.append({"id": wanted, **answer})
            if not as_json:
                out(f"{wanted}: {text}")
    if as_json:
        emit_json(answers)


def _cancel(client: Client, wanted: str) -> tuple[dict[str, Any], str]:
    """Cancel a run or a work; return what the server says, for a program and for a person."""
    if wanted.startswith(f"{RUN}_"):
        run = client.runs.of(wanted).cancel()
        counts = run.counts
        kept = f", {counts.done} of {counts.submitted} files are done" if counts else ""
        answer = run.info.model_dump(mode="json") if run.info else {}
        return answer, f"{run.status.value}{kept}"
    done = client.works.cancel(wanted)
    text = (
        "cancelled" if done.cancelled else "told to stop" if done.stopping else "had ended before"
    )
    return done.model_dump(), text


def apps(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    server: ServerOption = None,
) -> None:
    """List the apps that workers have offered, with the workers that serve each version now."""
    with open_client(server) as client:
        found = client.apps.list()
    if as_json:
        emit_json([app.model_dump(mode="json") for app in found])
        return
    rows = [
        {"name": app.name, "owner": app.owner, **version.model_dump()}
        for app in found
        for version in app.versions
    ]
    empty = "No worker has offered an app yet. Start one: longshore worker MODULE_OR_FILE"
    listing(rows, _APP_COLUMNS, as_json=False, empty=empty)
    if any(not row["workers_online"] for row in rows):
        note("A run of an app without workers waits until a worker serves it.")

"""Runs: an app over the files of a batch or folder, one work of the engine per file.

A run pins the version of its app and the bytes of its files as they are when it is created. It
is RUNNING until all its works have ended; then its finisher (see `finishing`) sets the final
status, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, asc, desc, select, update

from longshore import limits
from longshore.access import Principal
from longshore.clock import SECOND_US
from longshore.edge.paging import Page
from longshore.engine import insights, queues, workers, works
from longshore.engine.insights import Counts
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import results, reviewed, run_settings, scopes
from longshore.surfaces.apps.results import Detail, RunFile
from longshore.surfaces.apps.tables import app_runs, run_files
from longshore.wire import apps as wire
from longshore.wire.apps import RunStatus
from longshore.wire.results import CaseInfo, ResultFile, ResultKeys, Results

WINDOW_S: Final = 24 * 3600
"""A listing without a window shows the runs of this many seconds (protocol §3.5)."""

_LATEST_S: Final = 2**63 // SECOND_US


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is kept; times in microseconds since 1970-01-01 UTC."""

    id: str
    organisation_id: str
    app_id: str
    app_name: str
    owner: str
    version: str
    queue_id: int
    deployment_id: str | None
    batch_id: int | None
    input_dir: str
    output_dir: str
    output_workspace: str
    username: str
    settings: str
    status: RunStatus
    message: str | None
    finisher_id: str
    cancelled_us: int | None
    started_us: int
    finished_us: int | None
    documents_to_review: int | None

    @property
    def running(self) -> bool:
        """Whether the run is not over."""
        return self.status is RunStatus.RUNNING


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs to list; all that is given must hold. Times in seconds since 1970-01-01 UTC."""

    app_id: str | None = None
    app_name: str | None = None
    deployment_id: str | None = None
    username: str | None = None
    run_id: str | None = None
    status: Sequence[str] = ()
    output_workspaces: Sequence[str] = ()
    from_s: int | None = None
    to_s: int | None = None
    sort_by: str | None = None
    order: str | None = None


COLUMNS = [app_runs.c[name] for name in Run.__dataclass_fields__]
_FILE_COLUMNS = [run_files.c[name] for name in RunFile.__dataclass_fields__]
_SORTS: Final = {"start_timestamp": app_runs.c.started_us, "status": app_runs.c.status}
_ORDERS: Final = {"ASCENDING": asc, "DESCENDING": desc}


def find(
    connection: Connection, principal: Principal, run_id: str, *, lock: bool = False
) -> Run | None:
    """Return a run that the key reaches, or None.

    With `lock`, nobody else changes it before this transaction ends.
    """
    query = select(*COLUMNS).where(
        app_runs.c.id == run_id, app_runs.c.organisation_id == principal.organisation_id
    )
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None or not scopes.reaches(principal, row.output_workspace):
        return None
    return from_row(row)


def require(
    connection: Connection, principal: Principal, run_id: str, *, lock: bool = False
) -> Run:
    """Return a run that the key reaches; NotFound otherwise."""
    run = find(connection, principal, run_id, lock=lock)
    if run is None:
        raise NotFound(
            f"There is no run {run_id[:80]!a} for this key. It may have been deleted; check the "
            "id, or list the runs."
        )
    return run


def get(connection: Connection, run_id: str) -> Run | None:
    """Return a run by its id, whoever it belongs to; for the server's own jobs."""
    row = connection.execute(select(*COLUMNS).where(app_runs.c.id == run_id)).one_or_none()
    return None if row is None else from_row(row)


def files_of(
    connection: Connection, run_id: str, *, offset: int = 0, limit: int = limits.FILES_PER_RUN
) -> list[RunFile]:
    """Return files of a run in their order."""
    rows = connection.execute(
        select(*_FILE_COLUMNS)
        .where(run_files.c.run_id == run_id, run_files.c.position >= offset)
        .order_by(run_files.c.position)
        .limit(limit)
    )
    return [RunFile(**row._asdict()) for row in rows]


def status(connection: Connection, principal: Principal, run_id: str) -> wire.Run:
    """Return a run as the protocol shows it."""
    return shown(connection, require(connection, principal, run_id))


def listing(
    connection: Connection, principal: Principal, wanted: Filter, page: Page
) -> wire.RunList:
    """Return the runs that the key reaches and that the filter lets through, newest first.

    Raises:
        InvalidRequest: a status, sort key, order or time cannot be used.
    """
    query = _filtered(connection, principal, wanted)
    direction = _ORDERS[_one_of("order", wanted.order, _ORDERS, "DESCENDING")]
    column = _SORTS[_one_of("sort_by", wanted.sort_by, _SORTS, "start_timestamp")]
    rows = connection.execute(
        query.order_by(direction(column), direction(app_runs.c.id))
        .limit(page.limit)
        .offset(page.offset)
    ).all()
    return wire.RunList(runs=[shown(connection, from_row(row)) for row in rows])


def cancel(connection: Connection, principal: Principal, run_id: str) -> wire.Run:
    """Stop a run: what waits is cancelled now, what runs is told to stop.

    A run that is over is left as it is.
    """
    run = require(connection, principal, run_id, lock=True)
    if run.running:
        if run.cancelled_us is None:
            connection.execute(
                update(app_runs)
                .where(app_runs.c.id == run_id)
                .values(cancelled_us=now_us(connection))
            )
        works.cancel_group(
            connection, run_id, actor=principal.key_name, why="the run was cancelled"
        )
    return status(connection, principal, run_id)


def page_of_results(
    connection: Connection, principal: Principal, run_id: str, detail: Detail, offset: int
) -> dict[str, Any]:
    """Return one page of a run's results, JSON-ready, with the keys that the flags ask for.

    Raises:
        NotFound: the key reaches no such run.
        Conflict: it is not finished.
        InvalidRequest: the offset is negative.
    """
    run = require(connection, principal, run_id)
    if run.running:
        raise Conflict(
            f"Run {run_id} is not finished: {waiting_for(connection, run)}. Ask for its results "
            "when its status is no longer RUNNING.",
            details={"status": run.status},
        )
    if offset < 0:
        raise InvalidRequest(f"file_offset is {offset}; it must be 0 or more.")
    size = limits.RESULT_FILES_PER_PAGE
    some = files_of(connection, run_id, offset=min(offset, 2**31 - 1), limit=size + 1)
    found = results.outcomes(connection, some[:size])
    reviews = reviewed.of_files(connection, run_id, [file.position for file, _ in found])
    shaped = [
        results.shape(file, became, detail, reviews.get(file.position, {}))
        for file, became in found
    ]
    return compose(run, shaped, detail, has_more=len(some) > size)


def compose(
    run: Run, files: Sequence[ResultFile], detail: Detail, *, has_more: bool
) -> dict[str, Any]:
    """Put the results of a run together, JSON-ready; keys that were not asked for are absent."""
    keys = run_settings.load(run.settings).keys
    whole: dict[str, Any] = {"review_completed": not run.documents_to_review}
    return Results(
        id=run.id,
        status=run.status,
        message=run.message,
        start_timestamp=run.started_us * 1_000,
        finish_timestamp=None if run.finished_us is None else run.finished_us * 1_000,
        batch_id=None if run.batch_id is None else str(run.batch_id),
        files=list(files),
        keys=ResultKeys(custom=keys),
        case_info=CaseInfo(fields=[]),
        has_more=has_more,
        **(whole if detail.review else {}),
    ).model_dump(mode="json", exclude_unset=True)


def shown(connection: Connection, run: Run) -> wire.Run:
    """Return a run as the protocol shows it, with what it waits for."""
    counts = insights.group_counts(connection, run.id)
    settings = run_settings.load(run.settings)
    return wire.Run(
        id=run.id,
        status=run.status,
        start_timestamp=run.started_us * 1_000,
        finish_timestamp=None if run.finished_us is None else run.finished_us * 1_000,
        msg=_waiting_for(connection, run, counts) if run.running else run.message,
        batch_id=run.batch_id,
        input_dir=run.input_dir,
        output_dir=run.output_dir,
        output_workspace=run.output_workspace,
        app_id=run.app_id,
        app_name=run.app_name,
        owner=run.owner,
        version=run.version,
        deployment_id=run.deployment_id,
        username=run.username,
        tags=settings.tags,
        files=wire.FileCounts(
            submitted=counts.submitted,
            done=counts.done,
            failed=counts.failed,
            cancelled=counts.cancelled,
            pending=counts.pending,
        ),
        webhook_job_id=None if settings.webhook is None or run.running else settings.webhook.job_id,
    )


def waiting_for(connection: Connection, run: Run) -> str:
    """Return what a running run waits for, for people."""
    return _waiting_for(connection, run, insights.group_counts(connection, run.id))


def _waiting_for(connection: Connection, run: Run, counts: Counts) -> str:
    progress = f"{counts.submitted - counts.pending} of {counts.submitted} files done"
    if not counts.pending:
        return f"{progress}, writing the results"
    if run.cancelled_us is not None:
        return f"{progress}, being cancelled"
    held = queues.get(connection, run.queue_id)
    if held.held_us is not None:
        return f"{progress}; the queue is held by {held.held_by}: {held.held_why}"
    if not workers.online(connection, run.queue_id):
        return (
            f'{progress}; no worker offers "{run.app_name} {run.version}" of {run.owner}: start one '
            "with `longshore worker FILE`, and the run goes on by itself"
        )
    return progress


def _filtered(
    connection: Connection, principal: Principal, wanted: Filter
) -> Select[tuple[Any, ...]]:
    now_s = now_us(connection) // SECOND_US
    to_s = now_s if wanted.to_s is None else wanted.to_s
    from_s = min(now_s, to_s) - WINDOW_S if wanted.from_s is None else wanted.from_s
    if from_s < -_LATEST_S or to_s > _LATEST_S or from_s > to_s:
        raise InvalidRequest(
            f"The window from {from_s} to {to_s} cannot be used. Send from_timestamp and "
            "to_timestamp in seconds since 1970, the earlier one first."
        )
    query = select(*COLUMNS).where(
        app_runs.c.organisation_id == principal.organisation_id,
        app_runs.c.started_us >= from_s * SECOND_US,
        # The second that is named belongs to the window.
        app_runs.c.started_us < (to_s + 1) * SECOND_US,
    )
    for column, value in (
        (app_runs.c.app_id, wanted.app_id),
        (app_runs.c.app_name, wanted.app_name),
        (app_runs.c.deployment_id, wanted.deployment_id),
        (app_runs.c.username, wanted.username),
        (app_runs.c.id, wanted.run_id),
        (app_runs.c.output_workspace, principal.workspace_name),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.status:
        named = [_one_of("status", each, RunStatus.__members__, "") for each in wanted.status]
        query = query.where(app_runs.c.status.in_(named))
    if wanted.output_workspaces:
        query = query.where(app_runs.c.output_workspace.in_(wanted.output_workspaces))
    return query


def _one_of(name: str, value: str | None, allowed: Any, default: str) -> str:
    chosen = default if value is None else value
    if chosen not in allowed:
        raise InvalidRequest(f"{name} is {chosen[:80]!a}; it must be one of {', '.join(allowed)}.")
    return chosen


def from_row(row: Row[Any]) -> Run:
    """Return a run from a row of `COLUMNS`."""
    return Run(**{**row._asdict(), "status": RunStatus(row.status)})

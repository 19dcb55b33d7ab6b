"""Runs as people look at them: lists by key, one run with its files, and what became of a deletion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    Subquery,
    and_,
    cast,
    func,
    or_,
    select,
)

from longshore.access import Principal
from longshore.clock import SECOND_US
from longshore.engine import insights, works
from longshore.engine.insights import Counts
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.apps import results, reviewed, run_deletion, runs
from longshore.surfaces.apps.results import RunFile
from longshore.surfaces.apps.reviewed import State
from longshore.surfaces.apps.reviews import place_name
from longshore.surfaces.apps.runs import Run
from longshore.surfaces.apps.tables import app_runs, deletions, deployments, run_files
from longshore.wire.apps import RunStatus

SEARCHED: Final = 5_000
"""A text is looked for in so many of the newest runs."""
_NONE: Final = Counts(0, 0, 0, 0, 0)
_PARTS: Final = {
    "delete_input": "input",
    "delete_output": "output",
    "delete_db_data": "results",
    "delete_logs": "logs",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs to show; what is given must all hold."""

    app: str = ""
    state: str = ""
    """A status, or `review` for runs with documents that wait for a person."""
    workspace: str = ""
    text: str = ""
    """The id of a run or of its batch, or a part of the name of its app or of who started it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A run, and how its files stand."""

    run: Run
    counts: Counts


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document of a file, and how its review stands."""

    name: str
    class_name: str | None
    state: State
    fields: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a run, and what became of it."""

    file: RunFile
    state: str
    attempt: int
    attempts_max: int
    error: str | None
    started_us: int | None
    finished_us: int | None
    documents: tuple[DocumentRow, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, and when it may end at the pace that it had so far."""

    ended: int
    submitted: int
    elapsed_s: float
    left_s: float | None


@dataclass(frozen=True, slots=True)
class PartGone:
    """A part of a run that is deleted, and what is gone so far."""

    part: str
    work_id: str | None
    state: str
    rows: int
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the deployment of a run deletes of it, and when."""

    at_us: int
    parts: tuple[str, ...]
    done_us: int | None


def listing(
    connection: Connection,
    principal: Principal,
    wanted: Filter,
    *,
    before: tuple[int, str] | None = None,
    limit: int,
) -> tuple[list[Row], bool]:
    """Return runs, the newest first, and whether there are more.

    Args:
        connection: the transaction.
        principal: who looks.
        wanted: which runs.
        before: start and id of the last run of the page before.
        limit: most runs.

    Raises:
        InvalidRequest: there is no such state.
    """
    query = _matching(_chosen(principal, wanted), wanted.text.strip())
    if before is not None:
        started_us, run_id = before
        query = query.where(
            # The first condition says no more than the second, but an index can begin there.
            query.selected_columns.started_us <= started_us,
            or_(
                query.selected_columns.started_us < started_us,
                and_(
                    query.selected_columns.started_us == started_us,
                    query.selected_columns.id < run_id,
                ),
            ),
        )
    rows = connection.execute(
        query.order_by(
            query.selected_columns.started_us.desc(), query.selected_columns.id.desc()
        ).limit(limit + 1)
    ).all()
    some = [runs.from_row(row) for row in rows[:limit]]
    counts = insights.groups_counts(connection, [run.id for run in some])
    return [Row(run, counts.get(run.id, _NONE)) for run in some], len(rows) > limit


def files(
    connection: Connection, run: Run, *, after: int = -1, limit: int
) -> tuple[list[FileRow], bool]:
    """Return files of a run in their order with what became of each, and whether there are more."""
    some = runs.files_of(connection, run.id, offset=after + 1, limit=limit + 1)
    return file_rows(connection, run, some[:limit]), len(some) > limit


def troubled(connection: Connection, run: Run, *, limit: int) -> list[FileRow]:
    """Return the first files of a run that failed."""
    every = runs.files_of(connection, run.id)
    known = works.get_many(connection, [file.work_id for file in every])
    bad = [
        file
        for file in every
        if (work := known.get(file.work_id)) is not None and work.state is works.State.FAILURE
    ]
    return file_rows(connection, run, bad[:limit])


def file_rows(connection: Connection, run: Run, some: Sequence[RunFile]) -> list[FileRow]:
    """Return what became of some files of a run."""
    known = works.get_many(connection, [file.work_id for file in some])
    reviews = reviewed.of_files(connection, run.id, [file.position for file in some])
    found = []
    for file, became in results.outcomes(connection, some):
        work = known.get(file.work_id)
        documents = () if became.result is None else tuple(became.result.documents)
        below = None if became.result is None else became.result.review_below
        mine = reviews.get(file.position, {})
        found.append(
            FileRow(
                file,
                "gone" if work is None else str(work.state),
                0 if work is None else work.attempt,
                0 if work is None else work.attempts_max,
                became.error if work is None or work.final else None,
                None if work is None else work.started_us,
                None if work is None else work.finished_us,
                tuple(
                    DocumentRow(
                        place_name(file.position, index),
                        review.class_name(document.class_name) if review else document.class_name,
                        review.state
                        if review
                        else State.NEEDS_REVIEW
                        if results.reasons_of(document, below)
                        else State.NONE,
                        len(document.fields),
                    )
                    for index, document in enumerate(documents)
                    for review in (mine.get(index),)
                ),
            )
        )
    return found


def progress(connection: Connection, run: Run, counts: Counts) -> Progress:
    """Return how far a run is."""
    end_us = now_us(connection) if run.finished_us is None else run.finished_us
    elapsed_s = (end_us - run.started_us) / SECOND_US
    ended = counts.submitted - counts.pending
    left_s = elapsed_s / ended * counts.pending if run.running and ended else None
    return Progress(ended, counts.submitted, elapsed_s, left_s)


def keeping(connection: Connection, run: Run) -> Keeping | None:
    """Return what the deployment of a run that is over deletes of it, and when; None for nothing."""
    if run.deployment_id is None or run.finished_us is None:
        return None
    row = connection.execute(
        select(deployments, app_runs.c.retained_us)
        .join(app_runs, app_runs.c.deployment_id == deployments.c.id)
        .where(app_runs.c.id == run.id, deployments.c.retain_us.is_not(None))
    ).one_or_none()
    if row is None:
        return None
    parts = tuple(word for column, word in _PARTS.items() if getattr(row, column))
    return Keeping(run.finished_us + row.retain_us, parts, row.retained_us)


def gone(connection: Connection, principal: Principal, run_id: str) -> list[PartGone]:
    """Return what of a run is being deleted, or was; nothing once it is forgotten."""
    rows = connection.execute(
        select(deletions)
        .where(
            deletions.c.organisation_id == principal.organisation_id,
            deletions.c.target == run_deletion.target(run_id),
        )
        .order_by(deletions.c.id)
    ).all()
    known = works.get_many(connection, [row.work_id for row in rows if row.work_id])
    return [
        PartGone(
            row.part,
            row.work_id,
            str(known[row.work_id].state) if row.work_id in known else "success",
            row.rows,
            row.objects,
            row.bytes,
        )
        for row in rows
    ]


def workspaces(connection: Connection, principal: Principal) -> list[str]:
    """Return the workspaces that runs of the newest ones have written to."""
    newest = _newest(principal)
    found = connection.execute(select(newest.c.output_workspace).distinct()).scalars()
    return sorted(found)


def app_names(connection: Connection, principal: Principal) -> list[str]:
    """Return the apps of the newest runs."""
    newest = _newest(principal)
    return sorted(connection.execute(select(newest.c.app_name).distinct()).scalars())


def _newest(principal: Principal) -> Subquery[Any]:
    return (
        select(app_runs.c.app_name, app_runs.c.output_workspace)
        .where(*_reached(principal))
        .order_by(app_runs.c.started_us.desc())
        .limit(1_000)
        .subquery()
    )


def _reached(principal: Principal) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = [app_runs.c.organisation_id == principal.organisation_id]
    if principal.workspace_name is not None:
        chosen.append(app_runs.c.output_workspace == principal.workspace_name)
    return chosen


def _chosen(principal: Principal, wanted: Filter) -> list[ColumnElement[bool]]:
    chosen = _reached(principal)
    if wanted.app:
        chosen.append(app_runs.c.app_name == wanted.app)
    if wanted.workspace:
        chosen.append(app_runs.c.output_workspace == wanted.workspace)
    if wanted.state == "review":
        chosen.append(app_runs.c.documents_to_review > 0)
    elif wanted.state:
        if wanted.state not in RunStatus.__members__:
            raise InvalidRequest(
                f"There is no state {wanted.state[:80]!a} of runs. Choose review or one of "
                f"{', '.join(RunStatus.__members__)}."
            )
        chosen.append(app_runs.c.status == wanted.state)
    return chosen


def _matching(chosen: list[ColumnElement[bool]], text: str) -> Select[tuple[object, ...]]:
    query = select(*runs.COLUMNS).where(*chosen)
    if not text:
        return query
    # A text that fits nothing must not make the database read all the runs there ever were.
    newest = query.order_by(app_runs.c.started_us.desc()).limit(SEARCHED).subquery()
    folded = text.casefold()
    return select(*newest.c).where(
        or_(
            newest.c.id == text,
            func.lower(newest.c.app_name).contains(folded, autoescape=True),
            func.lower(newest.c.username).contains(folded, autoescape=True),
            cast(newest.c.batch_id, String) == text,
        )
    )


def size_bytes(connection: Connection, run: Run) -> int:
    """Return how many bytes the files of a run have."""
    total = func.coalesce(func.sum(run_files.c.size_bytes), 0)
    return int(connection.execute(select(total).where(run_files.c.run_id == run.id)).scalar_one())

"""What is listed of a process: its elements, its sets of datasets, its activities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, literal, select

from longshore.clock import iso
from longshore.engine import works
from longshore.engine.insights import why
from longshore.engine.tables import works as works_table
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.corpus import datasets, elements, processes, progress, states, worker_runs
from longshore.surfaces.corpus.elements import Extras
from longshore.surfaces.corpus.paging import Cursor, Page
from longshore.surfaces.corpus.states import Activity
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_dataset_sets,
    corpus_elements,
    corpus_process_elements,
    corpus_process_sets,
    corpus_types,
)


def elements_page(
    connection: Connection,
    organisation_id: str,
    process_id: str,
    cursor: Cursor,
    *,
    with_image: bool,
    site: str,
) -> dict[str, Any]:
    """Return a page of the elements that a process was started with, in its order.

    Raises:
        NotFound: the organisation has no such process.
        InvalidRequest: the cursor is none of this listing.
    """
    process = processes.get(connection, organisation_id, process_id)
    table = corpus_process_elements
    after = _place(cursor.after)
    rows = connection.execute(
        select(table.c.position, table.c.element_id)
        .join(corpus_elements, corpus_elements.c.id == table.c.element_id)
        .where(table.c.process_id == process.id, table.c.position > after)
        .order_by(table.c.position)
        .limit(cursor.size + 1)
    ).all()
    chosen = rows[: cursor.size]
    found = elements.shown(
        connection,
        [row.element_id for row in chosen],
        site,
        Extras(corpus=False, zone=with_image),
    )
    last = str(chosen[-1].position) if len(rows) > cursor.size else None
    count = None
    if cursor.with_count:
        # Elements that were deleted since are not listed.
        count = connection.scalar(
            select(func.count())
            .select_from(table)
            .join(corpus_elements, corpus_elements.c.id == table.c.element_id)
            .where(table.c.process_id == process.id)
        )
    listed = [_element(found[row.element_id]) for row in chosen]
    return cursor.answer(listed, last=last, count=count)


def sets_page(
    connection: Connection, organisation_id: str, process_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the sets of datasets that a process is over.

    Raises:
        NotFound: the organisation has no such process, or it has no such page.
    """
    process = processes.get(connection, organisation_id, process_id)
    query = (
        select(
            corpus_dataset_sets.c.id,
            corpus_dataset_sets.c.name,
            corpus_dataset_sets.c.dataset_id,
        )
        .join(corpus_process_sets, corpus_process_sets.c.set_id == corpus_dataset_sets.c.id)
        .where(corpus_process_sets.c.process_id == process.id)
    )
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = connection.execute(
        query.order_by(corpus_process_sets.c.position).offset(page.offset).limit(page.size)
    ).all()
    known = {
        dataset_id: datasets.show(connection, datasets.get(connection, organisation_id, dataset_id))
        for dataset_id in dict.fromkeys(row.dataset_id for row in rows)
    }
    listed = [
        {"id": row.id, "set_name": row.name, "dataset": known[row.dataset_id]} for row in rows
    ]
    return page.answer(listed, count)


def activities_page(
    connection: Connection,
    organisation_id: str,
    process_id: str,
    cursor: Cursor,
    *,
    run_id: str | None = None,
    state: Activity | None = None,
) -> dict[str, Any]:
    """Return a page of the activities of a process's elements, run by run, with their errors.

    Raises:
        NotFound: the organisation has no such process, or the process no such run.
        InvalidRequest: the cursor is none of this listing.
    """
    process = processes.get(connection, organisation_id, process_id)
    runs = worker_runs.of_process(connection, process.id)
    if run_id is not None:
        wanted = worker_runs.get(connection, organisation_id, run_id)
        runs = [run for run in runs if run.id == wanted.id]
    first, _, after = cursor.after.partition("|")
    begin, place = (_place(first), _place(after)) if cursor.after else (-1, -1)
    rows: list[Row[Any]] = []
    for run in runs:
        if run.position < begin or len(rows) > cursor.size:
            continue
        rest = cursor.size + 1 - len(rows)
        since = place if run.position == begin else -1
        rows += _activities(connection, process.id, run, since, state, rest)
    chosen = rows[: cursor.size]
    last = None
    if len(rows) > cursor.size:
        last = f"{chosen[-1].run_position}|{chosen[-1].position}"
    count = None
    if cursor.with_count:
        total = progress.elements_of(connection, process.id)
        counts = [progress.counted(connection, process, run, total) for run in runs]
        count = sum(each[state] if state is not None else sum(each.values()) for each in counts)
    return cursor.answer(_activities_shown(connection, chosen), last=last, count=count)


def activity(
    connection: Connection, organisation_id: str, run_id: str, element_id: str
) -> dict[str, Any]:
    """Return the activity of an element for a run: why it is where it is, and its history.

    Raises:
        NotFound: there is no such run, or it has no activity for the element.
    """
    run = worker_runs.get(connection, organisation_id, run_id)
    row = connection.execute(
        select(corpus_activities.c.work_id).where(
            corpus_activities.c.element_id == element_id,
            corpus_activities.c.run_key == run.run_key,
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"{run.summary} has no activity for element {element_id[:80]}.")
    work = works.get(connection, row.work_id)
    explained = why(connection, row.work_id)
    state = states.activity(work.state, work.retry_us)
    return {
        "element_id": element_id,
        "worker_run_id": run.id,
        "state": state.value,
        "attempt": work.attempt,
        "work_id": row.work_id,
        "why": explained.text,
        "events": [
            {
                "at": iso(event.at_us),
                "state": states.activity(event.to_state, None).value,
                "reason": event.reason,
                "by": event.actor,
                "detail": event.detail_object,
            }
            for event in works.events(connection, row.work_id)
        ],
    }


def _element(shown: dict[str, Any]) -> dict[str, Any]:
    zone = shown["zone"]
    image = zone["image"] if zone is not None else {}
    return {
        "id": shown["id"],
        "type": shown["type"],
        "name": shown["name"],
        "confidence": shown["confidence"],
        "rotation_angle": shown["rotation_angle"],
        "mirrored": shown["mirrored"],
        "polygon": None if zone is None else zone["polygon"],
        "image_id": image.get("id"),
        "image_url": image.get("url"),
        "image_width": image.get("width"),
        "image_height": image.get("height"),
    }


def _activities(
    connection: Connection,
    process_id: str,
    run: worker_runs.Run,
    after: int,
    state: Activity | None,
    limit: int,
) -> Sequence[Row[Any]]:
    table = corpus_process_elements
    query = (
        select(
            table.c.position,
            table.c.element_id,
            corpus_activities.c.work_id,
            corpus_activities.c.worker_run_id,
            corpus_elements.c.name,
            corpus_types.c.slug.label("type"),
            works_table.c.state,
            works_table.c.retry_us,
            works_table.c.attempt,
            works_table.c.started_us,
            works_table.c.finished_us,
            works_table.c.worker_id,
        )
        .add_columns(literal(run.position).label("run_position"))
        .select_from(table)
        .join(
            corpus_activities,
            (corpus_activities.c.element_id == table.c.element_id)
            & (corpus_activities.c.run_key == run.run_key),
        )
        .join(works_table, works_table.c.id == corpus_activities.c.work_id)
        .outerjoin(corpus_elements, corpus_elements.c.id == table.c.element_id)
        .outerjoin(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
        .where(table.c.process_id == process_id, table.c.position > after)
    )
    if state is not None:
        query = query.where(states.condition(state))
    return connection.execute(query.order_by(table.c.position).limit(limit)).all()


def _activities_shown(connection: Connection, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    outputs = works.outputs(
        connection,
        [row.work_id for row in rows if row.finished_us is not None],
    )
    listed = []
    for row in rows:
        output = outputs.get(row.work_id)
        error = None
        if output is not None and output.error is not None:
            error = msgspec.json.decode(output.error)
        state = states.activity(row.state, row.retry_us)
        listed.append(
            {
                "element": {"id": row.element_id, "name": row.name, "type": row.type},
                "worker_run_id": row.worker_run_id,
                "state": state.value,
                "attempt": row.attempt,
                "holder": row.worker_id if state is Activity.STARTED else None,
                "error": error if state is not Activity.PROCESSED else None,
                "started": iso(row.started_us),
                "updated": iso(row.finished_us or row.started_us),
                "work_id": row.work_id,
            }
        )
    return listed


def _place(text: str) -> int:
    if not text:
        return -1
    if not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(
            "The cursor is none of this listing. Leave it out to start from the first page."
        )
    return int(text)

"""What a work was submitted with and what it led to, and what it is a part of, by its surface."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Table, select

from longshore.edge.jobs import SYSTEM
from longshore.engine import queues, works
from longshore.engine.tables import payloads
from longshore.engine.works import Work
from longshore.surfaces.buckets.tables import bucket_artifacts, bucket_works
from longshore.surfaces.corpus.tables import corpus_activities
from longshore.surfaces.pipelines.tables import pipeline_inputs, pipeline_outputs
from longshore.surfaces.scripts.tables import scripts_step_works
from longshore.surfaces.works.possible import job_of


@dataclass(frozen=True, slots=True)
class Bodies:
    """Texts of a work as they are stored; None where there is none (any more).

    Attributes:
        payload: what it was submitted with.
        payload_name: what its surface calls that.
        result: what it led to; of a bucket's work that is in its document.
        error: the error of its last attempt, where that failed.
    """

    payload: str | None
    payload_name: str
    result: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a work is a part of, or that is a part of it."""

    kind: str
    id: str


def of(connection: Connection, work: Work) -> Bodies:
    """Return the texts of a work."""
    surface = queues.get(connection, work.queue_id).surface
    output = works.outputs(connection, [work.id]).get(work.id)
    result = None if output is None or output.result is None else output.result.decode()
    error = None if output is None or output.error is None else output.error.decode()
    if surface == "buckets":
        return Bodies(
            _one(connection, bucket_works, "document", work.id), "document", result, error
        )
    if surface == "pipelines":
        given = _one(connection, pipeline_inputs, "body", work.id)
        made = _one(connection, pipeline_outputs, "body", work.id)
        return Bodies(given, "records", made or result, error)
    payload = _one(connection, payloads, "payload", work.id)
    if surface == SYSTEM and payload is not None:
        # What a job was given may open other servers, such as the headers of a webhook.
        payload = json.dumps({"job": job_of(payload.encode())})
    return Bodies(payload, "payload", result, error)


def parts(connection: Connection, work: Work) -> list[Part]:
    """Return what a work is a part of, and the artifacts that it made."""
    queue = queues.get(connection, work.queue_id)
    found = _PARTS.get(queue.surface, _group)(connection, work)
    return [Part("queue", queue.name), *found]


def _one(connection: Connection, table: Table, column: str, work_id: str) -> str | None:
    found = connection.execute(select(table.c[column]).where(table.c.work_id == work_id)).scalar()
    return None if found is None else str(found)


def _group(_connection: Connection, work: Work) -> list[Part]:
    return [] if work.group_id is None else [Part("group", work.group_id)]


def _of_apps(_connection: Connection, work: Work) -> list[Part]:
    return [] if work.group_id is None else [Part("run", work.group_id)]


def _of_pipelines(_connection: Connection, work: Work) -> list[Part]:
    return [] if work.group_id is None else [Part("pipeline", work.group_id)]


def _of_corpus(_connection: Connection, work: Work) -> list[Part]:
    return [] if work.group_id is None else [Part("process", work.group_id)]


def _of_activities(connection: Connection, work: Work) -> list[Part]:
    table = corpus_activities.c
    row = connection.execute(
        select(table.element_id, table.process_id).where(table.work_id == work.id)
    ).one_or_none()
    if row is None:
        return []
    found = [Part("element", row.element_id)]
    return [*found, Part("process", row.process_id)] if row.process_id else found


def _of_buckets(connection: Connection, work: Work) -> list[Part]:
    table = bucket_artifacts.c
    rows = connection.execute(
        select(table.path).where(table.work_id == work.id).order_by(table.kind, table.position)
    )
    name = queues.get(connection, work.queue_id).name
    return [Part("bucket", name), *[Part("artifact", path) for path in rows.scalars()]]


def _of_scripts(connection: Connection, work: Work) -> list[Part]:
    run_id = connection.execute(
        select(scripts_step_works.c.run_id).where(scripts_step_works.c.work_id == work.id)
    ).scalar()
    return [] if run_id is None else [Part("workflow run", str(run_id))]


_PARTS: Final[dict[str, Callable[[Connection, Work], list[Part]]]] = {
    "apps": _of_apps,
    "pipelines": _of_pipelines,
    "corpus": _of_corpus,
    "activities": _of_activities,
    "buckets": _of_buckets,
    "scripts": _of_scripts,
    "scripts held": _of_scripts,
}

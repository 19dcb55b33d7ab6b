"""Worker runs: a version of a worker in a process, with its model and configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select

from longshore.errors import NotFound
from longshore.surfaces.corpus import configurations, processes, workers
from longshore.surfaces.corpus.scope import unknown, uuid_of
from longshore.surfaces.corpus.tables import (
    corpus_model_versions,
    corpus_models,
    corpus_processes,
    corpus_worker_runs,
)

_AVAILABLE: Final = "available"


@dataclass(frozen=True, slots=True)
class Run:
    """A worker run as it is stored.

    Attributes:
        run_key: the same for all runs of this version with this model and this configuration.
        parents: ids of the runs that must be over first.
        queue_id: where its activities wait; None where it has none.
        position: among the runs of its process, from 0; parents come before.
    """

    id: str
    process_id: str
    worker_version_id: str
    model_version_id: str | None
    configuration_id: str | None
    run_key: str
    parents: list[str]
    queue_id: int | None
    summary: str
    position: int


_COLUMNS: Final = [corpus_worker_runs.c[name] for name in Run.__dataclass_fields__]


def get(connection: Connection, organisation_id: str, run_id: str) -> Run:
    """Return a worker run.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(run_id)
    row = None
    if given is not None:
        query = (
            select(*_COLUMNS)
            .join(corpus_processes, corpus_processes.c.id == corpus_worker_runs.c.process_id)
            .where(
                corpus_worker_runs.c.id == given,
                corpus_processes.c.organisation_id == organisation_id,
            )
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no worker run {run_id[:80]}.")
    return _run(row)


def of_process(connection: Connection, process_id: str) -> list[Run]:
    """Return the runs of a process in their order."""
    query = (
        select(*_COLUMNS)
        .where(corpus_worker_runs.c.process_id == process_id)
        .order_by(corpus_worker_runs.c.position)
    )
    return [_run(row) for row in connection.execute(query)]


def by_id(connection: Connection, run_ids: Sequence[str]) -> dict[str, Run]:
    """Return runs by id, for ids that are known to be right."""
    query = select(*_COLUMNS).where(corpus_worker_runs.c.id.in_(list(run_ids)))
    return {row.id: _run(row) for row in connection.execute(query)}


def named_model(
    connection: Connection, organisation_id: str, model_version_id: str, *attr: str | int
) -> Row[Any]:
    """Return the version of a model that a body names.

    Raises:
        InvalidRequest: the organisation has none of that id that is available.
    """
    given = uuid_of(model_version_id)
    row = None
    if given is not None:
        query = _models().where(
            corpus_model_versions.c.id == given,
            corpus_models.c.organisation_id == organisation_id,
            corpus_model_versions.c.state == _AVAILABLE,
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise unknown("version of a model that is available", model_version_id, *attr)
    return row


def model_of(connection: Connection, run: Run) -> Row[Any] | None:
    """Return the version of a model that a run uses: with `name`, that of the model."""
    if run.model_version_id is None:
        return None
    query = _models().where(corpus_model_versions.c.id == run.model_version_id)
    return connection.execute(query).one_or_none()


def show(connection: Connection, organisation_id: str, run_id: str) -> dict[str, Any]:
    """Return a run as the workers read it when they start.

    Raises:
        NotFound: the organisation has none of that id.
    """
    run = get(connection, organisation_id, run_id)
    process = processes.get(connection, organisation_id, run.process_id)
    return {**told(connection, run), "process": processes.outline(process)}


def told(connection: Connection, run: Run) -> dict[str, Any]:
    """Return what is told of a run wherever it is named."""
    version = workers.get_many(connection, [run.worker_version_id])[run.worker_version_id]
    model = model_of(connection, run)
    return {
        "id": run.id,
        "summary": run.summary,
        "parents": run.parents,
        "worker_version": workers.told(version),
        "model_version": None if model is None else _model(model),
        "configuration": configurations.of_run(connection, run.configuration_id),
        "use_gpu": False,
    }


def configuration(connection: Connection, organisation_id: str, run_id: str) -> dict[str, Any]:
    """Return what a run is configured with, merged: `{"configuration": [...]}`.

    Raises:
        NotFound: the organisation has none of that id.
    """
    run = get(connection, organisation_id, run_id)
    version = workers.get(connection, organisation_id, run.worker_version_id)
    model = model_of(connection, run)
    chosen = configurations.of_run(connection, run.configuration_id)
    return {
        "configuration": configurations.merged(
            version.configuration,
            None if model is None else msgspec.json.decode(model.configuration),
            None if chosen is None else chosen["configuration"],
        )
    }


def _model(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "tag": row.tag,
        "state": row.state,
        "configuration": msgspec.json.decode(row.configuration),
        "archive_hash": row.archive_hash,
        "size": row.size_bytes,
        "model": {"id": row.model_id, "name": row.name},
    }


def _models() -> Any:
    return select(corpus_model_versions, corpus_models.c.name).join(
        corpus_models, corpus_models.c.id == corpus_model_versions.c.model_id
    )


def _run(row: Row[Any]) -> Run:
    return Run(**{**row._asdict(), "parents": msgspec.json.decode(row.parents, type=list[str])})

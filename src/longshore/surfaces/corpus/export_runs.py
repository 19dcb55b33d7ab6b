"""Worker runs and worker versions, as exports have them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, select

from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus.tables import (
    corpus_model_versions,
    corpus_models,
    corpus_worker_configurations,
    corpus_worker_runs,
    corpus_worker_versions,
    corpus_workers,
)

REVISION_CHARACTERS = 200


def read(
    connection: Connection, worker_run_ids: Collection[str]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return rows of `worker_version` and of `worker_run` for these worker runs."""
    dialect = connection.dialect.name
    given = given_rows(dialect, id=Text)
    query: Select[Any] = (
        select(
            corpus_worker_runs.c.id,
            corpus_worker_runs.c.worker_version_id,
            corpus_worker_versions.c.version,
            corpus_workers.c.slug,
            corpus_workers.c.name,
            corpus_workers.c.type,
            corpus_model_versions.c.id.label("model_version_id"),
            corpus_models.c.id.label("model_id"),
            corpus_models.c.name.label("model_name"),
            corpus_worker_configurations.c.id.label("configuration_id"),
            corpus_worker_configurations.c.configuration,
        )
        .join(
            corpus_worker_versions,
            corpus_worker_versions.c.id == corpus_worker_runs.c.worker_version_id,
        )
        .join(corpus_workers, corpus_workers.c.id == corpus_worker_versions.c.worker_id)
        .outerjoin(
            corpus_model_versions,
            corpus_model_versions.c.id == corpus_worker_runs.c.model_version_id,
        )
        .outerjoin(corpus_models, corpus_models.c.id == corpus_model_versions.c.model_id)
        .outerjoin(
            corpus_worker_configurations,
            corpus_worker_configurations.c.id == corpus_worker_runs.c.configuration_id,
        )
        .where(corpus_worker_runs.c.id.in_(select(given.c.id)))
    )
    parameters = given_parameters(dialect, [(each,) for each in worker_run_ids], 1)
    rows = connection.execute(query, parameters).all()
    versions = {row.worker_version_id: _version(row) for row in rows}
    return list(versions.values()), [_run(row) for row in rows]


def _version(row: Row[Any]) -> tuple[Any, ...]:
    # The structure knows numbers of versions, or else revisions, which can be any text.
    number = int(row.version) if row.version.isascii() and row.version.isdecimal() else None
    if number is not None and number >= 2**63:
        number = None
    revision = row.version[:REVISION_CHARACTERS] if number is None else None
    return (row.worker_version_id, row.slug, row.name, None, revision, number, row.type)


def _run(row: Row[Any]) -> tuple[Any, ...]:
    return (
        row.id, row.worker_version_id, row.model_version_id, row.model_id, row.model_name,
        row.configuration_id, row.configuration,
    )  # fmt: skip

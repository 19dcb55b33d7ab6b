"""Pipelines as they are stored: finding one, locking it, and its place in the engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select, update

from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.pipelines.tables import pipelines
from longshore.wire.pipelines import PipelineSettings

SURFACE: Final = "pipelines"
_SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True)
class Pipeline:
    """A pipeline; times in microseconds.

    Attributes:
        ending: `closed`, `timeout` or `cancelled` once it takes no more chunks.
        records_told: how many computed records somebody has been told of.
        chunk_bytes_max: size of the largest chunk that was pushed.
    """

    id: str
    organisation_id: str
    service_id: str
    version_id: str
    queue_id: int
    service_uri: str
    created_by: str
    created_us: int
    updated_us: int
    active_us: int
    ended_us: int | None
    ending: str | None
    completed_us: int | None
    records_told: int
    request_key: str | None
    settings: str
    input_buffer_bytes: int
    output_buffer_bytes: int
    chunk_bytes_max: int

    @cached_property
    def options(self) -> PipelineSettings:
        """How it was made."""
        return msgspec.json.decode(self.settings, type=PipelineSettings)


_COLUMNS: Final = [pipelines.c[name] for name in Pipeline.__dataclass_fields__]


def get(
    connection: Connection, organisation_id: str, pipeline_id: str, *, lock: bool = False
) -> Pipeline:
    """Return a pipeline of the organisation, locked against other changes where asked for.

    Raises:
        NotFound: there is none with that id, or it is another organisation's.
    """
    query = select(*_COLUMNS).where(
        pipelines.c.id == pipeline_id, pipelines.c.organisation_id == organisation_id
    )
    # SQLite has one writer at a time and needs no lock.
    if lock and connection.dialect.name == "postgresql":
        query = query.with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no batch {pipeline_id[:_SHOWN_CHARACTERS]!r}. Check the id; a batch is "
            "deleted some days after its end. GET .../batch/status describes those there are."
        )
    return made_of(row)


def lock_many(connection: Connection, pipeline_ids: set[str]) -> dict[str, Pipeline]:
    """Return pipelines by id, locked against other changes until the transaction ends."""
    query = select(*_COLUMNS).where(pipelines.c.id.in_(sorted(pipeline_ids)))
    if connection.dialect.name == "postgresql":
        query = query.order_by(pipelines.c.id).with_for_update()
    return {row.id: made_of(row) for row in connection.execute(query)}


def made_of(row: Row[Any]) -> Pipeline:
    """Return the pipeline in a row of the table."""
    return Pipeline(**{name: getattr(row, name) for name in Pipeline.__dataclass_fields__})


def change(connection: Connection, pipeline_id: str, **values: Any) -> None:
    """Set columns of a pipeline, and when it was changed."""
    connection.execute(
        update(pipelines)
        .where(pipelines.c.id == pipeline_id)
        .values(updated_us=now_us(connection), **values)
    )

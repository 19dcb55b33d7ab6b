"""Versions of services as they are stored: one by its id, those of a service, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, select

from longshore.errors import NotFound
from longshore.surfaces.pipelines import naming
from longshore.surfaces.pipelines.naming import Address
from longshore.surfaces.pipelines.tables import pipeline_services, pipeline_versions
from longshore.wire.pipelines import VersionDetails

_SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a service.

    Attributes:
        queue_id: where its synchronous executions wait; the parent of its pipelines' queues.
        kind: `python`, or `workbook`, whose file is the blob `blob_id`.
        active_us: since when it counts, for requests that name a date.
    """

    id: str
    service_id: str
    organisation_id: str
    folder: str
    name: str
    version: str
    queue_id: int
    kind: str
    active_us: int
    created_us: int
    details: VersionDetails
    blob_id: str | None

    @property
    def service(self) -> str:
        """Folder and name, as the worker offers it."""
        return f"{self.folder}/{self.name}"

    @property
    def uri(self) -> str:
        """The text that names it: `folder/name[version]`."""
        return f"{self.service}[{self.version}]"


def get(connection: Connection, organisation_id: str, version_id: str) -> Version:
    """Return a version of the organisation by its id.

    Raises:
        NotFound: there is none with that id.
    """
    row = connection.execute(
        selection().where(
            pipeline_versions.c.id == version_id,
            pipeline_versions.c.organisation_id == organisation_id,
        )
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no version of a service with the id {version_id[:_SHOWN_CHARACTERS]!r}. "
            "GET /longshore/v1/services lists all services with the ids of their versions."
        )
    return _version(row)


def versions(
    connection: Connection, organisation_id: str, wanted: Address | None = None
) -> list[Version]:
    """Return the versions of one service, or of all: by name, the highest version first."""
    query = selection().where(pipeline_versions.c.organisation_id == organisation_id)
    if wanted is not None and wanted.service_id is not None:
        query = query.where(pipeline_services.c.id == wanted.service_id)
    elif wanted is not None:
        folded = naming.folded(wanted.folder or "", wanted.name or "")
        query = query.where(pipeline_services.c.folded == folded)
    found = [_version(row) for row in connection.execute(query)]
    found.sort(key=lambda each: (naming.version_order(each.version), each.version), reverse=True)
    found.sort(key=lambda each: naming.folded(each.folder, each.name))
    return found


def latest(found: Sequence[Version], at_us: int) -> Version | None:
    """Return the first version that was active at a time, of those given in order."""
    return next((each for each in found if each.active_us <= at_us), None)


def selection() -> Select[Any]:
    """Return the query of all versions, with the names of their services."""
    return select(
        *pipeline_versions.c, pipeline_services.c.folder, pipeline_services.c.name
    ).join_from(
        pipeline_versions,
        pipeline_services,
        pipeline_services.c.id == pipeline_versions.c.service_id,
    )


def _version(row: Row[Any]) -> Version:
    details = msgspec.json.decode(row.details, type=VersionDetails)
    return Version(**{**row._asdict(), "details": details})

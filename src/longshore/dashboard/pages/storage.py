"""Storage: how much room is taken, and what is kept for how long."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from starlette.responses import Response

from longshore.access import Permission
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.engine import artifacts, queues
from longshore.storage import Database, sizes
from longshore.surfaces.apps import deployments

router = APIRouter(include_in_schema=False)
KEPT_S: Final = 60.0
"""To add up the blobs of an organisation may read a row for each: once a minute is enough."""
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Blobs:
    """Stored blobs of an organisation, as they were counted `at_us`."""

    objects: int
    size_bytes: int
    at_us: int


class BlobCounts:
    """Remembers for a while what was counted; one per server."""

    def __init__(self, database: Database) -> None:
        """Count in `database`."""
        self._database = database
        self._counted: dict[str, tuple[float, Blobs]] = {}

    async def of(self, organisation_id: str) -> Blobs:
        """Return the blobs of an organisation, counted not longer than KEPT_S seconds ago."""
        known = self._counted.get(organisation_id)
        if known is not None and time.monotonic() - known[0] < KEPT_S:
            return known[1]
        found = await self._database.read(artifacts.counts, organisation_id)
        blobs = Blobs(found["objects"], found["bytes"], self._database.clock.now_us())
        self._counted[organisation_id] = (time.monotonic(), blobs)
        return blobs


@router.get("/ui/storage")
async def show(call: Viewer) -> Response:
    """Show sizes and retention; the sizes of the whole server to its admins only."""
    context = call.context
    organisation_id = call.principal.organisation_id
    blobs = await context.shared(BlobCounts).of(organisation_id)
    path = make_url(context.settings.database_url).database

    def read(
        connection: Connection,
    ) -> tuple[sizes.DatabaseSize | None, list[queues.Queue], list[deployments.Retention]]:
        admin = call.principal.allows(Permission.ADMIN)
        return (
            sizes.measure(connection, path) if admin else None,
            queues.search(connection, organisation_id, only="retained", limit=MOST),
            deployments.retentions(connection, organisation_id, limit=MOST),
        )

    database, kept, runs = await call.read(read)
    return templating.render(
        call,
        "machines/storage.html",
        blobs=blobs,
        database=database,
        disk=shutil.disk_usage(context.settings.data) if database else None,
        stores=(context.database.describe(), context.blobs.describe()),
        queues=kept,
        deployments=runs,
        interval_s=context.settings.retention_interval_s,
    )

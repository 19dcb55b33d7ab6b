"""The server about itself: who you are to it, what it allows, and how it is."""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url
from starlette.responses import Response

from longshore import __version__, limits
from longshore.access import Permission
from longshore.clock import SECOND_US, iso
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.engine import artifacts, insights
from longshore.engine.tables import works
from longshore.storage import now_us

router = APIRouter(tags=["server"])
Reader = Annotated[Call, Depends(allow(Permission.READ))]
Admin = Annotated[Call, Depends(allow(Permission.ADMIN))]

STUCK_S: Final = 30.0
"""A lease that ended longer ago than this and was not taken back says that the janitor is ill."""
SKEW_S: Final = 2.0
LOW_DISK_BYTES: Final = 1024 * limits.MIB


@router.get("/whoami")
async def whoami(call: Reader) -> Response:
    """Say which key, role, organisation and workspace the request acts as."""
    who = call.principal
    return json_response(
        {
            "key_id": who.key_id,
            "key_name": who.key_name,
            "role": who.role,
            "organisation": who.organisation_name,
            "organisation_id": who.organisation_id,
            "workspace": who.workspace_name,
            "permissions": sorted(name for name in Permission if who.allows(name)),
        }
    )


@router.get("/limits")
async def list_limits(call: Reader) -> Response:
    """List the limits of this server; the unit ends the name."""
    found = {name.lower(): value for name, value in vars(limits).items() if name.isupper()}
    found.pop("mib")
    return json_response({"limits": found})


@router.get("/doctor")
async def examine(call: Admin) -> Response:
    """Report the server's facts and what is wrong with them, if anything is."""
    context = call.context
    stored = await call.read(_stored_facts, call.principal.organisation_id)
    local = make_url(context.settings.database_url).database
    disk = shutil.disk_usage(context.settings.data)
    readiness = await call.request.app.state.health.readiness()
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "database": context.database.describe(),
        "blobs": context.blobs.describe(),
        "time": iso(context.clock.now_us()),
        "disk_free_bytes": disk.free,
        "disk_total_bytes": disk.total,
        "ready": readiness,
        "database_bytes": stored.pop("database_bytes") or _file_bytes(local),
        **stored,
    }
    problems = _problems(facts)
    return json_response({"healthy": not problems, "problems": problems, "facts": facts})


def _stored_facts(connection: Connection, organisation_id: str) -> dict[str, Any]:
    now = now_us(connection)
    running = works.c.state == "running"
    stuck = select(func.count()).where(running, works.c.lease_until_us < now - STUCK_S * SECOND_US)
    return {
        "database_bytes": _database_bytes(connection),
        "clock_skew_s": _clock_skew_s(connection, now),
        "stuck_leases": connection.scalar(stuck),
        "stored_blobs": artifacts.counts(connection, organisation_id),
        "works": _work_counts(connection, organisation_id),
    }


def _work_counts(connection: Connection, organisation_id: str) -> dict[str, int]:
    """Count the organisation's works by surface and state; those of others are their business."""
    counts: Counter[str] = Counter()
    for found in insights.queue_counts(connection, organisation_id):
        for state, count in found.counts.by_state.items():
            counts[f"{found.queue.surface}.{state}"] += count
    return dict(counts)


def _database_bytes(connection: Connection) -> int | None:
    if connection.dialect.name == "sqlite":
        return None
    size = connection.scalar(text("SELECT pg_database_size(current_database())"))
    return None if size is None else int(size)


def _clock_skew_s(connection: Connection, now: int) -> float | None:
    """Return how far the database's clock is ahead of ours; SQLite has no clock of its own."""
    if connection.dialect.name == "sqlite":
        return None
    theirs = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
    return None if theirs is None else round(float(theirs) - now / SECOND_US, 3)


def _file_bytes(path: str | None) -> int:
    """Return the size of a SQLite database with its write-ahead log."""
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.is_file())


def _problems(facts: dict[str, Any]) -> list[str]:
    found = [f"{name}: {state}" for name, state in facts["ready"].items() if state != "ok"]
    if facts["stuck_leases"]:
        found.append(
            f"{facts['stuck_leases']} leases ended over {STUCK_S:.0f} s ago and were not taken "
            "back: look for failing janitor passes in the server's log"
        )
    if facts["disk_free_bytes"] < LOW_DISK_BYTES:
        found.append(
            f"only {facts['disk_free_bytes'] // limits.MIB} MiB are free on the disk of the data "
            "directory: delete finished runs or make room"
        )
    skew_s = facts["clock_skew_s"]
    if skew_s is not None and abs(skew_s) > SKEW_S:
        found.append(f"the clocks of server and database differ by {skew_s} s: set both by NTP")
    return found

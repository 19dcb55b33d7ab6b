"""The server examines itself: what it is, what it found, and what to do about that."""

from __future__ import annotations

import asyncio
import platform
import shutil
import time
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore import __version__
from longshore.clock import iso
from longshore.edge.call import Call
from longshore.edge.callers import Admin
from longshore.edge.responses import json_response
from longshore.engine import artifacts
from longshore.errors import Unavailable
from longshore.server.diagnosis import Finding, Verdict, directory, listeners, orphans, stored
from longshore.server.diagnosis.finding import fault, ok
from longshore.storage import sizes

router = APIRouter(tags=["server"])


@router.get("/doctor")
async def examine(request: Request, call: Admin) -> Response:
    """Report the server's facts and what is wrong with them, if anything is; changes nothing."""
    context = call.context
    organisation_id = call.principal.organisation_id
    read = await call.read(stored.read, organisation_id)
    path = directory.database_file(context.settings)
    size = await call.read(sizes.measure, None if path is None else str(path))
    readiness = await request.app.state.health.readiness()
    disk = shutil.disk_usage(context.settings.data)
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "database": context.database.describe(),
        "blobs": context.blobs.describe(),
        "time": iso(context.clock.now_us()),
        "disk_free_bytes": disk.free,
        "disk_total_bytes": disk.total,
        "ready": readiness,
        "database_bytes": size.total_bytes,
        "database_log_bytes": size.log_bytes,
        "clock_skew_s": read.clock_skew_s,
        "stuck_leases": read.overdue,
        "stored_blobs": await call.read(artifacts.counts, organisation_id),
        "works": {
            f"{surface}.{state}": count
            for (surface, state), count in sorted(read.measured.by_state().items())
        },
    }
    findings = [
        *_readiness(readiness),
        *await asyncio.to_thread(lambda: list(directory.examine(context.settings))),
        *stored.examine(read, janitor_age_s=_janitor_age_s(request)),
        *await _blobs(call),
        *listeners.examine(_port(request), secure=request.url.scheme == "https"),
    ]
    problems = [f"{each.name}: {each.text}" for each in findings if each.verdict is Verdict.FAULT]
    return json_response(
        {
            "healthy": not problems,
            "problems": problems,
            "facts": facts,
            "findings": [asdict(each) for each in findings],
        }
    )


def _readiness(readiness: dict[str, str]) -> list[Finding]:
    return [
        ok(name, "ready") if state == "ok" else fault(name, state, "look into the server's log")
        for name, state in readiness.items()
        # Blobs and database have findings of their own, which say more where all is well.
        if state != "ok" or name in ("server", "janitor")
    ]


async def _blobs(call: Call) -> list[Finding]:
    try:
        found = await orphans.find(call.context, call.principal.organisation_id)
        return list(orphans.examine(found))
    except Unavailable as error:
        return [fault("blobs", error.message, "check the blob store, its address and its keys")]


def _janitor_age_s(request: Request) -> float | None:
    at_s: float | None = request.app.state.health.janitor_at_s
    return None if at_s is None else time.monotonic() - at_s


def _port(request: Request) -> int | None:
    """Return the port that the request came in by."""
    server: Any = request.scope.get("server")
    return server[1] if server else None

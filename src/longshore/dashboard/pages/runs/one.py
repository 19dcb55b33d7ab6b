"""One run: how far it is, its files and documents, its settings, and what is deleted of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.access import Principal
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.pages.runs.shared import RUNS, run_address
from longshore.engine import insights
from longshore.engine.insights import Counts
from longshore.surfaces.apps import run_settings, runs, viewing
from longshore.surfaces.apps.runs import Run
from longshore.surfaces.apps.viewing import FileRow, Keeping, PartGone, Progress

router = APIRouter(include_in_schema=False)

FILES: Final = 50
TROUBLED: Final = 20
"""So many failed files are shown before the others."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the page shows of a run, read at one moment."""

    run: Run
    counts: Counts
    size_bytes: int
    progress: Progress
    waits_for: str | None
    files: list[FileRow]
    more: bool
    keeping: Keeping | None
    gone: list[PartGone]
    settings: str
    webhook: str | None


@router.get(f"{RUNS}/{{run_id}}")
async def show(
    run_id: str,
    call: Viewer,
    after: int = Query(-1, ge=-1, le=10**9),
    only: str = "",
) -> Response:
    """Show a run, or what became of one that was deleted."""
    seen = await call.read(_see, call.principal, run_id, after=after, failed=only == "failed")
    if isinstance(seen, list):
        return templating.render(call, "runs/deleted.html", run_id=run_id, gone=seen)
    address = run_address(run_id)
    last = seen.files[-1].file.position if seen.files else 0
    return templating.render(
        call,
        "runs/one.html",
        seen=seen,
        run=seen.run,
        counts=seen.counts,
        address=address,
        only=only,
        newest=addressed(address, only=only) if after >= 0 else None,
        older=addressed(address, only=only, after=last) if seen.more else None,
    )


def _see(
    connection: Connection, principal: Principal, run_id: str, *, after: int, failed: bool
) -> Seen | list[PartGone]:
    run = runs.find(connection, principal, run_id)
    gone = viewing.gone(connection, principal, run_id)
    if run is None:
        # A key of one workspace is not told of runs that are no more: nothing says whose they were.
        if gone and principal.workspace_name is None:
            return gone
        run = runs.require(connection, principal, run_id)
    counts = insights.group_counts(connection, run_id)
    if failed:
        files, more = viewing.troubled(connection, run, limit=FILES), False
    else:
        files, more = viewing.files(connection, run, after=after, limit=FILES)
    settings = run_settings.load(run.settings)
    return Seen(
        run,
        counts,
        viewing.size_bytes(connection, run),
        viewing.progress(connection, run, counts),
        runs.waiting_for(connection, run) if run.running else None,
        files,
        more,
        viewing.keeping(connection, run),
        gone,
        json.dumps(_shown(settings), indent=2, ensure_ascii=False),
        None if settings.webhook is None else settings.webhook.host,
    )


def _shown(settings: run_settings.Settings) -> dict[str, Any]:
    return settings.shown().model_dump(mode="json", exclude_none=True)

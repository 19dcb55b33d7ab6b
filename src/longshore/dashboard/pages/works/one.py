"""One work: where it is and why, its attempts, what it was given and made, what it printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Principal
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.pages.works import copying, timeline
from longshore.dashboard.pages.works.buttons import BUTTONS
from longshore.dashboard.pages.works.listing import ran_s
from longshore.dashboard.parameters import Number
from longshore.engine import insights, logs, queues, works
from longshore.errors import InvalidRequest
from longshore.surfaces.works import bodies as stored
from longshore.surfaces.works import changing, editing, explaining

router = APIRouter(include_in_schema=False)

LINES: Final = 500
"""Lines of a log that the page begins with, and that one look adds."""
SHOWN_CHARACTERS: Final = 100_000
"""Characters of a text that the page shows; the whole is a download."""
_PAGES: Final = {
    "run": "/ui/runs/",
    "pipeline": "/ui/pipelines/",
    "process": "/ui/processes/",
    "element": "/ui/elements/",
    "bucket": "/ui/buckets/",
    "workflow run": "/ui/workflow-runs/",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the page shows of a work, read at one moment."""

    work: works.Work
    queue: queues.Queue
    why: insights.Why
    events: list[works.Event]
    actors: dict[str, str]
    bodies: stored.Bodies
    parts: list[stored.Part]
    refused: dict[str, str | None]
    edit_refused: str | None


@router.get("/ui/works/{work_id}")
async def show(work_id: str, request: Request, call: Viewer) -> Response:
    """Show a work."""
    seen = await call.read(_see, call.principal, work_id)
    lines = await call.read(logs.tail, [work_id], limit=LINES)
    now_us = call.context.clock.now_us()
    spans = timeline.spans(seen.work, seen.events, now_us)
    return templating.render(
        call,
        "works/one.html",
        seen=seen,
        work=seen.work,
        ran_s=ran_s(seen.work, now_us),
        spans=spans,
        drawing=timeline.draw(spans),
        links=[(part.kind, part.id, _address(part)) for part in seen.parts],
        buttons=BUTTONS,
        document=_document(seen),
        shown=SHOWN_CHARACTERS,
        lines=lines,
        cut=len(lines) == LINES,
        more=False,
        log_at=f"/ui/works/{work_id}/log?after={lines[-1].seq if lines else 0}",
        copies=copying.of_work(request, work_id),
    )


@router.get("/ui/works/{work_id}/log")
async def log(work_id: str, call: Viewer, after: Number = 0, whole: bool = False) -> Response:
    """Give the lines of the log behind `after`, and what fetches those behind them."""

    def read(connection: Connection) -> list[logs.Line]:
        explaining.visible(connection, call.principal, work_id)
        most = limits.PAGE_ROWS if whole else LINES
        return logs.read(connection, [work_id], after=after, limit=most)

    lines = await call.read(read)
    last = lines[-1].seq if lines else after
    more = len(lines) == (limits.PAGE_ROWS if whole else LINES)
    return templating.fragment(
        call,
        "works/one.html",
        "log_lines",
        lines=lines,
        log_at=f"/ui/works/{work_id}/log?after={last}",
        more=more,
    )


@router.get("/ui/works/{work_id}/text/{name}")
async def text(work_id: str, name: str, call: Viewer) -> Response:
    """Give a text of a work as a file, to the letter."""

    def read(connection: Connection) -> stored.Bodies:
        return stored.of(connection, explaining.visible(connection, call.principal, work_id))

    found = await call.read(read)
    known = {"payload": found.payload, "result": found.result, "error": found.error}
    if name not in known:
        raise InvalidRequest("A work has a payload, a result and an error.")
    return Response(
        (known[name] or "").encode(),
        headers={
            "Content-Disposition": f'attachment; filename="{work_id}-{name}.json"',
            "X-Content-Type-Options": "nosniff",
        },
        media_type="application/octet-stream",
    )


def _see(connection: Connection, principal: Principal, work_id: str) -> Seen:
    organisation_id = principal.organisation_id
    work = explaining.visible(connection, principal, work_id)
    events = works.events(connection, work_id)
    actors = {event.actor for event in events} | ({work.worker_id} if work.worker_id else set())
    return Seen(
        work=work,
        queue=queues.get(connection, work.queue_id),
        why=explaining.why(connection, principal, work_id),
        events=events,
        actors={each: explaining.with_names(connection, organisation_id, each) for each in actors},
        bodies=stored.of(connection, work),
        parts=stored.parts(connection, work),
        refused=changing.refusals(connection, work),
        edit_refused=editing.refusal(connection, work),
    )


def _document(seen: Seen) -> tuple[str, str] | None:
    """Return what a person may edit, and the checksum of what it was made from."""
    payload = seen.bodies.payload
    if seen.edit_refused is not None or payload is None:
        return None
    return editing.shown(payload), editing.checksum(payload)


def _address(part: stored.Part) -> str | None:
    base = _PAGES.get(part.kind)
    return None if base is None else base + quote(part.id, safe="")

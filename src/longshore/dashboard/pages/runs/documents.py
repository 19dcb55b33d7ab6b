"""One document of a run: its page with the source of each field, and its review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.access import Principal
from longshore.clock import SECOND_US
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.pages.runs.shared import RUNS, document_address, run_address
from longshore.surfaces.apps import reviews
from longshore.wire.reviews import ReviewBox, ReviewedDocument, ReviewField, ReviewPage

router = APIRouter(include_in_schema=False)

PAGES: Final = 20
"""Most pages of a document that are shown."""
FIELDS: Final = 500
"""Most fields of a document that can be corrected in a form."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of the file, its size in the units of the boxes, and the fields that stand on it."""

    number: int
    layout: ReviewPage | None
    fields: list[tuple[ReviewField, ReviewBox]]


@router.get(f"{RUNS}/{{run_id}}/documents/{{document}}")
async def show(run_id: str, document: str, call: Viewer) -> Response:
    """Show a document."""

    def read(
        connection: Connection, principal: Principal
    ) -> tuple[ReviewedDocument, tuple[str, str] | None, bool]:
        place = reviews.find_place(connection, principal, run_id, document)
        found = reviews.shown(connection, place)
        following = reviews.next_waiting(
            connection, principal, run_id=run_id, after=(run_id, document)
        )
        return found, following, place.run.running

    found, following, running = await call.read(read, call.principal)
    waits = found.state in ("needs_review", "in_review")
    position, _, _ = document.partition("-")
    return templating.render(
        call,
        "runs/document.html",
        document=found,
        sheets=sheets(found),
        running=running,
        waits=waits and not running,
        lease_us=_time_us(found.lease_until) if found.state == "in_review" else None,
        mine=found.reviewer == call.principal.key_name,
        accepted_us=_time_us(found.accepted_at),
        times={change.at: _time_us(change.at) for change in found.history},
        fields=found.fields[:FIELDS],
        left=max(len(found.fields) - FIELDS, 0),
        address=document_address(run_id, document),
        file_address=f"{run_address(run_id)}/files/{position}",
        run_address=run_address(run_id),
        following=document_address(*following) if following else None,
    )


def sheets(found: ReviewedDocument) -> list[Sheet]:
    """Return the pages of a document with the boxes on each."""
    layouts = {page.number: page for page in found.pages}
    boxes = [(field, field.box) for field in found.fields if field.box is not None]
    numbers = sorted({*layouts, *(box.page for _, box in boxes)}) or [0]
    return [
        Sheet(
            number,
            layouts.get(number),
            [(field, box) for field, box in boxes if box.page == number],
        )
        for number in numbers[:PAGES]
    ]


def _time_us(text: str | None) -> int | None:
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * SECOND_US)

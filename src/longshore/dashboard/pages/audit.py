"""The audit log: who changed what, when, and why."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import audit
from longshore.dashboard import templating
from longshore.dashboard.access import Admin
from longshore.dashboard.addresses import addressed
from longshore.errors import InvalidRequest

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
_FILTERS: Final = ("action", "target", "key_id")


@router.get("/ui/audit")
async def list_entries(request: Request, call: Admin) -> Response:
    """Show changes, newest first; by action, target or key where the address says so."""
    query = request.query_params
    wanted = {name: query[name].strip() for name in _FILTERS if query.get(name, "").strip()}
    before = _before(query.get("before"))
    found = await call.read(
        audit.listing,
        call.principal.organisation_id,
        before=before,
        limit=ROWS + 1,
        **wanted,
    )
    entries = found[:ROWS]
    older = ""
    if len(found) > ROWS:
        older = addressed("/ui/audit", **wanted, before=entries[-1].id)
    return templating.render(
        call,
        "access/audit.html",
        entries=[(entry, _told(entry.detail)) for entry in entries],
        wanted={name: wanted.get(name, "") for name in _FILTERS},
        newer=addressed("/ui/audit", **wanted) if before is not None else "",
        older=older,
    )


def _before(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(f"before is {text[:40]!r}; it must be the number of an entry.")
    return int(text)


def _told(detail: dict[str, Any] | None) -> str:
    return "" if detail is None else json.dumps(detail, ensure_ascii=False)

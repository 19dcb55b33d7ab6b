"""Flags: those that are set, for which dates, and by whom; to set one and to take one back."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import Form, read_form
from longshore.surfaces.scripts import flags, starting
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.flags import Flag

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
_PATH: Final = "/ui/schedules/flags"


@router.get(_PATH)
async def list_flags(
    call: Viewer,
    name: str = "",
    date: str = "",
    after_date: str = "",
    after_name: str = "",
    after_system: str = "",
    after_source: str = "",
) -> Response:
    """List flags that are set, the latest dates first."""
    after = None
    if after_date:
        after = Flag(after_name, after_system, after_source, after_date, 0, "")
    wanted = {"name": name or None, "date": parse_date(date).isoformat() if date else None}
    found, today = await call.read(_read, call.principal.organisation_id, wanted, after)
    older = None
    if len(found) > ROWS:
        last = found[ROWS - 1]
        older = addressed(
            _PATH,
            name=name,
            date=date,
            after_date=last.date,
            after_name=last.name,
            after_system=last.system_name,
            after_source=last.source_system_name,
        )
    newer = addressed(_PATH, name=name, date=date) if after_date else None
    return templating.render(
        call,
        "schedules/flags.html",
        flags=found[:ROWS],
        name=name,
        date=date,
        today=today,
        older=older,
        newer=newer,
    )


@router.post(f"{_PATH}/set")
async def set_flag(request: Request, call: Operator) -> Response:
    """Set a flag for a business date; what waits for it goes on."""
    form = await read_form(request)
    flag, date = _flag(form), form.text("date")
    _, created = await call.write(
        "flags.set",
        flags.put,
        call.principal.organisation_id,
        flag,
        date,
        actor=call.principal.key_name,
        target=flag.name[: flags.NAME_CHARACTERS],
        detail=_detail(form),
    )
    return templating.done(
        f"{flag.name} is set for {date}." if created else f"{flag.name} was set for {date} already."
    )


@router.post(f"{_PATH}/clear")
async def clear_flag(request: Request, call: Operator) -> Response:
    """Take a flag back; what it has started goes on."""
    form = await read_form(request)
    flag, date = _flag(form), form.text("date")
    await call.write(
        "flags.clear",
        flags.clear,
        call.principal.organisation_id,
        flag,
        date,
        target=flag.name[: flags.NAME_CHARACTERS],
        detail=_detail(form),
    )
    return templating.done(f"{flag.name} is no longer set for {date}.")


def _read(
    connection: Connection, organisation_id: str, wanted: dict[str, str | None], after: Flag | None
) -> tuple[list[Flag], str]:
    found = flags.listing(connection, organisation_id, wanted, limit=ROWS + 1, after=after)
    return found, starting.today(connection)


def _flag(form: Form) -> model.Flag:
    # Names are compared as they are written, blanks and all.
    return model.Flag(
        name=form.raw("name"),
        system_name=form.raw("system"),
        source_system_name=form.raw("source"),
    )


def _detail(form: Form) -> dict[str, Any]:
    return {
        "system": form.raw("system")[: flags.NAME_CHARACTERS],
        "source_system": form.raw("source")[: flags.NAME_CHARACTERS],
        "date": form.text("date")[:10],
        "reason": form.reason(),
    }

"""Flags over HTTP: programs set them, people look at them and take them back."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.clock import iso
from longshore.edge.paging import Page, paging
from longshore.surfaces.scripts import callers, flags
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.flags import Flag
from longshore.surfaces.scripts.routes.bodies import body_of, documented
from longshore.surfaces.scripts.routes.shared import PREFIX, Operator, Reader, Sender, answer

router = APIRouter(prefix=f"{PREFIX}/flag", tags=["scripts"])
Paging = Annotated[Page, Depends(paging)]
System = Annotated[str, Query(alias="systemName", description="System that it is for.")]
SourceSystem = Annotated[
    str, Query(alias="sourceSystemName", description="System that it comes from.")
]


class _Flag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    date: str
    systemName: str = ""  # noqa: N815 - the contract's names
    sourceSystemName: str = ""  # noqa: N815


@router.post("", openapi_extra=documented(_Flag))
async def set_flag(request: Request, call: Sender) -> Response:
    """Set a flag for a business date (YYYY-MM-DD); `status` is `set`, however often it is sent.

    Steps and workflows that wait for it go on. `created` tells whether it was not set before.
    """
    wanted = await body_of(request, _Flag)
    flag = model.Flag(
        name=wanted.name,
        system_name=wanted.systemName,
        source_system_name=wanted.sourceSystemName,
    )

    def put(connection: Connection) -> tuple[Flag, bool]:
        principal = call.principal
        actor = principal.key_name
        if principal.work is not None:
            caller = callers.calling(
                connection, principal.organisation_id, principal.work, lock=True
            )
            actor = f"step {caller.step} of run {caller.run_id}"
        return flags.put(connection, principal.organisation_id, flag, wanted.date, actor=actor)

    stored, created = await call.write(
        "flags.set", put, target=wanted.name[: flags.NAME_CHARACTERS], detail=_detail(wanted)
    )
    return answer({"status": "set", "created": created, **_told(stored)})


@router.get("")
async def list_flags(
    call: Reader,
    page: Paging,
    name: Annotated[str | None, Query(description="Only flags of this name.")] = None,
    system: Annotated[str | None, Query(alias="systemName", description="Only of this.")] = None,
    source: Annotated[
        str | None, Query(alias="sourceSystemName", description="Only from this.")
    ] = None,
    date: Annotated[str | None, Query(description="Only for this date, YYYY-MM-DD.")] = None,
) -> Response:
    """List the flags that are set, the latest dates first."""
    found = await call.read(
        flags.listing,
        call.principal.organisation_id,
        {
            "name": name,
            "system_name": system,
            "source_system_name": source,
            "date": None if date is None else parse_date(date).isoformat(),
        },
        limit=page.limit,
        offset=page.offset,
    )
    return answer({"flags": [_told(flag) for flag in found]})


@router.delete("")
async def clear_flag(
    call: Operator,
    name: Annotated[str, Query(description="Name of the flag.")],
    date: Annotated[str, Query(description="Its date, YYYY-MM-DD.")],
    system: System = "",
    source: SourceSystem = "",
    reason: Annotated[str | None, Query(description="Why, for the audit log.")] = None,
) -> Response:
    """Take a flag back; what it has started goes on."""
    flag = model.Flag(name=name, system_name=system, source_system_name=source)
    cleared = await call.write(
        "flags.clear",
        flags.clear,
        call.principal.organisation_id,
        flag,
        date,
        target=name[: flags.NAME_CHARACTERS],
        detail={
            "system": system[: flags.NAME_CHARACTERS],
            "source_system": source[: flags.NAME_CHARACTERS],
            "date": date[:10],
            "reason": None if reason is None else reason[:500],
        },
    )
    return answer({"status": "cleared", **_told(cleared)})


def _detail(wanted: _Flag) -> dict[str, Any]:
    return {
        "system": wanted.systemName[: flags.NAME_CHARACTERS],
        "source_system": wanted.sourceSystemName[: flags.NAME_CHARACTERS],
        "date": wanted.date[:10],
    }


def _told(flag: Flag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "systemName": flag.system_name,
        "sourceSystemName": flag.source_system_name,
        "date": flag.date,
        "setAt": iso(flag.set_us),
        "setBy": flag.set_by,
    }

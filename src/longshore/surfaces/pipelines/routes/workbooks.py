"""Workbooks become services: upload, check, and the version that comes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import body, files
from longshore.edge.callers import Developer
from longshore.engine import artifacts
from longshore.surfaces.pipelines import workbooks

router = APIRouter(tags=["services"])
Names = Annotated[list[str], Query()]


@router.post("/services/workbooks", status_code=201)
async def add_workbook(
    request: Request,
    call: Developer,
    name: str,
    inputs: Names,
    outputs: Names,
    version: str | None = None,
) -> Response:
    """Make a version of a service from a workbook: the request's body is the .xlsx file.

    `inputs` and `outputs` are defined names of single cells, repeated or with commas in between.
    Without `version` it is the next one.
    """
    wanted = workbooks.asked(name, version, inputs, outputs)
    organisation_id = call.principal.organisation_id
    stored = await files.receive(
        call.context,
        organisation_id,
        body.stream(request, limit_bytes=limits.WORKBOOK_BYTES),
        limits.WORKBOOK_BYTES,
    )
    try:
        with workbooks.directory() as directory:
            path = await workbooks.fetch(call.context, stored, Path(directory))
            checked = await asyncio.to_thread(workbooks.examine, path, wanted)

        def add(connection: Connection) -> dict[str, object]:
            added = workbooks.add(connection, organisation_id, wanted, stored, checked)
            return workbooks.shown(connection, added)

        return await call.change(
            "services.add_workbook",
            add,
            target=lambda made: str(made["id"]),
            render=lambda made: made,
            status=201,
            detail={"service": wanted.service, "sha256": stored.sha256},
        )
    except Exception:
        # Without a version there is no file; the sweeper would find it, but only hours later.
        await call.context.database.write(artifacts.condemn, [stored.blob_id])
        raise

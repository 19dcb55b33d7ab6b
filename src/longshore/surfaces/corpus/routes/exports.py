"""Routes of exports."""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.callers import Operator
from longshore.edge.wakeups import EXPORTS
from longshore.surfaces.corpus import exports
from longshore.surfaces.corpus.exports import NewExport
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import download_address, root_of
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])
PATIENCE_S: Final = 5.0


@router.get("/corpus/{id}/export/", **operation("ListExports"))
async def list_exports(
    corpus_id: Id,
    call: Reader,
    page: Numbered,
    dataset_id: Annotated[
        str | None, Query(description="Only exports of this dataset; all of them without it.")
    ] = None,
) -> Response:
    """List the exports of a corpus, the newest first.

    While one of a dataset is being written, the answer waits for its end for some seconds: the
    published client looks again only after a minute, and most are written in less than one second.
    """
    until_s = time.monotonic() + (PATIENCE_S if dataset_id is not None else 0.0)
    organisation_id = call.principal.organisation_id
    # The bell is there before the first look, so that no end slips in between.
    with call.context.wakeups.listen_to([EXPORTS]) as bell:
        while True:
            found = await call.read(exports.listing, organisation_id, corpus_id, dataset_id, page)
            rest_s = until_s - time.monotonic()
            running = any(each["state"] in ("created", "running") for each in found["results"])
            if not running or rest_s <= 0 or call.context.stopping:
                return answer(found)
            await bell.wait(rest_s)


@router.post("/corpus/{id}/export/", **operation("StartExport", body=True))
async def start(corpus_id: Id, request: Request, call: Writer) -> Response:
    """Have a corpus, or a dataset of it, written into an SQLite database."""
    new = await body_of(request, NewExport)
    return await call.change(
        "exports.start",
        exports.start,
        call.principal,
        corpus_id,
        new,
        root_of(call),
        target=lambda made: str(made["id"]),
        render=lambda made: made,
        status=201,
    )


@router.get("/export/{id}/", **operation("DownloadExport"))
async def download(export_id: Id, call: Reader) -> Response:
    """Lead to the file of an export, at an address that needs no key for a while."""
    secret, name = await call.context.database.write(
        exports.offer, call.principal.organisation_id, export_id
    )
    address = download_address(call, secret, name)
    return Response(status_code=302, headers={"Location": address})


@router.delete("/export/{id}/", **operation("DestroyExport"))
async def destroy(export_id: Id, call: Operator) -> Response:
    """Delete an export."""
    return await call.change(
        "exports.delete",
        exports.remove,
        call.principal,
        export_id,
        target=export_id,
        render=lambda _: None,
        status=204,
    )

"""Corpora: what is in them, by type and by name, their datasets and exports."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import read_form
from longshore.edge import files
from longshore.engine.artifacts import Artifact
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.corpus import browsing, corpora, exports
from longshore.surfaces.corpus.corpora import NewCorpus
from longshore.surfaces.corpus.exports import NewExport
from longshore.surfaces.corpus.routes.images import site_of

router = APIRouter(include_in_schema=False)

CORPORA: Final = 20
COUNTED: Final = 1_000
"""Most elements of a type that the list of corpora counts."""
COUNTED_ONE: Final = 10_000
ELEMENTS: Final = 48
DATASETS: Final = 25


@router.get("/ui/corpora")
async def list_corpora(call: Viewer, after: str | None = None) -> Response:
    """List the corpora with counts by type."""
    found = await call.read(
        browsing.corpora_page,
        call.principal.organisation_id,
        after=after,
        limit=CORPORA + 1,
        most=COUNTED,
    )
    older = None
    if len(found) > CORPORA:
        older = addressed("/ui/corpora", after=found[CORPORA - 1].name)
    return templating.render(
        call,
        "corpora/list.html",
        corpora=found[:CORPORA],
        counted=COUNTED,
        newest="/ui/corpora" if after is not None else None,
        older=older,
    )


@router.post("/ui/corpora")
async def create_corpus(request: Request, call: Operator) -> Response:
    """Make a corpus with types."""
    form = await read_form(request)
    slugs = [slug.strip() for slug in form.text("types").split(",") if slug.strip()]
    wish = {
        "name": form.text("name"),
        "description": form.text("description"),
        "types": [{"slug": slug} for slug in slugs],
    }
    try:
        given = msgspec.convert(wish, NewCorpus)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The corpus cannot be made so: {error}.") from error
    made = await call.write("corpus.create", corpora.create, call.principal, given, target=str)
    return templating.done(f"{given.name} is made.", to=_address(made))


@router.get("/ui/corpora/{corpus_id}")
async def show_corpus(
    corpus_id: str,
    call: Viewer,
    kind: str = "",
    name: str = "",
    after: str | None = None,
) -> Response:
    """Show the elements of a corpus."""
    corpus = await call.read(
        browsing.corpus, call.principal.organisation_id, corpus_id, most=COUNTED_ONE
    )
    shown = await call.read(
        browsing.elements, corpus, kind=kind or None, name=name, after=after, limit=ELEMENTS
    )
    address = _address(corpus.id)
    older = None
    if shown.older is not None:
        older = addressed(address, kind=kind, name=name, after=shown.older)
    return templating.render(
        call,
        "corpora/one.html",
        corpus=corpus,
        address=address,
        counted=COUNTED_ONE,
        kind=kind,
        name=name,
        elements=shown.elements,
        looked_at=shown.looked_at,
        newest=addressed(address, kind=kind, name=name) if after is not None else None,
        older=older,
    )


@router.post("/ui/corpora/{corpus_id}/delete")
async def delete_corpus(corpus_id: str, request: Request, call: Operator) -> Response:
    """Delete a corpus with all that is in it."""
    form = await read_form(request)
    await call.write(
        "corpus.delete",
        corpora.remove,
        call.principal,
        corpus_id,
        target=corpus_id,
        detail={"reason": form.reason()},
    )
    return templating.done("The corpus is gone; a job deletes its rows.", to="/ui/corpora")


@router.get("/ui/corpora/{corpus_id}/datasets")
async def list_datasets(corpus_id: str, call: Viewer, after: str | None = None) -> Response:
    """List the datasets of a corpus with their sets."""
    corpus = await call.read(browsing.corpus, call.principal.organisation_id, corpus_id, most=1)
    found = await call.read(
        browsing.datasets, corpus.id, after=after, limit=DATASETS + 1, most=COUNTED_ONE
    )
    address = _address(corpus.id)
    older = None
    if len(found) > DATASETS:
        older = addressed(f"{address}/datasets", after=found[DATASETS - 1].name)
    return templating.render(
        call,
        "corpora/datasets.html",
        corpus=corpus,
        address=address,
        datasets=found[:DATASETS],
        counted=COUNTED_ONE,
        newest=f"{address}/datasets" if after is not None else None,
        older=older,
    )


@router.get("/ui/corpora/{corpus_id}/exports")
async def list_exports(corpus_id: str, call: Viewer) -> Response:
    """List the latest exports of a corpus."""
    corpus = await call.read(browsing.corpus, call.principal.organisation_id, corpus_id, most=1)
    return templating.render(
        call,
        "corpora/exports.html",
        corpus=corpus,
        address=_address(corpus.id),
        exports=await call.read(browsing.exports, corpus.id),
    )


@router.post("/ui/corpora/{corpus_id}/exports")
async def start_export(corpus_id: str, request: Request, call: Operator) -> Response:
    """Have a corpus written into an SQLite database."""
    form = await read_form(request)
    await call.write(
        "exports.start",
        exports.start,
        call.principal,
        corpus_id,
        NewExport(force=True),
        site_of(request),
        target=lambda made: str(made["id"]),
        detail={"corpus": corpus_id, "reason": form.reason()},
    )
    return templating.done("The export is being written.")


@router.get("/ui/corpora/{corpus_id}/exports/{export_id}")
async def download_export(
    corpus_id: str, export_id: str, request: Request, call: Viewer
) -> Response:
    """Send the file of an export."""
    corpus = await call.read(browsing.corpus, call.principal.organisation_id, corpus_id, most=1)
    known = {row.id: row for row in await call.read(browsing.exports, corpus.id)}
    row = known.get(export_id)
    if row is None or row.state != "done":
        raise NotFound(f"There is no export {export_id[:80]} that is done.")
    blob = Artifact(row.blob_id, row.size_bytes, row.sha256, exports.MEDIA_TYPE)
    headers = {"Content-Disposition": files.disposition(f"{corpus.name}.sqlite")}
    return await files.send(
        call.context,
        blob,
        media_type=exports.MEDIA_TYPE,
        headers=headers,
        wanted_range=request.headers.get("range"),
    )


def _address(corpus_id: str) -> str:
    return f"/ui/corpora/{quote(corpus_id, safe='')}"

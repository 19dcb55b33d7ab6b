"""What pages of runs give as files: pictures of pages, the files themselves, and results."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.access import Principal
from longshore.dashboard.access import Viewer
from longshore.dashboard.pages.runs.picturing import Pictures
from longshore.dashboard.pages.runs.shared import RUNS
from longshore.edge import files
from longshore.edge.responses import encode
from longshore.engine import artifacts
from longshore.engine.artifacts import Artifact
from longshore.errors import NotFound
from longshore.surfaces.apps import runs, tabular
from longshore.surfaces.apps.results import EVERYTHING, RunFile

router = APIRouter(include_in_schema=False)
_FILE: Final = f"{RUNS}/{{run_id}}/files/{{position}}"
_NOTHING_RUNS: Final = "default-src 'none'; sandbox"
"""What a browser may do with what users stored: nothing."""


@router.get(f"{_FILE}/pages/{{number}}")
async def picture(run_id: str, position: str, number: str, call: Viewer) -> Response:
    """Give a page of a file as a JPEG picture that this server has drawn."""
    _, blob = await call.read(_stored, call.principal, run_id, _index(position))
    pictures = call.context.shared(Pictures)
    content = await pictures.page(call.context.blobs, blob, _index(number))
    headers = {
        # The page of a blob never changes; only who has it in front of them may keep it.
        "Cache-Control": "private, max-age=3600",
        "Content-Security-Policy": _NOTHING_RUNS,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, 200, headers, "image/jpeg")


@router.get(f"{_FILE}/download")
async def download(run_id: str, position: str, call: Viewer) -> Response:
    """Give a file as it was uploaded, to be kept and not to be shown."""
    file, blob = await call.read(_stored, call.principal, run_id, _index(position))
    headers = {
        "Content-Disposition": files.disposition(file.name),
        "Content-Security-Policy": _NOTHING_RUNS,
        "X-Content-Type-Options": "nosniff",
    }
    plain = Artifact(blob.id, blob.size_bytes, blob.sha256, files.OCTETS)
    return await files.send(call.context, plain, headers=headers, wanted_range=None)


@router.get(f"{RUNS}/{{run_id}}/results.json")
async def results_json(run_id: str, call: Viewer) -> Response:
    """Give all results of a run as the API has them, as one JSON file."""
    found = await call.read(_results, call.principal, run_id)
    return _file(encode(found), "application/json", f"{run_id}.json")


@router.get(f"{RUNS}/{{run_id}}/results.csv")
async def results_csv(run_id: str, call: Viewer) -> Response:
    """Give the values of all documents of a run as a table."""

    def read(connection: Connection, principal: Principal) -> str:
        return tabular.text(_results(connection, principal, run_id)["files"])

    text = await call.read(read, call.principal)
    return _file(text.encode(), "text/csv; charset=utf-8", f"{run_id}.csv")


def _file(content: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": files.disposition(name), "X-Content-Type-Options": "nosniff"}
    return Response(content, 200, headers, kind)


def _results(connection: Connection, principal: Principal, run_id: str) -> dict[str, Any]:
    whole: dict[str, Any] = runs.page_of_results(connection, principal, run_id, EVERYTHING, 0)
    page = whole
    while page["has_more"]:
        page = runs.page_of_results(connection, principal, run_id, EVERYTHING, len(whole["files"]))
        whole["files"] += page["files"]
    return whole | {"has_more": False}


def _stored(
    connection: Connection, principal: Principal, run_id: str, position: int
) -> tuple[RunFile, Artifact]:
    run = runs.require(connection, principal, run_id)
    some = runs.files_of(connection, run_id, offset=position, limit=1)
    if not some or some[0].position != position:
        raise NotFound(f"The run has no file {position}. Go back to its page.")
    file = some[0]
    try:
        return file, artifacts.get(connection, run.organisation_id, file.blob_id)
    except NotFound as error:
        raise NotFound(
            f"The file {file.name[:80]!a} is gone: it was deleted or replaced after the run. Its "
            "results are still there."
        ) from error


def _index(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 6:
        raise NotFound(f"There is no page or file {text[:80]!a}. Go back to the page of the run.")
    return int(text)

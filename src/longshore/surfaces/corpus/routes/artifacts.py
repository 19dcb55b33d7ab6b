"""Routes of artifacts: the files that tasks leave."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import files
from longshore.surfaces.corpus import artifacts
from longshore.surfaces.corpus.artifacts import NewArtifact
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import upload_address
from longshore.surfaces.corpus.routes.shared import PREFIX, Reader, Writer, answer, operation
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=f"{PREFIX}/task", tags=["corpus"])


@router.get("/{id}/artifacts/", **operation("ListArtifacts", paginated=False))
async def list_artifacts(task_id: Id, call: Reader) -> Response:
    """List the files that a task left, as one plain list."""
    return answer(await call.read(artifacts.listing, call.principal.organisation_id, task_id))


@router.post("/{id}/artifacts/", **operation("CreateArtifact", body=True))
async def create(task_id: Id, request: Request, call: Writer) -> Response:
    """Announce a file of a task; `s3_put_url` in the answer takes its bytes, without a key."""
    new = await body_of(request, NewArtifact)
    made: tuple[dict[str, Any], str] = await call.write(
        "artifacts.create",
        artifacts.announce,
        call.principal,
        task_id,
        new,
        target=task_id,
        detail={"path": new.path[:500], "size": new.size},
    )
    shown, secret = made
    return answer({**shown, "s3_put_url": upload_address(call, secret)}, 201)


@router.get("/{id}/artifact/{path:path}", **operation("DownloadArtifact"))
async def download(task_id: Id, path: str, request: Request, call: Reader) -> Response:
    """Give the bytes of a file that a task left."""
    organisation_id = call.principal.organisation_id
    blob = await call.read(artifacts.get, organisation_id, task_id, path)
    # Whatever a task may call its file, browsers and clients are to take it as bytes.
    return await files.send(
        call.context,
        blob,
        headers={"Content-Disposition": files.disposition(path.rpartition("/")[2])},
        wanted_range=request.headers.get("range"),
    )

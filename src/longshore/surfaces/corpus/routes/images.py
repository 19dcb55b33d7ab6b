"""Images: taken in as bytes, or named by their address at an IIIF service elsewhere."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import body, files
from longshore.errors import InvalidRequest
from longshore.surfaces.corpus import external, images
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.rendering import Renderer
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.shared import PREFIX, Reader, Writer, answer, operation
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus images"])
native = APIRouter(tags=["corpus images"])
_PIECE_BYTES: Final = 1024 * 1024


class NewAddress(Struct):
    """The address of an image at an IIIF service, without /info.json."""

    url: str


@native.post("/images", status_code=201, operation_id="CreateImage")
async def create_image(
    request: Request,
    call: Writer,
    name: Annotated[str, Query(description="What people call it, such as its file name.")],
) -> Response:
    """Take an image in: the body is its file. The same bytes again are the same image, 200."""
    _check_name(name)
    data = await body.raw_body(request, limit_bytes=limits.IMAGE_BYTES)
    organisation_id = call.principal.organisation_id
    digest = hashlib.sha256(data).hexdigest()
    present = await call.context.database.write(images.reuse, organisation_id, sha256=digest)
    if present is not None:
        return answer(present.shown(site_of(request)))
    # Looked at before a byte of it is stored.
    picture = await call.context.shared(Renderer).inspect(data)
    stored = await files.receive(call.context, organisation_id, _pieces(data), limits.IMAGE_BYTES)
    made = await call.write(
        "corpus.images.create",
        images.create,
        organisation_id,
        name,
        picture,
        stored,
        target=lambda image: image.id,
        detail={"size_bytes": stored.size_bytes},
    )
    return answer(made.shown(site_of(request)), 201)


@router.get("/image/{id}/", **operation("RetrieveImage"))
async def retrieve_image(image_id: Id, request: Request, call: Reader) -> Response:
    """Tell of an image, and where it is served."""
    found = await call.read(images.get, call.principal.organisation_id, image_id)
    return answer(found.shown(site_of(request)))


@router.post("/image/iiif/url/", status_code=201, **operation("CreateIIIFURL", body=True))
async def create_iiif_url(request: Request, call: Writer) -> Response:
    """Make an image of one that an IIIF service elsewhere has: {"url"}, without /info.json."""
    given = await body_of(request, NewAddress)
    organisation_id = call.principal.organisation_id
    url = external.checked(given.url, call.context.outbound)
    present = await call.context.database.write(images.reuse, organisation_id, external_url=url)
    if present is not None:
        return answer(present.shown(site_of(request)))
    found = await external.information(url, call.context.outbound)
    made: Image = await call.write(
        "corpus.images.create",
        images.create_external,
        organisation_id,
        url,
        found.size,
        found.details,
        target=lambda image: image.id,
    )
    return answer(made.shown(site_of(request)), 201)


def site_of(request: Request) -> str:
    """Return scheme and host of this server as the client calls it, without a slash at the end."""
    return str(request.base_url).rstrip("/")


def _check_name(name: str) -> None:
    if not 0 < len(name) <= limits.NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest(
            f"name has {len(name)} characters; give 1 to {limits.NAME_CHARACTERS}, all printable."
        )


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    reader = io.BytesIO(data)
    while piece := reader.read(_PIECE_BYTES):
        yield piece

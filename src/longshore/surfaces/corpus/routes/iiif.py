"""The IIIF Image API over the images of corpora, versions 2.1 and 3.0.

Nothing here asks for a key: the published programs send none when they open an image. The address
itself is the permission, by the secret in it.
"""

from __future__ import annotations

import hashlib
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from longshore.edge import files
from longshore.edge.context import Context
from longshore.edge.responses import encode
from longshore.engine.artifacts import Artifact
from longshore.errors import NotFound
from longshore.surfaces.corpus import iiif, images
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.rendering import Renderer
from longshore.surfaces.corpus.routes.images import site_of

router = APIRouter(prefix="/iiif", include_in_schema=False)
_KEPT: Final = "private, max-age=86400"
_SHARED: Final = {
    # Viewers run on pages of other sites, and what is read here needs no credentials of theirs.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": _KEPT,
}
_LINKS: Final = {"2": iiif.LEVEL_2, "3": iiif.LEVEL_3}
_JSON_LD: Final = "application/ld+json"


@router.get("/{version}/{key}")
@router.head("/{version}/{key}")
@router.get("/{version}/{key}/")
@router.head("/{version}/{key}/")
async def image_base(version: str, key: str, request: Request) -> Response:
    """Lead to the description of an image."""
    await _image(request, version, key)
    address = f"{site_of(request)}/iiif/{version}/{key}/info.json"
    return RedirectResponse(address, 303, _SHARED)


@router.get("/{version}/{key}/info.json")
@router.head("/{version}/{key}/info.json")
async def image_information(version: str, key: str, request: Request) -> Response:
    """Describe an image: its size, and what can be asked of it."""
    image = await _image(request, version, key)
    address = f"{site_of(request)}/iiif/{version}/{key}"
    content = encode(iiif.information(version, address, image.width, image.height))
    media_type = "application/json"
    if version == "3":
        media_type = f'{_JSON_LD};profile="{iiif.CONTEXTS[version]}"'
    elif _JSON_LD in request.headers.get("accept", ""):
        media_type = _JSON_LD
    headers = {**_headers(version, content.decode()), "Vary": "Accept"}
    if _is_held(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, media_type)


@router.get("/{version}/{key}/{region}/{size}/{rotation}/{file}")
@router.head("/{version}/{key}/{region}/{size}/{rotation}/{file}")
async def image_part(
    version: str, key: str, region: str, size: str, rotation: str, file: str, request: Request
) -> Response:
    """Serve an image or a part of it."""
    image = await _image(request, version, key)
    wanted = iiif.rendering(
        version,
        (image.width, image.height),
        region=region,
        size=size,
        rotation=rotation,
        file=file,
    )
    headers = _headers(version, f"{image.sha256}/{wanted.canonical}")
    if _is_held(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    context: Context = request.app.state.context
    media_type = iiif.MEDIA_TYPES[wanted.format]
    if wanted.untouched and wanted.format == image.format and image.details.get("plain"):
        # The file itself: nothing is lost by decoding and encoding it once more.
        blob = Artifact(image.blob_id or "", image.size_bytes or 0, image.sha256 or "", media_type)
        return await files.send(context, blob, media_type=media_type, headers=headers)
    content = await context.shared(Renderer).render(context.blobs, image, wanted)
    return Response(content, 200, headers, media_type)


async def _image(request: Request, version: str, key: str) -> Image:
    context: Context = request.app.state.context
    if version not in iiif.VERSIONS:
        raise NotFound(
            f"There is no version {version[:20]!r} of the image service; there are "
            f"{' and '.join(iiif.VERSIONS)}."
        )
    return await context.database.read(images.by_key, key)


def _headers(version: str, identity: str) -> dict[str, str]:
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return {**_SHARED, "ETag": f'"{digest}"', "Link": f'<{_LINKS[version]}>;rel="profile"'}


def _is_held(request: Request, etag: str) -> bool:
    held = request.headers.get("if-none-match", "")
    return held.strip() == "*" or etag in {
        each.strip().removeprefix("W/") for each in held.split(",")
    }

"""All routes of the corpus surface; those with a literal path come before those with an id."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from longshore.edge.responses import json_response
from longshore.surfaces.corpus import openapi
from longshore.surfaces.corpus.routes import (
    corpora,
    elements,
    holdings,
    iiif,
    images,
    results,
)
from longshore.surfaces.corpus.routes.shared import PREFIX

OPEN_PATHS: Final = frozenset({f"{PREFIX}/openapi/"})
"""The paths of these routes that answer without a key."""

router = APIRouter()
"""Routes of the protocol."""
native = APIRouter(prefix="/longshore/v1/corpus")
"""Routes of Longshore's own."""
router.include_router(corpora.router)
router.include_router(elements.router)
router.include_router(results.router)
router.include_router(images.router)
router.include_router(iiif.router)
native.include_router(images.native)
router.include_router(holdings.router)
native.include_router(holdings.native)


@cache
def _document() -> dict[str, Any]:
    return openapi.document([*router.routes, *native.routes])


@router.get(f"{PREFIX}/openapi/", tags=["corpus"], include_in_schema=False)
async def document() -> Response:
    """Describe the operations, for the published clients; needs no key."""
    return json_response(_document())

"""All routes of the corpus surface; those with a literal path come before those with an id."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.corpus.routes import (
    activities,
    corpora,
    elements,
    holdings,
    iiif,
    images,
    openapi,
    processes,
    results,
    workers,
)
from longshore.surfaces.corpus.routes.openapi import OPEN_PATHS as OPEN_PATHS

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
for _part in (workers, activities, processes):
    router.include_router(_part.router)
native.include_router(activities.native)
router.include_router(openapi.router_of(lambda: [*router.routes, *native.routes]))

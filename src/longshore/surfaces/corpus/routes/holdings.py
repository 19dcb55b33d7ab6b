"""All routes of datasets, artifacts, exports and secrets, in the order in which they are looked for."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.corpus.routes import (
    artifacts,
    dataset_elements,
    datasets,
    exports,
    links,
    secrets,
)

router = APIRouter()
native = APIRouter()
for _part in (datasets, dataset_elements, artifacts, exports, links, secrets):
    router.include_router(_part.router)
native.include_router(secrets.native)

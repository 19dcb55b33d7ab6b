"""All routes of datasets, artifacts, exports, models and secrets, in the order in which they are looked for."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.corpus.routes import (
    artifacts,
    dataset_contents,
    dataset_elements,
    datasets,
    exports,
    links,
    models,
    secrets,
)

router = APIRouter()
native = APIRouter()
for _part in (
    datasets,
    dataset_contents,
    dataset_elements,
    artifacts,
    exports,
    models,
    links,
    secrets,
):
    router.include_router(_part.router)
native.include_router(secrets.native)

"""All routes of datasets, artifacts and secrets, in the order in which they are looked for."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.corpus.routes import artifacts, datasets, links, secrets

router = APIRouter()
native = APIRouter()
for _part in (datasets, artifacts, links, secrets):
    router.include_router(_part.router)
native.include_router(secrets.native)

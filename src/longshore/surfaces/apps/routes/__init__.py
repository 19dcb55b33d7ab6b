"""The apps protocol over HTTP. Paths start at /v2; the server also mounts them under /api."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.apps.routes import (
    batches,
    deployments,
    drive,
    reviews,
    runs,
    secrets,
    uploads,
)

router = APIRouter()
# The paths of uploads come before those of batches, where a word stands in place of a number.
for part in (uploads, batches, drive, runs, deployments, secrets):
    router.include_router(part.router)

native = reviews.router
"""What the published protocol does not have; its paths are Longshore's own."""

__all__ = ["native", "router"]

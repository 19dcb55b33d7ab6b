"""The buckets protocol over HTTP, and the results service beside it."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.buckets.routes import (
    actions,
    artifacts,
    results,
    settings,
    status,
    webhooks,
    works,
)

router = APIRouter()
for part in (works, status, actions, settings, artifacts, results, webhooks):
    router.include_router(part.router)

__all__ = ["router"]

"""All routes of the pipelines surface; those with a literal path come before those with an id."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.pipelines.routes import batches, open, services  # noqa: A004 - a module

router = APIRouter()
for _part in (batches, services, open):
    router.include_router(_part.router)

"""All routes of what is found on elements."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.corpus.routes import classifications, transcriptions

router = APIRouter()
for _part in (classifications, transcriptions):
    router.include_router(_part.router)

"""All routes of what is found on elements."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.surfaces.corpus.routes import (
    classifications,
    embeddings,
    entities,
    metadata,
    transcriptions,
)

router = APIRouter()
for _part in (classifications, transcriptions, entities, metadata, embeddings):
    router.include_router(_part.router)

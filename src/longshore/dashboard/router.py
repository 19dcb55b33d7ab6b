"""All routes of the dashboard, put together."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from longshore.dashboard import assets, live, signing
from longshore.dashboard.pages import (
    audit,
    buckets,
    corpora,
    elements,
    hosts,
    keys,
    keystore,
    machines,
    overview,
    pipelines,
    processes,
    runs,
    schedules,
    storage,
    workflow_runs,
    workflows,
    works,
)

_PAGES: Final = (
    audit,
    buckets,
    corpora,
    elements,
    hosts,
    keys,
    keystore,
    machines,
    overview,
    pipelines,
    processes,
    runs,
    schedules,
    storage,
    workflow_runs,
    workflows,
    works,
)
router = APIRouter(include_in_schema=False)
for part in (assets, live, signing, *_PAGES):
    router.include_router(part.router)

"""Pages of runs of workflows: their list, and one with its graph, its times and its steps."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.dashboard.pages.workflow_runs import acting, lists, one

router = APIRouter(include_in_schema=False)
for part in (lists, one, acting):
    router.include_router(part.router)

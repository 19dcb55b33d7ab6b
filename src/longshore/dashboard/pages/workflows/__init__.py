"""Pages of workflows: what is defined, how its runs went, what starts them, and what-if."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.dashboard.pages.workflows import acting, lists, one, simulating

router = APIRouter(include_in_schema=False)
for part in (lists, one, acting, simulating):
    router.include_router(part.router)

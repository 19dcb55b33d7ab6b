"""Pages of runs: lists of them, one with its files, one document with its page, and reviews."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.dashboard.pages.runs import acting, documents, downloads, lists, one, reviewing

router = APIRouter(include_in_schema=False)
for part in (lists, one, acting, documents, reviewing, downloads):
    router.include_router(part.router)

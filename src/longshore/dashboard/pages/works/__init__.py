"""Works: the list that a filter finds, one work, and what a person does with them."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.dashboard.pages.works import acting, listing, one

router = APIRouter(include_in_schema=False)
for part in (listing, acting, one):
    router.include_router(part.router)

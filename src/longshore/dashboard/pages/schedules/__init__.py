"""Pages of schedules: when what is due, calendars, backfills, events and flags."""

from __future__ import annotations

from fastapi import APIRouter

from longshore.dashboard.pages.schedules import backfills, calendars, events, flags, lists

router = APIRouter(include_in_schema=False)
for part in (lists, calendars, backfills, events, flags):
    router.include_router(part.router)

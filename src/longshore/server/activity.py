"""The background pass that keeps count: rolls events up, and takes a census of the works.

It reads what it needs beside the writers and writes little. How often it does so follows from how
long it takes: what costs more is done more rarely, and where nothing has changed, hardly at all.
"""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import Connection, func, select

from longshore.engine import activity_census, activity_counting, activity_rolling
from longshore.engine.tables import events
from longshore.storage import Database

LOOK_S: Final = 1.0
"""How often it is asked whether there is something to do."""
SHORTEST_S: Final = 2.0
IDLE_S: Final = 60.0
"""Without a change, both are done as often as this all the same."""
SHARE: Final = 20
"""Each pauses so many times longer than it took."""
_S_IN_US: Final = 1e6


class ActivityPass:
    """Keeps count while this server leads."""

    def __init__(self, database: Database) -> None:
        """Count what is in `database`."""
        self._database = database
        self._known: dict[int, int] = {}
        self._due_s = 0.0
        self._census_due_s = 0.0
        self._idle_until_s = 0.0
        self._census_idle_until_s = 0.0
        self._newest: int | None = None
        self._census_newest: int | None = None

    async def step(self) -> bool:
        """Do what is due; return False, since each part pauses for as long as it should."""
        began_s = time.monotonic()
        if min(self._due_s, self._census_due_s) > began_s:
            return False
        if not await self._database.lead("janitor"):
            return False
        newest = await self._database.read(_newest)
        if began_s >= self._due_s:
            changed = newest != self._newest
            if changed or began_s >= self._idle_until_s:
                up_to_date = await self._roll_up(changed=changed)
                # Only now: what a full disk kept from being written is counted at the next look.
                self._newest = newest if up_to_date else None
        if time.monotonic() >= self._census_due_s:
            changed = newest != self._census_newest
            if changed or time.monotonic() >= self._census_idle_until_s:
                await self._take_census()
                self._census_newest = newest
        return False

    async def _roll_up(self, *, changed: bool) -> bool:
        """Count what has happened; return whether nothing is left to count."""
        began_s = time.monotonic()
        found = await self._database.read(activity_counting.look, self._known)
        took_s = time.monotonic() - began_s
        await self._database.write(activity_counting.keep, found, took_us=round(took_s * _S_IN_US))
        self._known = dict(found.events)
        behind = await self._database.write(activity_rolling.compact)
        ended_s = time.monotonic()
        if found.more or behind:
            # After a pause of all servers: soon again, but never more than half of the time.
            self._due_s = ended_s + (ended_s - began_s)
            return False
        self._due_s = ended_s + max(SHORTEST_S, SHARE * (ended_s - began_s))
        # What has just changed may be followed by a late commit of the same time.
        self._idle_until_s = ended_s + (activity_rolling.LENGTH_S if changed else IDLE_S)
        return True

    async def _take_census(self) -> None:
        began_s = time.monotonic()
        census = await self._database.read(activity_census.take)
        took_s = time.monotonic() - began_s
        await self._database.write(activity_census.keep, census, took_us=round(took_s * _S_IN_US))
        ended_s = time.monotonic()
        self._census_due_s = ended_s + max(SHORTEST_S, SHARE * (ended_s - began_s))
        self._census_idle_until_s = ended_s + IDLE_S


def _newest(connection: Connection) -> int:
    return connection.execute(select(func.max(events.c.seq))).scalar() or 0

"""Word that something has changed, as server-sent events; pages then fetch what they show.

One look a second at the newest change and the newest line of a log serves all who watch at this
server, also for what happened through other servers on the same database. When nobody watches,
nobody looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from longshore import limits
from longshore.access import sessions
from longshore.dashboard.access import COOKIE, page
from longshore.edge.call import Call
from longshore.edge.context import Context
from longshore.engine.tables import events, logs
from longshore.errors import BufferFull, ServerFault, Unauthenticated
from longshore.storage import Database

LOOK_S: Final = 1.0
BEAT_S: Final = 10.0
"""So often word comes without a change: ages grow, and not everything is a change of a work."""
router = APIRouter(include_in_schema=False)
Viewer = Annotated[Call, Depends(page())]
_log = logging.getLogger(__name__)


class Changes:
    """Looks for changes while somebody listens; one per server."""

    def __init__(self, database: Database) -> None:
        """Look into `database`."""
        self._database = database
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.listeners = 0

    async def wait(self, timeout_s: float) -> bool:
        """Return True at the next change, or False after `timeout_s`."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="changes")
        news = self._news
        try:
            async with asyncio.timeout(timeout_s):
                await news.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        last: tuple[int, int] | None = None
        while self.listeners:
            found = last
            try:
                found = await self._database.read(_newest)
            except ServerFault as error:
                _log.warning("changes cannot be seen now: %s", error)
            if found != last:
                last = found
                news, self._news = self._news, asyncio.Event()
                news.set()
            await asyncio.sleep(LOOK_S)


@router.get("/ui/live")
async def live(request: Request, call: Viewer) -> Response:
    """Tell of changes until the session or the server ends."""
    changes = call.context.shared(Changes)
    if changes.listeners >= limits.VIEWERS:
        raise BufferFull(
            f"{limits.VIEWERS} pages listen for changes already. Close some; this page shows what "
            "it has, and the newest when it is loaded again.",
            details={"retry_after_s": 30},
        )
    stream = _stream(call.context, changes, request.cookies.get(COOKIE, ""))
    return StreamingResponse(
        stream, headers={"X-Accel-Buffering": "no"}, media_type="text/event-stream"
    )


async def _stream(context: Context, changes: Changes, token: str) -> AsyncIterator[bytes]:
    changes.listeners += 1
    try:
        yield b"retry: 2000\n\n"
        told_s = checked_s = time.monotonic()
        # Short waits, so that a server that is to stop does not wait for those who watch.
        while not context.stopping:
            changed = await changes.wait(LOOK_S)
            if time.monotonic() - checked_s > BEAT_S:
                await context.database.read(sessions.identify, token)
                checked_s = time.monotonic()
            if changed or time.monotonic() - told_s > BEAT_S:
                told_s = time.monotonic()
                yield b"event: changed\ndata: 1\n\n" if changed else b"event: beat\ndata: 1\n\n"
    except Unauthenticated:
        yield b"event: over\ndata: 1\n\n"
    finally:
        changes.listeners -= 1


def _newest(connection: Connection) -> tuple[int, int]:
    newest = select(func.max(events.c.seq)).scalar_subquery()
    line = select(func.max(logs.c.seq)).scalar_subquery()
    row = connection.execute(select(newest, line)).one()
    return row[0] or 0, row[1] or 0

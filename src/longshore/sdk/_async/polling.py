"""Waiting for something on the server, so that users need no loop of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from longshore.sdk._waiting import async_sleep, pauses_s


async def wait_until(
    finished: Callable[[], Awaitable[bool]], *, timeout_s: float | None, what: str
) -> None:
    """Ask `finished` with growing pauses until it says yes.

    Args:
        finished: looks at the server; True ends the wait.
        timeout_s: give up after so many seconds; None waits for ever.
        what: what is waited for, such as "Run rn_...", for the message.

    Raises:
        WaitTimeout: the time is over.
    """
    for pause_s in pauses_s(timeout_s, what):
        if await finished():
            return
        await async_sleep(pause_s)

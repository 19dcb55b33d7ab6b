"""Waiting and doing several things at once, in both colours.

Every helper comes twice: `async_name` for AsyncClient and `name` for Client, which waits with
time.sleep and uses threads (httpx.Client may be shared by threads).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from longshore.errors import WaitTimeout

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_FIRST_PAUSE_S: Final = 0.1
_GROWTH: Final = 1.4
_LONGEST_PAUSE_S: Final = 2.0


def pauses_s(timeout_s: float | None, what: str) -> Iterator[float]:
    """Give the pauses between looks at something unfinished: growing from 0.1 to 2 seconds.

    Args:
        timeout_s: after so many seconds the wait is given up; None waits for ever.
        what: what is waited for, for the message.

    Raises:
        WaitTimeout: the time is over.
    """
    begun = time.monotonic()
    pause_s = _FIRST_PAUSE_S
    while True:
        if timeout_s is None:
            yield pause_s
        else:
            left_s = begun + timeout_s - time.monotonic()
            if left_s <= 0:
                raise WaitTimeout(
                    f"{what} is not finished after {timeout_s:g} s. It goes on; wait again with a "
                    "larger timeout_s, or ask client.why(id) what it waits for.",
                    details={"timeout_s": timeout_s},
                )
            yield min(pause_s, left_s)
        pause_s = min(pause_s * _GROWTH, _LONGEST_PAUSE_S)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


async def async_sleep(seconds: float) -> None:
    """Wait, leaving the event loop to others."""
    await asyncio.sleep(seconds)


def in_parallel(
    function: Callable[[Item], Outcome], items: Sequence[Item], *, limit: int
) -> list[Outcome]:
    """Call `function` with each item in up to `limit` threads; the outcomes in the items' order.

    The first failure is raised as soon as what already runs has ended; the rest is not begun.
    """
    with ThreadPoolExecutor(max_workers=limit, thread_name_prefix="longshore-upload") as executor:
        futures = [executor.submit(function, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
    failures = [error for future in done if (error := future.exception()) is not None]
    if failures:
        raise failures[0]
    return [future.result() for future in futures]


async def async_in_parallel(
    function: Callable[[Item], Awaitable[Outcome]], items: Sequence[Item], *, limit: int
) -> list[Outcome]:
    """Call `function` with each item, up to `limit` at once; the outcomes in the items' order.

    The first failure cancels the others and is raised.
    """
    gate = asyncio.Semaphore(limit)

    async def one(item: Item) -> Outcome:
        async with gate:
            return await function(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""What the SDK's unit tests share: clients of both colours on a scripted server."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from longshore.sdk import AsyncClient, Client

URL = "http://127.0.0.1:8400"
KEY = "ls_abc_secret"
COLOURS = (Client, AsyncClient)
Handler = Callable[[httpx.Request], Any]
"""Gives the answer; one for AsyncClient only may be a coroutine function."""
AnyClient = Any
"""A Client or an AsyncClient; `settle` makes the difference disappear."""


async def settle(value: Any) -> Any:
    """Return the value, awaited where the async colour gave something to await."""
    return await value if inspect.isawaitable(value) else value


async def gather(iterator: Any) -> list[Any]:
    """Return all items of an iterator of either colour."""
    if hasattr(iterator, "__aiter__"):
        return [item async for item in iterator]
    return list(iterator)


class Script:
    """A server that gives the answers of a script in turn and remembers the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self._answers, None)
        assert answer is not None, f"the script has no answer for {request.method} {request.url}"
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def paths(self) -> list[str]:
        """Method and raw path of each request."""
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]


def json(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def client(colour: type[AnyClient], handler: Handler, **options: Any) -> AnyClient:
    """Return a client of the colour that talks to `handler`."""
    return colour(URL, KEY, transport=httpx.MockTransport(handler), **options)


async def close(used: AnyClient) -> None:
    end = getattr(used, "aclose", None) or used.close
    await settle(end())

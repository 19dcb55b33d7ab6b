"""The one place that talks HTTP: sends, sends again where that can help, and maps errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

import httpx
import stamina
from pydantic import BaseModel, TypeAdapter, ValidationError

import longshore
from longshore import tracing
from longshore.sdk import _faults
from longshore.sdk._calls import Call
from longshore.sdk._connection import Connection
from longshore.sdk._retries import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    RETRIED_STATUSES,
    NoAnswer,
    keep_terminal_quiet,
    pause_s,
    retry_after_s,
)
from longshore.settings import ClientSettings
from longshore.wire.connecting import connection_options
from longshore.wire.preparing import prepare

_Answer = TypeVar("_Answer")
_Model = TypeVar("_Model", bound=BaseModel)
_CONNECTIONS: Final = 16


class AsyncTransport:
    """An HTTP connection pool to one server, with the client's key."""

    def __init__(
        self,
        connection: Connection,
        *,
        context: str | None,
        timeout_s: float,
        retries: int,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        """Open the pool; nothing is sent yet."""
        keep_terminal_quiet()
        prepare()
        tracing.start("longshore-client", wanted=ClientSettings().tracing)
        headers = {
            "Authorization": f"Bearer {connection.key}",
            "Accept": "application/json",
            "User-Agent": f"longshore/{longshore.__version__}",
        }
        if context is not None:
            headers["IB-Context"] = context
        self.url: Final = connection.url
        self.version: Final = longshore.__version__
        self._timeout_s = timeout_s
        self._attempts = retries + 1
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            transport=transport,
            **connection_options(connection.url),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Return the transport itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.aclose()

    async def send(self, call: Call) -> httpx.Response:
        """Send a request until it is answered, and return the answer with its body read.

        Raises:
            LongshoreError: what the server's answer stands for, or ServerUnreachable.
        """

        async def once() -> httpx.Response:
            response = await self._http.request(**self._request(call))
            if response.status_code >= 300:
                _raise(call, response)
            return response

        return await self._until_answered(call, once)

    async def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Send a request and read its answer as `model`.

        Raises:
            LongshoreError: as `send`; ServerFault also where the answer is not such a model.
        """
        response = await self.send(call)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise _faults.unexpected_answer(response, str(error)) from error

    async def fetch_json(self, call: Call) -> Any:
        """Send a request and return its answer as plain JSON values.

        Raises:
            LongshoreError: as `send`; ServerFault also where the answer is not JSON.
        """
        response = await self.send(call)
        try:
            return _ANY.validate_json(response.content)
        except ValidationError as error:
            raise _faults.unexpected_answer(response, str(error)) from error

    async def download(self, call: Call, target: Path) -> None:
        """Send a request and write its answer's body to the local file `target`.

        Raises:
            LongshoreError: as `send`.
            OSError: the local file cannot be written.
        """

        async def once() -> None:
            async with self._http.stream(**self._request(call)) as response:
                if response.status_code >= 300:
                    await response.aread()
                    _raise(call, response)
                with target.open("wb") as file:
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)

        await self._until_answered(call, once)

    async def _until_answered(self, call: Call, once: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Do a request again for as long as that can help, and map what went wrong."""
        if tracing.spans is None:
            return await self._repeat(call, once)
        with tracing.spans.request(call.method, call.path):
            return await self._repeat(call, once)

    async def _repeat(self, call: Call, once: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            async for attempt in stamina.retry_context(
                on=pause_s,
                attempts=self._attempts,
                timeout=None,
                wait_initial=FIRST_PAUSE_S,
                wait_max=LONGEST_PAUSE_S,
            ):
                with attempt:
                    try:
                        return await once()
                    except httpx.RequestError as error:
                        waited_s = self._timeout_s + call.patience_s
                        mapped = _faults.from_transport(error, self.url, waited_s)
                        raise NoAnswer(call, mapped) from error
        except NoAnswer as failure:
            raise failure.error from failure.__cause__
        raise AssertionError("stamina gives at least one attempt")

    def _request(self, call: Call) -> dict[str, Any]:
        """Return the arguments of httpx for one attempt at a request."""
        headers = dict(call.headers or {})
        content: Any = call.encoded
        if call.encoded is not None:
            headers["Content-Type"] = "application/json"
        if call.content is not None:
            headers["Content-Length"] = str(call.content.length)
            headers["Content-Type"] = "application/octet-stream"
            content = call.content.async_chunks()
        if tracing.spans is not None:
            tracing.spans.inject(headers)
        return {
            "method": call.method,
            "url": self.url + call.path,
            "params": call.parameters(),
            "json": call.json,
            "content": content,
            "headers": headers,
            "timeout": self._timeout_s + call.patience_s,
        }


def _raise(call: Call, response: httpx.Response) -> NoReturn:
    """Raise for an answer of status 300 or above."""
    error = _faults.from_response(response)
    if response.status_code in RETRIED_STATUSES - call.handled:
        raise NoAnswer(call, error, retry_after_s(response))
    raise error


_ANY: Final = TypeAdapter(Any)

"""The worker's HTTP: msgspec bodies to /longshore/v1, problems back as the errors of Longshore."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import msgspec

from longshore import errors, tracing
from longshore.wire.connecting import connection_options, is_loopback
from longshore.wire.preparing import prepare
from longshore.worker.http import HttpClient, Response

_PREFIX = "/longshore/v1/"
_CHUNK_BYTES = 1 << 18

Answer = TypeVar("Answer")


class _Problem(msgspec.Struct):
    """The parts of an RFC 9457 answer that matter here."""

    code: str = ""
    detail: str = ""
    request_id: str | None = None


class StoredBlob(msgspec.Struct, frozen=True):
    """The answer to an upload."""

    blob_id: str
    size_bytes: int
    sha256: str


class Transport:
    """Calls of the worker's protocol, for the event loop."""

    def __init__(self, url: str, key: str) -> None:
        """Talk to the server at `url` with `key`; nothing is sent yet."""
        prepare()
        self.url = url
        self._client = httpx.AsyncClient(
            base_url=_base(url), headers=_headers(key), **connection_options(url)
        )
        tls = httpx.create_ssl_context() if url.startswith("https:") else None
        # Through a proxy everything goes by the general client, which knows how.
        self._direct = None if _has_proxy(url) else HttpClient(_base(url), _headers(key), tls)

    async def close(self) -> None:
        """Close the connections."""
        if self._direct is not None:
            await self._direct.close()
        await self._client.aclose()

    async def post(
        self, path: str, body: msgspec.Struct, answer: type[Answer], *, timeout_s: float
    ) -> Answer:
        """POST `body` to `path` and return the answer as `answer`.

        Raises:
            ServerUnreachable: no answer.
            Unavailable: the server asks to try again.
            LongshoreError: the error that the server names.
        """
        content = msgspec.json.encode(body)
        try:
            if self._direct is None:
                response = _plain(
                    await self._client.post(
                        path, content=content, timeout=timeout_s, headers=_carried()
                    )
                )
            else:
                response = await self._direct.post(
                    path, content, timeout_s=timeout_s, headers=_carried()
                )
        # TimeoutError is an OSError.
        except (httpx.TransportError, OSError) as error:
            raise _unreachable(self.url, error) from error
        return _decode(self.url, response, answer)

    async def download(
        self, blob_id: str, target: Path, *, sha256: str, size_bytes: int, timeout_s: float
    ) -> None:
        """Write a blob to `target`.

        Raises:
            CorruptData: what arrived is not what was stored.
            ServerUnreachable, Unavailable, LongshoreError: as for `post`.
        """
        digest, received = hashlib.sha256(), 0
        try:
            async with self._client.stream(
                "GET", f"blobs/{blob_id}", timeout=timeout_s, headers=_carried()
            ) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise _problem(self.url, _plain(response))
                with target.open("wb") as file:
                    async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                        digest.update(chunk)
                        received += len(chunk)
                        file.write(chunk)
        except httpx.TransportError as error:
            raise _unreachable(self.url, error) from error
        if received != size_bytes or digest.hexdigest() != sha256:
            raise errors.CorruptData(
                f"File {blob_id} arrived with {received} bytes and SHA-256 {digest.hexdigest()}; "
                f"stored were {size_bytes} bytes with {sha256}. Upload the file again.",
                request_id=response.headers.get("x-request-id"),
            )

    async def upload(self, source: Path, *, media_type: str, timeout_s: float) -> StoredBlob:
        """Store a file and return its blob.

        Raises:
            ServerUnreachable, Unavailable, LongshoreError: as for `post`.
            OSError: the file cannot be read.
        """
        with source.open("rb") as file:
            return await self.upload_open(file, media_type=media_type, timeout_s=timeout_s)

    async def upload_open(self, file: BinaryIO, *, media_type: str, timeout_s: float) -> StoredBlob:
        """Store an open file as `upload` does, as long as it is now."""
        size_bytes = os.fstat(file.fileno()).st_size
        headers = {
            "content-type": media_type,
            "content-length": str(size_bytes),
            **(_carried() or {}),
        }
        try:
            response = await self._client.post(
                "blobs", content=_chunks(file, size_bytes), headers=headers, timeout=timeout_s
            )
        except httpx.TransportError as error:
            raise _unreachable(self.url, error) from error
        return _decode(self.url, _plain(response), StoredBlob)


class BlockingTransport:
    """The same calls for a process without an event loop."""

    def __init__(self, url: str, key: str) -> None:
        """Talk to the server at `url` with `key`; nothing is sent yet."""
        prepare()
        self.url = url
        self._client = httpx.Client(
            base_url=_base(url), headers=_headers(key), **connection_options(url)
        )

    def post(
        self, path: str, body: msgspec.Struct, answer: type[Answer], *, timeout_s: float
    ) -> Answer:
        """POST `body` to `path` and return the answer; errors as in `Transport.post`."""
        try:
            response = self._client.post(path, content=msgspec.json.encode(body), timeout=timeout_s)
        except httpx.TransportError as error:
            raise _unreachable(self.url, error) from error
        return _decode(self.url, _plain(response), answer)


def _carried() -> dict[str, str] | None:
    """Return the header that names the current span, where one is recorded."""
    traceparent = tracing.carried()
    return None if traceparent is None else {"traceparent": traceparent}


def may_try_again(error: errors.LongshoreError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, errors.CorruptData):
        return False
    return isinstance(error, errors.ServerUnreachable | errors.ServerFault)


async def _chunks(file: BinaryIO, size_bytes: int) -> AsyncIterator[bytes]:
    while size_bytes:
        chunk = file.read(min(_CHUNK_BYTES, size_bytes))
        if not chunk:
            raise OSError("it became shorter while it was read")
        size_bytes -= len(chunk)
        yield chunk


def _base(url: str) -> str:
    return url.rstrip("/") + _PREFIX


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "content-type": "application/json"}


def _has_proxy(url: str) -> bool:
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.netloc):
        return False
    return not {parts.scheme, "all"}.isdisjoint(getproxies())


def _plain(response: httpx.Response) -> Response:
    headers = {name.lower(): value for name, value in response.headers.raw}
    return Response(response.status_code, headers, response.content)


def _decode(url: str, response: Response, answer: type[Answer]) -> Answer:
    if not 200 <= response.status < 300:
        raise _problem(url, response)
    try:
        return msgspec.json.decode(response.body, type=answer)
    except msgspec.MsgspecError as error:
        raise errors.ServerFault(
            f"{url} answered something that is not a {answer.__name__}: {error}. "
            "Is that address a Longshore server of this version?",
            request_id=response.request_id,
        ) from error


def _unreachable(url: str, error: Exception) -> errors.ServerUnreachable:
    return errors.ServerUnreachable(
        f"No answer from {url} ({type(error).__name__}: {error}). Is the server running there?"
    )


def _problem(url: str, response: Response) -> errors.LongshoreError:
    try:
        problem = msgspec.json.decode(response.body, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    request_id = problem.request_id or response.request_id
    message = problem.detail or f"{url} answered with status {response.status}."
    return _error_class(problem.code, response.status)(message, request_id=request_id)


def _error_class(code: str, status: int) -> Callable[..., errors.LongshoreError]:
    # An answer without a code is not from a Longshore server but from something in between,
    # whose trouble passes; only these two say something that stays true.
    return _BY_CODE.get(code) or _BY_STATUS.get(status, errors.Unavailable)


def _by_code(root: type[errors.LongshoreError]) -> dict[str, type[errors.LongshoreError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        # What user code raises in a worker never comes from a server.
        if child is not errors.WorkControl:
            found |= _by_code(child)
    return found


_BY_CODE = _by_code(errors.LongshoreError)
_BY_STATUS: dict[int, type[errors.LongshoreError]] = {
    401: errors.Unauthenticated,
    413: errors.TooLarge,
}

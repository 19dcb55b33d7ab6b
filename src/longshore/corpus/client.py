"""Calls of the API of corpora by the names of its operations."""

from __future__ import annotations

import functools
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final, TypeVar
from urllib.parse import urljoin
from uuid import uuid4

import httpx
import msgspec

from longshore.corpus.connecting import Access, find_access
from longshore.corpus.document import ClientError, Document, SchemaError
from longshore.corpus.pages import Pages
from longshore.errors import ServerUnreachable
from longshore.sdk._retries import retry_after_s
from longshore.wire.connecting import is_loopback

__all__ = ["ApiClient", "ClientError", "ErrorResponse", "SchemaError"]

logger = logging.getLogger("longshore.corpus")

T = TypeVar("T")

PAUSES_S: Final = (3.0, 4.0, 8.0, 16.0)
"""Pauses before the second to the fifth attempt, those of the published clients."""
LONGEST_RETRY_AFTER_S: Final = 60.0
"""A server that asks for more patience than this is not waited for."""
CONNECT_TIMEOUT_S: Final = 30.0
READ_TIMEOUT_S: Final = 60.0

_ACCEPT: Final = "application/json, text/*, */*"
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""After these, nothing of the request has reached the server."""


class ErrorResponse(Exception):
    """The server refused a request, or failed at it.

    Attributes:
        title: status and reason, such as "404 Not Found".
        status_code: of HTTP.
        content: of the answer, decoded.
    """

    def __init__(self, title: str, status_code: int, content: Any = None) -> None:
        """Keep what the server answered."""
        super().__init__(title)
        self.title = title
        self.status_code = status_code
        self.content = content


class _Failed(Exception):
    """An attempt that may be worth another one; `error` is raised when there is none."""

    def __init__(self, error: Exception, wanted_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wanted_s = wanted_s


class ApiClient:
    """The API of a server. The threads of a process may share it, and it survives a fork."""

    def __init__(
        self, access: Access | None = None, *, wait: Callable[[float], object] | None = None
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            access: the server; found in the environment by default.
            wait: waits some seconds between two attempts.

        Raises:
            ConfigurationError: no server is named anywhere.
        """
        self.access = access or find_access()
        self._wait = threading.Event().wait if wait is None else wait
        self._connections: tuple[int, httpx.Client] | None = None

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._connections is not None and self._connections[0] == os.getpid():
            self._connections[1].close()
        self._connections = None

    @functools.cached_property
    def document(self) -> Document:
        """The operations of the server, read when they are first needed.

        Raises:
            SchemaError: there is no document of them.
        """
        address = self.access.document_address
        if "://" not in address:
            return Document(_parsed(Path(address)), address)
        try:
            # The document is public, and may be on another host: no token is sent.
            content = self._patiently(lambda: self._send("GET", address, headers={}))
        except (ErrorResponse, ServerUnreachable) as error:
            raise SchemaError(f"The operations of the server are unknown: {error}") from error
        return Document(content, address)

    def request(self, operation_id: str, **arguments: Any) -> Any:
        """Call an operation and return its answer.

        JSON is decoded, text is a str, nothing is None, and all else is a temporary file, open for
        reading. 5xx, 429 and broken connections are tried again, five times in all.

        Args:
            operation_id: name of the operation.
            arguments: its parameters; `body` is sent as JSON.

        Raises:
            ClientError: the server has no such operation, or it takes other arguments.
            ErrorResponse: the server refused, or failed at each attempt.
            ServerUnreachable: it did not answer at any attempt.
        """
        operation = self.document[operation_id]
        path, query, body = operation.target(arguments)
        url = urljoin(self.access.url, path)
        headers = dict(self.access.headers)
        if operation.method == "POST" and self.document.has_bulk_activities:
            # A server that knows this header does not do a repeated request twice.
            headers["Idempotency-Key"] = str(uuid4())
        content = msgspec.json.encode(body) if operation.takes_body else None
        return self._patiently(
            lambda: self._send(operation.method, url, query=query, content=content, headers=headers)
        )

    def paginate(
        self, operation_id: str, *, allow_missing_data: bool = False, **arguments: Any
    ) -> Any:
        """Call an operation that answers page by page, and return all results to iterate over.

        Args:
            operation_id: name of the operation.
            allow_missing_data: leave out a page that cannot be had, instead of raising.
            arguments: its parameters.

        Returns:
            The results, whose `len` is known once the first page is there; for an operation that
            is not paginated, its answer.
        """
        operation = self.document[operation_id]
        if not operation.paginated:
            return self.request(operation_id, **arguments)
        if "cursor" in operation.query and "with_count" in operation.query:
            arguments.setdefault("with_count", True)
        return Pages(
            functools.partial(self.request, operation_id),
            arguments,
            failures=(ErrorResponse, ServerUnreachable) if allow_missing_data else (),
        )

    def post(self, path: str, body: Any) -> Any:
        """POST to a path of Longshore's own, where repeating a request does no harm."""
        url = urljoin(self.access.url, path)
        content = msgspec.json.encode(body)
        headers = {**self.access.headers, "Idempotency-Key": str(uuid4())}
        return self._patiently(lambda: self._send("POST", url, content=content, headers=headers))

    def download(self, url: str) -> Any:
        """Download from an address that needs no token, such as a store's.

        Returns:
            A temporary file, open for reading.

        Raises:
            ErrorResponse: the server refused, or failed at each attempt.
            ServerUnreachable: it did not answer at any attempt.
        """
        return self._patiently(lambda: self._send("GET", url, headers={}))

    def _patiently(self, attempt: Callable[[], T]) -> T:
        for number, pause_s in enumerate(PAUSES_S, start=2):
            try:
                return attempt()
            except _Failed as failure:
                wanted_s = failure.wanted_s if failure.wanted_s is not None else pause_s
                if wanted_s > LONGEST_RETRY_AFTER_S:
                    raise failure.error from None
                logger.warning("%s; attempt %d follows in %.0f s", failure, number, wanted_s)
                self._wait(wanted_s)
        try:
            return attempt()
        except _Failed as failure:
            raise failure.error from None

    def _http(self) -> httpx.Client:
        """Return the connections of this process; those of its parent must not be shared."""
        if self._connections is None or self._connections[0] != os.getpid():
            client = httpx.Client(
                headers={"User-Agent": f"longshore/{version('longshore')}"},
                timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                follow_redirects=True,
                # A proxy from the environment cannot reach this machine's loopback address.
                trust_env=not is_loopback(self.access.url),
            )
            self._connections = (os.getpid(), client)
        return self._connections[1]

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> Any:
        """Make one attempt and return the decoded answer."""
        client = self._http()
        sent = {"Accept": _ACCEPT, **headers}
        if content is not None:
            sent["Content-Type"] = "application/json"
        parameters = {name: _in_query(value) for name, value in (query or {}).items()}
        try:
            with client.stream(
                method, url, params=parameters or None, content=content, headers=sent
            ) as response:
                if response.is_error:
                    response.read()
                    raise _refused(response)
                return _decoded(response)
        except httpx.TransportError as error:
            lost = ServerUnreachable(f"No answer from {url} ({type(error).__name__}: {error})")
            if (
                method == "POST"
                and not isinstance(error, _UNSENT)
                and "Idempotency-Key" not in headers
            ):
                # It may have been done, and doing it again would leave two results.
                raise lost from error
            raise _Failed(lost) from error


def _in_query(value: Any) -> Any:
    """Return a value as the published clients write it: True and False as Python prints them."""
    if isinstance(value, list | tuple | set | frozenset):
        return [str(one) for one in value]
    return str(value)


def _refused(response: httpx.Response) -> Exception:
    try:
        content = _decoded(response)
    except ValueError:
        content = response.text
    title = f"{response.status_code} {response.reason_phrase}".strip()
    error = ErrorResponse(title=title, status_code=response.status_code, content=content)
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        return _Failed(error, retry_after_s(response))
    return error


def _decoded(response: httpx.Response) -> Any:
    media_type = response.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media_type == "application/json" or media_type.endswith("+json"):
        return json.loads(response.read() or b"null")
    if media_type.startswith("text/"):
        response.read()
        return response.text
    return _downloaded(response)


def _downloaded(response: httpx.Response) -> IO[bytes]:
    # The file is the caller's, and is gone once it is closed.
    file = tempfile.NamedTemporaryFile(prefix="longshore-")  # noqa: SIM115
    try:
        for chunk in response.iter_bytes():
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SchemaError(f"The document of operations {path} cannot be read: {error}") from error

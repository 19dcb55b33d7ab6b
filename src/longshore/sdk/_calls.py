"""One request to the server, described without sending it, and its parts spelled safely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import httpx

from longshore import ids
from longshore.errors import ServerFault
from longshore.sdk._sources import Slice

APPS = "/api/v2"
NATIVE = "/longshore/v1"
BUCKETS = "/buckets"
BUCKET_WORK = f"{BUCKETS}/work"
RESULTS = "/results"

Query = Mapping[str, str | int | float | bool | list[str] | None]
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: GET, HEAD, POST, PUT, PATCH or DELETE.
        path: path below the server's address, already percent-encoded.
        query: query values; those that are None are left out, lists are repeated.
        json: a JSON body, or None.
        encoded: a JSON body that is encoded already, instead of `json`.
        content: a raw body, or None; it can be read again for another attempt.
        headers: further headers.
        patience_s: seconds that the answer may take beyond the client's own timeout.
        repeatable: whether sending this twice has the effect of sending it once; None goes by the
            method, and by whether there is an Idempotency-Key.
        handled: statuses that are the caller's to handle and are not waited out.
    """

    method: str
    path: str
    query: Query | None = None
    json: Any = None
    encoded: bytes | None = None
    content: Slice | None = None
    headers: Mapping[str, str] | None = None
    patience_s: float = 0.0
    repeatable: bool | None = None
    handled: frozenset[int] = frozenset()

    @property
    def may_repeat(self) -> bool:
        """Whether sending this twice has the effect of sending it once."""
        if self.repeatable is not None:
            return self.repeatable
        return self.method in _SAFE_TO_REPEAT or "Idempotency-Key" in (self.headers or {})

    def parameters(self) -> dict[str, str | list[str]] | None:
        """Return the query as text, in the protocol's spelling (booleans in lower case)."""
        return {
            name: value if isinstance(value, list) else _text(value)
            for name, value in (self.query or {}).items()
            if value is not None
        } or None


def creating(
    path: str,
    json: Any = None,
    *,
    encoded: bytes | None = None,
    query: Query | None = None,
    patience_s: float = 0.0,
) -> Call:
    """Describe a POST that may be sent again: it carries a fresh Idempotency-Key."""
    headers = {"Idempotency-Key": ids.new("ik")}
    return Call(
        "POST",
        path,
        query=query,
        json=json,
        encoded=encoded,
        headers=headers,
        patience_s=patience_s,
    )


def segment(text: str | int) -> str:
    """Percent-encode one segment of a path, slashes and lone dots included.

    A segment of only dots would be taken for "this" or "the parent" directory by the HTTP
    client and lead to another resource, so the dots are encoded too.
    """
    encoded = quote(str(text), safe="")
    return encoded.replace(".", "%2E") if set(encoded) == {"."} else encoded


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are not None, as the body of a request."""
    return {name: value for name, value in values.items() if value is not None}


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def job_id_of(response: httpx.Response) -> str:
    """Return the id of the job that an answer's Location header points to.

    Raises:
        ServerFault: there is no such header.
    """
    location = response.headers.get("Location", "").rstrip("/")
    if not location:
        raise ServerFault(
            f"The server answered {response.request.method} {response.request.url} without saying "
            "which job does it. Check that client and server are of the same version."
        )
    return unquote(location.rpartition("/")[2])

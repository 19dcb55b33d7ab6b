"""Calls of the scripts API, for the commands of workflows."""

from __future__ import annotations

from typing import Any, Final

API: Final = "/coreauto/v1"
_TIMEOUT_S: Final = 120.0
_RETRIES: Final = 4


def fetch(
    server: str | None,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: dict[str, Any] | None = None,
    repeatable: bool | None = None,
    retries: int = _RETRIES,
) -> Any:
    """Send one request below /coreauto/v1 to the server that is named, or found; return its answer.

    A POST that is not `repeatable` by itself carries an Idempotency-Key, so it may be sent again.
    """
    from longshore import ids
    from longshore.sdk._calls import Call
    from longshore.sdk._connection import find_connection
    from longshore.sdk._sync.transport import Transport

    headers = {"Idempotency-Key": ids.new("ik")} if method == "POST" and not repeatable else None
    transport = Transport(
        find_connection(server),
        context=None,
        timeout_s=_TIMEOUT_S,
        retries=retries,
        transport=None,
    )
    try:
        return transport.fetch_json(
            Call(
                method,
                f"{API}{path}",
                json=body,
                query=query,
                headers=headers,
                repeatable=repeatable,
            )
        )
    finally:
        transport.close()


def segment(text: str) -> str:
    """Percent-encode one segment of a path."""
    from longshore.sdk._calls import segment as encoded

    return encoded(text)

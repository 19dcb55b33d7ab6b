"""Every operation of the server, from its own OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tests.acceptance.harness import Server

OPEN = frozenset(
    {"/", "/healthz", "/readyz", "/docs", "/openapi.json", "/buckets/version", "/results/version"}
)
"""What answers without a key; written down here once more, so that nobody opens a path unseen."""
READING_POSTS = frozenset(
    {"/buckets/view", "/buckets/count", "/results/view", "/results/view/count"}
)
"""What is asked by POST, since a query does not fit an address."""
CHANGING_GETS = frozenset({"/buckets/audit/failed", "/buckets/audit/expired"})
"""What is changed by GET, since the published protocol has it so."""
_PARAMETER = re.compile(r"\{([^}:]+)(?::[^}]+)?\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, such as DELETE /api/v2/batches/{batch_id}."""

    method: str
    path: str
    has_body: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))

    @property
    def changes(self) -> bool:
        if self.path in READING_POSTS:
            return False
        return self.takes_body or self.path in CHANGING_GETS

    @property
    def takes_body(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def speaks_apps(self) -> bool:
        return re.match(r"/(api/)?v[12]/", self.path) is not None

    def url(self, values: Mapping[str, str], other: str = "1") -> str:
        """Return the path with parameters filled in."""
        return _PARAMETER.sub(
            lambda match: quote(values.get(match.group(1), other), safe=""), self.path
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(server: Server) -> list[Operation]:
    document: dict[str, Any] = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    found = [
        Operation(method.upper(), path, "requestBody" in operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "put", "post", "delete", "patch", "head", "options")
    ]
    assert len(found) > 30, "the document describes the server"
    return found


def guarded(server: Server) -> list[Operation]:
    """Return the operations that need a key."""
    return [operation for operation in operations(server) if operation.path not in OPEN]

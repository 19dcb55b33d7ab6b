"""The document by which the published clients find the operations of the server.

They read it before they have a key, and the older one (1.1.0) takes only a part of what OpenAPI
allows: a path item holds operations and nothing else, bodies are written where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

VERSION: Final = "1.7.0"
"""The version of the protocol that the document speaks of."""
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_KEPT: Final = (
    "operationId", "description", "deprecated", "parameters", "requestBody", "x-paginated",
)  # fmt: skip
_PARAMETER: Final = ("name", "in", "description", "required", "deprecated", "schema")


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI document of the operations among `routes`."""
    described = get_openapi(title="Longshore", version=VERSION, routes=routes)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Longshore", "version": VERSION},
        "paths": {
            path: {
                method: _operation(operations[method])
                for method in _METHODS
                if method in operations
            }
            for path, operations in described["paths"].items()
        },
    }


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: operation[name] for name in _KEPT if name in operation}
    if "parameters" in kept:
        kept["parameters"] = [
            {name: parameter[name] for name in _PARAMETER if name in parameter}
            for parameter in kept["parameters"]
        ]
    return kept

"""The document by which the published clients find the operations of the server.

They read it before they have a key, and the older one (1.1.0) takes only a part of what OpenAPI
allows: a path item holds operations and nothing else, bodies are written where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response
from starlette.routing import BaseRoute

from longshore.edge.responses import json_response
from longshore.surfaces.corpus.routes.shared import PREFIX

VERSION: Final = "1.7.0"
"""The version of the protocol that the document speaks of."""
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_KEPT: Final = (
    "operationId", "description", "deprecated", "parameters", "requestBody", "x-paginated",
)  # fmt: skip
_PARAMETER: Final = ("name", "in", "description", "required", "deprecated", "schema")


OPEN_PATHS: Final = frozenset({f"{PREFIX}/openapi/"})
"""The path of the document, which answers without a key."""


def router_of(routes: Callable[[], Sequence[BaseRoute]]) -> APIRouter:
    """Return the route of the document that describes these routes."""
    router = APIRouter()

    @cache
    def described() -> dict[str, Any]:
        return document(routes())

    @router.get(f"{PREFIX}/openapi/", tags=["corpus"])
    async def openapi() -> Response:
        """Describe the operations, for the published clients; needs no key."""
        return json_response(described())

    return router


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

"""JSON answers, written in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response


def encode(content: Any) -> bytes:
    """Return `content` as JSON; models, dataclasses, enums and times are taken as they are."""
    return to_json(content)


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with `content` as JSON (see `encode`)."""
    return Response(encode(content), status, headers, "application/json")

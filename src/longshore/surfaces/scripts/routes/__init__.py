"""Routes of the scripts surface, under /coreauto/v1."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

OPEN_PATHS: Final[frozenset[str]] = frozenset()
"""What answers without a key."""

router = APIRouter(tags=["scripts"])
native = APIRouter(tags=["worker protocol"])
"""What workers ask for besides the worker's protocol."""

"""Routes of the scripts surface, under /coreauto/v1."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from longshore.surfaces.scripts.routes import (
    codes,
    collector,
    collector_flags,
    collector_steps,
    hosts,
    keystore,
    operations,
    planning,
    runs,
    workflows,
)

OPEN_PATHS: Final[frozenset[str]] = frozenset({codes.APICODE})
"""What answers without a key."""

router = APIRouter(tags=["scripts"])
native = APIRouter(tags=["worker protocol"])
"""What workers ask for besides the worker's protocol."""
router.include_router(codes.router)
router.include_router(collector.router)
router.include_router(collector_steps.router)
router.include_router(collector_flags.router)
router.include_router(planning.router)
router.include_router(runs.router)
router.include_router(operations.router)
router.include_router(keystore.router)
router.include_router(workflows.router)
router.include_router(hosts.router)
native.include_router(codes.native)

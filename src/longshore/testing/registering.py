"""What modules register while a test runs is forgotten afterwards, so that the next one is free."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from longshore.worker.registry import REGISTRY


@contextmanager
def registering() -> Iterator[None]:
    """Let a block register what it likes; afterwards there is what there was before.

    The modules that registered something new are imported anew when they are named again.
    """
    before = _registered()
    setups = list(REGISTRY.setups)
    path = list(sys.path)
    try:
        yield
    finally:
        for kind, entries in _registered().items():
            for key in entries.keys() - before[kind].keys():
                sys.modules.pop(_module(entries[key]), None)
        REGISTRY.apps, REGISTRY.functions = before["apps"], before["functions"]
        REGISTRY.services, REGISTRY.workers = before["services"], before["workers"]
        REGISTRY.setups = setups
        sys.path[:] = path


def _registered() -> dict[str, dict[Any, Any]]:
    return {
        "apps": dict(REGISTRY.apps),
        "functions": dict(REGISTRY.functions),
        "services": dict(REGISTRY.services),
        "workers": dict(REGISTRY.workers),
    }


def _module(entry: Any) -> str:
    program = getattr(entry, "function", None) or getattr(entry, "program", None)
    return str(getattr(program, "__module__", ""))

"""Longshore: a self-hosted platform for batch work in Python.

The names here are the public ones. They are loaded when first used, so that a worker does not
pay for the client it never builds, nor the command line for either.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longshore import step, webhooks
    from longshore.corpus.base import BaseWorker
    from longshore.corpus.cache import CachedElement
    from longshore.corpus.dataset_worker import DatasetWorker
    from longshore.corpus.elements_worker import ElementsWorker
    from longshore.corpus.models import Dataset, Element, Set
    from longshore.corpus.process import ActivityState
    from longshore.errors import LeaseLost, LongshoreError, Reject, RetryLater
    from longshore.sdk import (
        AsyncClient,
        AsyncWork,
        BatchChunk,
        ChunkData,
        Client,
        RecordFailed,
        Work,
        create_chunks,
    )
    from longshore.worker.documents import Document, Field, InputFile, Page
    from longshore.worker.registry import app, function, setup
    from longshore.worker.services import Record, service
    from longshore.worker.tasks_registry import elements_worker

__version__ = "0.1.0"

_HOMES = {
    "ActivityState": "longshore.corpus.process",
    "AsyncClient": "longshore.sdk",
    "AsyncWork": "longshore.sdk",
    "BaseWorker": "longshore.corpus.base",
    "BatchChunk": "longshore.sdk",
    "CachedElement": "longshore.corpus.cache",
    "ChunkData": "longshore.sdk",
    "Client": "longshore.sdk",
    "Dataset": "longshore.corpus.models",
    "DatasetWorker": "longshore.corpus.dataset_worker",
    "Document": "longshore.worker.documents",
    "Element": "longshore.corpus.models",
    "ElementsWorker": "longshore.corpus.elements_worker",
    "Field": "longshore.worker.documents",
    "InputFile": "longshore.worker.documents",
    "LeaseLost": "longshore.errors",
    "LongshoreError": "longshore.errors",
    "Page": "longshore.worker.documents",
    "Record": "longshore.worker.services",
    "RecordFailed": "longshore.sdk",
    "Reject": "longshore.errors",
    "RetryLater": "longshore.errors",
    "Set": "longshore.corpus.models",
    "Work": "longshore.sdk",
    "app": "longshore.worker.registry",
    "create_chunks": "longshore.sdk",
    "elements_worker": "longshore.worker.tasks_registry",
    "function": "longshore.worker.registry",
    "service": "longshore.worker.services",
    "setup": "longshore.worker.registry",
}

__all__ = [
    "ActivityState",
    "AsyncClient",
    "AsyncWork",
    "BaseWorker",
    "BatchChunk",
    "CachedElement",
    "ChunkData",
    "Client",
    "Dataset",
    "DatasetWorker",
    "Document",
    "Element",
    "ElementsWorker",
    "Field",
    "InputFile",
    "LeaseLost",
    "LongshoreError",
    "Page",
    "Record",
    "RecordFailed",
    "Reject",
    "RetryLater",
    "Set",
    "Work",
    "__version__",
    "app",
    "create_chunks",
    "elements_worker",
    "function",
    "service",
    "setup",
    "step",
    "webhooks",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name in {"step", "webhooks"}:
        return importlib.import_module(f"longshore.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'longshore' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value

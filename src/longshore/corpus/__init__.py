"""Workers of corpora: programs that go through elements or datasets, and what helps them.

    from longshore import ElementsWorker

    class Recognizer(ElementsWorker):
        def process_element(self, element):
            self.create_transcription(element, read(element.open_image()), confidence=0.9)

    if __name__ == "__main__":
        Recognizer(description="Reads text").run()

Commands, variables, files and exit codes are those of the published worker protocol, so that a
program runs wherever one of those workers does. The names here are loaded when first used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from longshore.errors import ConfigurationError

if TYPE_CHECKING:
    from longshore.corpus.base import BaseWorker, ExtrasDirNotFoundError
    from longshore.corpus.cache import CachedElement
    from longshore.corpus.client import ApiClient, ClientError, ErrorResponse, SchemaError
    from longshore.corpus.connecting import Access
    from longshore.corpus.dataset_worker import DatasetWorker
    from longshore.corpus.datasets import DatasetState, MissingDatasetArchive
    from longshore.corpus.elements_worker import ElementsWorker
    from longshore.corpus.metadata import MetaType
    from longshore.corpus.models import (
        Artifact,
        Dataset,
        DatasetSet,
        Element,
        Image,
        Set,
        Transcription,
    )
    from longshore.corpus.process import ActivityState, ProcessMode
    from longshore.corpus.training import TrainingMixin
    from longshore.corpus.transcriptions import TextOrientation

_HOMES = {
    "Access": "connecting",
    "ActivityState": "process",
    "ApiClient": "client",
    "Artifact": "models",
    "BaseWorker": "base",
    "CachedElement": "cache",
    "ClientError": "client",
    "Dataset": "models",
    "DatasetSet": "models",
    "DatasetState": "datasets",
    "DatasetWorker": "dataset_worker",
    "Element": "models",
    "ElementsWorker": "elements_worker",
    "ErrorResponse": "client",
    "ExtrasDirNotFoundError": "base",
    "Image": "models",
    "MetaType": "metadata",
    "MissingDatasetArchive": "datasets",
    "ProcessMode": "process",
    "SchemaError": "client",
    "Set": "models",
    "TextOrientation": "transcriptions",
    "TrainingMixin": "training",
    "Transcription": "models",
}

__all__ = [
    "Access",
    "ActivityState",
    "ApiClient",
    "Artifact",
    "BaseWorker",
    "CachedElement",
    "ClientError",
    "Dataset",
    "DatasetSet",
    "DatasetState",
    "DatasetWorker",
    "Element",
    "ElementsWorker",
    "ErrorResponse",
    "ExtrasDirNotFoundError",
    "Image",
    "MetaType",
    "MissingDatasetArchive",
    "ProcessMode",
    "SchemaError",
    "Set",
    "TextOrientation",
    "TrainingMixin",
    "Transcription",
]


class _ExtraMissing(ConfigurationError, ImportError):
    """Told in a line by commands, and caught as what Python raises for an import."""


_missing = [name for name in ("PIL", "zstandard") if importlib.util.find_spec(name) is None]
if _missing:
    raise _ExtraMissing(
        f"longshore.corpus needs {' and '.join(_missing)}, which are not installed here. Run "
        "pip install 'longshore[corpus]' and start again."
    )


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'longshore.corpus' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"longshore.corpus.{home}"), name)
    globals()[name] = value
    return value

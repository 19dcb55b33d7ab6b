"""Small helpers of workers: plurals, filters by source, batches; and the archives' functions."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, ParamSpec, TypeVar

from longshore.corpus import checks
from longshore.corpus.archives import (
    close_delete_file,
    create_tar_archive,
    create_tar_zst_archive,
    create_zip_archive,
    decompress_zst_archive,
    extract_tar_archive,
    extract_tar_zst_archive,
    zstd_compress,
)

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "MANUAL_SOURCE",
    "batch_publication",
    "close_delete_file",
    "create_tar_archive",
    "create_tar_zst_archive",
    "create_zip_archive",
    "decompress_zst_archive",
    "extract_tar_archive",
    "extract_tar_zst_archive",
    "make_batches",
    "parse_source_id",
    "pluralize",
    "zstd_compress",
]

logger = logging.getLogger("longshore.corpus")

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_BATCH_SIZE: Final = 50
"""How many results one request carries, unless a caller asks for another number."""

MANUAL_SOURCE: Final = "manual"
"""Word of a filter for what people made by hand, not a worker."""

_PLURALS: Final = {
    "child": "children",
    "class": "classes",
    "entity": "entities",
    "metadata": "metadata",
}


def pluralize(singular: str, count: int) -> str:
    """Return a noun as it is written after a number."""
    return singular if count == 1 else _PLURALS.get(singular, f"{singular}s")


def parse_source_id(value: str | None) -> bool | str | None:
    """Return what a filter by worker run wants: an id, False for "manual", None for nothing."""
    return False if value == MANUAL_SOURCE else value or None


def batch_publication(function: Callable[P, T]) -> Callable[P, T]:
    """Let a helper refuse a `batch_size` that is no int above 0, before anything is sent."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        checks.whole(bound.arguments.get("batch_size"), "batch_size", least=1)
        return function(*args, **kwargs)

    return wrapper


def make_batches(objects: Sequence[T], singular_name: str, batch_size: int) -> Iterator[list[T]]:
    """Cut a list into lists of at most `batch_size`, in order, and log each as it is taken."""
    count = len(objects)
    logger.info(
        "Creating batches of size %d to process %d %s",
        *(batch_size, count, pluralize(singular_name, count)),
    )
    for index, start in enumerate(range(0, count, batch_size), start=1):
        batch = list(objects[start : start + batch_size])
        noun = pluralize(singular_name, len(batch))
        logger.info("Processing batch %d containing %d %s...", index, len(batch), noun)
        yield batch

"""What the helpers of a worker know of the worker that they are mixed into."""

from __future__ import annotations

import functools
import logging
from argparse import ArgumentParser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from longshore.corpus.cache import CachedElement, CachedImage
from longshore.corpus.cache_records import IntegrityError, Record
from longshore.corpus.models import Element

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("longshore.corpus")

F = TypeVar("F", bound=Callable[..., Any])


class WorkerMixin:
    """Base of all helpers; the attributes are those of BaseWorker."""

    if TYPE_CHECKING:
        api_client: Any
        args: Any
        parser: ArgumentParser
        process_information: dict[str, Any] | None
        worker_run_id: str | None
        task_id: str | None
        model_version_id: Any
        work_dir: Path
        use_cache: bool
        classes: dict[str, str]
        corpus_types: dict[str, Any]
        entity_types: dict[str, str]

        @property
        def corpus_id(self) -> str:
            """Id of the corpus that is worked on."""

        @property
        def is_read_only(self) -> bool:
            """Whether nothing may be written."""

        def add_arguments(self) -> None:
            """Declare the arguments of the command line."""

    def may_write(self, what: str) -> bool:
        """Say whether something may be written; where not, warn that it is left out."""
        if self.is_read_only:
            logger.warning("Cannot %s as this worker is in read-only mode", what)
            return False
        return True

    def keep_in_cache(
        self, model: type[Record], rows: Callable[[], list[dict[str, Any]]], what: str
    ) -> None:
        """Write what the API has accepted into the cache, too, where there is one.

        The API is what counts: rows that do not fit into the cache are only warned of.

        Args:
            model: class of the rows.
            rows: makes the rows; called only where there is a cache.
            what: words for the warning.
        """
        if not self.use_cache:
            return
        try:
            model.insert_many(rows()).execute()
        except IntegrityError as error:
            logger.warning("Couldn't save %s in local cache: %s", what, error)


def cached_image_id(element: Element | CachedElement) -> Any:
    """Return the id of an element's image, which is put into the cache if it is not there."""
    if isinstance(element, CachedElement):
        return element.image_id
    image = element.zone.image
    CachedImage.get_or_create(
        id=image.id, defaults={"width": image.width, "height": image.height, "url": image.url}
    )
    return image.id


def skip_if_read_only(method: F) -> F:
    """Let a method do nothing but warn, and return None, in read-only mode."""

    @functools.wraps(method)
    def wrapper(self: WorkerMixin, *args: Any, **kwargs: Any) -> Any:
        if not self.may_write(method.__name__.replace("_", " ")):
            return None
        return method(self, *args, **kwargs)

    return cast("F", wrapper)

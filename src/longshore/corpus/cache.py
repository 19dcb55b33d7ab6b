"""The cache that tasks hand to each other: an SQLite file, layout version 3.

A task that has one reads elements and transcriptions from it instead of asking the API, and keeps
what it writes to the API in it, for the tasks after it. The layout is that of the published worker
library 0.4.0, down to the statements that made the tables, so that either reads what the other
wrote: ids are 32 hexadecimal digits, booleans 0 and 1, lists and dictionaries JSON.
"""

from __future__ import annotations

import functools
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

from PIL import Image

from longshore.corpus.cache_database import db
from longshore.corpus.cache_fields import BooleanField, Field, JSONField, UUIDField
from longshore.corpus.cache_records import IntegrityError, Record, Select
from longshore.corpus.cache_schema import TABLES, VERSION_TABLE
from longshore.corpus.checks import check
from longshore.corpus.image import open_image, polygon_bounding_box
from longshore.corpus.polygons import ImageHolder

__all__ = [
    "MODELS",
    "SQL_VERSION",
    "CachedClassification",
    "CachedDataset",
    "CachedDatasetElement",
    "CachedElement",
    "CachedEntity",
    "CachedImage",
    "CachedTranscription",
    "CachedTranscriptionEntity",
    "IntegrityError",
    "Version",
    "check_version",
    "create_tables",
    "create_version_table",
    "db",
    "init_cache_db",
    "merge_parents_cache",
    "unsupported_cache",
]

logger = logging.getLogger("longshore.corpus")

P = ParamSpec("P")
T = TypeVar("T")

SQL_VERSION: Final = 3
"""Version of the layout; a file of another version is refused."""


class Version(Record):
    """The one row that says which layout the file has."""

    table = "version"
    version: Field[int] = Field(primary_key=True)


class CachedImage(Record):
    """An image; size in pixels, `url` of its IIIF server."""

    table = "images"
    id = UUIDField(primary_key=True)
    width: Field[int] = Field()
    height: Field[int] = Field()
    url: Field[str] = Field()

    @property
    def elements(self) -> Select[CachedElement]:
        """The elements on the image."""
        return CachedElement.select().where(CachedElement.image_id == self.id)


class CachedElement(Record, ImageHolder):
    """An element; `initial` marks those that the process was started on."""

    table = "elements"
    id = UUIDField(primary_key=True)
    parent_id = UUIDField(null=True)
    type: Field[str] = Field()
    image_id = UUIDField(null=True)
    polygon = JSONField(null=True)
    rotation_angle: Field[int] = Field(default=0)
    mirrored = BooleanField(default=False)
    initial = BooleanField(default=False)
    worker_version_id = UUIDField(null=True)
    worker_run_id = UUIDField(null=True)
    confidence: Field[float | None] = Field(null=True)

    @property
    def image(self) -> CachedImage | None:
        """The image that the element is on."""
        return None if self.image_id is None else CachedImage.get_by_id(self.image_id)

    @property
    def transcriptions(self) -> Select[CachedTranscription]:
        """The transcriptions of the element."""
        return CachedTranscription.select().where(CachedTranscription.element_id == self.id)

    @property
    def classifications(self) -> Select[CachedClassification]:
        """The classifications of the element."""
        return CachedClassification.select().where(CachedClassification.element_id == self.id)

    def open_image(
        self,
        *args: Any,
        max_width: int | None = None,
        max_height: int | None = None,
        **kwargs: Any,
    ) -> Image.Image:
        """Open the box around the element's polygon, turned and mirrored as the element says.

        Limits only shrink elements that fill their image; the box of another comes in full size.
        Tiles are not supported: use an `Element` of the API for images that need them.

        Args:
            args: mode of Pillow; passed to `longshore.corpus.image.open_image`.
            max_width: greatest width in pixels; with both limits the image is stretched to them.
            max_height: greatest height in pixels.
            kwargs: passed to `longshore.corpus.image.open_image`.

        Raises:
            ValueError: the element has no image or no polygon.
            httpx.HTTPError: the image cannot be downloaded.
        """
        image = self.image
        if image is None or not self.polygon:
            raise ValueError(f"Element {self.id} has no image.")
        box = polygon_bounding_box(self.polygon)
        region = size = "full"
        if (box.width, box.height) != (image.width, image.height):
            region = f"{box.x},{box.y},{box.width},{box.height}"
        elif (max_width is not None and image.width > max_width) or (
            max_height is not None and image.height > max_height
        ):
            size = f"{max_width or ''},{max_height or ''}"
        kwargs = {"rotation_angle": self.rotation_angle, "mirrored": self.mirrored, **kwargs}
        return open_image(f"{image.url.rstrip('/')}/{region}/{size}/0/default.jpg", *args, **kwargs)


class CachedTranscription(Record):
    """Text on an element."""

    table = "transcriptions"
    id = UUIDField(primary_key=True)
    element_id = UUIDField()
    text: Field[str] = Field()
    confidence: Field[float | None] = Field(null=True)
    orientation: Field[str] = Field()
    worker_version_id = UUIDField(null=True)
    worker_run_id = UUIDField(null=True)

    @property
    def element(self) -> CachedElement:
        """The element that the text is on."""
        return CachedElement.get_by_id(self.element_id)


class CachedClassification(Record):
    """A class given to an element."""

    table = "classifications"
    id = UUIDField(primary_key=True)
    element_id = UUIDField()
    class_name: Field[str] = Field()
    confidence: Field[float] = Field()
    state: Field[str] = Field()
    worker_run_id = UUIDField(null=True)

    @property
    def element(self) -> CachedElement:
        """The element that has the class."""
        return CachedElement.get_by_id(self.element_id)


class CachedEntity(Record):
    """A named entity of the corpus."""

    table = "entities"
    id = UUIDField(primary_key=True)
    type: Field[str] = Field()
    name: Field[str] = Field()
    validated = BooleanField(default=False)
    metas = JSONField(null=True)
    worker_run_id = UUIDField(null=True)


class CachedTranscriptionEntity(Record):
    """Where an entity stands in a text; offset and length in characters."""

    table = "transcription_entities"
    transcription_id = UUIDField(primary_key=True)
    entity_id = UUIDField(primary_key=True)
    offset: Field[int] = Field()
    length: Field[int] = Field()
    worker_run_id = UUIDField(null=True)
    confidence: Field[float | None] = Field(null=True)


class CachedDataset(Record):
    """A dataset; `sets` are the names of its sets, with commas in between."""

    table = "datasets"
    id = UUIDField(primary_key=True)
    name: Field[str] = Field()
    state: Field[str] = Field(default="open")
    sets: Field[str] = Field()


class CachedDatasetElement(Record):
    """An element in a set of a dataset."""

    table = "dataset_elements"
    id = UUIDField(primary_key=True)
    element_id = UUIDField()
    dataset_id = UUIDField()
    set_name: Field[str] = Field()


MODELS: Final[tuple[type[Record], ...]] = (
    CachedImage,
    CachedElement,
    CachedTranscription,
    CachedClassification,
    CachedEntity,
    CachedTranscriptionEntity,
    CachedDataset,
    CachedDatasetElement,
)
"""The tables in the order in which they are merged: what others refer to comes first."""


def init_cache_db(path: str | Path) -> None:
    """Open the cache of this process, and make its file where there is none.

    Raises:
        sqlite3.OperationalError: the directory does not exist, or the file cannot be opened.
    """
    db.init(path)
    db.connect()
    logger.info("Connected to cache on %s", path)


def create_tables() -> None:
    """Make the tables that are missing in the open cache."""
    with db.atomic():
        for statement in TABLES:
            db.execute(statement)


def create_version_table() -> None:
    """Write the version of the layout into the open cache; a file that has it already is kept."""
    with db.atomic():
        db.execute(VERSION_TABLE)
        db.execute('INSERT OR IGNORE INTO "version" ("version") VALUES (?)', [SQL_VERSION])


def check_version(cache_path: str | Path) -> None:
    """Check that a file has the layout that is written here.

    Raises:
        AssertionError: it has another, or is no cache at all.
    """
    version = None
    with closing(_opened(cache_path)) as connection:
        try:
            row = connection.execute('SELECT "version" FROM "version"').fetchone()
        except sqlite3.DatabaseError:
            row = None
        version = row[0] if row else None
    check(
        version == SQL_VERSION,
        f"The cache {cache_path} must have layout version {SQL_VERSION}, and has {version}: "
        "it was written by another version of the worker library.",
    )


def merge_parents_cache(paths: Sequence[str | Path], current_database: str | Path) -> None:
    """Copy all rows of the caches of parent tasks into a cache; later files win.

    Args:
        paths: the parents' files; they are not changed.
        current_database: the file to copy into; it has its tables already.

    Raises:
        AssertionError: a file has another version, or the file to copy into does not exist.
    """
    check(Path(current_database).exists(), f"there is no cache at {current_database}")
    if not paths:
        logger.info("No parents cache to use")
        return
    with closing(sqlite3.connect(current_database, isolation_level=None)) as connection:
        for path in paths:
            check_version(path)
            logger.info("Merging parent db %s into %s", path, current_database)
            connection.execute("ATTACH DATABASE ? AS parent", [str(path)])
            try:
                _merge(connection)
            finally:
                connection.execute("DETACH DATABASE parent")


def _merge(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT name FROM parent.sqlite_master WHERE type = 'table'")
    there = {name for (name,) in rows.fetchall()}
    connection.execute("BEGIN IMMEDIATE")
    try:
        for model in MODELS:
            if model.table in there:
                names = ", ".join(f'"{name}"' for name in model.fields)
                connection.execute(
                    f'REPLACE INTO main."{model.table}" ({names}) '  # noqa: S608 - names of fields
                    f'SELECT {names} FROM parent."{model.table}"'
                )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def unsupported_cache(function: Callable[P, T]) -> Callable[P, T]:
    """Let a helper of a worker say that what it wrote is not in the cache, where there is one."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        result = function(*args, **kwargs)
        if cast("Any", args[0]).use_cache:
            logger.warning("`%s` did not update the cache", function.__name__)
        return result

    return wrapper


def _opened(path: str | Path) -> sqlite3.Connection:
    """Open a file that must exist, so that a wrong name does not make an empty cache."""
    check(Path(path).exists(), f"there is no cache at {path}")
    return sqlite3.connect(path)


def recursive_transcriptions(
    element_id: Any, element_type: str | None
) -> Select[CachedTranscription]:
    """Return a query for the transcriptions of an element and of all that is below it."""
    columns = ", ".join(f't."{name}"' for name in CachedTranscription.fields)
    typed = "WHERE below.type = ?" if element_type else ""
    source = (
        "(WITH RECURSIVE below (id, type) AS ("  # noqa: S608 - names of fields
        "SELECT id, type FROM elements WHERE id = ? "
        "UNION SELECT child.id, child.type FROM elements child JOIN below ON child.parent_id = below.id"
        f") SELECT {columns} FROM transcriptions t JOIN below ON t.element_id = below.id {typed})"
    )
    values = [CachedElement.id.stored(element_id), *([element_type] if element_type else [])]
    return Select(CachedTranscription, source=source, values=values)

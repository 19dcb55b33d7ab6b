"""The SQLite database in the archive of a dataset: the cache of elements, in its version 3.

It is what workers hand to each other as `db.sqlite`, so that programs which read that cache read
this too. Ids are 32 hexadecimal digits without dashes; `initial` marks the elements of the
dataset itself, as against those below them. Copies are made by position: the order of columns
matters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row

from longshore.surfaces.corpus.gathering import Piece

VERSION: Final = 3
_SCHEMA: Final = """
CREATE TABLE "version" ("version" INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE "images" (
    "id" TEXT NOT NULL PRIMARY KEY, "width" INTEGER NOT NULL, "height" INTEGER NOT NULL,
    "url" TEXT NOT NULL);
CREATE TABLE "elements" (
    "id" TEXT NOT NULL PRIMARY KEY, "parent_id" TEXT, "type" VARCHAR(50) NOT NULL, "image_id" TEXT,
    "polygon" text, "rotation_angle" INTEGER NOT NULL, "mirrored" INTEGER NOT NULL,
    "initial" INTEGER NOT NULL, "worker_version_id" TEXT, "worker_run_id" TEXT, "confidence" REAL,
    FOREIGN KEY ("image_id") REFERENCES "images" ("id"));
CREATE INDEX "cachedelement_image_id" ON "elements" ("image_id");
CREATE TABLE "transcriptions" (
    "id" TEXT NOT NULL PRIMARY KEY, "element_id" TEXT NOT NULL, "text" TEXT NOT NULL,
    "confidence" REAL, "orientation" VARCHAR(50) NOT NULL, "worker_version_id" TEXT,
    "worker_run_id" TEXT, FOREIGN KEY ("element_id") REFERENCES "elements" ("id"));
CREATE INDEX "cachedtranscription_element_id" ON "transcriptions" ("element_id");
CREATE TABLE "classifications" (
    "id" TEXT NOT NULL PRIMARY KEY, "element_id" TEXT NOT NULL, "class_name" TEXT NOT NULL,
    "confidence" REAL NOT NULL, "state" VARCHAR(10) NOT NULL, "worker_run_id" TEXT,
    FOREIGN KEY ("element_id") REFERENCES "elements" ("id"));
CREATE INDEX "cachedclassification_element_id" ON "classifications" ("element_id");
CREATE TABLE "entities" (
    "id" TEXT NOT NULL PRIMARY KEY, "type" VARCHAR(50) NOT NULL, "name" TEXT NOT NULL,
    "validated" INTEGER NOT NULL, "metas" text, "worker_run_id" TEXT);
CREATE TABLE "transcription_entities" (
    "transcription_id" TEXT NOT NULL, "entity_id" TEXT NOT NULL,
    "offset" INTEGER NOT NULL CHECK (offset >= 0), "length" INTEGER NOT NULL CHECK (length > 0),
    "worker_run_id" TEXT, "confidence" REAL, PRIMARY KEY ("transcription_id", "entity_id"),
    FOREIGN KEY ("transcription_id") REFERENCES "transcriptions" ("id"),
    FOREIGN KEY ("entity_id") REFERENCES "entities" ("id"));
CREATE INDEX "cachedtranscriptionentity_transcription_id"
    ON "transcription_entities" ("transcription_id");
CREATE INDEX "cachedtranscriptionentity_entity_id" ON "transcription_entities" ("entity_id");
CREATE TABLE "datasets" (
    "id" TEXT NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL,
    "state" VARCHAR(255) NOT NULL DEFAULT 'open', "sets" TEXT NOT NULL);
CREATE TABLE "dataset_elements" (
    "id" TEXT NOT NULL PRIMARY KEY, "element_id" TEXT NOT NULL, "dataset_id" TEXT NOT NULL,
    "set_name" VARCHAR(255) NOT NULL, FOREIGN KEY ("element_id") REFERENCES "elements" ("id"),
    FOREIGN KEY ("dataset_id") REFERENCES "datasets" ("id"));
CREATE INDEX "cacheddatasetelement_element_id" ON "dataset_elements" ("element_id");
CREATE INDEX "cacheddatasetelement_dataset_id" ON "dataset_elements" ("dataset_id");
"""
_ORPHANS: Final = (
    "DELETE FROM dataset_elements WHERE element_id NOT IN (SELECT id FROM elements)",
    "UPDATE elements SET initial = id IN (SELECT element_id FROM dataset_elements)",
    "UPDATE elements SET parent_id = NULL WHERE parent_id NOT IN (SELECT id FROM elements)",
)


class CacheDatabase:
    """A cache that is being written; use it in one thread at a time, then `finish` it."""

    def __init__(self, path: Path, site: str) -> None:
        """Make the file.

        Args:
            path: a file that is not there yet.
            site: scheme and host of this server, for the addresses of images.
        """
        self._site = site
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}"
        )
        self._connection.execute("INSERT INTO version VALUES (?)", (VERSION,))
        self._connection.execute("BEGIN")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def add_dataset(self, dataset_id: str, name: str, sets: Sequence[str]) -> None:
        """Write the dataset, as it is once this archive is there: complete."""
        self._insert("datasets", [(_hex(dataset_id), name, "complete", ",".join(sets))])

    def add_members(self, dataset_id: str, rows: Sequence[Row[Any]]) -> None:
        """Write which element is in which set."""
        self._insert(
            "dataset_elements",
            ((_hex(row.id), _hex(row.element_id), _hex(dataset_id), row.set_name) for row in rows),
        )

    def add(self, piece: Piece) -> None:
        """Write elements with what the cache holds of them."""
        self._insert(
            "images",
            (
                (_hex(image.id), image.width, image.height, image.address(self._site))
                for image in piece.images
            ),
        )
        parents: dict[str, str] = {}
        for path in piece.paths:
            parents.setdefault(path.child_id, path.parent_id)
        self._insert(
            "elements",
            (
                (_hex(row.id), _hex(parents.get(row.id)), row.type, _hex(row.image_id), row.polygon,
                 row.rotation_angle, int(row.mirrored), 0, None, _hex(row.worker_run_id),
                 row.confidence)
                for row in piece.elements
            ),
        )  # fmt: skip
        self._insert(
            "transcriptions",
            (
                (_hex(row.id), _hex(row.element_id), row.text, row.confidence, row.orientation, None,
                 _hex(row.worker_run_id))
                for row in piece.transcriptions
            ),
        )  # fmt: skip
        self._insert(
            "classifications",
            (
                (_hex(row.id), _hex(row.element_id), row.class_name, row.confidence, row.state,
                 _hex(row.worker_run_id))
                for row in piece.classifications
            ),
        )  # fmt: skip
        self._add_spans(piece)

    def finish(self) -> dict[str, int]:
        """Put elements and sets in accord, and close; return the rows of tables."""
        with closing(self._connection):
            for statement in _ORPHANS:
                self._connection.execute(statement)
            self._connection.execute("COMMIT")
            return {
                table: self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
                for table in ("elements", "dataset_elements", "transcriptions")
            }

    def _add_spans(self, piece: Piece) -> None:
        texts = {row.id: row.text for row in piece.transcriptions}
        entities, links = [], []
        for row in piece.spans:
            # The cache knows named entities only; a typed span is one named by its text.
            name = row.entity_name
            if row.entity_id is None:
                name = texts[row.transcription_id][row.offset : row.offset + row.length]
            entity_id = _hex(row.entity_id or row.id)
            origin = row.entity_worker_run_id if row.entity_id else row.worker_run_id
            validated = int(bool(row.entity_validated))
            entities.append((entity_id, row.type, name, validated, row.entity_metas, _hex(origin)))
            links.append(
                (_hex(row.transcription_id), entity_id, row.offset, row.length,
                 _hex(row.worker_run_id), row.confidence)
            )  # fmt: skip
        self._insert("entities", entities)
        self._insert("transcription_entities", links)

    def _insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        columns = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        marks = ", ".join("?" * len(columns))
        # An image is met with each piece that has an element on it.
        self._connection.executemany(
            f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608 - our own names
            rows,
        )


def _hex(identifier: str | None) -> str | None:
    """Return a UUID as the cache has it, or None for none."""
    return identifier.replace("-", "") if identifier else None

"""Corpora in this process, over HTTP, as the admin of an organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from longshore import ids
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus.tables import (
    corpora,
    corpus_elements,
    corpus_images,
    corpus_paths,
    corpus_types,
)
from tests.unit.serving import Served, serving


@dataclass
class Corpora:
    """A server and its clock; what a test needs first is written straight into the tables."""

    served: Served
    clock: ManualClock

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    async def call(
        self, method: str, path: str, *, expect: int = 200, body: Any = None, **more: Any
    ) -> Any:
        """Call a path below /api/v1 (or any other that begins with /longshore or /iiif)."""
        address = path if path.startswith(("/longshore", "/iiif")) else f"/api/v1{path}"
        answer = await self.client.request(method, address, json=body, **more)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    def corpus(self, name: str = "letters", *, organisation_id: str | None = None) -> str:
        """Make a corpus with the types "folder", "page" and "text_line"; return its id."""
        corpus_id, at_us = ids.uuid(), self.clock.now_us()
        organisation = organisation_id or self.served.organisation.id
        self._insert(
            corpora,
            ("id", "organisation_id", "name", "description", "created_us"),
            [(corpus_id, organisation, name, "", at_us)],
        )
        rows = [
            (ids.uuid(), corpus_id, slug, slug.capitalize(), slug == "folder")
            for slug in ("folder", "page", "text_line")
        ]
        self._insert(corpus_types, ("id", "corpus_id", "slug", "display_name", "folder"), rows)
        return corpus_id

    def image(self, width: int = 1000, height: int = 800) -> str:
        """Make an image without bytes; return its id."""
        image_id = ids.uuid()
        names = (
            "id", "organisation_id", "external_url", "secret", "name", "format", "width", "height",
            "created_us",
        )  # fmt: skip
        url = f"https://images.example/iiif/{image_id}"
        organisation = self.served.organisation.id
        row = (image_id, organisation, url, "secret", "scan", "jpg", width, height, 0)
        self._insert(corpus_images, names, [row])
        return image_id

    def elements(
        self,
        corpus_id: str,
        names: Sequence[str],
        *,
        kind: str = "page",
        parent: str | None = None,
        image_id: str | None = None,
        polygon: str = "[[0,0],[100,0],[100,100],[0,100],[0,0]]",
    ) -> list[str]:
        """Make elements of a type; return their ids."""
        type_id = self.database.read_blocking(_type_of, corpus_id, kind)
        at_us = self.clock.now_us()
        made = [ids.uuid() for _ in names]
        columns = (
            "id", "corpus_id", "type_id", "name", "image_id", "polygon", "rotation_angle",
            "mirrored", "worker_run_id", "creator", "created_us", "updated_us",
        )  # fmt: skip
        zone = polygon if image_id is not None else None
        self._insert(
            corpus_elements,
            columns,
            [
                (each, corpus_id, type_id, name, image_id, zone, 0, False, "", "me", at_us, at_us)
                for each, name in zip(made, names, strict=True)
            ],
        )
        if parent is not None:
            paths = [(parent, child, place) for place, child in enumerate(made)]
            self._insert(corpus_paths, ("parent_id", "child_id", "position"), paths)
        return made

    def _insert(self, table: Any, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        self.database.write_blocking(insert_rows, table, columns, rows)


def _type_of(connection: Any, corpus_id: str, slug: str) -> str:
    chosen = (corpus_types.c.corpus_id == corpus_id) & (corpus_types.c.slug == slug)
    return str(connection.execute(corpus_types.select().where(chosen)).one().id)


@asynccontextmanager
async def corpora_of(
    database: Database, clock: ManualClock, directory: Path
) -> AsyncIterator[Corpora]:
    """Serve corpora over a database."""
    async with serving(database, directory) as served:
        yield Corpora(served, clock)


__all__ = ["Corpora", "corpora_of"]

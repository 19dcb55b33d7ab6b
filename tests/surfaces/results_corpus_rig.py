"""A corpus with pages, a process with worker runs, and refusals, for the tests of results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, select

from longshore import ids
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus.tables import (
    corpus_processes,
    corpus_tasks,
    corpus_worker_runs,
    corpus_worker_versions,
    corpus_workers,
)
from tests.surfaces.corpus_rig import Corpora

UNKNOWN = "018f0000-0000-7000-8000-000000000000"


@dataclass
class Results:
    """A corpus with a folder of three pages, and a worker run for them."""

    corpora: Corpora
    corpus: str
    folder: str
    pages: list[str]
    run: str
    version: str

    async def call(self, method: str, path: str, **more: Any) -> Any:
        return await self.corpora.call(method, path, **more)

    async def make(self, path: str, body: Any, **more: Any) -> Any:
        return await self.call("POST", path, body=body, expect=201, **more)

    async def refused(
        self, path: str, body: Any, *, names: list[Any] | None, tables: list[Table]
    ) -> Any:
        """Post what is refused with 400; it names the field, and no row is added."""
        before = [self.count(table) for table in tables]
        answer = await self.call("POST", path, body=body, expect=400)
        assert answer["type"] == "validation_error"
        assert answer["errors"][0]["attr"] == names, json.dumps(answer)
        assert [self.count(table) for table in tables] == before
        return answer

    def count(self, table: Table) -> int:
        query = select(func.count()).select_from(table)
        found = self.corpora.database.read_blocking(lambda connection: connection.scalar(query))
        assert isinstance(found, int)
        return found

    def rows(self, table: Table) -> list[dict[str, Any]]:
        query = select(table).order_by(table.c.id)
        return self.corpora.database.read_blocking(
            lambda connection: [dict(row._mapping) for row in connection.execute(query)]
        )

    def add(self, table: Table, **values: Any) -> None:
        names = tuple(values)
        self.corpora.database.write_blocking(
            insert_rows, table, names, [tuple(values[name] for name in names)]
        )


def results_of(corpora: Corpora) -> Results:
    corpus = corpora.corpus()
    folder = corpora.elements(corpus, ["box 1"], kind="folder")[0]
    image = corpora.image()
    pages = corpora.elements(corpus, ["p1", "p2", "p3"], parent=folder, image_id=image)
    run, version = worker_run(corpora, corpus)
    return Results(corpora, corpus, folder, pages, run, version)


def worker_run(
    corpora: Corpora, corpus: str, *, organisation_id: str | None = None, work_id: str | None = None
) -> tuple[str, str]:
    """Make a worker, a process with one run of it, and a task; return the run and the version."""
    organisation = organisation_id or corpora.served.organisation.id
    worker, version, process, run = (ids.uuid() for _ in range(4))
    made = (
        (corpus_workers, {
            "id": worker, "organisation_id": organisation, "slug": worker, "name": "reader",
            "type": "recognizer", "description": "", "created_us": 0,
        }),
        (corpus_worker_versions, {
            "id": version, "worker_id": worker, "organisation_id": organisation, "version": "1",
            "kind": "elements", "configuration": "{}", "created_us": 0,
            "queue_id": int(version.replace("-", "")[-12:], 16),
        }),
        (corpus_processes, {
            "id": process, "organisation_id": organisation, "corpus_id": corpus, "name": "read",
            "mode": "workers", "creator": "me", "chunks": 1, "activity": True, "queued": False,
            "use_cache": False, "activity_timeout_s": 3600.0, "selection": "{}", "created_us": 0,
        }),
        (corpus_worker_runs, {
            "id": run, "process_id": process, "worker_version_id": version, "run_key": version,
            "parents": "[]", "summary": "reader 1", "position": 0,
        }),
        (corpus_tasks, {
            "id": ids.uuid(), "organisation_id": organisation, "process_id": process,
            "worker_run_id": run, "work_id": work_id, "slug": "reader", "parents": "[]",
            "created_us": 0,
        }),
    )  # fmt: skip
    for table, values in made:
        names = tuple(values)
        corpora.database.write_blocking(insert_rows, table, names, [tuple(values.values())])
    return run, version

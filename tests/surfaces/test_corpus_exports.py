"""Exports: asked for, written, found and downloaded as both published clients do it."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from longshore import ids, limits
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.engine import artifacts as blobs
from longshore.engine import works
from longshore.storage import Database
from longshore.surfaces.corpus import exports, links
from longshore.surfaces.corpus.tables import (
    corpus_classes,
    corpus_classifications,
    corpus_elements,
    corpus_embeddings,
    corpus_entities,
    corpus_entity_types,
    corpus_metadata,
    corpus_transcription_entities,
    corpus_transcriptions,
    corpus_worker_configurations,
    corpus_worker_runs,
    corpus_worker_versions,
    corpus_workers,
)
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.corpus_tasks_rig import bearer, claim_jobs, run_job, run_jobs, run_task


@dataclass
class Rig:
    """A corpus with a folder, two pages and a line, and all kinds of results on the line."""

    corpora: Corpora
    clock: ManualClock
    directory: Path
    corpus_id: str
    folder: str = ""
    pages: list[str] = field(default_factory=list)
    line: str = ""
    image_id: str = ""
    run_id: str = ""

    @property
    def path(self) -> str:
        return f"/corpus/{self.corpus_id}/export/"

    async def start(self, *, expect: int = 201, headers: Any = None, **body: Any) -> Any:
        return await self.corpora.call(
            "POST", self.path, body=body, expect=expect, headers=headers or {}
        )

    async def listed(self, **query: Any) -> list[dict[str, Any]]:
        page = await self.corpora.call("GET", self.path, params=query)
        assert page["count"] == len(page["results"])
        return list(page["results"])

    async def done(self, **body: Any) -> str:
        """Start an export and write it; return its id."""
        made = await self.start(**body)
        assert await run_jobs(self.corpora) == [works.Outcome.SUCCESS]
        return str(made["id"])

    async def location(self, export_id: str, **more: Any) -> str:
        got = await self.corpora.client.get(f"/api/v1/export/{export_id}/", **more)
        assert got.status_code == 302, got.text
        return str(got.headers["location"])

    async def database(self, export_id: str) -> sqlite3.Connection:
        """Download an export without a key, and open it."""
        got = await self.corpora.client.get(
            await self.location(export_id), headers={"Authorization": ""}
        )
        assert got.status_code == 200, got.text
        path = self.directory / f"{ids.uuid()}.sqlite"
        path.write_bytes(got.content)
        return sqlite3.connect(path)

    async def dataset(self, *elements: str) -> str:
        body: dict[str, Any] = {"name": ids.uuid(), "set_names": ["train"]}
        path = f"/corpus/{self.corpus_id}/datasets/"
        made = await self.corpora.call("POST", path, body=body, expect=201)
        body = {"set": "train", "element_ids": elements}
        path = f"/datasets/{made['id']}/elements/bulk/"
        await self.corpora.call("POST", path, body=body, expect=201)
        return str(made["id"])


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Rig]:
    async with corpora_of(database, clock, tmp_path) as corpora:
        made = Rig(corpora, clock, tmp_path, corpora.corpus())
        made.image_id = corpora.image()
        [made.folder] = corpora.elements(made.corpus_id, ["folder"], kind="folder")
        made.pages = corpora.elements(
            made.corpus_id, ["a", "b"], parent=made.folder, image_id=made.image_id
        )
        [made.line] = corpora.elements(
            made.corpus_id, ["line"], kind="text_line", parent=made.pages[0]
        )
        database.write_blocking(_found, made)
        other = corpora.corpus("another")
        corpora.elements(other, ["not in it"])
        yield made


def _found(connection: Connection, rig: Rig) -> None:
    """Put results on the line, stamped with a worker run."""
    organisation_id = rig.corpora.served.organisation.id
    worker_id, version_id, configuration_id = ids.uuid(), ids.uuid(), ids.uuid()
    rig.run_id = ids.uuid()

    def put(table: Any, **values: Any) -> str:
        row_id = values.setdefault("id", ids.uuid())
        connection.execute(table.insert().values(**values))
        return str(row_id)

    put(
        corpus_workers, id=worker_id, organisation_id=organisation_id, slug="reader",
        name="Reader", type="recognizer", description="", created_us=0,
    )  # fmt: skip
    put(
        corpus_worker_versions, id=version_id, worker_id=worker_id, version="1.2", kind="elements",
        organisation_id=organisation_id, configuration="{}", queue_id=4711, created_us=0,
    )  # fmt: skip
    put(
        corpus_worker_configurations, id=configuration_id, worker_id=worker_id, name="fast",
        configuration='{"a": 1}', digest="x", created_us=0,
    )  # fmt: skip
    put(
        corpus_worker_runs, id=rig.run_id, process_id=ids.uuid(), worker_version_id=version_id,
        configuration_id=configuration_id, run_key="x", parents="[]", summary="", position=0,
    )  # fmt: skip
    common = {"element_id": rig.line, "worker_run_id": rig.run_id, "created_us": 0}
    class_id = put(corpus_classes, corpus_id=rig.corpus_id, name="letter")
    put(
        corpus_classifications, class_id=class_id, confidence=0.5, high_confidence=True,
        state="pending", **common,
    )  # fmt: skip
    text_id = put(
        corpus_transcriptions, text="Anna ☃", confidence=0.25, orientation="vertical-rl", **common
    )
    type_id = put(corpus_entity_types, corpus_id=rig.corpus_id, name="person", color="00ff00")
    entity_id = put(
        corpus_entities, corpus_id=rig.corpus_id, type_id=type_id, name="Anna", metas='{"b": 2}',
        validated=False, worker_run_id="", created_us=0,
    )  # fmt: skip
    put(
        corpus_transcription_entities, transcription_id=text_id, type_id=type_id, offset=0, length=4,
        entity_id=entity_id, confidence=None, worker_run_id="", created_us=0,
    )  # fmt: skip
    put(corpus_metadata, type="text", name="n", value="v", **common)
    put(corpus_embeddings, value=struct.pack("<2f", 0.1, -2.0), **common)


async def test_an_export_is_written_by_the_server_and_then_done(rig: Rig) -> None:
    made = await rig.start()
    assert (made["state"], made["corpus_id"], made["dataset_id"]) == (
        "created",
        rig.corpus_id,
        None,
    )
    assert await rig.listed() == [made]
    refused = await rig.corpora.client.get(f"/api/v1/export/{made['id']}/")
    assert refused.status_code == 409
    assert await run_jobs(rig.corpora) == [works.Outcome.SUCCESS]
    [listed] = await rig.listed()
    assert (listed["id"], listed["state"]) == (made["id"], "done")
    assert listed["size"] > 0
    assert listed["created"] == made["created"]


async def test_the_file_is_at_an_absolute_address_that_needs_no_key_for_a_while(rig: Rig) -> None:
    export_id = await rig.done()
    address = await rig.location(export_id, headers=bearer(rig.corpora.served.token(Role.VIEWER)))
    assert address.startswith("http://test/api/v1/downloads/")
    got = await rig.corpora.client.get(address, headers={"Authorization": ""})
    assert got.content.startswith(b"SQLite format 3\0")
    assert got.headers["content-type"] == "application/vnd.sqlite3"
    part = await rig.corpora.client.get(
        address, headers={"Authorization": "", "Range": "bytes=0-5"}
    )
    assert (part.status_code, part.content) == (206, b"SQLite")
    rig.clock.advance(limits.DOWNLOAD_LINK_S + 1)
    assert (await rig.corpora.client.get(address)).status_code == 404
    assert rig.corpora.database.write_blocking(links.expire) == 1


async def test_an_export_has_elements_with_their_places_and_parents(rig: Rig) -> None:
    made = await rig.database(await rig.done())
    assert made.execute("SELECT version FROM export_version").fetchall() == [(11,)]
    found = made.execute("SELECT id, name, type, image_id FROM element ORDER BY name").fetchall()
    assert found == [
        (rig.pages[0], "a", "page", rig.image_id),
        (rig.pages[1], "b", "page", rig.image_id),
        (rig.folder, "folder", "folder", None),
        (rig.line, "line", "text_line", None),
    ]
    [polygon] = made.execute("SELECT DISTINCT polygon FROM element WHERE polygon > ''").fetchall()
    assert json.loads(polygon[0])[2] == [100, 100]
    paths = made.execute(
        "SELECT parent_id, child_id, ordering FROM element_path ORDER BY parent_id, ordering"
    ).fetchall()
    assert set(paths) == {
        (rig.folder, rig.pages[0], 0),
        (rig.folder, rig.pages[1], 1),
        (rig.pages[0], rig.line, 0),
    }
    [(url, width, height)] = made.execute("SELECT url, width, height FROM image").fetchall()
    assert (url, width, height) == (f"https://images.example/iiif/{rig.image_id}", 1000, 800)
    assert made.execute("SELECT url FROM image_server").fetchall() == [
        ("https://images.example/iiif",)
    ]
    [(created,)] = made.execute("SELECT created FROM element WHERE name = 'a'").fetchall()
    assert created == 1_700_000_000.0


async def test_an_export_has_all_that_was_found_with_the_worker_run_that_found_it(
    rig: Rig,
) -> None:
    made = await rig.database(await rig.done())
    line, run = rig.line, rig.run_id

    def rows(columns: str, table: str) -> list[Any]:
        return made.execute(f"SELECT {columns} FROM {table}").fetchall()

    assert rows("element_id, class_name, state, confidence, high_confidence, worker_run_id",
                "classification") == [(line, "letter", "pending", 0.5, 1, run)]  # fmt: skip
    assert rows("element_id, text, confidence, orientation, worker_run_id", "transcription") == [
        (line, "Anna ☃", 0.25, "vertical-rl", run)
    ]
    [(type_id, *named)] = rows("id, name, color", "entity_type")
    assert named == ["person", "00ff00"]
    [(entity_id, *named)] = rows("id, name, type_id, metas, worker_run_id", "entity")
    assert named == ["Anna", type_id, '{"b": 2}', None]
    spans = rows('type_id, entity_id, "offset", length, worker_run_id', "transcription_entity")
    assert spans == [(type_id, entity_id, 0, 4, None)]
    assert rows("element_id, type, name, value, worker_run_id", "metadata") == [
        (line, "text", "n", "v", run)
    ]
    [(value,)] = rows("value", "embedding")
    assert json.loads(value) == [0.1, -2.0]
    [(run_id, version_id, configuration)] = rows(
        "id, worker_version_id, configuration", "worker_run"
    )
    assert (run_id, json.loads(configuration)) == (run, {"a": 1})
    # A version that is no number stands as a revision.
    assert rows("id, slug, name, type, revision, version", "worker_version") == [
        (version_id, "reader", "Reader", "recognizer", "1.2", None)
    ]
    assert made.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_an_export_of_a_dataset_has_its_elements_and_what_is_below_them(rig: Rig) -> None:
    dataset_id = await rig.dataset(rig.pages[0])
    export_id = await rig.done(dataset_id=dataset_id)
    made = await rig.database(export_id)
    names = made.execute("SELECT name FROM element ORDER BY name").fetchall()
    assert names == [("a",), ("line",)]
    assert made.execute(
        "SELECT element_id, dataset_id, set_name FROM dataset_element"
    ).fetchall() == [(rig.pages[0], dataset_id, "train")]
    assert made.execute("SELECT id, sets, state FROM dataset").fetchall() == [
        (dataset_id, "train", "open")
    ]
    assert made.execute("SELECT child_id FROM element_path").fetchall() == [(rig.line,)]
    assert [each["id"] for each in await rig.listed(dataset_id=dataset_id)] == [export_id]
    assert await rig.listed(dataset_id=await rig.dataset()) == []


async def test_an_export_of_a_corpus_names_its_datasets(rig: Rig) -> None:
    dataset_id = await rig.dataset(rig.pages[0], rig.line)
    made = await rig.database(await rig.done())
    found = made.execute("SELECT element_id FROM dataset_element ORDER BY rowid").fetchall()
    assert found == [(rig.pages[0],), (rig.line,)]
    assert made.execute("SELECT id FROM dataset").fetchall() == [(dataset_id,)]


async def test_what_is_deleted_while_an_export_is_written_leaves_nothing_that_refers_to_it(
    rig: Rig,
) -> None:
    def forget_page(connection: Connection) -> None:
        chosen = corpus_elements.c.id == rig.pages[0]
        connection.execute(corpus_elements.delete().where(chosen))

    await rig.dataset(rig.pages[0])
    rig.corpora.database.write_blocking(forget_page)
    made = await rig.database(await rig.done())
    assert made.execute("PRAGMA foreign_key_check").fetchall() == []
    assert made.execute("SELECT count(*) FROM element").fetchone() == (3,)
    assert made.execute("SELECT count(*) FROM element_path").fetchone() == (1,)
    assert made.execute("SELECT count(*) FROM dataset_element").fetchone() == (0,)


def code_of(refused: Any) -> tuple[str, str]:
    return refused["type"], refused["errors"][0]["code"]


async def test_a_second_export_is_refused_as_the_client_expects_it(rig: Rig) -> None:
    first = await rig.start()
    refused = await rig.start(expect=400)
    assert code_of(refused) == ("validation_error", "running_export")
    assert refused["errors"][0]["attr"] is None
    await run_jobs(rig.corpora)
    assert code_of(await rig.start(expect=400)) == ("validation_error", "existing_export")
    assert (await rig.listed())[0]["id"] == first["id"]
    forced = await rig.start(force=True)
    assert (await rig.listed())[0]["id"] == forced["id"]
    await run_jobs(rig.corpora)
    rig.clock.advance(limits.EXPORT_FRESH_S + 1)
    await rig.start()


async def test_only_an_export_that_the_client_finds_first_stands_in_the_way(rig: Rig) -> None:
    one, two = await rig.dataset(rig.pages[0]), await rig.dataset(rig.pages[1])
    await rig.done()
    # An export of a dataset is none of the corpus, nor one of another dataset.
    await rig.start(dataset_id=one)
    await rig.start(dataset_id=two)
    assert code_of(await rig.start(dataset_id=one, expect=400))[1] == "running_export"
    await rig.start()
    assert code_of(await rig.start(expect=400))[1] == "running_export"


async def test_a_failed_export_is_in_nobodys_way(rig: Rig) -> None:
    made = await rig.start()
    [lease] = claim_jobs(rig.corpora)
    ending = works.Ending(lease.id, lease.attempt, works.Outcome.REJECTED)
    rig.corpora.database.write_blocking(works.finish, [ending], holder="server")
    assert (await rig.listed())[0]["state"] == "created"
    assert rig.corpora.database.write_blocking(exports.sweep) == {"expired": 0, "given_up": 1}
    assert (await rig.listed())[0]["state"] == "failed"
    again = await rig.start()
    assert again["id"] != made["id"]


async def test_an_export_whose_data_cannot_be_read_fails_at_once(rig: Rig) -> None:
    await rig.start()

    def damage(connection: Connection) -> None:
        connection.execute(update(corpus_embeddings).values(value=b"\0" * 3))

    rig.corpora.database.write_blocking(damage)
    assert await run_jobs(rig.corpora) == [works.Outcome.REJECTED]
    assert (await rig.listed())[0]["state"] == "failed"


async def test_a_job_that_was_cut_short_runs_again_from_the_start(rig: Rig) -> None:
    await rig.start()
    [lease] = claim_jobs(rig.corpora)
    for _ in range(2):
        assert await run_job(rig.corpora, lease) is works.Outcome.SUCCESS
    assert rig.corpora.database.read_blocking(
        blobs.counts, rig.corpora.served.organisation.id
    )["objects"] == 1  # fmt: skip


async def test_exports_are_deleted_by_hand_and_after_two_weeks(rig: Rig) -> None:
    export_id = await rig.done()
    await rig.corpora.call("DELETE", f"/export/{export_id}/", expect=204)
    assert await rig.listed() == []
    await rig.done()
    rig.clock.advance(limits.EXPORT_KEPT_S + 1)
    assert rig.corpora.database.write_blocking(exports.sweep)["expired"] == 1
    assert await rig.listed() == []
    organisation_id = rig.corpora.served.organisation.id
    assert rig.corpora.database.read_blocking(blobs.counts, organisation_id)["objects"] == 0


async def test_an_export_that_is_deleted_while_it_is_written_leaves_nothing(rig: Rig) -> None:
    made = await rig.start()
    [lease] = claim_jobs(rig.corpora)
    await rig.corpora.call("DELETE", f"/export/{made['id']}/", expect=204)
    await run_job(rig.corpora, lease)
    assert await rig.listed() == []


async def test_tasks_start_exports_and_viewers_do_not(rig: Rig) -> None:
    viewer = bearer(rig.corpora.served.token(Role.VIEWER))
    await rig.start(headers=viewer, expect=403)
    task = run_task(rig.corpora, rig.corpus_id)
    await rig.start(headers=task.headers)


async def test_exports_of_others_and_of_nobody_are_not_found(rig: Rig) -> None:
    export_id = await rig.done()
    _, other = rig.corpora.served.other_organisation()
    for each in (export_id, ids.uuid(), "nonsense"):
        told = await rig.corpora.call("GET", f"/export/{each}/", headers=bearer(other), expect=404)
        assert told["detail"] == f"There is no export {each}."
        await rig.corpora.call("DELETE", f"/export/{each}/", headers=bearer(other), expect=404)
    await rig.start(headers=bearer(other), expect=404)
    assert len(await rig.listed()) == 1


@pytest.mark.parametrize("dataset_id", ["nonsense", "01890a5d-ac96-774b-bcce-b302099a8057", 3])
async def test_a_dataset_that_is_none_is_refused(rig: Rig, dataset_id: Any) -> None:
    refused = await rig.start(dataset_id=dataset_id, expect=400)
    assert refused["errors"][0]["attr"] == ["dataset_id"]
    if isinstance(dataset_id, str):
        await rig.corpora.call("GET", rig.path, params={"dataset_id": dataset_id}, expect=400)

"""From an open dataset to a complete one with its archive."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import zstandard

from longshore import ids
from longshore.clock import ManualClock
from longshore.engine import artifacts as blobs
from longshore.engine import works
from longshore.storage import Database
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus import building
from longshore.surfaces.corpus.tables import corpus_transcriptions
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.corpus_tasks_rig import claim_jobs, run_job, run_jobs, run_task
from tests.surfaces.images_rig import GREEN, RED, drawn, file_of, near, opened, upload


@dataclass
class Rig:
    """A dataset: two pages of an image of ours and one of an image elsewhere, with text lines."""

    corpora: Corpora
    directory: Path
    dataset_id: str = ""
    image_id: str = ""
    pages: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"/datasets/{self.dataset_id}/"

    async def state(self) -> str:
        return str((await self.corpora.call("GET", self.path))["state"])

    async def put(self, state: str, *, expect: int = 200, **more: Any) -> Any:
        """Ask for a state as the client 0.4.0 does."""
        body = {"state": state}
        return await self.corpora.call("PATCH", self.path, body=body, expect=expect, **more)

    async def archive(self) -> bytes:
        """Return the archive as the client 0.4.0 gets it: an artifact of the dataset's task."""
        task_id = (await self.corpora.call("GET", self.path))["task_id"]
        assert str(UUID(task_id)) == task_id
        [artifact] = await self.corpora.call("GET", f"/task/{task_id}/artifacts/")
        assert artifact["path"] == f"{self.dataset_id}.tar.zst"
        address = f"/api/v1/task/{task_id}/artifact/{artifact['path']}"
        got = await self.corpora.client.get(address)
        assert got.status_code == 200
        assert not got.headers["content-type"].startswith(("text/", "application/json"))
        return got.content

    async def members(self) -> dict[str, bytes]:
        """Return the files in the archive."""
        packed = zstandard.ZstdDecompressor().stream_reader(await self.archive())
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as tar:
            found = {}
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
        return found

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return rows of the archive's database."""
        path = self.directory / f"{ids.uuid()}.sqlite"
        path.write_bytes((await self.members())["db.sqlite"])
        connection = sqlite3.connect(path)
        try:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            return connection.execute(statement).fetchall()
        finally:
            connection.close()


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Rig]:
    async with corpora_of(database, clock, tmp_path) as corpora:
        made = Rig(corpora, tmp_path)
        corpus_id = corpora.corpus()
        # A camera that was held on its side: upright, the image is 100 by 200.
        picture = drawn()
        exif = picture.getexif()
        exif[0x0112] = 6
        made.image_id = (await upload(corpora, file_of(picture, "JPEG", exif=exif)))["id"]
        near_pages = corpora.elements(corpus_id, ["a", "b"], image_id=made.image_id)
        far_pages = corpora.elements(corpus_id, ["c"], image_id=corpora.image())
        made.pages = (*near_pages, *far_pages)
        made.lines = tuple(
            corpora.elements(corpus_id, ["l1", "l2"], kind="text_line", parent=made.pages[0])
        )
        corpora.elements(corpus_id, ["not in it"], image_id=made.image_id)
        columns = ("id", "element_id", "text", "orientation", "worker_run_id", "created_us")
        rows = [(ids.uuid(), made.lines[0], "text ☃", "horizontal-lr", "", 0)]
        database.write_blocking(insert_rows, corpus_transcriptions, columns, rows)
        body = {"name": "Letters", "set_names": ["train", "dev"]}
        dataset = await corpora.call(
            "POST", f"/corpus/{corpus_id}/datasets/", body=body, expect=201
        )
        made.dataset_id = dataset["id"]
        for set_name, elements in (("train", made.pages[:2]), ("dev", made.pages[2:])):
            body = {"set": set_name, "element_ids": list(elements)}
            await corpora.call("POST", f"{made.path}elements/bulk/", body=body, expect=201)
        yield made


def plain(identifier: str) -> str:
    return identifier.replace("-", "")


async def test_a_completed_dataset_is_built_and_its_archive_is_an_artifact(rig: Rig) -> None:
    asked = await rig.put("complete")
    assert asked["state"] == "building"
    assert await run_jobs(rig.corpora) == [works.Outcome.SUCCESS]
    assert await rig.state() == "complete"
    members = await rig.members()
    assert set(members) == {"db.sqlite", f"images/{rig.image_id}.jpg"}
    image = opened(members[f"images/{rig.image_id}.jpg"])
    # Upright, as the polygons are.
    assert image.size == (100, 200)
    assert near(image.getpixel((75, 50)), RED)
    assert near(image.getpixel((75, 150)), GREEN)


async def test_the_database_in_the_archive_is_the_cache_of_workers(rig: Rig) -> None:
    await rig.corpora.call("POST", f"{rig.path}build/")
    await run_jobs(rig.corpora)
    assert await rig.rows("SELECT version FROM version") == [(3,)]
    assert await rig.rows("SELECT id, name, state, sets FROM datasets") == [
        (plain(rig.dataset_id), "Letters", "complete", "train,dev")
    ]
    members = await rig.rows("SELECT set_name, element_id FROM dataset_elements ORDER BY rowid")
    assert members == [
        ("train", plain(rig.pages[0])),
        ("train", plain(rig.pages[1])),
        ("dev", plain(rig.pages[2])),
    ]
    initial = await rig.rows("SELECT id FROM elements WHERE initial ORDER BY id")
    assert initial == sorted((plain(page),) for page in rig.pages)
    lines = await rig.rows("SELECT id, parent_id, type FROM elements WHERE NOT initial ORDER BY id")
    assert lines == [(plain(line), plain(rig.pages[0]), "text_line") for line in sorted(rig.lines)]
    texts = await rig.rows("SELECT element_id, text, worker_run_id FROM transcriptions")
    assert texts == [(plain(rig.lines[0]), "text ☃", None)]
    images = dict(await rig.rows("SELECT id, url FROM images"))
    assert len(images) == 2
    assert images[plain(rig.image_id)].startswith("http://test/iiif/2/")


async def test_a_complete_dataset_and_one_that_is_being_built_do_not_change(rig: Rig) -> None:
    await rig.put("complete")
    for state in ("building", "complete"):
        assert await rig.state() == state
        before = await rig.corpora.call("GET", rig.path)
        body = {"set": "train", "element_id": rig.lines[0]}
        refused = await rig.corpora.call("POST", f"{rig.path}elements/", body=body, expect=400)
        assert refused["errors"][0]["code"] == "immutable"
        address = f"{rig.path}elements/{rig.pages[0]}/"
        await rig.corpora.call("DELETE", address, params={"set": "train"}, expect=400)
        await rig.corpora.call("POST", f"{rig.path}sets/", body={"name": "x"}, expect=400)
        await rig.corpora.call("DELETE", f"{rig.path}sets/dev/", expect=400)
        await rig.corpora.call("PATCH", rig.path, body={"name": "x"}, expect=400)
        assert await rig.corpora.call("GET", rig.path) == before
        await run_jobs(rig.corpora)
    for state in ("open", "building", "error"):
        await rig.put(state, expect=400)
    assert (await rig.put("complete"))["state"] == "complete"
    assert await run_jobs(rig.corpora) == []


async def test_a_dataset_is_asked_for_once(rig: Rig) -> None:
    first = await rig.put("complete")
    again = await rig.put("complete")
    assert again["task_id"] == first["task_id"]
    assert len(await run_jobs(rig.corpora)) == 1


async def test_a_worker_that_builds_the_archive_completes_the_dataset(rig: Rig) -> None:
    corpus_id = (await rig.corpora.call("GET", rig.path))["corpus_id"]
    task = run_task(rig.corpora, corpus_id)
    begun = await rig.put("building", headers=task.headers)
    assert (begun["state"], begun["task_id"]) == ("building", task.id)
    done = await rig.put("complete", headers=task.headers)
    assert (done["state"], done["task_id"]) == ("complete", task.id)
    assert await run_jobs(rig.corpora) == []


async def test_a_dataset_that_its_worker_gave_up_can_be_built_anew(rig: Rig) -> None:
    corpus_id = (await rig.corpora.call("GET", rig.path))["corpus_id"]
    task = run_task(rig.corpora, corpus_id)
    await rig.put("building", headers=task.headers)
    assert (await rig.put("error", headers=task.headers))["state"] == "error"
    await rig.put("complete")
    assert await run_jobs(rig.corpora) == [works.Outcome.SUCCESS]
    assert await rig.state() == "complete"


async def test_a_dataset_that_is_opened_again_is_not_completed_by_an_old_job(rig: Rig) -> None:
    await rig.put("complete")
    [lease] = claim_jobs(rig.corpora)
    await rig.put("open")
    await run_job(rig.corpora, lease)
    assert await rig.state() == "open"
    organisation_id = rig.corpora.served.organisation.id
    count = rig.corpora.database.read_blocking(blobs.counts, organisation_id)["objects"]
    assert count == 1


async def test_a_job_that_was_cut_short_runs_again_from_the_start(rig: Rig) -> None:
    await rig.put("complete")
    [lease] = claim_jobs(rig.corpora)
    assert await run_job(rig.corpora, lease) is works.Outcome.SUCCESS
    # What a server does that was killed before it could say that it was done.
    assert await run_job(rig.corpora, lease) is works.Outcome.SUCCESS
    assert await rig.state() == "complete"
    assert len(await rig.members()) == 2


async def test_a_dataset_whose_image_is_damaged_ends_in_error(rig: Rig) -> None:
    for path in (rig.directory / "blobs").rglob("bl_*"):
        path.write_bytes(b"nonsense")
    await rig.put("complete")
    assert await run_jobs(rig.corpora) == [works.Outcome.REJECTED]
    assert await rig.state() == "error"


async def test_a_dataset_whose_job_is_given_up_ends_in_error(rig: Rig) -> None:
    await rig.put("complete")
    [lease] = claim_jobs(rig.corpora)
    assert rig.corpora.database.write_blocking(building.follow) == {"given_up": 0}
    ending = works.Ending(lease.id, lease.attempt, works.Outcome.REJECTED)
    rig.corpora.database.write_blocking(works.finish, [ending], holder="server")
    assert rig.corpora.database.write_blocking(building.follow) == {"given_up": 1}
    assert await rig.state() == "error"


async def test_a_deleted_dataset_takes_its_archive_with_it(rig: Rig) -> None:
    await rig.put("complete")
    await run_jobs(rig.corpora)
    task_id = (await rig.corpora.call("GET", rig.path))["task_id"]
    organisation_id = rig.corpora.served.organisation.id
    before = rig.corpora.database.read_blocking(blobs.counts, organisation_id)["objects"]
    await rig.corpora.call("DELETE", rig.path, expect=204)
    await rig.corpora.call("GET", f"/task/{task_id}/artifacts/", expect=404)
    after = rig.corpora.database.read_blocking(blobs.counts, organisation_id)["objects"]
    assert after == before - 1


async def test_nobody_adds_files_to_a_task_of_the_server(rig: Rig) -> None:
    task_id = (await rig.put("complete"))["task_id"]
    body = {"path": f"{rig.dataset_id}.tar.zst", "content_type": "application/zstd", "size": 1}
    await rig.corpora.call("POST", f"/task/{task_id}/artifacts/", body=body, expect=400)


@pytest.mark.parametrize("state", ["done", "", None, 1])
async def test_a_state_that_is_none_is_refused(rig: Rig, state: Any) -> None:
    refused = await rig.put(state, expect=400)
    assert refused["errors"][0]["attr"] == ["state"]

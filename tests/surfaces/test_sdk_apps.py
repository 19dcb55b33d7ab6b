"""The SDK on a real server: batches, runs, results, deletion, deployments and the drive.

Each test runs on both databases and so in both colours; a stand-in plays the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from longshore import errors, limits
from longshore.clock import SECOND_US
from longshore.sdk import AsyncClient, Removed, Retention, RunStatus
from longshore.storage import Database
from tests.surfaces.sdk_server import APP, OWNER, VERSION, Served, running, total_of
from tests.unit.sdk_support import COLOURS, close, settle


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Any]:
    # The colours are made from one another, so that each needs only one of the databases here.
    colour = COLOURS[served.database.dialect == "postgresql"]
    used = colour(served.url, served.first.token)
    yield used
    await close(used)


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    folder = tmp_path / "receipts"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "bad.jpg"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


async def work_off(served: Served, queue_id: int) -> None:
    assert await asyncio.to_thread(served.work_off, queue_id, total_of) > 0


async def test_files_go_in_and_fields_come_out_and_nothing_stays(
    client: Any, served: Served, receipts: Path
) -> None:
    queue_id = served.offer()
    batch = await settle(client.batches.create("receipts", "SDK-Tutorial"))
    await settle(batch.add_files(receipts / "*.jpg"))
    assert [node.name for node in await settle(batch.files())] == ["a.jpg", "b.jpg", "bad.jpg"]
    run = await settle(client.run(APP, batch=batch, owner="instabase", tags=["march"]))
    assert (run.status, run.counts.pending) == (RunStatus.RUNNING, 3)
    assert "no worker offers" in run.message
    assert "3 works: queued: no worker" in (await settle(client.why(run.id))).text

    await work_off(served, queue_id)
    await settle(run.wait(timeout_s=30))
    assert run.status is RunStatus.COMPLETE
    assert (run.counts.done, run.counts.failed, run.counts.pending) == (2, 1, 0)
    assert (run.info.app, run.info.version, run.info.tags) == (APP, VERSION, ("march",))
    assert run.finished_at is not None

    results = await settle(run.results())
    assert results.to_rows() == [
        {"file": "a.jpg", "document": 0, "error": None, "total": "a.jpg"},
        {"file": "b.jpg", "document": 0, "error": None, "total": "b.jpg"},
        {"file": "bad.jpg", "document": None, "error": "ValueError: not an image", "total": None},
    ]
    assert results[0].documents[0].fields[0].confidence is None

    assert [found.id for found in await settle(client.runs.list())] == [run.id]
    removed = await settle((await settle(run.delete())).wait(timeout_s=30))
    assert removed.objects > 0
    assert removed.size_bytes > 0
    assert await settle(client.runs.list()) == []
    assert await settle(client.batches.list()) == []
    with pytest.raises(errors.NotFound):
        await settle(run.refresh())


async def test_details_come_only_when_asked_for(
    client: Any, served: Served, receipts: Path
) -> None:
    queue_id = served.offer()
    run = await settle(client.run(APP, files=receipts / "a.jpg"))
    await work_off(served, queue_id)
    await settle(run.wait(timeout_s=30))
    results = await settle(run.results(confidence=True, source=True, validation=True, review=True))
    ((_, document, field),) = list(results.fields())
    assert document.class_name == "receipt"
    assert field.confidence.model == 0.5
    assert field.source_coordinates[0].top_x == 1.0


async def test_more_files_than_a_page_holds_are_all_read(client: Any, served: Served) -> None:
    queue_id = served.offer()
    count = limits.RESULT_FILES_PER_PAGE + 3
    batch = await settle(client.batches.create("many"))
    for number in range(count):
        await settle(batch.add_file(b"x", f"{number:03}.jpg"))
    run = await settle(client.runs.create(APP, batch=batch.id))
    await work_off(served, queue_id)
    await settle(run.wait(timeout_s=60))
    results = await settle(run.results())
    assert [file.original_file_name for file in results] == [f"{n:03}.jpg" for n in range(count)]


async def test_an_unknown_app_names_near_ones_and_leaves_nothing(
    client: Any, served: Served, receipts: Path
) -> None:
    served.offer()
    with pytest.raises(errors.NotFound, match=APP) as caught:
        await settle(client.run("Meal Recipe", files=receipts))
    assert caught.value.request_id
    assert not getattr(caught.value, "__notes__", [])
    deadline_s = time.monotonic() + 30
    while await settle(client.batches.list()):
        assert time.monotonic() < deadline_s, "the batch of the refused run stays"
        await asyncio.sleep(0.05)


async def test_what_the_present_state_forbids_is_a_conflict(
    client: Any, served: Served, receipts: Path
) -> None:
    queue_id = served.offer()
    run = await settle(client.run(APP, files=receipts / "a.jpg"))
    for forbidden in (run.results, run.delete, client.batches.of(run.info.batch_id).delete):
        with pytest.raises(errors.Conflict):
            await settle(forbidden())
    with pytest.raises(errors.WaitTimeout, match=run.id):
        await settle(run.wait(timeout_s=0.2))
    await settle(run.cancel())
    await settle(run.wait(timeout_s=30))
    assert run.status is RunStatus.CANCELLED
    assert served.work_off(queue_id, total_of) == 0
    again = await settle(run.cancel())
    assert again.status is RunStatus.CANCELLED


async def test_deleting_twice_gives_the_same_jobs(
    client: Any, served: Served, receipts: Path
) -> None:
    queue_id = served.offer()
    run = await settle(client.run(APP, files=receipts / "a.jpg"))
    await work_off(served, queue_id)
    await settle(run.wait(timeout_s=30))
    batch = client.batches.of(run.info.batch_id)
    job, same = await settle(batch.delete()), await settle(batch.delete())
    assert job.id == same.id
    await settle(job.wait(timeout_s=30))
    assert job.removed.objects == 1
    first, second = await settle(run.delete()), await settle(run.delete())
    assert first.output.id == second.output.id
    assert isinstance(await settle(second.wait(timeout_s=30)), Removed)
    with pytest.raises(errors.NotFound):
        await settle(client.batches.get(batch.id))


async def test_a_large_file_arrives_whole(client: Any, tmp_path: Path) -> None:
    content = os.urandom(1024) * (2 * limits.PART_BYTES // 1024) + b"the end"
    (tmp_path / "large.pdf").write_bytes(content)
    batch = await settle(client.batches.create("large"))
    await settle(batch.add_file(tmp_path / "large.pdf", "renamed.pdf"))
    await settle(batch.refresh())
    (node,) = await settle(batch.files())
    assert (node.name, node.size_bytes) == ("renamed.pdf", len(content))
    target = await settle(client.files.download(node.path, tmp_path / "back.pdf"))
    assert target.read_bytes() == content
    assert (
        await settle(client.files.read(node.path, start=limits.PART_BYTES))
        == (content[limits.PART_BYTES :])
    )


@pytest.mark.parametrize(
    ("content", "name"), [(b"", "empty.jpg"), (b"x", "../up.jpg"), (b"x", ".."), (b"x", "a\0b")]
)
async def test_a_file_that_cannot_be_is_refused(served: Served, content: bytes, name: str) -> None:
    async with AsyncClient(served.url, served.first.token) as client:
        batch = await client.batches.create("strict")
        with pytest.raises(errors.InvalidRequest):
            await batch.add_file(content, name)
        assert await batch.files() == []


async def test_a_file_is_replaced_and_deleted(client: Any) -> None:
    batch = await settle(client.batches.create("one"))
    await settle(batch.add_file(b"old", "a b ü#?.txt"))
    await settle(batch.add_file(b"newer", "a b ü#?.txt"))
    (node,) = await settle(batch.files())
    assert (node.name, node.size_bytes) == ("a b ü#?.txt", 5)
    assert await settle(client.files.read(node.path)) == b"newer"
    job = await settle(batch.delete_file("a b ü#?.txt"))
    assert await settle(batch.files()) == []
    await settle(job.wait(timeout_s=30))


async def test_runs_are_found_by_what_they_are(client: Any, served: Served, receipts: Path) -> None:
    served.offer()
    now = datetime.fromtimestamp(served.database.clock.now_us() / SECOND_US, tz=UTC)
    runs = [await settle(client.run(APP, files=receipts / "a.jpg")) for _ in range(3)]
    await settle(runs[0].cancel())
    await settle(runs[0].wait(timeout_s=30))

    async def found(**filters: Any) -> set[str]:
        return {run.id for run in await settle(client.runs.list(**filters))}

    assert await found(status=RunStatus.CANCELLED) == {runs[0].id}
    assert await found(status=["RUNNING", "FAILED"]) == {runs[1].id, runs[2].id}
    assert await found(until=now - timedelta(hours=1)) == set()
    assert len(await found(since=now - timedelta(hours=1))) == 3
    assert len(await found(limit=2)) == 2
    assert await found(app="Another") == set()


async def test_apps_are_listed_with_their_versions(client: Any, served: Served) -> None:
    assert await settle(client.apps.list()) == []
    served.offer("1.0.0")
    served.offer("2.0.0-rc1")
    (app,) = await settle(client.apps.list())
    assert (app.name, app.owner, app.default_version) == (APP, OWNER, "1.0.0")
    assert [version.version for version in app.versions] == ["2.0.0-rc1", "1.0.0"]


async def test_a_deployment_is_made_run_changed_and_deleted(
    client: Any, served: Served, receipts: Path
) -> None:
    queue_id = served.offer()
    deployment = await settle(
        client.deployments.create(
            "daily", APP, keys={"currency": "EUR"}, retention=Retention(after_s=3600)
        )
    )
    assert deployment.info.retention.delete_input is True
    run = await settle(deployment.run(files=receipts / "a.jpg"))
    assert run.info.deployment_id == deployment.id
    await work_off(served, queue_id)
    await settle(run.wait(timeout_s=30))
    await settle(deployment.update(name="nightly", retention=None))
    assert (deployment.name, deployment.info.retention) == ("nightly", None)
    assert deployment.info.settings["keys"]["custom"] == {"currency": "EUR"}
    assert [found.name for found in await settle(client.deployments.list())] == ["nightly"]
    assert len(await settle(client.runs.list(deployment_id=deployment.id))) == 1
    await settle(deployment.delete())
    with pytest.raises(errors.NotFound):
        await settle(client.deployments.get(deployment.id))


async def test_the_drive_is_written_read_listed_and_emptied(client: Any, served: Served) -> None:
    who = await settle(client.whoami())
    batch = await settle(client.batches.create("for its drive"))
    await settle(batch.refresh())
    drive = "/".join(batch.info.path.split("/")[:4])
    assert drive.startswith(f"{who.organisation_id}/")
    path = f"{drive}/reports/my notes ü.txt"
    await settle(client.files.write(path, b"0123456789", overwrite=False))
    with pytest.raises(errors.PreconditionFailed):
        await settle(client.files.write(path, b"again", overwrite=False))
    assert await settle(client.files.read(path, start=2, end=5)) == b"234"
    with pytest.raises(errors.RangeNotSatisfiable):
        await settle(client.files.read(path, start=10))
    file = await settle(client.files.metadata(path))
    assert (file.is_folder, file.size_bytes) == (False, 10)
    assert file.modified_at is not None
    assert (await settle(client.files.metadata(f"{drive}/reports"))).is_folder
    (node,) = await settle(client.files.list(f"{drive}/reports"))
    assert (node.name, node.path, node.is_folder) == ("my notes ü.txt", path, False)
    job = await settle(client.files.delete(f"{drive}/reports"))
    await settle(job.wait(timeout_s=30))
    with pytest.raises(errors.NotFound):
        await settle(client.files.metadata(path))
    assert (await settle((await settle(client.files.delete(path))).wait(timeout_s=30))).removed == (
        Removed()
    )


async def test_the_results_of_a_run_lie_on_the_drive(
    client: Any, served: Served, receipts: Path
) -> None:
    queue_id = served.offer()
    run = await settle(client.run(APP, files=receipts / "a.jpg"))
    await work_off(served, queue_id)
    await settle(run.wait(timeout_s=30))
    nodes = await settle(client.files.list(run.info.output_dir))
    (results,) = [node for node in nodes if node.name == "results.json"]
    stored = json.loads(await settle(client.files.read(results.path)))
    assert stored["files"][0]["original_file_name"] == "a.jpg"

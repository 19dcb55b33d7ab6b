from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.engine import artifacts as blobs
from longshore.errors import InvalidRequest
from longshore.storage import Database
from longshore.surfaces.buckets import artifacts
from longshore.surfaces.buckets.tables import bucket_artifacts
from tests.surfaces.results_rig import DAY_S, PIPELINE, Harbour, harbour


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(database, clock, tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Uploaded:
    kind: str
    path: str
    blob_id: str
    size_bytes: int
    sha256: str


async def uploaded(rig: Harbour, kind: str, path: str) -> Uploaded:
    stored = await rig.upload(path.encode())
    return Uploaded(kind, path, stored["blob_id"], stored["size_bytes"], stored["sha256"])


def register(
    rig: Harbour, work_id: str, products: Any, plots: Any, *stored: Uploaded, organisation: str = ""
) -> None:
    rig.database.write_blocking(
        artifacts.register,
        organisation or rig.served.organisation.id,
        PIPELINE,
        work_id,
        products,
        plots,
        stored=stored,
    )


async def listed(rig: Harbour, work_id: str, expect: int = 200) -> Any:
    return await rig.call("GET", f"/buckets/artifacts/{work_id}", None, expect)


async def test_what_a_client_reports_is_registered_in_its_order(rig: Harbour) -> None:
    (one,) = await rig.finished(changes={"products": ["z.fits", "a.fits"], "plots": ["p.png"]})

    found = await listed(rig, one)

    assert [(each["kind"], each["path"]) for each in found] == [
        ("product", "z.fits"),
        ("product", "a.fits"),
        ("plot", "p.png"),
    ]
    assert {each["blob_id"] for each in found} == {None}


async def test_a_work_without_any_has_an_empty_list(rig: Harbour) -> None:
    (one,) = await rig.deposit()

    assert await listed(rig, one) == []
    await listed(rig, "wk_nope", 404)
    async with rig.as_role(rig.served.other_organisation()[1]) as other:
        assert (await other.get(f"/buckets/artifacts/{one}")).status_code == 404


async def test_an_uploaded_file_can_be_fetched_and_goes_with_the_work(rig: Harbour) -> None:
    (one,) = await rig.deposit()
    plot = await uploaded(rig, "plot", "p.png")

    register(rig, one, ["a.fits"], ["p.png"], plot)

    product, picture = await listed(rig, one)
    assert (product["path"], product["blob_id"]) == ("a.fits", None)
    assert picture == {
        "kind": "plot", "path": "p.png", "blob_id": plot.blob_id,
        "size_bytes": plot.size_bytes, "sha256": plot.sha256,
    }  # fmt: skip
    fetched = await rig.client.get(f"/longshore/v1/blobs/{plot.blob_id}")
    assert fetched.content == b"p.png"
    assert rig.blobs() == 1

    stands = await rig.act("delete", ids=[one])
    assert (stands["objects"], stands["bytes"]) == (1, plot.size_bytes)
    assert rig.count(bucket_artifacts) == rig.blobs() == 0


async def test_reporting_again_changes_nothing_and_keeps_the_file(rig: Harbour) -> None:
    (one,) = await rig.deposit()
    plot = await uploaded(rig, "plot", "p.png")
    for _ in range(2):
        register(rig, one, None, ["p.png"], plot)
    # A client puts the document, which knows of no files.
    register(rig, one, [], ["new.png", "p.png"])

    first, second = await listed(rig, one)
    assert (first["path"], first["blob_id"]) == ("new.png", None)
    assert (second["path"], second["blob_id"]) == ("p.png", plot.blob_id)
    assert rig.blobs() == 1

    register(rig, one, None, ["new.png"])
    assert rig.blobs() == 0


async def test_a_file_that_belongs_to_somebody_else_is_refused(rig: Harbour) -> None:
    one, two = await rig.deposit(2)
    plot = await uploaded(rig, "plot", "p.png")
    fresh = await uploaded(rig, "plot", "q.png")
    register(rig, one, None, ["p.png"], plot)
    other, _ = rig.served.other_organisation()

    with pytest.raises(InvalidRequest, match="not uploaded for it"):
        register(rig, two, None, ["p.png"], plot)
    with pytest.raises(InvalidRequest, match="not uploaded for it"):
        register(rig, two, None, ["q.png"], fresh, organisation=other.id)
    with pytest.raises(InvalidRequest, match="none of the products and plots"):
        register(rig, two, ["q.png"], None, fresh)

    assert await listed(rig, two) == []
    assert rig.blobs() == 1


async def test_an_upload_that_was_swept_away_leaves_the_path_alone(rig: Harbour) -> None:
    (one,) = await rig.deposit()
    plot = await uploaded(rig, "plot", "p.png")
    rig.database.write_blocking(blobs.condemn, [plot.blob_id])

    register(rig, one, None, ["p.png"], plot)

    (found,) = await listed(rig, one)
    assert found["blob_id"] is None


async def test_artifacts_stay_with_a_work_that_moves_to_the_results(rig: Harbour) -> None:
    (one,) = await rig.finished(changes={"products": ["a.fits"], "plots": ["p.png"]})
    plot = await uploaded(rig, "plot", "p.png")
    register(rig, one, ["a.fits"], ["p.png"], plot)
    before = await listed(rig, one)

    rig.clock.advance(2 * DAY_S)
    assert rig.sweep()["archived"] == 1
    assert await listed(rig, one) == before
    assert rig.blobs() == 1

    await rig.client.delete("/results/results", params={PIPELINE: [one]})
    await listed(rig, one, 404)
    assert rig.count(bucket_artifacts) == rig.blobs() == 0


async def test_artifacts_stay_when_the_transfer_daemon_copies_and_deletes(rig: Harbour) -> None:
    (one,) = await rig.finished(changes={"plots": ["p.png"]})
    plot = await uploaded(rig, "plot", "p.png")
    register(rig, one, None, ["p.png"], plot)

    await rig.call("POST", "/results/results", await rig.bucket())
    assert await rig.call("DELETE", "/buckets/work", ids=[one]) is True

    assert [each["blob_id"] for each in await listed(rig, one)] == [plot.blob_id]
    assert rig.blobs() == 1


async def test_deleting_a_copied_result_leaves_the_artifacts_of_the_work(rig: Harbour) -> None:
    (one,) = await rig.finished(changes={"plots": ["p.png"]})
    await rig.call("POST", "/results/results", await rig.bucket())

    await rig.client.delete("/results/results", params={PIPELINE: [one]})

    assert len(await listed(rig, one)) == 1
    await rig.call("DELETE", "/buckets/work", ids=[one])
    assert rig.count(bucket_artifacts) == 0


async def test_retention_takes_files_with_the_results(rig: Harbour) -> None:
    (one,) = await rig.finished(changes={"plots": ["p.png"]})
    plot = await uploaded(rig, "plot", "p.png")
    register(rig, one, None, ["p.png"], plot)
    await rig.configure(archive_after_s=0, results_retention_s=60)
    rig.sweep()

    rig.clock.advance(61)
    assert rig.sweep()["expired"] == 1

    assert rig.count(bucket_artifacts) == rig.blobs() == 0


async def test_results_that_are_deposited_register_what_they_name(rig: Harbour) -> None:
    (one,) = await rig.stored({"products": ["a.fits"], "plots": None})
    assert [each["path"] for each in await listed(rig, one)] == ["a.fits"]

    (document,) = await rig.results()
    await rig.call("PUT", "/results/results", [{**document, "products": ["b.fits"]}])
    assert [each["path"] for each in await listed(rig, one)] == ["b.fits"]

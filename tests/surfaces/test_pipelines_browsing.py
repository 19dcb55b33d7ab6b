"""Pipelines a page at a time: sums that end, chunks by state, failed records with their errors."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.pipelines import browsing
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pipelines import Pipeline
from tests.surfaces.pipelines_rig import Pipelines, chunk, objects


def get(pipelines: Pipelines, batch: str) -> Pipeline:
    return pipelines.database.read_blocking(stored.get, pipelines.served.organisation.id, batch)


def look(pipelines: Pipelines, batch: str) -> browsing.Look:
    return pipelines.database.read_blocking(browsing.look, pipelines.served.organisation.id, batch)


def failed(pipelines: Pipelines, batch: str, **more: Any) -> Any:
    given = {"after": None, "most": 100, **more}
    return pipelines.database.read_blocking(browsing.failed_records, get(pipelines, batch), **given)


async def test_pipelines_are_paged_from_the_newest_on(pipelines: Pipelines) -> None:
    made = []
    for _ in range(5):
        made.append(await pipelines.create())
        pipelines.clock.advance(1)
    found: list[str] = []
    before = None
    while True:
        page, before = pipelines.database.read_blocking(
            browsing.pipelines_page,
            pipelines.served.organisation.id,
            before=before,
            limit=2,
            most=10,
        )
        found += [each.pipeline.id for each in page]
        if before is None:
            break
    assert found == made[::-1]


async def test_a_look_has_the_buffers_the_workers_and_the_rate(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1, 2, 3)), chunk("b", objects(4)))
    before = look(pipelines, batch)
    assert before.overview.sums.chunks_pending == 2
    assert before.overview.sums.input_used_bytes > 0
    assert before.workers == 1
    pipelines.clock.advance(30)
    await pipelines.work()
    after = look(pipelines, batch)
    assert after.overview.word == "in_progress"
    assert after.overview.sums.records_available == 4
    assert after.rates.now == pytest.approx(4 / 60)
    assert sum(after.rates.records) * after.rates.width_s == pytest.approx(4)
    assert len(after.rates.times_s) == len(after.rates.records)


async def test_sums_of_a_large_pipeline_end(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "SUMMED_CHUNKS", 3)
    batch = await pipelines.create()
    await pipelines.push(batch, *[chunk(str(each), objects(each)) for each in range(5)])
    found = look(pipelines, batch)
    assert found.overview.more
    assert found.overview.sums.chunks == 3


async def test_chunks_are_paged_by_state(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "WINDOW_CHUNKS", 4)
    batch = await pipelines.create()
    await pipelines.push(batch, *[chunk(f"c{each}", objects(each)) for each in range(9)])
    await pipelines.report(*await pipelines.claim(3))
    found: dict[str, list[str]] = {}
    for state in ("pending", "available", "delivered"):
        after = None
        while True:
            page = pipelines.database.read_blocking(
                browsing.chunks, get(pipelines, batch), state=state, after=after, limit=2
            )
            found.setdefault(state, []).extend(each.chunk_id for each in page.chunks)
            after = page.after
            if after is None:
                break
    assert len(found["available"]) == 3
    assert sorted(found["pending"] + found["available"]) == [f"c{each}" for each in range(9)]
    assert found["delivered"] == []
    with pytest.raises(InvalidRequest):
        pipelines.database.read_blocking(
            browsing.chunks, get(pipelines, batch), state="odd", after=None, limit=2
        )


async def test_failed_records_come_with_their_places_and_errors(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(
        batch, chunk("a", objects(1, -2, 3, -4)), chunk("b", objects(1)), chunk("c", objects(-1))
    )
    await pipelines.work()
    found, more, closed = failed(pipelines, batch)
    assert [(each.chunk_id, each.index) for each in found] == [("a", 1), ("a", 3), ("c", 0)]
    assert found[0].errors == [
        {
            "error_category": "", "error_type": "ValueError", "source_path": "",
            "message": "negative", "additional_details": "",
        }
    ]  # fmt: skip
    assert (more, closed) == (None, 0)
    first, more, _ = failed(pipelines, batch, most=1)
    assert [each.chunk_id for each in first] == ["a", "a"]
    rest, _, _ = failed(pipelines, batch, after=more)
    assert [each.chunk_id for each in rest] == ["c"]


async def test_what_was_pulled_and_confirmed_has_no_errors_any_more(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(-1)))
    await pipelines.work()
    answer = await pipelines.client.get(f"{pipelines.root}/batch/{batch}/chunkresults")
    delivery = answer.headers["X-Longshore-Delivery"]
    await pipelines.pull(batch, confirm=delivery)
    assert failed(pipelines, batch) == ([], None, 1)


async def test_chunks_whose_attempt_failed_are_tried_again_at_once(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1)))
    (claimed,) = await pipelines.claim()
    error = {"type": "MemoryError", "message": "no room", "traceback": ""}
    await pipelines.report(claimed, outcome="failure", error=error)
    (waiting,) = pipelines.database.read_blocking(browsing.retries, get(pipelines, batch))
    assert (waiting.work_id, waiting.error["message"]) == (claimed["work_id"], "no room")
    organisation_id = pipelines.served.organisation.id
    count = pipelines.run(_retry_now, organisation_id, batch)
    assert count == 1
    assert pipelines.database.read_blocking(browsing.retries, get(pipelines, batch)) == []
    assert await pipelines.work() == 1


def _retry_now(connection: Any, organisation_id: str, batch: str) -> int:
    return browsing.retry_now(connection, organisation_id, batch, actor="me")


async def test_a_pipeline_of_another_organisation_is_not_there(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    other, _ = pipelines.served.other_organisation()
    with pytest.raises(NotFound):
        pipelines.database.read_blocking(browsing.look, other.id, batch)

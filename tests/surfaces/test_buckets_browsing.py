"""Buckets a page at a time: counts that end, lists by key, filters that look so far and no further."""

from __future__ import annotations

import json

import pytest

from longshore.access import Role, keys
from longshore.engine import queues
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.buckets import browsing, query
from tests.surfaces.buckets_rig import BUCKET, Buckets, payload


def bucket_of(buckets: Buckets, name: str = BUCKET, most: int = 100) -> browsing.Bucket:
    organisation_id = buckets.served.organisation.id
    return buckets.database.read_blocking(browsing.bucket, organisation_id, name, most=most)


def walk(
    buckets: Buckets, *, state: str | None = None, where: query.Filter | None = None, limit: int = 2
) -> list[str]:
    """Return the ids of all pages, one after the other."""
    queue, found, before = bucket_of(buckets).queue, [], None
    while True:
        page = buckets.database.read_blocking(
            browsing.works, queue, state=state, where=where, before=before, limit=limit
        )
        assert len(page.works) <= limit
        found += [each.work.work_id for each in page.works]
        before = page.older
        if before is None:
            return found


async def test_buckets_are_listed_by_name_with_their_counts(buckets: Buckets) -> None:
    for name in ("crabs", "ants", "bees"):
        await buckets.deposit(payload(name), payload(name))
    await buckets.withdraw("bees")
    organisation_id = buckets.served.organisation.id
    first = buckets.database.read_blocking(
        browsing.buckets, organisation_id, after=None, limit=2, most=100
    )
    assert [each.queue.name for each in first] == ["ants", "bees"]
    assert first[1].counts == {
        "queued": 1, "running": 1, "success": 0, "failure": 0, "cancelled": 0,
    }  # fmt: skip
    rest = buckets.database.read_blocking(
        browsing.buckets, organisation_id, after="bees", limit=2, most=100
    )
    assert [each.queue.name for each in rest] == ["crabs"]


async def test_a_count_ends_at_one_more_than_was_asked_for(buckets: Buckets) -> None:
    await buckets.deposit(*[payload() for _ in range(9)])
    assert bucket_of(buckets, most=5).counts["queued"] == 6


async def test_the_longest_wait_is_that_of_the_oldest_whatever_its_priority(
    buckets: Buckets,
) -> None:
    await buckets.deposit(payload(priority=1))
    begun_us = buckets.clock.now_us()
    buckets.clock.advance(60)
    await buckets.deposit(payload(priority=5))
    oldest_us = bucket_of(buckets).oldest_us
    assert oldest_us is not None
    assert oldest_us <= begun_us


async def test_all_works_are_paged_from_the_newest_to_the_oldest(buckets: Buckets) -> None:
    made = await buckets.deposit(*[payload() for _ in range(7)])
    assert walk(buckets) == sorted(made, reverse=True)


async def test_queued_works_are_paged_in_the_order_in_which_they_are_withdrawn(
    buckets: Buckets,
) -> None:
    await buckets.deposit(*[payload(priority=each) for each in (3, 1, 5, 3, 5)])
    listed = walk(buckets, state="queued")
    withdrawn = [(await buckets.withdraw() or {})["id"] for _ in range(5)]
    assert listed == withdrawn


async def test_finished_works_are_paged_from_the_last_end_backwards(buckets: Buckets) -> None:
    ended = []
    await buckets.deposit(*[payload() for _ in range(5)])
    for _ in range(5):
        work = await buckets.withdraw()
        assert work is not None
        buckets.clock.advance(1)
        await buckets.update({**work, "status": "success"})
        ended.append(work["id"])
    assert walk(buckets, state="success") == ended[::-1]
    assert walk(buckets, state="failure") == []


async def test_a_filter_says_how_far_it_looked_and_the_next_page_goes_on_there(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "WINDOW_WORKS", 4)
    made = await buckets.deposit(
        *[payload(site="north" if place % 5 == 0 else "south") for place in range(17)]
    )
    wanted = query.parse({"site": "north"})
    queue = bucket_of(buckets).queue
    first = buckets.database.read_blocking(
        browsing.works, queue, state=None, where=wanted, before=None, limit=3
    )
    assert first.looked_at == 4
    assert first.older is not None
    assert walk(buckets, where=wanted) == sorted(made[::5], reverse=True)


async def test_a_document_that_is_too_large_for_a_list_is_not_read(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "LISTED_BYTES", 2_000)
    await buckets.deposit(payload(parameters={"text": "x" * 4_000}))
    page = buckets.database.read_blocking(
        browsing.works, bucket_of(buckets).queue, state=None, where=None, before=None, limit=5
    )
    (listed,) = page.works
    assert listed.document is None
    assert str(listed.work.state) == "queued"


@pytest.mark.parametrize("before", ["x", "wk_a:1", "1:wk_a:2", "'; DROP TABLE works"])
async def test_a_place_that_is_none_is_refused(buckets: Buckets, before: str) -> None:
    await buckets.deposit(payload())
    queue = bucket_of(buckets).queue
    with pytest.raises(InvalidRequest, match="no place in this list"):
        buckets.database.read_blocking(
            browsing.works, queue, state="success", where=None, before=before, limit=5
        )


async def test_a_bucket_of_another_organisation_is_not_there(buckets: Buckets) -> None:
    await buckets.deposit(payload())
    other, _ = buckets.served.other_organisation()
    with pytest.raises(NotFound):
        buckets.database.read_blocking(browsing.bucket, other.id, BUCKET, most=1)


async def test_a_held_bucket_shows_why(buckets: Buckets) -> None:
    await buckets.deposit(payload())
    queue_id = bucket_of(buckets).queue.id
    buckets.database.write_blocking(queues.hold, queue_id, actor="me", why="the crane is broken")
    assert bucket_of(buckets).queue.held_why == "the crane is broken"


async def test_results_are_paged_from_the_newest_on_also_those_of_one_moment(
    buckets: Buckets,
) -> None:
    for some in (("a", "b", "c"), ("d", "e")):
        documents = [payload(id=each, status="success", results={}) for each in some]
        answer = await buckets.client.post("/results/results", json=documents)
        assert answer.status_code == 200, answer.text
        buckets.clock.advance(1)
    organisation_id = buckets.served.organisation.id
    found: list[browsing.Result] = []
    while True:
        page = buckets.database.read_blocking(
            browsing.results,
            organisation_id,
            BUCKET,
            before=found[-1].place if found else None,
            limit=2,
        )
        if not page:
            break
        found += page
    assert [each.id for each in found] == ["e", "d", "c", "b", "a"]


async def test_a_result_is_locked_and_unlocked_without_changing_anything_else(
    buckets: Buckets,
) -> None:
    document = payload(id="kept", status="success", results={"n": 2**63, "half": 0.5})
    await buckets.client.post("/results/results", json=[document])
    key = buckets.served.token(Role.OPERATOR)
    principal = buckets.database.read_blocking(keys.authenticate, key)

    def read() -> browsing.Result:
        organisation_id = buckets.served.organisation.id
        (found,) = buckets.database.read_blocking(
            browsing.results, organisation_id, BUCKET, before=None, limit=2
        )
        return found

    for locked in (True, False):
        buckets.database.write_blocking(
            browsing.lock_result, principal, BUCKET, "kept", locked=locked
        )
        found = read()
        assert found.locked is locked
        stored = json.loads(found.document)["results"]
        assert stored == {"n": 2**63, "half": 0.5, "locked": locked}
    with pytest.raises(NotFound):
        buckets.database.write_blocking(
            browsing.lock_result, principal, BUCKET, "gone", locked=True
        )

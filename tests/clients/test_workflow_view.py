"""The published client's verbs that speak of works by a query, against a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.workflow_client import PROMPTLY_S, CallFailed, Console


class TestView:
    @pytest.fixture
    def ids(self, console: Console) -> list[str]:
        given = [
            console.payload("p", tags=["t", "u"], event=[5], priority=5),
            console.payload("p", tags=["t"], event=[5, 6], config={"parent": "P"}),
            console.payload("p", parameters={"deep": {"er": [1, {"x": None}]}}, retries=0),
            console.payload("q", tags=["t"]),
        ]
        made: list[str] = console.buckets.deposit(given, return_ids=True)
        return made

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, [0, 1, 2, 3]),
            ({"pipeline": "p"}, [0, 1, 2]),
            ({"pipeline": {"$in": ["p", "q"]}, "tags": "t"}, [0, 1, 3]),
            ({"tags": {"$in": ["u", "v"]}}, [0]),
            ({"tags": ["t"]}, [1, 3]),
            ({"event": [5]}, [0]),
            ({"event": 6}, [1]),
            ({"event": {"$in": [5]}}, [0, 1]),
            ({"config.parent": "P"}, [1]),
            ({"config.parent": None, "pipeline": "p"}, [0, 2]),
            ({"parameters.deep.er": 1}, [2]),
            ({"priority": {"$gt": 3}}, [0]),
            ({"priority": {"$lt": 4}, "pipeline": "p"}, [1, 2]),
            ({"$expr": {"$gte": ["$attempt", "$retries"]}}, [2]),
            ({"status": "queued", "pipeline": "q"}, [3]),
            ({"status": "failure"}, []),
            ({"$or": [{"event": 6}, {"pipeline": "q"}]}, [1, 3]),
        ],
        ids=str,
    )
    def test_a_query_finds_what_it_describes(
        self, console: Console, ids: list[str], query: dict[str, Any], found: list[int]
    ) -> None:
        works = console.buckets.view(query, {})
        assert sorted(ids.index(work["id"]) for work in works) == found

    def test_a_projection_names_what_is_wanted(self, console: Console, ids: list[str]) -> None:
        (work,) = console.buckets.view({"id": ids[1]}, {"id": True, "config": True})
        assert sorted(work) == ["config", "id"]
        assert work["config"]["archive"]["results"] is True
        (nested,) = console.buckets.view({"id": ids[1]}, {"config.parent": True})
        assert nested == {"config": {"parent": "P"}}

    def test_a_projection_may_name_what_is_not_wanted(
        self, console: Console, ids: list[str]
    ) -> None:
        (whole,) = console.buckets.view({"id": ids[0]}, {})
        (work,) = console.buckets.view({"id": ids[0]}, {"config": False})
        assert "_id" not in whole
        assert set(whole) - set(work) == {"config"}

    def test_works_come_page_by_page_and_all_at_once(self, console: Console) -> None:
        given = console.payload("p")
        ids = console.buckets.deposit([given] * 130, return_ids=True)
        assert len(console.buckets.view({"pipeline": "p"}, {})) == 100
        pages = [console.buckets.view({"pipeline": "p"}, {}, skip, 50) for skip in (0, 50, 100)]
        assert [len(page) for page in pages] == [50, 50, 30]
        assert sorted(work["id"] for page in pages for work in page) == sorted(ids)
        everything = console.buckets.view({"pipeline": "p"}, {"id": True}, limit=None)
        assert sorted(work["id"] for work in everything) == sorted(ids)

    def test_a_query_that_is_not_understood_is_refused_at_once(self, console: Console) -> None:
        with pytest.raises(CallFailed) as refused:
            console.buckets.view({"$where": "sleep(1)"}, {})
        assert (refused.value.status or 0) // 100 == 4
        assert console.took_s < PROMPTLY_S


class TestDelete:
    def test_ids_are_deleted_whatever_their_state(self, console: Console) -> None:
        done = console.running("p")
        console.buckets.update([{**done, "status": "success"}])
        held = console.running("p")
        queued = console.deposit("p")
        kept = console.deposit("p")
        assert console.buckets.delete_ids([done["id"], held["id"], queued]) is True
        assert [work["id"] for work in console.buckets.view({"pipeline": "p"}, {})] == [kept]

    def test_deleting_nothing_and_deleting_twice_is_harmless(self, console: Console) -> None:
        work_id = console.deposit("p")
        assert console.buckets.delete_ids([]) is True
        assert console.buckets.delete_ids([work_id]) is True
        assert console.buckets.delete_ids([work_id, "unheard-of"]) is True
        assert console.took_s < PROMPTLY_S
        assert console.buckets.view({"pipeline": "p"}, {}) == []

    @pytest.mark.parametrize(
        ("filters", "gone"),
        [
            ({}, [0, 1, 2]),
            ({"status": "queued"}, [0, 1, 2]),
            ({"status": "success"}, []),
            ({"events": [8]}, [1]),
            ({"tags": ["t"]}, [0, 1]),
            ({"parent": "P"}, [2]),
            ({"limit": 2}, [0, 1]),
            ({"limit": None}, [0, 1, 2]),
        ],
        ids=str,
    )
    def test_works_are_deleted_by_what_they_are(
        self, console: Console, filters: dict[str, Any], gone: list[int]
    ) -> None:
        given = [
            console.payload("p", tags=["t"], event=[7]),
            console.payload("p", tags=["t", "u"], event=[8]),
            console.payload("p", config={"parent": "P"}),
            console.payload("q", tags=["t"], event=[8], config={"parent": "P"}),
        ]
        ids = console.buckets.deposit(given, return_ids=True)
        assert console.buckets.delete_many("p", force=True, **filters) is bool(gone)
        left = {work["id"] for work in console.buckets.view({}, {})}
        assert [number for number, work_id in enumerate(ids) if work_id not in left] == gone

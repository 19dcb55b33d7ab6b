"""Every verb of the published client for results, against a real server on each database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.conftest import BucketServer
from tests.clients.workflow_client import PROMPTLY_S, CallFailed, Console


def finished(console: Console, pipeline: str, **fields: Any) -> dict[str, Any]:
    """Run a work to its end in its bucket and return its document."""
    status = fields.pop("status", "success")
    work_id = console.deposit(pipeline, **fields)
    work = console.buckets.withdraw(pipeline)
    assert work["id"] == work_id
    results = fields.get("results", {"snr": 9.5})
    console.buckets.update([{**work, "status": status, "results": results, "stop": work["start"]}])
    return console.look(work_id)


def kept(console: Console, pipeline: str, **fields: Any) -> dict[str, Any]:
    """Run a work to its end and deposit it as a result."""
    work = finished(console, pipeline, **fields)
    assert console.results.deposit([work]) == {pipeline: True}
    return work


def look(console: Console, work: dict[str, Any]) -> dict[str, Any]:
    (found,) = console.results.get_by_id(work["pipeline"], [work["id"]])
    found.pop("_id", None)
    return dict(found)


class TestDeposit:
    def test_finished_works_are_kept_as_they_are(self, console: Console) -> None:
        works = [finished(console, name) for name in ("p", "p", "q")]
        assert console.results.deposit(works) == {"p": True, "q": True}
        for work in works:
            assert look(console, work) == work
        assert console.results.status() == {"p": 2, "q": 1}

    def test_results_outlive_their_works(self, console: Console) -> None:
        work = kept(console, "p")
        console.buckets.delete_ids([work["id"]])
        assert look(console, work) == work

    def test_failures_are_kept_too(self, console: Console) -> None:
        work = kept(console, "p", status="failure", retries=1)
        assert look(console, work)["status"] == "failure"

    def test_an_empty_deposit_is_fine(self, console: Console) -> None:
        assert console.results.deposit([]) == {}
        assert console.results.status() == {}

    def test_the_same_result_twice_is_an_error_that_changes_nothing(self, console: Console) -> None:
        first, second = kept(console, "p"), finished(console, "p")
        with pytest.raises(CallFailed) as refused:
            console.results.deposit([second, {**first, "results": {"snr": 0.0}}])
        assert refused.value.status == 409
        assert console.results.status() == {"p": 1}
        assert look(console, first) == first


class TestUpdate:
    def test_a_result_is_corrected(self, console: Console) -> None:
        work = kept(console, "p")
        assert console.results.update([{**work, "results": {"snr": 10.1}}])
        assert look(console, work)["results"] == {"snr": 10.1}


class TestDelete:
    def test_results_are_deleted_by_pipeline_and_id(self, console: Console) -> None:
        gone, stays, other = kept(console, "p"), kept(console, "p"), kept(console, "q")
        assert console.results.delete_ids("p", [gone["id"]]) == {"p": True}
        assert console.results.get_by_id("p", [gone["id"]]) == []
        assert console.results.status() == {"p": 1, "q": 1}
        assert look(console, stays) == stays
        assert look(console, other) == other

    def test_an_id_of_another_pipeline_is_not_deleted(self, console: Console) -> None:
        work = kept(console, "p")
        console.results.delete_ids("q", [work["id"]])
        assert look(console, work) == work


class TestView:
    def test_queries_and_counts_agree(self, console: Console) -> None:
        first = kept(console, "p", event=[5], tags=["t"])
        second = kept(console, "p", event=[5, 6])
        kept(console, "q", event=[5])
        queries: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
            ({}, [first, second]),
            ({"tags": "t"}, [first]),
            ({"event": {"$in": [6]}}, [second]),
            ({"results.snr": {"$gt": 9}}, [first, second]),
            ({"status": "failure"}, []),
            ({"id": first["id"]}, [first]),
        ]
        for query, expected in queries:
            ids = {work["id"] for work in console.results.view("p", query, {})}
            assert ids == {work["id"] for work in expected}, query
            assert console.results.count("p", query) == len(expected), query

    def test_a_raw_id_of_a_database_never_shows(self, console: Console) -> None:
        kept(console, "p")
        (work,) = console.results.view("p", {}, {})
        assert "_id" not in work
        (work,) = console.results.view("p", {}, {"status": True})
        assert work == {"status": "success"}

    def test_results_come_page_by_page_or_without_a_limit(self, console: Console) -> None:
        template = finished(console, "p")
        works = [{**template, "id": f"result-{number:03}"} for number in range(120)]
        console.results.deposit(works)
        assert len(console.results.view("p", {}, {})) == 100
        assert len(console.results.view("p", {}, {}, 100, 100)) == 20
        assert len(console.results.view("p", {}, {}, limit=-1)) == 120
        assert len(console.results.get_by_count("p", 7)) == 7
        some = [work["id"] for work in works[::2]]
        assert sorted(work["id"] for work in console.results.get_by_id("p", some)) == some

    def test_an_event_means_exactly_that_event(self, console: Console) -> None:
        alone = kept(console, "p", event=[5])
        kept(console, "p", event=[5, 6])
        found = console.results.get_by_event("p", 5)
        assert [work["id"] for work in found] == [alone["id"]]

    def test_client_and_server_say_what_they_are(self, console: Console) -> None:
        info = console.results.info()
        assert info["client"]["baseurl"].endswith("/results")
        assert info["server"]["version"]


class TestLock:
    def test_a_locked_result_can_neither_be_changed_nor_deleted(self, console: Console) -> None:
        work = kept(console, "p")
        assert console.results.lock("p", [work["id"]]) is True
        locked = look(console, work)
        assert locked["results"] == {"snr": 9.5, "locked": True}
        with pytest.raises(CallFailed) as refused:
            console.results.update([{**locked, "results": {"snr": 0.0, "locked": True}}])
        assert (refused.value.status or 0) // 100 == 4
        with pytest.raises(CallFailed) as refused:
            console.results.delete_ids("p", [work["id"]])
        assert (refused.value.status or 0) // 100 == 4
        assert console.took_s < PROMPTLY_S
        assert look(console, work) == locked

    def test_an_unlock_may_change_nothing_else(self, console: Console) -> None:
        work = kept(console, "p")
        console.results.lock("p", [work["id"]])
        locked = look(console, work)
        with pytest.raises(CallFailed):
            console.results.update([{**locked, "results": {"snr": 0.0, "locked": False}}])
        assert look(console, work) == locked

    def test_an_unlocked_result_can_be_changed_and_deleted(self, console: Console) -> None:
        work = kept(console, "p")
        console.results.lock("p", [work["id"]])
        assert console.results.unlock("p", [work["id"]], force=True) is True
        unlocked = look(console, work)
        assert unlocked["results"]["locked"] is False
        assert console.results.update([{**unlocked, "results": {"snr": 1.0}}])
        assert console.results.delete_ids("p", [work["id"]]) == {"p": True}

    def test_locked_results_are_listed_and_counted(self, console: Console) -> None:
        locked = [kept(console, "p", event=[number]) for number in range(3)]
        kept(console, "p")
        ids = [work["id"] for work in locked]
        assert console.results.get_locked_count("p") == 0
        console.results.lock("p", ids)
        assert console.results.get_locked_count("p") == 3
        listed = console.results.get_locked("p")
        assert sorted(work["event"] for work in listed) == [[0], [1], [2]]
        assert {name for work in listed for name in work} - {"_id"} == {
            "event",
            "plots",
            "products",
            "results",
        }
        assert len(console.results.get_locked("p", 2, 10)) == 1

    def test_one_locked_result_keeps_a_whole_deletion_from_happening(
        self, console: Console
    ) -> None:
        locked, free = kept(console, "p"), kept(console, "p")
        console.results.lock("p", [locked["id"]])
        with pytest.raises(CallFailed):
            console.results.delete_ids("p", [free["id"], locked["id"]])
        assert console.results.status() == {"p": 2}


def test_another_organisation_sees_and_changes_no_result(
    bucket_server: BucketServer, console: Console, tmp_path: Any
) -> None:
    work = kept(console, "p")
    with Console(bucket_server.workspace(tmp_path / "stranger"), tmp_path / "log") as other:
        assert other.results.view("p", {}, {}) == []
        assert other.results.status() == {}
        other.results.delete_ids("p", [work["id"]])
    assert look(console, work) == work

"""The published client's verbs for buckets but `view` and `delete`, against a real server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.acceptance.harness import eventually
from tests.clients.conftest import BucketServer
from tests.clients.workflow_client import CallFailed, Console, Workspace

DETAILS = ["total", "queued", "running", "success", "failure"]
"""`workflow buckets ls -d` prints the values in this order, under these names."""


def states(console: Console, pipeline: str) -> dict[str, int]:
    details = console.buckets.status(pipeline)
    assert list(details) == DETAILS
    return {name: count for name, count in details.items() if count and name != "total"}


class TestDeposit:
    def test_a_deposit_without_ids_is_true_and_the_work_is_queued(self, console: Console) -> None:
        assert console.buckets.deposit([console.payload("p")]) is True
        (work,) = console.buckets.view({"pipeline": "p"}, {})
        assert work["status"] == "queued"
        assert isinstance(work["id"], str)
        assert (work["attempt"], work["start"], work["stop"]) == (0, None, None)

    def test_ids_come_in_the_order_of_the_works(self, console: Console) -> None:
        given = [console.payload("p", parameters={"n": n}) for n in range(25)]
        ids = console.buckets.deposit(given, return_ids=True)
        assert len(set(ids)) == 25
        for number, work_id in enumerate(ids):
            assert console.look(work_id)["parameters"] == {"n": number}

    def test_one_deposit_may_fill_several_buckets(self, console: Console) -> None:
        given = [console.payload(name) for name in ("one", "two", "two")]
        console.buckets.deposit(given)
        assert sorted(console.buckets.pipelines()) == ["one", "two"]
        assert states(console, "two") == {"queued": 2}

    def test_the_time_of_creation_is_the_depositors(self, console: Console) -> None:
        given = console.payload("p", creation=1_000_000_000.25)
        (work_id,) = console.buckets.deposit([given], return_ids=True)
        assert console.look(work_id)["creation"] == 1_000_000_000.25

    def test_two_thousand_works_fit_into_one_deposit(self, console: Console) -> None:
        given = console.payload("p")
        ids = console.buckets.deposit([given] * 2_000, return_ids=True)
        assert len(set(ids)) == 2_000
        assert states(console, "p") == {"queued": 2_000}


class TestWithdraw:
    def test_an_empty_bucket_and_an_unknown_one_give_nothing(self, console: Console) -> None:
        console.deposit("p")
        assert console.buckets.withdraw("p")
        assert not console.buckets.withdraw("p")
        assert not console.buckets.withdraw("never-heard-of")
        assert console.withdraw("p") is None

    def test_a_withdrawn_work_runs_for_the_first_time(self, console: Console) -> None:
        work_id = console.deposit("p", parameters={"dm": 332.7})
        before = time.time()
        work = console.buckets.withdraw("p")
        assert work["id"] == work_id
        assert (work["status"], work["attempt"]) == ("running", 1)
        assert before - 1 <= work["start"] <= time.time() + 1
        assert work["parameters"] == {"dm": 332.7}
        assert console.look(work_id) == work

    def test_the_highest_priority_comes_first_and_then_the_oldest(self, console: Console) -> None:
        order = [(3, "a"), (1, "b"), (5, "c"), (3, "d"), (5, "e"), (4, "f")]
        for priority, tag in order:
            console.deposit("p", priority=priority, tags=[tag])
        taken = [console.buckets.withdraw("p")["tags"][0] for _ in order]
        assert taken == ["c", "e", "f", "a", "d", "b"]

    def test_priority_and_age_hold_across_several_buckets(self, console: Console) -> None:
        order = [("p", 2, "a"), ("q", 2, "b"), ("r", 5, "c"), ("q", 5, "d"), ("p", 3, "e")]
        for pipeline, priority, tag in order:
            console.deposit(pipeline, priority=priority, tags=[tag])
        console.deposit("elsewhere", priority=5)
        taken = [console.buckets.withdraw(["p", "q", "r"])["tags"][0] for _ in order]
        assert taken == ["c", "d", "e", "a", "b"]
        assert not console.buckets.withdraw(["p", "q", "r"])

    @pytest.mark.parametrize(
        ("filters", "fields"),
        [
            ({"site": "chime"}, {"site": "chime"}),
            ({"priority": 4}, {"priority": 4}),
            ({"user": "someone"}, {"user": "someone"}),
            ({"event": [7, 9]}, {"event": [8, 9]}),
            ({"tags": ["x", "y"]}, {"tags": ["z", "y"]}),
            ({"parent": ["P1", "P2"]}, {"config": {"parent": "P2"}}),
        ],
        ids=lambda value: next(iter(value)),
    )
    def test_each_filter_takes_only_what_it_names(
        self, console: Console, filters: dict[str, Any], fields: dict[str, Any]
    ) -> None:
        plain = console.deposit("p", priority=5, tags=["w"], event=[1], config={"parent": "P"})
        bare = console.deposit("p", priority=5)
        wanted = console.deposit("p", **{"priority": 1, **fields})
        assert console.buckets.withdraw("p", **filters)["id"] == wanted
        assert not console.buckets.withdraw("p", **filters)
        assert console.look(plain)["status"] == console.look(bare)["status"] == "queued"

    def test_all_filters_hold_together(self, console: Console) -> None:
        fields: dict[str, Any] = {
            "site": "chime",
            "priority": 4,
            "user": "u",
            "event": [7],
            "tags": ["t"],
            "config": {"parent": "P"},
        }
        for name, other in [("site", "local"), ("priority", 5), ("user", "v"), ("event", [8])]:
            console.deposit("p", **{**fields, name: other})
        for name, other in [("tags", ["s"]), ("config", {"parent": "Q"})]:
            console.deposit("p", **{**fields, name: other})
        wanted = console.deposit("p", **fields)
        filters = {
            "site": "chime",
            "priority": 4,
            "user": "u",
            "event": [7],
            "tags": ["t"],
            "parent": ["P"],
        }
        assert console.buckets.withdraw("p", **filters)["id"] == wanted
        assert not console.buckets.withdraw("p", **filters)


class TestUpdate:
    def test_a_success_is_recorded_with_its_results(self, console: Console) -> None:
        work = console.running("p")
        done = {"status": "success", "results": {"snr": 9.5}, "products": ["/a"], "plots": ["/b"]}
        assert console.buckets.update([{**work, **done, "stop": work["start"] + 1}]) is True
        assert console.look(work["id"]) == {**work, **done, "stop": work["start"] + 1}
        assert not console.buckets.withdraw("p")

    def test_several_works_are_updated_at_once(self, console: Console) -> None:
        works = [console.running("p") for _ in range(3)]
        assert console.buckets.update([{**work, "status": "success"} for work in works]) is True
        assert states(console, "p") == {"success": 3}

    def test_a_failure_is_tried_again_after_an_audit(self, console: Console) -> None:
        work = console.running("p", retries=2)
        assert console.buckets.update([{**work, "status": "failure"}]) is True
        assert states(console, "p") == {"failure": 1}
        assert console.buckets.audit()["failed"] == 1
        assert console.buckets.withdraw("p")["attempt"] == 2

    def test_a_queued_work_can_be_edited(self, console: Console) -> None:
        work_id = console.deposit("p", priority=1)
        console.deposit("p", priority=3)
        changed = {**console.look(work_id), "priority": 5, "tags": ["urgent"], "retries": 4}
        assert console.buckets.update([changed]) is True
        assert console.look(work_id) == changed
        assert console.buckets.withdraw("p", tags=["urgent"])["id"] == work_id

    def test_keys_that_the_work_model_does_not_know_survive_an_update(
        self, console: Console
    ) -> None:
        given = {**console.payload("p"), "observatory": {"beams": [1, 2]}}
        (work_id,) = console.buckets.deposit([given], return_ids=True)
        work = console.withdraw("p")
        assert work is not None
        assert "observatory" not in work.payload
        assert work.set(status="success", results={"ok": True}).update() is True
        assert console.look(work_id)["observatory"] == {"beams": [1, 2]}


class TestStatus:
    def test_the_details_of_a_bucket_count_each_state(self, console: Console) -> None:
        for _ in range(2):
            console.deposit("p")
        for status in ("running", "success", "failure"):
            work = console.running("p", priority=5)
            if status != "running":
                console.buckets.update([{**work, "status": status}])
        details = console.buckets.status("p")
        assert list(details.items()) == [
            ("total", 5),
            ("queued", 2),
            ("running", 1),
            ("success", 1),
            ("failure", 1),
        ]

    def test_an_unknown_bucket_has_nothing(self, console: Console) -> None:
        assert list(console.buckets.status("unheard-of").items()) == [(name, 0) for name in DETAILS]

    def test_the_overall_status_counts_all_buckets(self, console: Console) -> None:
        for name in ("one", "two", "two"):
            console.deposit(name)
        overall = console.buckets.status()
        assert isinstance(overall, dict)
        assert overall["total"] == overall["queued"] == 3

    def test_buckets_are_listed_by_name(self, console: Console) -> None:
        assert console.buckets.pipelines() == []
        for name in ("b", "a", "b"):
            console.deposit(name)
        assert sorted(console.buckets.pipelines()) == ["a", "b"]

    def test_client_and_server_say_what_they_are(self, console: Console) -> None:
        info = console.buckets.info()
        assert info["client"]["baseurl"].endswith("/buckets")
        assert info["server"]["version"]

    def test_a_bucket_may_have_any_name_that_a_work_may(self, console: Console) -> None:
        for name in ("x" * 128, "größe-5", "A-b-9", "探索"):
            work_id = console.deposit(name)
            assert states(console, name) == {"queued": 1}
            assert console.buckets.withdraw(name)["id"] == work_id


class TestAudit:
    def test_nothing_to_audit_counts_nothing(self, console: Console) -> None:
        assert list(console.buckets.audit().items()) == [
            ("failed", 0),
            ("expired", 0),
            ("stale", 0),
        ]

    def test_failed_works_are_queued_while_tries_are_left(self, console: Console) -> None:
        again, last = console.running("p", retries=2), console.running("p", retries=1)
        console.buckets.update([{**work, "status": "failure"} for work in (again, last)])
        assert console.buckets.audit()["failed"] == 1
        assert console.look(again["id"])["status"] == "queued"
        assert console.look(last["id"])["status"] == "failure"
        assert console.buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}

    def test_a_work_past_its_time_fails_first_and_is_queued_by_the_next_audit(
        self, console: Console
    ) -> None:
        quick, slow = console.running("p", timeout=1), console.running("p", timeout=3600)

        def audited() -> Any:
            counts = console.buckets.audit()
            return counts if counts["expired"] else None

        counts = eventually(audited, 20.0, "the audit sees the expired work")
        assert counts == {"failed": 0, "expired": 1, "stale": 0}
        assert console.look(quick["id"])["status"] == "failure"
        assert console.look(slow["id"])["status"] == "running"
        assert console.buckets.audit() == {"failed": 1, "expired": 0, "stale": 0}
        assert console.look(quick["id"])["status"] == "queued"

    def test_stale_works_are_counted_and_kept(self, console: Console) -> None:
        day_s = 86_400.0
        stale = console.deposit("p", creation=time.time() - 7.5 * day_s)
        console.deposit("p", creation=time.time() - 6.5 * day_s)
        assert console.buckets.audit()["stale"] == 1
        assert console.buckets.audit()["stale"] == 1
        assert console.look(stale)["status"] == "queued"


class TestKey:
    def test_another_organisation_sees_nothing_and_changes_nothing(
        self, bucket_server: BucketServer, console: Console, tmp_path: Any
    ) -> None:
        mine = console.running("p")
        queued = console.deposit("p")
        stranger = bucket_server.workspace(tmp_path / "stranger")
        with Console(stranger, tmp_path / "stranger.log") as other:
            assert other.buckets.view({}, {}) == []
            assert other.buckets.pipelines() == []
            assert not other.buckets.withdraw("p")
            other.buckets.update([{**mine, "status": "success"}])
            other.buckets.delete_ids([mine["id"], queued])
        assert console.look(mine["id"]) == mine
        assert console.look(queued)["status"] == "queued"

    def test_without_a_key_nothing_is_told(
        self, workspace: Workspace, bucket_server: BucketServer, tmp_path: Any
    ) -> None:
        url = bucket_server.server.url
        nobody = Workspace.make(tmp_path / "nobody", url, None)
        with Console(nobody, tmp_path / "nobody.log") as console:
            for verb in ("status", "pipelines", "audit"):
                with pytest.raises(CallFailed) as refused:
                    console.call(f"buckets.{verb}")
                assert refused.value.status == 401

"""What goes wrong between the published client and the server, and what comes of it."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.engine.states import Reason
from longshore.storage import faults
from tests.acceptance.harness import eventually
from tests.acceptance.voyage import Lookout
from tests.clients.conftest import BucketServer
from tests.clients.cut import CuttingProxy
from tests.clients.workflow_client import (
    PROMPTLY_S,
    CallFailed,
    Console,
    RemoteWork,
    Workspace,
    run_command,
    running,
)
from tests.conftest import KINDS

ENDS_WITHIN_S = 20.0


def until(console: Console, work_id: str, **expected: Any) -> dict[str, Any]:
    """Wait until a work has these fields."""

    def look() -> dict[str, Any] | None:
        work = console.look(work_id)
        return work if {name: work[name] for name in expected} == expected else None

    return eventually(look, ENDS_WITHIN_S, f"the work is {expected}") or {}


def withdraw(console: Console, pipeline: str) -> RemoteWork:
    """Withdraw a work as soon as there is one, with an auditor who looks after expired works."""
    found: list[RemoteWork] = []

    def taken() -> bool:
        console.buckets.audit()
        work = console.withdraw(pipeline)
        if work is not None:
            found.append(work)
        return work is not None

    eventually(taken, ENDS_WITHIN_S, f"a work in {pipeline}")
    return found[0]


class TestLateUpdate:
    """The first holder's time is over; what it then reports is not written, and it is told so."""

    def late(self, work: RemoteWork, console: Console, status: str = "success") -> None:
        work.set(status=status, results={"by": "the first"}, products=["/late"])
        work.update()
        assert console.took_s < PROMPTLY_S, "the published client tries again for 30 seconds"

    def test_a_work_that_another_holds_is_left_to_that_one(self, console: Console) -> None:
        work_id = console.deposit("p", timeout=1)
        first = withdraw(console, "p")
        second = withdraw(console, "p")
        assert (first["id"], second["id"]) == (work_id, work_id)
        held = console.look(work_id)
        assert held["attempt"] == second["attempt"] > first["attempt"]
        for status in ("success", "failure"):
            self.late(first, console, status)
            seen = console.look(work_id)
            # The second holder's time may be over by now as well; nothing is the first one's.
            assert (seen["results"], seen["products"]) == (None, None)
            assert seen["status"] != "success"

    def test_a_work_that_another_has_done_keeps_that_ones_results(self, console: Console) -> None:
        work_id = console.deposit("p", timeout=1)
        first = withdraw(console, "p")
        second = withdraw(console, "p")
        assert second.set(status="success", results={"by": "the second"}).update() is True
        done = console.look(work_id)
        for status in ("success", "failure"):
            self.late(first, console, status)
            assert console.look(work_id) == done

    def test_one_late_work_among_others_keeps_none_of_them_from_being_written(
        self, console: Console
    ) -> None:
        console.deposit("p", timeout=1)
        first = withdraw(console, "p")
        second = withdraw(console, "p")
        assert second.set(status="success", results={"by": "the second"}).update() is True
        console.deposit("q")
        other = withdraw(console, "q")
        works = [{**work.payload, "status": "success", "results": {}} for work in (first, other)]
        console.buckets.update(works)
        assert console.took_s < PROMPTLY_S
        assert console.look(first["id"])["results"] == {"by": "the second"}
        assert console.look(other["id"])["status"] == "success"

    def test_a_work_that_was_deleted_stays_deleted(self, console: Console) -> None:
        work_id = console.deposit("p")
        work = withdraw(console, "p")
        console.buckets.delete_ids([work_id])
        self.late(work, console)
        assert console.buckets.view({"id": work_id}, {}) == []

    def test_the_same_report_twice_is_written_once(self, console: Console) -> None:
        work_id = console.deposit("p")
        work = withdraw(console, "p").set(status="success", results={"snr": 1})
        assert work.update() is True
        done = console.look(work_id)
        work.update()
        assert console.took_s < PROMPTLY_S
        assert console.look(work_id) == done

    def test_a_published_worker_that_comes_too_late_goes_on_with_the_next_work(
        self, console: Console, workspace: Workspace, tmp_path: Path
    ) -> None:
        fields: dict[str, Any] = {"function": "workflow_functions.dawdle", "timeout": 1}
        late = console.deposit("p", **fields, parameters={"seconds": 4}, retries=1, priority=5)
        good = console.deposit("p", **fields, parameters={"seconds": 0})
        with running(workspace, ["audit", "--sleep=1"], tmp_path / "audit.log"):
            done = run_command(workspace, "run", "p", "--site=local", "--lives=2", "--sleep=1")
        assert done.returncode == 0, done.stdout
        assert console.look(good)["status"] == "success"
        over = console.look(late)
        assert (over["status"], over["results"], over["attempt"]) == ("failure", None, 1)


class TestUnreadable:
    def test_a_work_that_no_client_can_read_does_not_run_for_ever(self, console: Console) -> None:
        # The depositor was relaxed about the site, which the payload does not say.
        fields: dict[str, Any] = {"timeout": 1, "config": {"strategy": "relaxed"}}
        audited = console.deposit("p", site="elsewhere", retries=2, **fields)
        for attempt in (1, 2):
            with pytest.raises(CallFailed) as refused:
                withdraw(console, "p")
            assert refused.value.type == "ValidationError"
            assert console.look(audited)["attempt"] == attempt
        alone = console.deposit("q", site="elsewhere", retries=1, **fields)
        with pytest.raises(CallFailed):
            console.withdraw("q")
        # Nobody audits any more: the server sees by itself that nobody reports.
        for work_id in (audited, alone):
            assert until(console, work_id, status="failure")["results"] is None
        assert console.withdraw(["p", "q"]) is None

    def test_what_no_client_could_ever_read_is_not_taken_at_all(
        self, console: Console, bucket_server: BucketServer, workspace: Workspace
    ) -> None:
        good = console.work(pipeline="p").payload
        bad: list[dict[str, Any]] = [
            {"retries": 9},
            {"timeout": 0},
            {"priority": 6},
            {"status": "cancelled"},
            {"pipeline": "under_score"},
            {"config": None},
            {"parameters": []},
            {"notify": {"slack": {"unknown": 1}}},
            {"function": "f.g", "command": ["c"]},
        ]
        for change in bad:
            answer = httpx.post(
                f"{bucket_server.server.url}/buckets/work",
                json=[good, {**good, **change}],
                headers={"x-access-token": str(workspace.key)},
                trust_env=False,
            )
            assert answer.status_code in (400, 422), f"{change}: {answer.text}"
        assert console.buckets.pipelines() == []


class TestLostAnswer:
    @pytest.fixture
    def proxy(self, bucket_server: BucketServer) -> Iterator[CuttingProxy]:
        with CuttingProxy(bucket_server.server.port) as made:
            yield made

    @pytest.fixture
    def beyond(
        self, proxy: CuttingProxy, workspace: Workspace, tmp_path: Path
    ) -> Iterator[Console]:
        """A client in the same organisation whose connections go through the proxy."""
        through = Workspace.make(tmp_path / "beyond", proxy.url, workspace.key)
        with Console(through, tmp_path / "beyond.log") as made:
            yield made

    @pytest.mark.parametrize("return_ids", [True, False])
    def test_a_deposit_whose_answer_is_lost_makes_no_twins(
        self, console: Console, beyond: Console, proxy: CuttingProxy, return_ids: bool
    ) -> None:
        works = [beyond.work(pipeline="p", parameters={"n": n}).payload for n in range(3)]
        proxy.cut("POST /buckets/work?", times=2)
        answer = beyond.buckets.deposit(works, return_ids=return_ids)
        assert proxy.left == 0, "the answer was lost twice"
        found = console.buckets.view({"pipeline": "p"}, {})
        assert sorted(work["parameters"]["n"] for work in found) == [0, 1, 2]
        assert answer is True or answer == [work["id"] for work in found]

    def test_a_deposit_after_one_whose_answer_was_lost_is_a_new_one(
        self, console: Console, beyond: Console, proxy: CuttingProxy
    ) -> None:
        work = beyond.work(pipeline="p")
        proxy.cut("POST /buckets/work?", times=1)
        first = work.deposit(return_ids=True)
        second = work.deposit(return_ids=True)
        assert first != second
        assert console.buckets.status("p")["total"] == 2

    def test_a_report_whose_answer_is_lost_is_written_once(
        self, console: Console, beyond: Console, proxy: CuttingProxy
    ) -> None:
        work_id = console.deposit("p")
        work = withdraw(beyond, "p").set(status="success", results={"snr": 1})
        proxy.cut("PUT /buckets/work", times=1)
        work.update()
        assert proxy.left == 0
        seen = console.look(work_id)
        assert (seen["status"], seen["results"], seen["attempt"]) == ("success", {"snr": 1}, 1)

    def test_a_withdrawal_whose_answer_is_lost_comes_back_in_time(
        self, console: Console, beyond: Console, proxy: CuttingProxy
    ) -> None:
        work_id = console.deposit("p", timeout=1)
        proxy.cut("POST /buckets/work/withdraw", times=1)
        with pytest.raises(CallFailed):
            beyond.withdraw("p")
        assert withdraw(beyond, "p")["id"] == work_id

    def test_a_deletion_whose_answer_is_lost_is_done(
        self, console: Console, beyond: Console, proxy: CuttingProxy
    ) -> None:
        # This client waits 30 seconds before it tries again; the server must not need that.
        work_id = console.deposit("p")
        proxy.cut("DELETE /buckets/work", times=1)
        beyond.send("buckets.delete_ids", [work_id])
        eventually(
            lambda: console.buckets.view({"id": work_id}, {}) == [], ENDS_WITHIN_S, "it is deleted"
        )


class TestTwins:
    def test_one_work_deposited_twice_on_purpose_is_two_works(self, console: Console) -> None:
        work = console.work(pipeline="p")
        (first,), (second,) = work.deposit(return_ids=True), work.deposit(return_ids=True)
        assert first != second
        assert work.deposit() is True
        assert console.buckets.status("p")["total"] == 3

    def test_the_same_payload_many_times_in_one_deposit_is_many_works(
        self, console: Console
    ) -> None:
        payload = console.work(pipeline="p").payload
        assert len(set(console.buckets.deposit([payload] * 5, return_ids=True))) == 5

    @pytest.mark.parametrize("connections", [1, 2])
    def test_the_same_bytes_on_connections_that_stay_open_are_two_deposits(
        self,
        console: Console,
        bucket_server: BucketServer,
        workspace: Workspace,
        connections: int,
    ) -> None:
        body = json.dumps([console.work(pipeline="p").payload])
        headers = {"x-access-token": str(workspace.key), "content-type": "application/json"}
        open_ones = [
            http.client.HTTPConnection("127.0.0.1", bucket_server.server.port)
            for _ in range(connections)
        ]
        ids = []
        for number in range(4):
            connection = open_ones[number % connections]
            connection.request("POST", "/buckets/work?return_ids=True", body, headers)
            ids += json.loads(connection.getresponse().read())
        for connection in open_ones:
            connection.close()
        assert len(set(ids)) == 4
        assert console.buckets.status("p")["total"] == 4


class TestKilledServer:
    @pytest.fixture(params=KINDS)
    def database(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str | None]:
        def made() -> str | None:
            if request.param == "sqlite":
                return None
            url: str = request.getfixturevalue("postgresql_server").new_database()
            return url

        return made

    @pytest.mark.parametrize("where", [faults.BEFORE_COMMIT, faults.AFTER_COMMIT])
    def test_a_deposit_at_which_the_server_dies_is_made_once(
        self, tmp_path: Path, mark: str, database: Callable[[], str | None], where: str
    ) -> None:
        fault = f"{where}:{Reason.SUBMITTED}"
        made = BucketServer.start(tmp_path / "server" / "data", mark, database(), fault=fault)
        try:
            workspace = made.workspace(tmp_path / "home")
            with Lookout(made.server) as lookout, Console(workspace, tmp_path / "log") as console:
                name = f"p-{secrets.token_hex(4)}"
                ids = console.work(pipeline=name).deposit(return_ids=True)
                assert [work["id"] for work in console.buckets.view({}, {})] == ids
            assert lookout.error is None, lookout.error
            assert len(lookout.deaths) == 1, made.server.tail()
        finally:
            made.server.close()

    def test_what_a_killed_server_acknowledged_is_there_again(
        self, tmp_path: Path, mark: str, database: Callable[[], str | None]
    ) -> None:
        made = BucketServer.start(tmp_path / "server" / "data", mark, database())
        try:
            workspace = made.workspace(tmp_path / "home")
            with Console(workspace, tmp_path / "log") as console:
                queued, _ = console.deposit("p", parameters={"n": 1}), console.deposit("q")
                held = withdraw(console, "q")
                before = console.buckets.view({}, {})
                made.server.restart()
                assert console.buckets.view({}, {}) == before
                assert held.set(status="success", results={"snr": 1}).update() is True
                assert console.look(held["id"])["results"] == {"snr": 1}
                assert withdraw(console, "p")["id"] == queued
        finally:
            made.server.close()

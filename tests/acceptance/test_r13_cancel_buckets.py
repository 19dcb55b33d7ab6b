"""R13 for buckets: a work is cancelled in every state, in a bucket that runs one work at a time."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour as Port
from tests.acceptance.harness import Server, eventually, stays
from tests.surfaces.results_rig import PIPELINE, Harbour, harbour

CANCELLED_WITHIN_S = 5.0
GRACE_S = 5.0
BUCKET = "behave"


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(database, clock, tmp_path) as made:
        await made.deposit(user="sets the limit")
        await made.configure(concurrency_max=1, retry_pause_s=30.0)
        (held,) = await _withdraw(made)
        assert await made.call("PUT", "/buckets/work", [{**held, "status": "success"}]) is True
        yield made


async def _withdraw(rig: Harbour) -> list[dict[str, Any]]:
    wanted = {"pipeline": PIPELINE}
    found: list[dict[str, Any]] = await rig.call("POST", "/buckets/work/withdraw", wanted, limit=5)
    return found


async def _state(rig: Harbour, work_id: str) -> tuple[str, str]:
    (seen,) = await rig.bucket({"id": work_id}, projection={"longshore": True})
    return seen["longshore"]["state"], seen["longshore"]["reason"]


async def _end(rig: Harbour, work: dict[str, Any], status: str) -> Any:
    return await rig.call("PUT", "/buckets/work", [{**work, "status": status}])


async def test_a_queued_work_is_cancelled_at_once_and_the_one_behind_it_moves_up(
    rig: Harbour,
) -> None:
    first, second, third = await rig.deposit(3)
    (held,) = await _withdraw(rig)
    assert held["id"] == first
    assert (await rig.act("cancel", ids=[second]))["changed"] == 1
    assert await _state(rig, second) == ("cancelled", "cancelled")
    assert await _withdraw(rig) == [], "the slot is taken"
    assert await _end(rig, held, "success") is True
    assert [each["id"] for each in await _withdraw(rig)] == [third]
    assert (await rig.act("cancel", ids=[first, second]))["changed"] == 0, "what is over stays"


@pytest.mark.parametrize("status", ["success", "failure", "queued", "running"])
async def test_a_work_held_by_a_client_that_cannot_be_told_is_over_when_it_reports(
    rig: Harbour, status: str
) -> None:
    first, second = await rig.deposit(2)
    (held,) = await _withdraw(rig)
    assert (await rig.act("cancel", ids=[first]))["changed"] == 1
    assert await _state(rig, first) == ("running", "cancel_requested")
    told = await _end(rig, held, status)
    if status == "running":
        # An edit is none of an end: the client goes on, and so does the work.
        assert told is True
        told = await _end(rig, held, "success")
    assert (told["updated"], told["refused"][0]["state"]) == (0, "cancelled")
    assert await _state(rig, first) == ("cancelled", "cancel_confirmed")
    (seen,) = await rig.bucket({"id": first})
    assert (seen["status"], seen["results"]) == ("failure", None), "nothing of it is kept"
    assert [each["id"] for each in await _withdraw(rig)] == [second], "the slot is free"


async def test_a_cancelled_work_whose_client_never_comes_back_is_over_with_its_lease(
    rig: Harbour,
) -> None:
    first, second = await rig.deposit(2, timeout=60, retries=5)
    (held,) = await _withdraw(rig)
    await rig.act("cancel", ids=[first])
    rig.clock.advance(61.0)
    assert await rig.call("GET", "/buckets/audit/expired") == 1
    assert await _state(rig, first) == ("cancelled", "cancel_confirmed")
    assert await rig.call("GET", "/buckets/audit/failed") == 0, "it is not tried again"
    assert [each["id"] for each in await _withdraw(rig)] == [second]
    told = await _end(rig, held, "success")
    assert told["refused"][0]["code"] == "lease_lost"


async def test_a_client_that_renews_is_told_and_confirms(rig: Harbour) -> None:
    first, second = await rig.deposit(2)
    wanted = {"pipeline": PIPELINE}
    held = await rig.call("POST", "/buckets/work/withdraw", wanted, lease_s=30.0)
    await rig.act("cancel", ids=[first])
    lease = {"id": held["id"], "attempt": held["attempt"]}
    told = await rig.call("POST", "/buckets/work/renew", {"works": [lease], "lease_s": 30.0})
    assert [(each["id"], each["cancelled"]) for each in told["lost"]] == [(first, True)]
    assert (await _end(rig, held, "failure"))["refused"][0]["state"] == "cancelled"
    assert [each["id"] for each in await _withdraw(rig)] == [second]


async def test_a_failed_work_with_a_retry_to_come_is_cancelled_and_not_tried_again(
    rig: Harbour,
) -> None:
    first, second = await rig.deposit(2, retries=5)
    (held,) = await _withdraw(rig)
    assert await _end(rig, held, "failure") is True
    assert (await rig.act("cancel", query={"id": first}))["changed"] == 1
    assert await _state(rig, first) == ("cancelled", "cancelled")
    rig.clock.advance(3_600.0)
    assert await rig.call("GET", "/buckets/audit/failed") == 0
    assert [each["id"] for each in await _withdraw(rig)] == [second]
    assert (await rig.act("retry", ids=[first]))["changed"] == 1, "until somebody asks for it"


class Berth:
    """A server whose bucket runs one work at a time, and our worker with two slots."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.server: Server = port.server()
        self.server.start()
        self.user: User = port.user(self.server)
        self.worker = port.worker(self.server, slots=2, options=("--bucket", BUCKET))
        self.worker.start()
        first, _ = self.deposit("fine")
        eventually(lambda: self.state(first) == "success", 30.0, "the worker serves the bucket")
        path = f"/buckets/settings/{BUCKET}"
        self.user.ask("PUT", path, json={"concurrency_max": 1})

    def deposit(self, verb: str) -> tuple[str, Path]:
        """Deposit a work that waits for a marker; return its id and the marker."""
        marker = self.port.directory / secrets.token_hex(6)
        work = {
            "pipeline": BUCKET,
            "site": "local",
            "user": "ann",
            "parameters": {"line": f"{verb} {marker}"},
            "timeout": 600,
        }
        (work_id,) = self.user.post("/buckets/work?return_ids=True", [work])
        return work_id, marker

    def state(self, work_id: str) -> str:
        return str(self.user.work(work_id)["state"])

    def cancel(self, *work_ids: str) -> None:
        body = {"action": "cancel", "ids": list(work_ids)}
        self.user.post("/buckets/actions", body, expect=(202,))


@pytest.fixture(scope="module")
def berth(module_harbour: Port) -> Berth:
    return Berth(module_harbour)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_work_that_our_worker_runs_is_stopped_with_all_its_processes(berth: Berth) -> None:
    first, marker = berth.deposit("spawn")
    pid_file = Path(f"{marker}.pid")
    eventually(pid_file.exists, 20.0, "the work runs")
    eventually(lambda: pid_file.read_text("utf-8").isdecimal(), 5.0, "the grandchild is known")
    grandchild = int(pid_file.read_text("utf-8"))
    second, second_marker = berth.deposit("until")
    stays(lambda: berth.state(second) == "queued", 0.5, "the second work waits for the first")

    berth.cancel(first)
    over = CANCELLED_WITHIN_S + GRACE_S
    eventually(lambda: berth.state(first) == "cancelled", over, "it is cancelled")
    eventually(lambda: not _alive(grandchild), GRACE_S, "the grandchild is gone")
    eventually(lambda: berth.state(second) == "running", over, "the slot is free")
    marker.touch()
    third, _ = berth.deposit("fine")
    berth.cancel(third)
    eventually(lambda: berth.state(third) == "cancelled", CANCELLED_WITHIN_S, "so is a queued one")
    second_marker.touch()
    eventually(lambda: berth.state(second) == "success", 20.0, "the second work is done")

    assert berth.state(first) == "cancelled"
    (seen,) = berth.user.post("/buckets/view", {"query": {"id": first}})
    assert (seen["status"], seen["results"]) == ("failure", None)
    for work_id in (first, second, third):
        invariants.check_history(berth.user.events(work_id), berth.user.work(work_id))

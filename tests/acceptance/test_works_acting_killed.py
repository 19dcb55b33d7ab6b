"""The server is killed in the middle of an action on everything that matches."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from longshore.engine.states import Reason
from longshore.storage import faults
from longshore.surfaces.works import acting
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually

BUCKET = "killed"
ACTIONS = "/longshore/v1/works/actions"
WORKS = acting.STEP_WORKS + 50


@pytest.mark.parametrize(
    ("action", "point"),
    [
        ("retry", f"{faults.BEFORE_COMMIT}:{acting.MARK}"),
        ("retry", f"{faults.AFTER_COMMIT}:{acting.MARK}"),
        ("hold", f"{faults.AFTER_COMMIT}:{Reason.HELD}"),
    ],
)
def test_a_server_killed_in_a_bulk_action_does_the_rest_of_it_and_counts_right(
    harbour: Harbour, database_url: str, action: str, point: str
) -> None:
    server = harbour.server(database=database_url, settings={"LONGSHORE_LEASE_S": "3"})
    server.start(fault=point)
    user = harbour.user(server)
    work = {"pipeline": BUCKET, "site": "local", "user": "ann", "retries": 1}
    user.post("/buckets/work", [work] * WORKS)
    if action == "retry":
        held = user.post(f"/buckets/work/withdraw?limit={WORKS}", {"pipeline": BUCKET})
        assert len(held) == WORKS
        user.ask("PUT", "/buckets/work", json=[{**each, "status": "failure"} for each in held])
    wish = {
        "action": action,
        "q": f"state:{'failure' if action == 'retry' else 'queued'} queue:{BUCKET}",
        "reason": "the disk is back",
        "expected": WORKS,
    }
    started = user.post(ACTIONS, wish, expect=(202,))
    eventually(lambda: not server.running, 60, "the server dies in the action")
    assert server.process.returncode == -signal.SIGKILL, server.tail()
    server.start()
    done = eventually(lambda: _over(user, started["id"]), 60, "the action is over") or {}
    assert (done["state"], done["done"], done["skipped"], done["failed"]) == (
        "success",
        WORKS,
        {},
        {},
    )
    found = user.get("/longshore/v1/works", q=f"queue:{BUCKET}", limit=1000)["works"]
    assert {each["state"] for each in found} == {"queued" if action == "retry" else "waiting"}
    assert len(found) == WORKS
    events = user.get(f"/longshore/v1/works/{found[0]['id']}/events")["events"]
    reason = "reopened" if action == "retry" else "held"
    assert [each["reason"] for each in events].count(reason) == 1


def _over(user: User, job_id: str) -> dict[str, Any] | None:
    stands: dict[str, Any] = user.get(f"{ACTIONS}/{job_id}")
    return stands if stands["final"] else None

"""The server is killed while it moves works to the results, deletes results, and acts on works."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from longshore.storage import faults
from longshore.surfaces.buckets import actions, archiving
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.acceptance.voyage import Lookout

PIPELINE = "killed"
WORKS = 30
WHERE = [faults.BEFORE_COMMIT, faults.AFTER_COMMIT]


def armed(harbour: Harbour, database: str, point: str) -> Server:
    server = harbour.server(database=database, settings={"LONGSHORE_RETENTION_INTERVAL_S": "0.2"})
    server.start(fault=point)
    return server


def deposit(user: User, count: int = WORKS) -> list[str]:
    work = {"pipeline": PIPELINE, "site": "local", "user": "tester"}
    ids: list[str] = user.post("/buckets/work?return_ids=True", [work] * count)
    return ids


def finish(user: User, count: int = WORKS) -> None:
    held = user.post(f"/buckets/work/withdraw?limit={count}", {"pipeline": PIPELINE})
    assert len(held) == count
    ended = [{**each, "status": "success", "products": [f"{each['id']}.fits"]} for each in held]
    assert user.ask("PUT", "/buckets/work", json=ended).json() is True


def configure(user: User, **settings: Any) -> None:
    user.ask("PUT", f"/buckets/settings/{PIPELINE}", json=settings)


def view(user: User, service: str) -> list[str]:
    body = {"query": {"pipeline": PIPELINE}, "projection": {"id": True}, "limit": 1_000}
    return sorted(each["id"] for each in user.post(f"/{service}/view", body))


@pytest.mark.parametrize("where", WHERE)
def test_a_server_killed_while_it_archives_loses_nothing_and_doubles_nothing(
    harbour: Harbour, database_url: str, where: str
) -> None:
    server = armed(harbour, database_url, f"{where}:{archiving.ARCHIVED}")
    with Lookout(server) as lookout:
        user = harbour.user(server)
        made = deposit(user)
        finish(user)
        configure(user, archive_after_s=0)
        eventually(lambda: lookout.deaths, 30, "the server dies while it archives")
        eventually(lambda: not view(user, "buckets"), 30, "all works have left the bucket")
        assert view(user, "results") == sorted(made)
        for one in made[:3]:
            (product,) = user.get(f"/buckets/artifacts/{one}")
            assert product["path"] == f"{one}.fits"
    assert lookout.error is None, lookout.error
    assert lookout.deaths == [-signal.SIGKILL], server.tail()


@pytest.mark.parametrize("where", WHERE)
def test_a_server_killed_while_it_deletes_old_results_goes_on_with_it(
    harbour: Harbour, database_url: str, where: str
) -> None:
    server = armed(harbour, database_url, f"{where}:{archiving.EXPIRED}")
    with Lookout(server) as lookout:
        user = harbour.user(server)
        made = deposit(user)
        finish(user)
        locked = user.post("/buckets/view", {"query": {"id": made[0]}})
        configure(user, archive_after_s=0)
        eventually(lambda: not view(user, "buckets"), 30, "all works have left the bucket")
        lock = {**locked[0], "results": {"locked": True}}
        assert user.ask("PUT", "/results/results", json=[lock]).json() is True
        configure(user, results_retention_s=0)
        eventually(lambda: lookout.deaths, 30, "the server dies while it deletes")
        eventually(
            lambda: view(user, "results") == [made[0]], 30, "all but the locked one are gone"
        )
        assert user.http.get(f"/buckets/artifacts/{made[1]}").status_code == 404
    assert lookout.error is None, lookout.error
    assert lookout.deaths == [-signal.SIGKILL], server.tail()


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("action", ["delete", "cancel"])
def test_a_server_killed_in_an_action_does_the_rest_of_it_and_counts_right(
    harbour: Harbour, database_url: str, where: str, action: str
) -> None:
    server = armed(harbour, database_url, f"{where}:{actions.MARK}")
    with Lookout(server) as lookout:
        user = harbour.user(server)
        deposit(user, actions.STEP_WORKS + 50)
        started = user.post("/buckets/actions", {"action": action, "query": {}}, expect=(202,))
        eventually(lambda: lookout.deaths, 30, "the server dies in the action")
        stands = eventually(lambda: complete(user, started["id"]), 30, "the action is complete")
        assert stands["changed"] == actions.STEP_WORKS + 50
        assert stands["left"] == 0
        status = user.get("/buckets/status")
        assert status["queued"] == 0
        assert status["total"] == (0 if action == "delete" else actions.STEP_WORKS + 50)
    assert lookout.error is None, lookout.error
    assert lookout.deaths == [-signal.SIGKILL], server.tail()


def complete(user: User, job_id: str) -> dict[str, Any] | None:
    stands: dict[str, Any] = user.get(f"/buckets/actions/{job_id}")
    return stands if stands["state"] == "COMPLETE" else None

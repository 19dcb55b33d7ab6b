"""R1: the server is killed before and after the commit of each write of a run of scripts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from longshore.engine.states import Reason
from longshore.storage import faults
from longshore.surfaces.scripts import codes
from tests.acceptance import invariants
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually
from tests.acceptance.scripts import (
    AGAIN,
    API,
    Dispatcher,
    HostWorker,
    Log,
    check_run,
    step,
    workflow,
)
from tests.acceptance.test_r01_buckets_server_killed import WHERE, Chain
from tests.conftest import KINDS, PostgreSQLServer

POINTS = [
    "events.post",
    Reason.CLAIMED,
    codes.SWAPPED,
    "steps.payload",
    Reason.DONE,
    Reason.FAILED,
    Reason.RETRIED,
    "flags.set",
    "runs.hold",
    "runs.skip",
    "runs.cancel",
    "runs.rerun",
]
"""Where the server dies, in the order in which the test comes to it."""
SHORT = [("sqlite", faults.AFTER_COMMIT), ("postgresql", faults.BEFORE_COMMIT)]
FLAG = {"name": "prices", "systemName": "market", "date": "2026-11-20"}


@pytest.fixture(params=itertools.product(KINDS, WHERE), ids="-".join)
def chain(request: pytest.FixtureRequest, harbour: Harbour) -> Iterator[Chain]:
    """A server on either database, to die at each write; all four combinations with --long."""
    kind, where = request.param
    if request.param not in SHORT and not request.config.getoption("--long", default=False):
        pytest.skip("dies on both sides of commits on each database with --long")
    postgresql: PostgreSQLServer | None = None
    database = None
    if kind == "postgresql":
        postgresql = request.getfixturevalue("postgresql_server")
        database = postgresql.new_database()
    made = Chain(harbour.server(database=database), where, [str(point) for point in POINTS])
    made.start()
    thread = threading.Thread(target=made.look_out, name="look-out")
    thread.start()
    yield made
    made.end()
    thread.join()
    if postgresql is not None and database is not None:
        harbour.close()
        postgresql.drop(database)


@pytest.mark.slow
def test_a_server_killed_at_each_write_of_a_run_loses_and_doubles_no_step(
    harbour: Harbour, chain: Chain
) -> None:
    user = Dispatcher(chain.server)
    harbour.clients.append(user)
    for host in ("alpha", "nobody"):
        user.host(host)
    log = Log(harbour.directory / "steps.log")
    steps = {
        "extract": step(log.path, retries=AGAIN),
        "load": step(log.path, "alpha", "extract", retries=AGAIN, then="exit-at-first 3"),
    }
    assert user.apply(workflow("chain", steps))["version"] == 1
    key = "the event of the test"
    run_id = user.event("chain", {"what": "it is about"}, key=key)
    assert chain.deaths == POINTS.index(Reason.CLAIMED), chain.server.tail()
    worker = HostWorker(harbour.directory, "alpha", harbour.mark, chain.server)
    harbour.commands.append(worker)
    worker.start()
    user.finish(run_id)
    assert check_run(user, log, run_id) - len(steps) <= len(POINTS)
    assert user.event("chain", {"what": "it is about"}, key=key) == run_id
    assert user.get(f"{API}/rtevent/{run_id}")["payload"] == {"what": "it is about"}
    group_id = user.view(run_id)["group_id"]
    for work in user.works(group_id):
        invariants.check_history(user.events(work["id"]), work)
    invariants.check_counts(user.group(group_id)["counts"])

    _operate(chain, user)
    eventually(lambda: chain.deaths == len(POINTS), 30.0, "it has died at every point")
    assert chain.error is None, chain.error


def _operate(chain: Chain, user: Dispatcher) -> None:
    """Do what operators do with a run; each act is done once, however often it is asked for."""
    waiting = {
        "first": {"command": ["true"], "host": "nobody", "flags": [_of(FLAG)]},
        "second": {"command": ["true"], "host": "nobody", "depends_on": ["first"]},
    }
    user.apply(workflow("waiting", waiting))
    assert user.post(f"{API}/flag", FLAG)["status"] == "set"
    assert len(user.get(f"{API}/flag")["flags"]) == 1
    body: dict[str, Any] = {"business_date": FLAG["date"]}
    run = user.post(f"{API}/workflows/waiting/runs", body, expect=(201,))
    path = f"{API}/runs/{run['id']}"
    assert user.steps(run["id"]) == {"first": "ready", "second": "waiting"}
    user.post(f"{path}/hold", {})
    assert user.steps(run["id"]) == {"first": "hold", "second": "hold"}
    user.post(f"{path}/resume", {})
    assert user.steps(run["id"]) == {"first": "ready", "second": "waiting"}
    user.post(f"{path}/steps/first/skip", {"reason": "a test"})
    assert user.steps(run["id"]) == {"first": "skipped", "second": "ready"}
    user.post(f"{path}/cancel", {"reason": "a test"})
    assert user.steps(run["id"]) == {"first": "skipped", "second": "cancelled"}
    again = user.post(f"{path}/rerun", {"mode": "whole"}, expect=(200, 201))
    runs = user.get(f"{API}/runs", workflow="waiting")["runs"]
    assert [each["id"] for each in runs] == [again["id"], run["id"]]
    assert user.steps(again["id"]) == {"first": "ready", "second": "waiting"}


def _of(flag: dict[str, str]) -> dict[str, str]:
    return {"name": flag["name"], "system_name": flag["systemName"]}

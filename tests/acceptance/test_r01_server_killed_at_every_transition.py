"""R1: the server is killed just before and just after the commit of every change of state."""

from __future__ import annotations

import signal

import pytest

from longshore.engine.states import Reason, State
from longshore.storage import faults
from tests.acceptance import invariants, voyage
from tests.acceptance.conftest import Harbour
from tests.acceptance.voyage import Lookout, Scenario, Voyage
from tests.conftest import KINDS

_GOOD = {"a.txt": ("success",), "b.txt": ("success",)}
_PLAIN = Scenario(_GOOD)
_CANCELLED = dict.fromkeys(("a.txt", "b.txt", "c.txt"), State.CANCELLED)
_CANCEL = ("cancel",)

SCENARIOS: dict[Reason, Scenario] = {
    Reason.SUBMITTED: _PLAIN,
    # The job that ends a run waits for the run's files, and is released when they are over.
    Reason.BLOCKED: _PLAIN,
    Reason.RELEASED: _PLAIN,
    Reason.DELAYED: Scenario(
        {**_GOOD, "first": ("success",), "second": ("success",)}, seed=voyage.seed_delayed
    ),
    Reason.DEPENDENCY_FAILED: Scenario(
        {**_GOOD, "first": ("rejected",), "second": ("success",)},
        ends={"first": State.FAILURE, "second": State.CANCELLED},
        seed=voyage.seed_needing_success,
    ),
    Reason.CLAIMED: _PLAIN,
    Reason.DONE: _PLAIN,
    Reason.FAILED: Scenario({**_GOOD, "c.txt": ("failure", "success")}),
    Reason.TIMED_OUT: Scenario({**_GOOD, "c.txt": ("timed_out", "success")}),
    Reason.REJECTED: Scenario({**_GOOD, "c.txt": ("rejected",)}, ends={"c.txt": State.FAILURE}),
    Reason.LEASE_EXPIRED: Scenario({**_GOOD, "c.txt": ("drop", "success")}),
    Reason.HANDED_BACK: Scenario({**_GOOD, "c.txt": ("handed_back", "success")}),
    Reason.RETRIED: Scenario({**_GOOD, "c.txt": ("failure", "success")}),
    Reason.CANCEL_REQUESTED: Scenario(
        {"a.txt": _CANCEL, "b.txt": _CANCEL, "c.txt": _CANCEL},
        ends=_CANCELLED,
        run_status="CANCELLED",
    ),
    Reason.CANCEL_CONFIRMED: Scenario(
        {"a.txt": _CANCEL, "b.txt": _CANCEL, "c.txt": _CANCEL},
        ends=_CANCELLED,
        run_status="CANCELLED",
    ),
    Reason.CANCELLED: Scenario(
        {"a.txt": ("success",), "b.txt": ("success",), "c.txt": ("success",)},
        ends=_CANCELLED,
        run_status="CANCELLED",
        cancel_first=True,
    ),
}
ELSEWHERE = {
    # Seen by the server only when the worker beside it dies: see test_stop.
    Reason.WORKER_LOST,
    # What is reopened is a deletion that is asked for again: see below.
    Reason.REOPENED,
    # By a person's word: see test_works_acting_killed.
    Reason.HELD,
}
WHERE = (faults.BEFORE_COMMIT, faults.AFTER_COMMIT)
POINTS = [
    pytest.param(reason, where, id=f"{where}-{reason}") for reason in SCENARIOS for where in WHERE
]


def test_every_change_of_state_has_its_scenario() -> None:
    assert set(SCENARIOS) | ELSEWHERE == set(Reason)


@pytest.fixture
def chosen_url(request: pytest.FixtureRequest, reason: Reason, where: str) -> str:
    """A database of each kind; with --long, each change of state is tried on both sides on each.

    Otherwise each is tried on both sides, of which every other one is on SQLite.
    """
    kind = request.node.callspec.params["database_url"]
    turn = (list(SCENARIOS).index(reason) + WHERE.index(where)) % len(KINDS)
    if KINDS[turn] != kind and not request.config.getoption("--long", default=False):
        pytest.skip("dies on both sides of commits on each database with --long")
    url: str = request.getfixturevalue("database_url")
    return url


@pytest.mark.usefixtures("chosen_url")
@pytest.mark.parametrize(("reason", "where"), POINTS)
def test_a_server_killed_at_a_change_of_state_loses_nothing(
    harbour: Harbour, database_url: str, reason: Reason, where: str
) -> None:
    passage = Voyage(harbour, database_url, SCENARIOS[reason])
    user = passage.sail(f"{where}:{reason}")
    invariants.check_all(user)
    for work_id in passage.seeded.values():
        invariants.check_history(user.events(work_id), user.work(work_id))
    print(f"ready again after {passage.server.starts_s[-1]:.2f} s")


@pytest.mark.parametrize("where", [faults.BEFORE_COMMIT, faults.AFTER_COMMIT])
def test_a_server_killed_while_it_reopens_a_deletion_goes_on_with_it(
    harbour: Harbour, where: str
) -> None:
    server = harbour.server(settings={"LONGSHORE_LEASE_S": "2"})
    server.start(fault=f"{where}:{Reason.REOPENED}")
    with Lookout(server) as lookout:
        user = harbour.user(server)
        batch_id = user.batch_of({"a.txt": b"text", "b.txt": b"text"})
        path = f"/api/v2/batches/{batch_id}"
        (queue,) = user.get("/longshore/v1/queues")["queues"]
        user.ask("POST", f"/longshore/v1/queues/{queue['id']}/hold", json={"why": "a test"})
        job_id = user.ask("DELETE", path, expect=(202,)).json()["job_id"]
        user.ask("POST", f"/longshore/v1/works/{job_id}/cancel")
        assert user.job_done(job_id)["state"] == "CANCELLED"
        assert user.ask("DELETE", path, expect=(202,)).json()["job_id"] == job_id
        user.ask("POST", f"/longshore/v1/queues/{queue['id']}/release")
        job = user.job_done(job_id)
    assert lookout.error is None, lookout.error
    assert lookout.deaths == [-signal.SIGKILL], server.tail()
    assert (job["state"], job["objects"]) == ("COMPLETE", 2)
    assert user.http.get(path).status_code == 404
    invariants.check_history(user.events(job_id), user.work(job_id))
    told = [event["reason"] for event in user.events(job_id)]
    assert told.count("reopened") == 1

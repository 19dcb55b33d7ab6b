"""R1 for buckets: the server is killed before and after the commit of each write of the protocol.

One server dies again and again: each time it is started it is armed with the next point, so that
the works of the test go through every write once. The client sends again what was not answered,
as the published one does, and knows nothing of the deaths.
"""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from longshore.engine.states import Reason
from longshore.storage import faults
from longshore.surfaces.buckets import deleting, results_store, updating
from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.conftest import KINDS, PostgreSQLServer

BUCKET = "killed"
WORK = {"pipeline": BUCKET, "site": "local", "user": "ann", "retries": 3}
RESULT = {**WORK, "id": "r-1", "status": "success", "products": ["/r.h5"]}
WHERE = (faults.BEFORE_COMMIT, faults.AFTER_COMMIT)


@dataclass
class Chain:
    """A server that dies at one point after the other, and a client that goes on.

    Attributes:
        where: before or after the commits.
        points: where it dies, in order.
        deaths: how often it has died.
        point: of the step that is being taken.
        held: the work in hand, as it was withdrawn or seen last.
    """

    server: Server
    where: str
    points: list[str]
    deaths: int = 0
    point: str = ""
    held: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the server, to die at the next point."""
        point = self.points[self.deaths] if self.deaths < len(self.points) else None
        try:
            self.server.start(fault=None if point is None else f"{self.where}:{point}")
        except AssertionError:
            # The client can be so quick that the server dies again before it is seen to be ready.
            if self.server.process.returncode != -signal.SIGKILL:
                raise

    def look_out(self) -> None:
        """Start the server again whenever it dies, until the end."""
        try:
            while not self._done.wait(0.02):
                if not self.server.running:
                    assert self.server.process.returncode == -signal.SIGKILL, self.server.tail()
                    self.deaths += 1
                    self.start()
        except BaseException as error:  # noqa: BLE001 - the test's thread looks at it
            self.error = error

    def end(self) -> None:
        self._done.set()

    @property
    def committed(self) -> bool:
        """Whether the first request of this step is done without having been answered."""
        return self.where == faults.AFTER_COMMIT and self.point in self.points


Step = Callable[[Chain, User], None]


def see(user: User, work_id: str) -> dict[str, Any]:
    shown = {"longshore": True, "status": True, "tags": True, "products": True, "attempt": True}
    (found,) = user.ask(
        "POST", "/buckets/view", json={"query": {"id": work_id}, "projection": shown}
    ).json()
    return dict(found)


def put(user: User, *changed: dict[str, Any]) -> Any:
    return user.ask("PUT", "/buckets/work", json=list(changed)).json()


def withdraw(user: User) -> dict[str, Any]:
    found = user.ask("POST", "/buckets/work/withdraw", json={"pipeline": BUCKET}).json()
    assert found is not None
    return dict(found)


def count(user: User, **where: Any) -> int:
    return int(user.ask("POST", "/buckets/count", json={"query": where}).json())


def deposit(_: Chain, user: User) -> None:
    """A deposit whose answer is lost is made once, although nothing tells its repetition."""
    works = [{**WORK, "timeout": 1, "priority": 5}, WORK, WORK]
    path = "/buckets/work"
    made = user.ask("POST", path, json=works, params={"return_ids": "True"}).json()
    assert len(set(made)) == 3
    assert count(user) == 3


def take(chain: Chain, user: User) -> None:
    """A withdrawal whose answer is lost holds its work for the work's time, and no longer."""
    first = withdraw(user)
    assert count(user, status="running") == 1 + chain.committed
    assert first["timeout"] == (3600 if chain.committed else 1)
    chain.held = user.ask(
        "POST", "/buckets/view", json={"query": {"timeout": 1}, "projection": {"_id": False}}
    ).json()[0]
    assert (chain.held["status"], chain.held["attempt"]) == ("running", 1)


def expire(chain: Chain, user: User) -> None:
    # A server that starts lets leases live on for a while, so that nobody loses one by its death.
    def failed() -> bool:
        user.ask("GET", "/buckets/audit/expired")
        return see(user, chain.held["id"])["status"] == "failure"

    eventually(failed, 20.0, "the time of the work is over")
    assert see(user, chain.held["id"])["longshore"]["reason"] == Reason.LEASE_EXPIRED


def retry(chain: Chain, user: User) -> None:
    """Whether the first or the second request did it, it is done once."""
    done = user.ask("GET", "/buckets/audit/failed").json()
    assert done == (0 if chain.committed else 1)
    assert see(user, chain.held["id"])["longshore"]["reason"] == Reason.RETRIED


def edit(chain: Chain, user: User) -> None:
    seen = user.ask(
        "POST",
        "/buckets/view",
        json={"query": {"id": chain.held["id"]}, "projection": {"_id": False}},
    ).json()[0]
    assert put(user, {**seen, "timeout": 3600, "tags": ["edited"]}) is True
    assert see(user, seen["id"])["tags"] == ["edited"]


def hand_back(chain: Chain, user: User) -> None:
    chain.held = withdraw(user)
    assert (chain.held["tags"], chain.held["attempt"]) == (["edited"], 2)
    assert put(user, {**chain.held, "status": "queued"}) is True
    assert see(user, chain.held["id"])["longshore"]["reason"] == Reason.HANDED_BACK


def fail(chain: Chain, user: User) -> None:
    chain.held = withdraw(user)
    assert put(user, {**chain.held, "status": "failure", "tags": ["failed"]}) is True
    seen = see(user, chain.held["id"])
    assert (seen["status"], seen["tags"]) == ("failure", ["failed"])


def succeed(chain: Chain, user: User) -> None:
    chain.held = withdraw(user)
    ended = {**chain.held, "status": "success", "products": ["/p.h5"]}
    assert put(user, ended) is True
    seen = see(user, chain.held["id"])
    assert (seen["status"], seen["products"]) == ("success", ["/p.h5"])
    (artifact,) = user.get(f"/buckets/artifacts/{chain.held['id']}")
    assert artifact["path"] == "/p.h5"


def reopen(chain: Chain, user: User) -> None:
    assert put(user, {**chain.held, "status": "queued"}) is True
    seen = see(user, chain.held["id"])
    assert (seen["status"], seen["longshore"]["reason"]) == ("queued", Reason.REOPENED)


def delete(chain: Chain, user: User) -> None:
    before = count(user)
    path, params = "/buckets/work", {"ids": chain.held["id"]}
    assert user.ask("DELETE", path, params=params).json() is True
    assert count(user) == before - 1
    assert user.http.get(f"/buckets/artifacts/{chain.held['id']}").status_code == 404


def store(_: Chain, user: User) -> None:
    assert user.post("/results/results", [RESULT]) == {BUCKET: True}
    assert user.get("/results/status") == {BUCKET: 1}


def change(_: Chain, user: User) -> None:
    changed = {**RESULT, "products": ["/r.h5", "/s.h5"]}
    assert user.ask("PUT", "/results/results", json=[changed]).json() is True
    listed = user.get("/buckets/artifacts/r-1")
    assert [each["path"] for each in listed] == ["/r.h5", "/s.h5"]


def drop(_: Chain, user: User) -> None:
    gone = user.ask("DELETE", "/results/results", params={BUCKET: "r-1"}).json()
    assert gone == {BUCKET: True}
    assert user.get("/results/status") == {}


STEPS: dict[str, Step] = {
    Reason.SUBMITTED: deposit,
    Reason.CLAIMED: take,
    Reason.LEASE_EXPIRED: expire,
    Reason.RETRIED: retry,
    updating.UPDATED: edit,
    Reason.HANDED_BACK: hand_back,
    Reason.FAILED: fail,
    Reason.DONE: succeed,
    Reason.REOPENED: reopen,
    deleting.DELETED: delete,
    results_store.STORED: store,
    results_store.CHANGED: change,
    results_store.DELETED: drop,
}
"""What is done where the server dies, in order: no step passes the point of the next one."""


@pytest.fixture(params=range(4))
def chain(request: pytest.FixtureRequest, harbour: Harbour) -> Iterator[Chain]:
    """A server on either database, to die on either side of commits.

    Each of the four dies at every fourth write; with --long, at every one.
    """
    kind, where = list(itertools.product(KINDS, WHERE))[request.param]
    postgresql: PostgreSQLServer | None = None
    database = None
    if kind == "postgresql":
        postgresql = request.getfixturevalue("postgresql_server")
        database = postgresql.new_database()
    points = [str(point) for point in STEPS]
    if not request.config.getoption("--long", default=False):
        points = points[request.param :: 4]
    made = Chain(harbour.server(database=database), where, points)
    made.start()
    thread = threading.Thread(target=made.look_out, name="look-out")
    thread.start()
    yield made
    made.end()
    thread.join()
    if postgresql is not None and database is not None:
        made.server.kill()
        postgresql.drop(database)


@pytest.mark.slow
def test_a_server_killed_at_writes_of_the_protocol_loses_and_doubles_nothing(
    harbour: Harbour, chain: Chain
) -> None:
    user = harbour.user(chain.server)
    expected = 0
    for point, step in STEPS.items():
        chain.point = str(point)
        try:
            step(chain, user)
        finally:
            assert chain.error is None, chain.error
        expected += chain.point in chain.points
        _check_deaths(chain, expected)
    assert expected == len(chain.points)
    for work in user.ask("POST", "/buckets/view", json={"limit": 100}).json():
        told = user.events(work["id"])
        invariants.check_history(told, user.work(work["id"]))
    assert count(user) == 2, "two of three works are left"


def _check_deaths(chain: Chain, expected: int) -> None:
    eventually(lambda: chain.deaths >= expected, 20.0, f"the server dies at {chain.point}")
    assert chain.deaths == expected, f"{chain.deaths} at {chain.point}:\n{chain.server.tail()}"

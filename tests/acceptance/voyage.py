"""Scenarios that bring a server to one change of state, at which it dies, and on to the end.

A scenario does not know that the server dies: its clients are patient, a lookout sees the death,
checks its cause and starts the server again, and the scenario goes on.
"""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection

from longshore.access import organisations
from longshore.engine import queues, works
from longshore.engine.states import State
from longshore.engine.works import NewWork
from longshore.storage import open_database
from tests.acceptance.api import OWNER, Holder, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server

ENDS_WITHIN_S = 40.0
DELAY_S = 14.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to the works of a run, and how each is to end.

    Attributes:
        script: for each file (or seeded work), what its holder does attempt by attempt: an
            outcome to report; `drop`, to fall silent; `cancel`, to have the run cancelled and
            then report that; `crash`, to die with the worker beside the server.
        ends: the state in which each must end; success unless said otherwise.
        run_status: how the run ends.
        cancel_first: cancel the run before anything is claimed.
        seed: submits further works before the server's first start; returns {name: work id}.
    """

    script: Mapping[str, tuple[str, ...]]
    ends: Mapping[str, State] = field(default_factory=dict)
    run_status: str = "COMPLETE"
    cancel_first: bool = False
    seed: Callable[[Connection], dict[str, str]] | None = None


def seed_queue(connection: Connection, app: str = "Echo") -> int:
    """Return the queue that the app's first registration would make."""
    local = organisations.ensure_first(connection)
    name = f"{OWNER}/{app}@1.0.0"
    return queues.ensure(
        connection, organisation_id=local.id, surface="apps", name=name, attempts_max=5
    )


def seed_needing_success(connection: Connection) -> dict[str, str]:
    """A work that is cancelled when the one that it needs is rejected."""
    queue_id = seed_queue(connection)
    first = works.submit(connection, [NewWork(queue_id, b'{"seed": "first"}')], actor="test")[0].id
    second = NewWork(queue_id, b'{"seed": "second"}', requires=(first,))
    return {"first": first, "second": works.submit(connection, [second], actor="test")[0].id}


def seed_delayed(connection: Connection) -> dict[str, str]:
    """A work that waits for another one, and then for its time."""
    queue_id = seed_queue(connection)
    first = works.submit(connection, [NewWork(queue_id, b'{"seed": "first"}')], actor="test")[0].id
    second = NewWork(queue_id, b'{"seed": "second"}', requires=(first,), delay_s=DELAY_S)
    return {"first": first, "second": works.submit(connection, [second], actor="test")[0].id}


class Lookout:
    """Starts the server again when it dies, and keeps how it died."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lookout")
        self.deaths: list[int] = []
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        try:
            while not self._done.wait(0.02):
                if not self._server.running:
                    self.deaths.append(self._server.process.returncode)
                    self._server.start()
        except BaseException as error:  # noqa: BLE001 - the test's thread looks at it
            self.error = error


class Voyage:
    """One scenario against one server that is armed to die at one point."""

    def __init__(self, harbour: Harbour, database: str, scenario: Scenario) -> None:
        self.harbour = harbour
        self.scenario = scenario
        self.server = harbour.server(
            database=database,
            settings={"LONGSHORE_LEASE_S": "2", "LONGSHORE_JANITOR_INTERVAL_S": "0.1"},
        )
        self.seeded: dict[str, str] = {}
        self.run_id = ""
        self._left = {name: list(steps) for name, steps in scenario.script.items()}

    def sail(self, point: str) -> User:
        """Go to the end through the death at `point`; return the user, to check what is left."""
        if self.scenario.seed is not None:
            self._seed(self.scenario.seed)
        self.server.start(fault=point)
        with Lookout(self.server) as lookout:
            user = self.harbour.user(self.server)
            holder = self.harbour.holder(self.server)
            self._drive(user, holder)
        assert lookout.error is None, lookout.error
        assert lookout.deaths == [-signal.SIGKILL], (
            f"the server died {lookout.deaths} instead of once at {point}\n{self.server.tail()}"
        )
        self._check_ends(user)
        return user

    def _seed(self, seed: Callable[[Connection], dict[str, str]]) -> None:
        database = open_database(self.server.database)
        try:
            self.seeded = database.write_blocking(seed)
        finally:
            database.close()

    def _drive(self, user: User, holder: Holder) -> None:
        files = [name for name in self.scenario.script if name not in self.seeded]
        self.run_id = user.run_files("Echo", {name: name.encode() for name in files})
        if self.scenario.cancel_first:
            user.cancel(self.run_id)
        deadline = time.monotonic() + ENDS_WITHIN_S
        while not self._ended(user):
            assert time.monotonic() < deadline, f"it does not end:\n{user.describe(self.run_id)}"
            for work in holder.claim(wait_s=0.3):
                self._act(user, holder, work)

    def _ended(self, user: User) -> bool:
        seeded = all(user.work(work_id)["final"] for work_id in self.seeded.values())
        return seeded and user.run(self.run_id)["status"] != "RUNNING"

    def _act(self, user: User, holder: Holder, work: dict[str, Any]) -> None:
        payload = work["payload"]
        steps = self._left[payload["seed"] if "seed" in payload else payload["file"]["name"]]
        step = steps[0]
        if step == "drop":
            steps.pop(0)
            return
        more = {"retry_delay_s": 0.1} if step in ("failure", "timed_out") else {}
        if step == "cancel":
            user.cancel(self.run_id)
            step = "cancelled"
        lost = holder.report(work, step, **more)
        # A report that came too late was not taken: the next attempt does the same.
        if len(steps) > 1 and not lost:
            steps.pop(0)

    def _check_ends(self, user: User) -> None:
        run = user.run(self.run_id)
        assert run["status"] == self.scenario.run_status, user.describe(self.run_id)
        names = {file["original_file_name"] for file in user.results(self.run_id)}
        assert names <= set(self.scenario.script)
        for name, work_id in self.seeded.items():
            expected = self.scenario.ends.get(name, State.SUCCESS)
            assert user.work(work_id)["state"] == expected
        expected_states = sorted(
            str(self.scenario.ends.get(name, State.SUCCESS))
            for name in self.scenario.script
            if name not in self.seeded
        )
        states = sorted(work["state"] for work in user.works(self.run_id))
        assert states == expected_states, user.describe(self.run_id)


def fresh_name() -> str:
    """Return a name that no other test uses."""
    return secrets.token_hex(4)

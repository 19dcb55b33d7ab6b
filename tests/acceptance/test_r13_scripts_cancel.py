"""R13: runs are cancelled in each of their states, on a host with one slot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually, stays
from tests.acceptance.scripts import API, Dispatcher, HostWorker, Log, step, workflow

CANCELLED_WITHIN_S = 15.0
"""Five seconds are aimed at; a busy machine takes longer to start and stop processes."""
GRACE_S = 1.0
STATES = {
    # What the run is in -> states of its steps before, and of its run and steps after.
    "pending": (["waiting", "waiting"], "cancelled", ["cancelled", "cancelled"]),
    "ready": (["ready", "waiting"], "cancelled", ["cancelled", "cancelled"]),
    "hold": (["hold", "hold"], "cancelled", ["cancelled", "cancelled"]),
    "running": (["running", "waiting"], "cancelled", ["cancelled", "cancelled"]),
    "deaf": (["running", "waiting"], "cancelled", ["cancelled", "cancelled"]),
    "to be retried": (["ready", "waiting"], "cancelled", ["cancelled", "cancelled"]),
    "second": (["finished", "running"], "cancelled", ["finished", "cancelled"]),
    # So whoever stops an event's runs after a failure lets them go on.
    "failed": (["failed", "waiting"], "cancelled", ["failed", "cancelled"]),
    "finished": (["finished", "finished"], "finished", ["finished", "finished"]),
    "cancelled": (["cancelled", "cancelled"], "cancelled", ["cancelled", "cancelled"]),
}


class Berth:
    """A server and a worker of one slot, which all tests here share."""

    def __init__(self, harbour: Harbour) -> None:
        self.server: Server = harbour.server()
        self.server.start()
        self.user = Dispatcher(self.server)
        harbour.clients.append(self.user)
        for host in ("alpha", "nobody"):
            self.user.host(host)
        self.worker = HostWorker(harbour.directory, "alpha", harbour.mark, self.server, slots=1)
        harbour.commands.append(self.worker)
        self.worker.start()
        self.log = Log(harbour.directory / "steps.log")
        self.user.apply(workflow("next", {"only": step(self.log.path)}))

    def states(self, run_id: int) -> list[str]:
        return list(self.user.steps(run_id).values())


@pytest.fixture(scope="module")
def berth(module_harbour: Harbour) -> Berth:
    return Berth(module_harbour)


def _brought(berth: Berth, state: str, marker: Path) -> int:
    """Start a run of two steps and return it once it is in that state."""
    user, log = berth.user, berth.log
    first: dict[str, Any] = {"grace_s": GRACE_S}
    more: dict[str, Any] = {}
    match state:
        case "running":
            first["then"] = f"until {marker}"
        case "deaf":
            first["then"] = "deaf"
        case "to be retried":
            first |= {"then": "exit 3", "retries": {"attempts": 5, "delay_s": 300}}
        case "failed":
            first["then"] = "exit 3"
        case "second":
            more = {"then": "spawn", "grace_s": GRACE_S}
    host = "nobody" if state in ("pending", "ready", "hold", "cancelled") else "alpha"
    name = state.replace(" ", "-")
    steps = {"one": step(log.path, host, **first), "two": step(log.path, host, "one", **more)}
    user.apply(workflow(name, steps, parallel=0 if state == "pending" else 1))
    run_id = user.event(name)
    if state == "hold":
        user.post(f"{API}/runs/{run_id}/hold", {})
    elif state == "cancelled":
        user.post(f"{API}/runs/{run_id}/cancel", {"reason": "before"})
    words = {"running": "let in", "deaf": "deaf", "second": "spawned"}
    if state in words:
        log.wait(words[state], run=run_id)
    before = STATES[state][0]
    eventually(lambda: berth.states(run_id) == before, 20.0, f"its steps are {before}")
    if state == "to be retried":
        eventually(
            lambda: "next attempt" in user.step(run_id, "one")["why"],
            20.0,
            "it waits for its retry",
        )
    return run_id


@pytest.mark.parametrize("state", STATES)
def test_a_cancelled_run_is_over_and_its_slot_is_free(
    berth: Berth, state: str, tmp_path: Path
) -> None:
    user, log = berth.user, berth.log
    run_id = _brought(berth, state, tmp_path / "never")
    lines = log.lines(run=run_id)
    pids = {line["pid"] for line in lines} | {
        line["child"] for line in lines if line["word"] == "spawned"
    }
    status, steps = STATES[state][1:]

    begun = time.monotonic()
    path = f"{API}/runs/{run_id}/cancel"
    answer = user.ask("POST", path, json={"reason": "a test"}, expect=(200, 409))
    eventually(lambda: berth.states(run_id) == steps, CANCELLED_WITHIN_S, f"steps are {steps}")
    eventually(lambda: user.status(run_id)["status"] == status, CANCELLED_WITHIN_S, status)
    eventually(
        lambda: not any(psutil.pid_exists(pid) for pid in pids),
        CANCELLED_WITHIN_S,
        "all processes of its steps are gone",
    )
    print(f"{answer.json()}; over after {time.monotonic() - begun:.2f} s")

    # The slot goes to the next, and nothing of the run begins any more.
    after = user.event("next")
    user.finish(after)
    told = len(log.lines(run=run_id))
    stays(lambda: len(log.lines(run=run_id)) == told, 0.3, "nothing of it begins")
    assert berth.states(run_id) == steps
    if state != "pending":
        # Another run of its event may start: none is kept back by one that was cancelled.
        counted = user.get(f"{API}/runs", workflow=state.replace(" ", "-"))["runs"]
        assert [each["state"] for each in counted] == [status]


def test_a_run_that_is_cancelled_lets_the_next_one_of_its_event_start(
    berth: Berth, tmp_path: Path
) -> None:
    user, log = berth.user, berth.log
    marker = tmp_path / "never"
    steps = {"only": step(log.path, then=f"until {marker}", grace_s=GRACE_S)}
    definition = workflow("guarded", steps)
    definition["triggers"]["events"][0] |= {"parallel": 1, "stop_on_error": True}
    user.apply(definition)
    runs = [user.event("guarded") for _ in range(3)]
    for number, run_id in enumerate(runs):
        log.wait("let in", run=run_id)
        states = [user.status(each)["status"] for each in runs]
        assert states == ["cancelled"] * number + ["running"] + ["pending"] * (2 - number)
        user.post(f"{API}/runs/{run_id}/cancel", {"reason": "a test"})
    user.over(runs[-1])
    assert [user.status(each)["status"] for each in runs] == ["cancelled"] * 3


def test_a_step_that_is_cancelled_keeps_what_comes_after_it_waiting(
    berth: Berth, tmp_path: Path
) -> None:
    user, log = berth.user, berth.log
    steps = {
        "one": step(log.path, then=f"until {tmp_path / 'never'}", grace_s=GRACE_S),
        "two": step(log.path, "alpha", "one"),
        "beside": step(log.path),
    }
    user.apply(workflow("partly", steps))
    run_id = user.event("partly")
    log.wait("let in", run=run_id, step="one")
    user.post(f"{API}/runs/{run_id}/steps/one/cancel", {"reason": "a test"})
    user.over(run_id)
    assert user.steps(run_id) == {"one": "cancelled", "two": "waiting", "beside": "finished"}
    assert user.status(run_id)["status"] == "failed"

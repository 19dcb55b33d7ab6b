"""What must hold after every run and at every moment of it, whatever was killed meanwhile.

I1 nothing acknowledged is lost; I2 no success is recorded twice; I3 everything ends; I4 submitted
= done + failed + cancelled + pending; I6 the fence of a work only grows; I7 a final state is left
only by a reopening. (I5 speaks of buffers, which the pipelines surface has.)
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from longshore.engine.states import TRANSITIONS, Reason, State
from tests.acceptance.api import User

_FINAL = {State.SUCCESS, State.CANCELLED}
_AFTER_FAILURE = {Reason.RETRIED, Reason.CANCELLED, Reason.REOPENED}


def check_all(user: User, *, ended: bool = True) -> None:
    """Check every invariant on all that the server has acknowledged to `user`."""
    check_nothing_lost(user)
    for run_id in user.acknowledged.runs:
        check_run(user, run_id, ended=ended)


def check_nothing_lost(user: User) -> None:
    """I1: every batch, file and run that was acknowledged is there."""
    for batch_id, names in user.acknowledged.batches.items():
        listed: set[str] = set()
        token: str | None = None
        while True:
            more = {} if token is None else {"start_token": token}
            page = user.get(f"/api/v2/batches/{batch_id}/files", **more)
            listed |= {node["name"] for node in page["nodes"]}
            token = page["next_page_token"]
            if not page["has_more"]:
                break
        assert listed == names, f"batch {batch_id} lost {names - listed} or grew {listed - names}"
    for run_id, submitted in user.acknowledged.runs.items():
        works = user.works(run_id)
        assert len(works) == submitted, f"run {run_id} has {len(works)} works of {submitted}"


def check_run(user: User, run_id: str, *, ended: bool = True) -> None:
    """I2, I3, I4, I6 and I7 for one run."""
    run, group = user.run(run_id), user.group(run_id)
    check_counts(group["counts"])
    if run["files"] is not None:
        check_counts(run["files"])
    for work in group["works"]:
        check_history(user.events(work["id"]), work)
    if ended:
        assert all(work["final"] for work in group["works"]), user.describe(run_id)
        assert run["status"] != "RUNNING", user.describe(run_id)
        assert group["counts"]["pending"] == 0
        check_results(user, run_id, group["works"])


def check_counts(counts: dict[str, Any]) -> None:
    """I4."""
    parts = sum(counts[name] for name in ("done", "failed", "cancelled", "pending"))
    assert counts["submitted"] == parts, f"the counts do not add up: {counts}"


def check_results(user: User, run_id: str, works: list[dict[str, Any]]) -> None:
    """I2 as a user sees it: each file once, with documents exactly if it was done."""
    files = user.results(run_id)
    names = Counter(file["original_file_name"] for file in files)
    assert max(names.values(), default=1) == 1, f"files in the results twice: {names}"
    done = sum(work["state"] == State.SUCCESS for work in works)
    with_values = len(user.values(run_id))
    assert with_values == done, f"{done} works are done, {with_values} files have results"


def check_history(events: list[dict[str, Any]], work: dict[str, Any]) -> None:
    """I2, I6 and I7 on the event log of one work, which must explain its present state."""
    told = [f"{event['attempt']}:{event['reason']}" for event in events]
    assert events, f"{work['id']} has no history"
    assert events[0]["from"] is None, f"the history begins in the middle: {told}"
    reopened = sum(event["reason"] == Reason.REOPENED for event in events)
    done = sum(event["reason"] == Reason.DONE for event in events)
    assert done <= 1 + reopened, f"more than one success is recorded: {told}"
    for earlier, later in zip([None, *events], events, strict=False):
        _check_step(earlier, later, told)
    assert events[-1]["to"] == work["state"], f"{work['state']} is not where {told} leads"
    assert events[-1]["attempt"] == work["attempt"] <= work["attempts_max"]


def _check_step(earlier: dict[str, Any] | None, later: dict[str, Any], told: list[str]) -> None:
    reason = Reason(later["reason"])
    change = TRANSITIONS[reason]
    assert later["to"] == change.target, f"{reason} does not lead to {later['to']}: {told}"
    if earlier is None:
        # A new work; those that wait for something begin as blocked or delayed.
        assert reason in (Reason.SUBMITTED, Reason.BLOCKED, Reason.DELAYED), told
        assert later["attempt"] == 0, told
        return
    assert later["from"] == earlier["to"], f"the history has a gap before {reason}: {told}"
    assert later["from"] in change.sources, f"{reason} may not leave {later['from']}: {told}"
    assert later["seq"] > earlier["seq"], told
    claimed = reason is Reason.CLAIMED
    assert later["attempt"] == earlier["attempt"] + claimed, f"the fence is not kept: {told}"
    if earlier["to"] in _FINAL or earlier["reason"] == Reason.REJECTED:
        assert reason is Reason.REOPENED, f"a final state was left by {reason}: {told}"
    elif earlier["to"] == State.FAILURE:
        assert reason in _AFTER_FAILURE, f"a failure was left by {reason}: {told}"


class Watch:
    """Looks at runs again and again while a test breaks things, and checks what it sees.

    Histories may only grow at their end, and the counts must add up at every look.
    """

    def __init__(self, user: User, run_ids: Iterable[str], *, works: int = 8) -> None:
        # A client of its own: httpx clients are shared by threads, but what it counts is not.
        key = user.http.headers["authorization"].removeprefix("Bearer ")
        self._user = User(str(user.http.base_url), key)
        self._run_ids = list(run_ids)
        self._works = works
        self._seen: dict[str, list[dict[str, Any]]] = {}
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="watch")
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._user.close()
        if kind is None and self._error is not None:
            raise self._error

    def _watch(self) -> None:
        try:
            while not self._stop.wait(0.1):
                for run_id in self._run_ids:
                    self._look(run_id)
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._error = error

    def _look(self, run_id: str) -> None:
        group = self._user.group(run_id)
        self.looks += 1
        check_counts(group["counts"])
        assert group["counts"]["submitted"] == len(group["works"]), "a work vanished"
        for work in group["works"][: self._works]:
            if self._stop.is_set():
                return
            before = self._seen.get(work["id"], [])
            after = self._user.events(work["id"])
            assert after[: len(before)] == before, f"the history of {work['id']} was rewritten"
            self._seen[work["id"]] = after

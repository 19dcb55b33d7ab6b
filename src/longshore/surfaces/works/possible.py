"""What may be done to a work, by its surface: the table, and why the rest is refused.

The engine alone could cancel or reopen anything. But a surface keeps books beside it: a chunk of
a pipeline has its errors as its result once it is given up, a run has written its results, a step
has steps behind it. What would make those books wrong is refused, with what to do instead.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from longshore.engine.tables import works
from longshore.engine.works import Reason, State, Work
from longshore.surfaces.apps.tables import app_runs
from longshore.wire.apps import RunStatus


class Action(StrEnum):
    """What a person does to works."""

    RETRY = "retry"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    DELETE = "delete"


_STEPS: Final = (
    "a step is operated by its workflow's run, which knows what follows from it "
    "(`longshore workflow`, or the page of the run)"
)
_PROCESS: Final = "let what is left of its process run again (`longshore process retry`)"
_WITH_RUN: Final = "the files of a run are deleted with it (`longshore delete`)"
_WITH_BATCH: Final = "chunks go with their batch; cancel or delete that"
_WITH_PROCESS: Final = "the works of a process are deleted with it"
_JOB: Final = "it is a job of the server, and what asked for it counts on its end"
_GIVEN_UP: Final = (
    "the records of a chunk that was given up have their errors as their result already, and "
    "their inputs are gone; push them again"
)
_RUN_OVER: Final = (
    "its run is over or about to be, with its results written and its files given up; start a run "
    "again"
)
REFUSED: Final[dict[tuple[str, Action], str]] = {
    ("apps", Action.DELETE): _WITH_RUN,
    ("pipelines", Action.CANCEL): _WITH_BATCH,
    ("pipelines", Action.DELETE): _WITH_BATCH,
    ("corpus", Action.RETRY): _PROCESS,
    ("corpus", Action.DELETE): _WITH_PROCESS,
    ("activities", Action.RETRY): _PROCESS,
    ("activities", Action.DELETE): _WITH_PROCESS,
    ("system", Action.CANCEL): _JOB,
    ("system", Action.DELETE): _JOB,
    **{("scripts", action): _STEPS for action in Action},
    **{("scripts held", action): _STEPS for action in Action},
}
"""Why an action is refused for all works of a surface; what is not here is possible."""


JOBS_TO_FINISH: Final = frozenset(
    {
        "apps.finish_run",
        "corpus.delete",
        "corpus.delete_elements",
        "keystore.reseal",
        "pipelines.delete",
    }
)
"""Jobs of the server that nobody could ask for again: half of what they do would stay for ever."""


def job_of(payload: bytes | None) -> str | None:
    """Return which job of the server a work's payload is, if any."""
    if payload is None:
        return None
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    return found.get("job") if isinstance(found, dict) else None


class Judge:
    """Says of works whether something can be done to them."""

    def __init__(
        self,
        connection: Connection,
        known: Collection[tuple[Work, str]],
        *,
        lock: bool = False,
    ) -> None:
        """Look up what is needed about `known`: works and their surfaces.

        With `lock`, what it says of a retry holds until the transaction ends.
        """
        run_ids = {work.group_id for work, surface in known if surface == "apps" and work.group_id}
        # A run can take another result for as long as its finisher waits for its files. Once that is
        # queued, it may collect the results at any moment.
        query = (
            select(app_runs.c.id)
            .join(works, works.c.id == app_runs.c.finisher_id)
            .where(
                app_runs.c.id.in_(run_ids),
                app_runs.c.status == RunStatus.RUNNING,
                works.c.state == State.WAITING.value,
            )
            .order_by(works.c.id)
        )
        # The last file to end locks the finisher, then looks at the files: it must find the one
        # that is retried. SQLite has one writer at a time and needs no lock.
        if lock and connection.dialect.name == "postgresql":
            query = query.with_for_update(of=works)
        self._open = set(connection.execute(query).scalars()) if run_ids else set()

    def refusal(self, work: Work, surface: str, action: Action) -> str | None:
        """Return why `action` cannot be done to a work now, or None."""
        refused = REFUSED.get((surface, action))
        if refused is not None:
            return refused
        if action is Action.RETRY:
            return self._retry(work, surface)
        if action is Action.CANCEL:
            return "it is over already" if work.final else None
        if action is Action.HOLD:
            return _hold(work)
        if action is Action.RELEASE:
            return None if work.reason == Reason.HELD else "nobody holds it"
        return None

    def _retry(self, work: Work, surface: str) -> str | None:
        if work.state is State.SUCCESS:
            return "it succeeded"
        if work.state in (State.QUEUED, State.WAITING, State.RUNNING):
            return "it is not over"
        if work.retry_us is not None:
            return None
        if surface == "pipelines":
            return _GIVEN_UP
        if surface == "apps" and work.group_id not in self._open:
            return _RUN_OVER
        return None


def _hold(work: Work) -> str | None:
    if work.reason == Reason.HELD:
        return "it is held already"
    if work.state in (State.QUEUED, State.WAITING):
        return None
    return (
        "it runs; only what is queued or waits can be held"
        if (work.state is State.RUNNING)
        else "only what is queued or waits can be held"
    )

"""What is done to every work that a filter finds, as a job of the server.

The job walks the works from the newest to the oldest. A look that reads finds the next few that
fit, then one transaction changes those that still do, and writes into the job's own payload how
far it came and what it did. A job that is killed goes on from there, and counts nothing twice.
What is submitted after the request is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select, update

from longshore import ids, limits
from longshore.access import Principal
from longshore.edge.jobs import JOB_MEMORY_S, SYSTEM, Handler, JobContext, Pass, system_queue
from longshore.engine import filtering, queues, searching, works
from longshore.engine.filtering import Filter, is_storable
from longshore.engine.tables import payloads
from longshore.engine.works import NewWork, State
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage import mark, now_us
from longshore.surfaces.works import changing
from longshore.surfaces.works.possible import Action
from longshore.surfaces.works.reaching import of_workspace, reachable

JOB: Final = "works.act"
MARK: Final = "works_acted"
"""Mark of a step's transaction, for longshore.storage.faults."""
STEP_WORKS: Final = 200
"""Works that one transaction changes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done to which works, and why.

    Attributes:
        expected: how many the person was told; None where they were told no exact number.
    """

    action: Action
    wanted: Filter
    reason: str
    expected: int | None = None


def wished(body: Mapping[str, Any]) -> Wish:
    """Return what the body of a request asks for.

    Raises:
        InvalidRequest: a name or value cannot be used; the filter is empty, which would be
            everything there is.
    """
    unknown = sorted(set(body) - {"action", "q", "reason", "expected"})
    if unknown:
        raise InvalidRequest(
            f"{unknown[0][:80]!a} is unknown here. Give action, q, reason and expected."
        )
    action, q = body.get("action"), body.get("q")
    reason, expected = body.get("reason"), body.get("expected")
    if not isinstance(action, str) or action not in [*Action]:
        raise InvalidRequest(
            f"The action is {str(action)[:80]!a}; give one of {', '.join(Action)}."
        )
    if not isinstance(q, str) or not q.strip():
        raise InvalidRequest(
            "`q` is empty, and would be all works there are. Give a filter, such as state:failure."
        )
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidRequest("`reason` is empty. Say why; the audit log and the works keep it.")
    if len(reason) > limits.NAME_CHARACTERS or not is_storable(reason):
        raise InvalidRequest(
            f"`reason` has more than {limits.NAME_CHARACTERS} characters, or such as no text has."
        )
    if expected is not None and (
        not isinstance(expected, int)
        or isinstance(expected, bool)
        or not 0 <= expected <= searching.COUNTED
    ):
        raise InvalidRequest(
            f"`expected` is no whole number from 0 to {searching.COUNTED}, as far as works are "
            "counted. Give how many were counted, or leave it out."
        )
    return Wish(Action(action), filtering.parse(q), reason.strip(), expected)


def check_expected(connection: Connection, principal: Principal, wish: Wish) -> None:
    """Refuse a wish where more works fit now than the person was told.

    Fewer are no surprise: some have ended or were retried meanwhile. More are: somebody
    confirmed a number, and would get another.

    Raises:
        Conflict: more fit.
    """
    if wish.expected is None:
        return
    counted = searching.count(
        connection,
        principal.organisation_id,
        reachable(principal, wish.wanted),
        at_us=now_us(connection),
        # One more than is allowed: that many need not be counted out.
        most=wish.expected + 1,
    )
    if counted.count > wish.expected:
        raise Conflict(
            f"More works fit now than the {wish.expected} that were expected. Look at them again, "
            "then repeat it with their number.",
            details={"expected": wish.expected},
        )


def start(connection: Connection, principal: Principal, wish: Wish) -> dict[str, Any]:
    """Queue the job that acts on what fits and was submitted until now; return its status."""
    payload: dict[str, Any] = {
        "job": JOB,
        "action": wish.action.value,
        "q": wish.wanted.text,
        # The job acts for the key, and reaches no more than it.
        "workspace": principal.workspace_name,
        "reason": wish.reason,
        # Ages in the filter count back from here, however long the job takes.
        "at_us": now_us(connection),
        "actor": principal.key_id,
        "before": ids.new(ids.WORK),
        "done": 0,
        "skipped": {},
        "failed": {},
    }
    new = NewWork(system_queue(connection, principal.organisation_id), json.dumps(payload).encode())
    job = works.submit(connection, [new], actor=principal.key_id)[0]
    return status(connection, principal, job.id)


def status(connection: Connection, principal: Principal, job_id: str) -> dict[str, Any]:
    """Return where the job of an action stands, with what it has done so far.

    Raises:
        NotFound: the key reaches no such job, or it ended too long ago.
    """
    work = works.get_many(connection, [job_id]).get(job_id)
    payload: dict[str, Any] = {}
    if work is not None:
        queue = queues.get(connection, work.queue_id)
        if (queue.organisation_id, queue.surface) == (principal.organisation_id, SYSTEM):
            payload = json.loads(works.payload(connection, job_id))
    # What a filter and a reason say of another workspace is not for a key of this one.
    reached = principal.workspace_name in (None, payload.get("workspace"))
    if work is None or payload.get("job") != JOB or not reached:
        raise NotFound(
            f"There is no action {job_id[:80]!a}. Check the id; an action is remembered for "
            f"{JOB_MEMORY_S / 86_400:.0f} days after its end."
        )
    output = works.outputs(connection, [job_id]).get(job_id)
    return {
        "id": job_id,
        "action": payload["action"],
        "q": payload["q"],
        "reason": payload["reason"],
        "state": State.QUEUED.value if work.retry_us is not None else work.state.value,
        "final": work.final,
        "message": None if output is None else searching.error_line(output.error) or None,
        "done": payload["done"],
        "skipped": payload["skipped"],
        "failed": payload["failed"],
    }


async def act(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Do an action to its end; run again, it goes on where it was."""
    stored, before = payload, payload["before"]
    while before is not None:
        step = await context.database.read(_next, context.organisation_id, stored, before)
        if step.ids:
            stored = await context.database.write(_step, context, stored, step)
            before = stored["before"]
        else:
            # Nothing to write down: whoever begins again looks at these works once more.
            before = step.next
    return {
        "done": stored["done"],
        "skipped": sum(stored["skipped"].values()),
        "failed": sum(stored["failed"].values()),
    }


def _next(
    connection: Connection, organisation_id: str, payload: Mapping[str, Any], before: str
) -> searching.Step:
    return searching.ids_page(
        connection,
        organisation_id,
        _wanted(organisation_id, payload),
        at_us=payload["at_us"],
        before=before,
        limit=STEP_WORKS,
    )


def _wanted(organisation_id: str, payload: Mapping[str, Any]) -> Filter:
    return of_workspace(organisation_id, payload["workspace"], filtering.parse(payload["q"]))


def _step(
    connection: Connection, context: JobContext, payload: Mapping[str, Any], step: searching.Step
) -> dict[str, Any]:
    """Change those of the works that still fit; return the payload that says so."""
    progress = select(payloads.c.payload).where(payloads.c.work_id == context.work_id)
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        progress = progress.with_for_update()
    current = json.loads(connection.execute(progress).scalar_one())
    if current["before"] != payload["before"]:
        # Another attempt of this job, whose lease was lost, has gone on meanwhile: follow it.
        return dict(current)
    still = searching.fitting(
        connection,
        context.organisation_id,
        _wanted(context.organisation_id, payload),
        # The job is no work that a filter is meant for.
        [one for one in step.ids if one != context.work_id],
        at_us=payload["at_us"],
    )
    outcome = changing.some(
        connection,
        context.organisation_id,
        still,
        Action(payload["action"]),
        actor=payload["actor"],
        why=payload["reason"],
    )
    advanced = {
        **payload,
        "before": step.next,
        "done": payload["done"] + outcome.done,
        "skipped": changing.merged(payload["skipped"], outcome.skipped),
        "failed": changing.merged(payload["failed"], outcome.failed),
    }
    connection.execute(
        update(payloads)
        .where(payloads.c.work_id == context.work_id)
        .values(payload=json.dumps(advanced))
    )
    mark(connection, MARK)
    return advanced


HANDLERS: Final[dict[str, Handler]] = {JOB: act}
PASSES: Final[dict[str, Pass]] = {}

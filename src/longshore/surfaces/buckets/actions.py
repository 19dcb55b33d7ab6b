"""What is done to everything that matches: retry, cancel or delete works, as a job of the server.

The job walks the works by id. A look that reads finds the next few that match, then a transaction
acts on those that still do, and writes into the job's own payload how far it came and what it
did. A job that is killed goes on from there, and counts nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, select, update

from longshore import ids, limits
from longshore.access import Principal
from longshore.edge.jobs import JOB_MEMORY_S, SYSTEM, JobContext, system_queue
from longshore.engine import queues, works
from longshore.engine.tables import payloads
from longshore.engine.works import NewWork, State, Work
from longshore.errors import InvalidRequest, NotFound, TooLarge
from longshore.storage import mark
from longshore.surfaces.buckets import deleting, documents, query, viewing
from longshore.surfaces.buckets.tables import bucket_works

JOB: Final = "buckets.act"
MARK: Final = "buckets_acted"
"""Mark of a step's transaction, for longshore.storage.faults."""
STEP_WORKS: Final = 200
"""Works that one transaction acts on."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done to which works.

    Attributes:
        action: "retry", "cancel" or "delete".
        query: a filter, as `view` takes it; None where the works are named.
        ids: the works, where they are named.
    """

    action: str
    query: Any = None
    ids: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to some works.

    Attributes:
        changed: works that were retried, cancelled or deleted.
        left: works that matched and needed nothing, such as one that succeeded, for a retry.
        rows: database rows that a deletion removed.
        objects: stored files that it gave up.
        bytes: size of those.
    """

    changed: int = 0
    left: int = 0
    rows: int = 0
    objects: int = 0
    bytes: int = 0


def requested(body: Mapping[str, Any]) -> Request:
    """Return what the body of a request asks for.

    Raises:
        InvalidRequest: the action is unknown, or not exactly one of `query` and `ids` is given.
        TooLarge: there are more than `limits.DEPOSIT_WORKS` ids.
    """
    unknown = sorted(set(body) - {"action", "query", "ids"})
    if unknown:
        raise InvalidRequest(f"{unknown[0][:80]!a} is unknown here. Give action, and query or ids.")
    action = body.get("action")
    if not isinstance(action, str) or action not in _ACTIONS:
        raise InvalidRequest(
            f"The action is {str(action)[:80]!a}; give one of {', '.join(sorted(_ACTIONS))}."
        )
    chosen, work_ids = body.get("query"), body.get("ids")
    if (chosen is None) == (work_ids is None):
        raise InvalidRequest("Give either `query` (a filter; {} is everything) or `ids` (a list).")
    if work_ids is None:
        query.parse(chosen)
        return Request(action, query=chosen)
    if not isinstance(work_ids, list) or not all(isinstance(one, str) for one in work_ids):
        raise InvalidRequest("`ids` is no list of texts. Give the ids of works.")
    if len(work_ids) > limits.DEPOSIT_WORKS:
        raise TooLarge(
            f"`ids` names {len(work_ids)} works and may name {limits.DEPOSIT_WORKS}. Send several "
            "requests, or a query.",
            details={"limit": limits.DEPOSIT_WORKS},
        )
    return Request(action, ids=sorted(set(work_ids)))


def start(connection: Connection, principal: Principal, wanted: Request) -> dict[str, Any]:
    """Queue the job that acts on what matches and was deposited until now.

    Returns {"id": of the job, "count": of the works, where they were named by id}.
    """
    payload = {
        "job": JOB,
        "action": wanted.action,
        "query": wanted.query,
        "ids": wanted.ids,
        # Ids are made in the order of time: what is deposited from now on has a later one.
        "until": ids.new(ids.WORK),
        "actor": principal.key_name,
        "after": "",
        "done": asdict(Done()),
    }
    new = NewWork(system_queue(connection, principal.organisation_id), json.dumps(payload).encode())
    job = works.submit(connection, [new], actor=principal.key_name)[0]
    if wanted.ids is None:
        return {"id": job.id}
    return {"id": job.id, "count": len(wanted.ids)}


def status(connection: Connection, principal: Principal, job_id: str) -> dict[str, Any]:
    """Return where the job of an action stands, with what it has done so far.

    Raises:
        NotFound: the organisation has no such job, or it ended too long ago.
    """
    work = works.get_many(connection, [job_id]).get(job_id)
    payload = None if work is None else _payload(connection, principal.organisation_id, work)
    if work is None or payload is None:
        raise NotFound(
            f"There is no action {job_id[:80]!a}. Check the id; an action is remembered for "
            f"{JOB_MEMORY_S / 86_400:.0f} days after its end."
        )
    output = works.outputs(connection, [job_id]).get(job_id)
    message = None
    if output is not None and output.error is not None:
        message = str(json.loads(output.error).get("message") or "") or None
    state = "PENDING" if work.retry_us is not None else _STATES[work.state]
    return {
        "id": job_id,
        "action": payload["action"],
        "state": state,
        "message": message,
        **payload["done"],
    }


async def act(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Do an action to its end; run again, it goes on where it was."""
    while True:
        found = await context.database.read(_next, context.organisation_id, payload)
        if not found:
            return dict(payload["done"])
        payload = await context.database.write(_step, context, payload, found)


def _next(connection: Connection, organisation_id: str, payload: Mapping[str, Any]) -> list[str]:
    """Return the next works to look at, in the order of their ids."""
    after = payload["after"]
    if payload["ids"] is not None:
        return [one for one in payload["ids"] if one > after][:STEP_WORKS]
    return viewing.ids(
        connection,
        organisation_id,
        query.parse(payload["query"]),
        after=after,
        until=payload["until"],
        limit=STEP_WORKS,
    )


def _step(
    connection: Connection, context: JobContext, payload: Mapping[str, Any], found: Sequence[str]
) -> dict[str, Any]:
    """Act on those of the works that still match; return the payload that says so."""
    progress = select(payloads.c.payload).where(payloads.c.work_id == context.work_id)
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        progress = progress.with_for_update()
    current = json.loads(connection.execute(progress).scalar_one())
    if current["after"] != payload["after"]:
        # Another attempt of this job, whose lease was lost, has gone on meanwhile: follow it.
        return dict(current)
    still = _still(connection, context.organisation_id, payload, found)
    done = _ACTIONS[payload["action"]](
        connection, context.organisation_id, still, str(payload["actor"])
    )
    before = payload["done"]
    after = {name: before[name] + value for name, value in asdict(done).items()}
    advanced = {**payload, "after": found[-1], "done": after}
    connection.execute(
        update(payloads)
        .where(payloads.c.work_id == context.work_id)
        .values(payload=json.dumps(advanced))
    )
    mark(connection, MARK)
    return advanced


def _still(
    connection: Connection, organisation_id: str, payload: Mapping[str, Any], found: Sequence[str]
) -> list[str]:
    """Return those of the works that the action is about now, under the lock of a write."""
    known = documents.read(connection, found, organisation_id=organisation_id, lock=True)
    some = sorted(work_id for work_id in known if work_id <= payload["until"])
    if payload["ids"] is not None:
        return some
    chosen = query.condition(
        query.parse(payload["query"]), documents.fields(), connection.dialect.name
    )
    statement = documents.selected().with_only_columns(
        bucket_works.c.work_id, maintain_column_froms=True
    )
    matching = statement.where(bucket_works.c.work_id.in_(some), chosen)
    return sorted(connection.execute(matching).scalars())


def _retry(
    connection: Connection, _organisation_id: str, work_ids: Sequence[str], actor: str
) -> Done:
    """Queue what failed or was cancelled; what succeeded, waits or runs is left alone."""
    now = works.get_many(connection, work_ids)
    over = [one for one, work in now.items() if work.state in (State.FAILURE, State.CANCELLED)]
    early = works.retry_given(connection, over, actor=actor)
    reopened = works.reopen(connection, over, actor=actor, why="a retry was asked for")
    changed = early + len(reopened)
    return Done(changed=changed, left=len(work_ids) - changed)


def _cancel(
    connection: Connection, _organisation_id: str, work_ids: Sequence[str], actor: str
) -> Done:
    """Cancel what is not over; what runs is stopped at its holder's next renewal."""
    cancelled = works.cancel(connection, work_ids, actor=actor, why="it was asked for")
    changed = len(cancelled.cancelled) + len(cancelled.stopping)
    return Done(changed=changed, left=len(cancelled.final))


def _delete(
    connection: Connection, organisation_id: str, work_ids: Sequence[str], actor: str
) -> Done:
    """Delete works in whatever state they are."""
    gone = deleting.delete_works(connection, organisation_id, work_ids, actor=actor)
    return Done(changed=len(work_ids), rows=gone.rows, objects=gone.objects, bytes=gone.size_bytes)


_ACTIONS: Final[dict[str, Callable[[Connection, str, Sequence[str], str], Done]]] = {
    "retry": _retry,
    "cancel": _cancel,
    "delete": _delete,
}

_STATES: Final = {
    State.WAITING: "PENDING",
    State.QUEUED: "PENDING",
    State.RUNNING: "RUNNING",
    State.SUCCESS: "COMPLETE",
    State.FAILURE: "FAILED",
    State.CANCELLED: "CANCELLED",
}


def _payload(connection: Connection, organisation_id: str, work: Work) -> dict[str, Any] | None:
    """Return the payload of a work that is an action of the organisation, else None."""
    queue = queues.get(connection, work.queue_id)
    if (queue.organisation_id, queue.surface) != (organisation_id, SYSTEM):
        return None
    payload: dict[str, Any] = json.loads(works.payload(connection, work.id))
    return payload if payload.get("job") == JOB else None

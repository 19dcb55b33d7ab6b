"""From the ends of attempts to messages: webhooks and Slack are told what became of works.

The engine writes a notice in the transaction of the change that it tells of. Here notices become
deliveries, each a durable work of its own, and are erased in the same transaction. So a crash at
any moment neither loses a message nor makes a second one. Each delivery is then made at least
once, under one `webhook-id`: where an answer is lost, it is sent again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from longshore import limits
from longshore.clock import iso
from longshore.edge import webhooks as deliveries
from longshore.engine import notices, queues, works
from longshore.engine.notices import Notice
from longshore.engine.queues import Queue
from longshore.engine.states import State
from longshore.engine.tables import notices as notices_table
from longshore.engine.works import NewWork
from longshore.storage import mark
from longshore.surfaces.buckets import slack, webhooks
from longshore.surfaces.buckets.tables import bucket_works
from longshore.surfaces.buckets.webhooks import SURFACE, Webhook

BATCH: Final = 200
"""Notices that are followed in one transaction."""
DELIVERIES: Final = 1_000
"""Deliveries that are made in one transaction; it begins no further notice beyond these."""
ACTOR: Final = "buckets.notices"
_DOCUMENTS: Final = 10
"""Documents that are in memory at once; one may have several MB."""
_FIELDS: Final = (
    "site", "user", "function", "retries", "event", "tags", "creation", "stop", "results",
    "products", "plots",
)  # fmt: skip
_STATUSES: Final = {State.SUCCESS: "success", State.FAILURE: "failure"}


@dataclass(frozen=True, slots=True)
class _Told:
    """A notice with what is known of its work."""

    notice: Notice
    kind: str | None
    queue: Queue
    webhooks: Sequence[Webhook]
    """Those that are to be told."""
    document: Mapping[str, Any]
    """Empty if the work was deleted meanwhile."""
    attempt: int
    """As clients count."""
    error: Any


def follow(connection: Connection, limit: int = BATCH) -> int:
    """Make the deliveries that the oldest notices ask for, and erase these; return how many.

    It may return less than `limit` although there are more, where many are to be told of each.
    """
    return _deliver(connection, notices.read(connection, surface=SURFACE, limit=limit), DELIVERIES)


def settle(connection: Connection, work_ids: Sequence[str]) -> None:
    """Follow what notices there are about works that are about to be deleted.

    To be called in the transaction of the deletion, before it: the engine forgets the notices of
    a work with the work.
    """
    for start in range(0, len(work_ids), BATCH):
        some = work_ids[start : start + BATCH]
        query = select(notices_table).where(notices_table.c.work_id.in_(some)).with_for_update()
        rows = connection.execute(query.order_by(notices_table.c.seq)).all()
        found = [Notice(**{**row._asdict(), "state": State(row.state)}) for row in rows]
        _deliver(connection, found, None)


def _deliver(connection: Connection, found: Sequence[Notice], most: int | None) -> int:
    """Turn notices into deliveries; begin no further notice once there are `most` of these."""
    if not found:
        return 0
    known = queues.get_many(connection, {notice.queue_id for notice in found})
    hooks = webhooks.of_organisations(
        connection, {queue.organisation_id for queue in known.values()}
    )
    queue_ids: dict[str, int] = {}
    new: list[NewWork] = []
    followed: list[int] = []
    for told in _told(connection, found, known, hooks):
        followed.append(told.notice.seq)
        organisation_id = told.queue.organisation_id
        for receiver, payload in _messages(told):
            if organisation_id not in queue_ids:
                queue_ids[organisation_id] = deliveries.queue(connection, organisation_id)
            new.append(deliveries.delivery(queue_ids[organisation_id], receiver, payload))
        if most is not None and len(new) >= most:
            break
    if new:
        works.submit(connection, new, actor=ACTOR)
    notices.erase(connection, followed)
    mark(connection, "notices_followed")
    return len(followed)


def kind_of(notice: Notice) -> str | None:
    """Return what a webhook calls the end of an attempt; None for a cancellation."""
    if notice.state is State.SUCCESS:
        return "work.success"
    if notice.state is State.FAILURE:
        return "work.exhausted" if notice.final else "work.failure"
    return None


def _told(
    connection: Connection,
    found: Sequence[Notice],
    known: Mapping[int, Queue],
    hooks: Mapping[str, Sequence[Webhook]],
) -> Iterator[_Told]:
    """Yield the notices in their order, with what is known of their works."""
    for start in range(0, len(found), _DOCUMENTS):
        some = found[start : start + _DOCUMENTS]
        work_ids = sorted({notice.work_id for notice in some})
        stored = _stored(connection, work_ids)
        errors = _errors(connection, some)
        for notice in some:
            queue, kind = known[notice.queue_id], kind_of(notice)
            document, offset = stored.get(notice.work_id, ({}, 0))
            yield _Told(
                notice=notice,
                kind=kind,
                queue=queue,
                webhooks=[
                    hook
                    for hook in hooks[queue.organisation_id]
                    if kind is not None and hook.wants(queue.id, kind)
                ],
                document=document,
                attempt=notice.attempt + offset,
                error=errors.get((notice.work_id, notice.attempt)),
            )


def _stored(
    connection: Connection, work_ids: Sequence[str]
) -> dict[str, tuple[dict[str, Any], int]]:
    """Return documents, and what their attempts have more than the engine's, by work."""
    rows = connection.execute(
        select(
            bucket_works.c.work_id, bucket_works.c.document, bucket_works.c.attempt_offset
        ).where(bucket_works.c.work_id.in_(work_ids))
    )
    return {row.work_id: (msgspec.json.decode(row.document), row.attempt_offset) for row in rows}


def _errors(connection: Connection, some: Sequence[Notice]) -> dict[tuple[str, int], Any]:
    """Return what the failed attempts among notices are known to have failed with."""
    failed = sorted({notice.work_id for notice in some if notice.state is State.FAILURE})
    if not failed:
        return {}
    outputs = works.outputs(connection, failed)
    return {
        (work_id, output.attempt): _brief(json.loads(output.error))
        for work_id, output in outputs.items()
        if output.error is not None
    }


def _messages(told: _Told) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the receiver and the job of each delivery that a notice asks for."""
    if told.kind is None:
        return
    if told.webhooks:
        body = message(told)
        for hook in told.webhooks:
            payload = {"job": webhooks.DELIVER, "webhook_id": hook.id, "body": body}
            yield deliveries.host_of(hook.url), payload
    wish = slack.asked(told.document)
    if wish is not None and told.notice.final:
        status = _STATUSES[told.notice.state]
        document = {**told.document, "id": told.notice.work_id, "pipeline": told.queue.name}
        yield (
            slack.RECEIVER,
            {
                "job": slack.TELL,
                "work_id": told.notice.work_id,
                "body": slack.message(document, wish, status),
            },
        )


def message(told: _Told) -> dict[str, Any]:
    """Return what a webhook is told.

    A field that takes more than `limits.NOTICE_FIELD_BYTES` is null and named in `omitted`. If the
    work was deleted meanwhile, only what the notice knows is told, and `deleted` is true.
    """
    notice, document = told.notice, told.document
    data: dict[str, Any] = {
        "id": notice.work_id,
        "pipeline": told.queue.name,
        "status": _STATUSES[notice.state],
        "attempt": told.attempt,
        "reason": notice.reason,
        "error": told.error,
    }
    omitted = []
    for name in _FIELDS:
        data[name] = document.get(name)
        if len(json.dumps(data[name])) > limits.NOTICE_FIELD_BYTES:
            data[name] = None
            omitted.append(name)
    config = document.get("config")
    parent = config.get("parent") if isinstance(config, Mapping) else None
    data |= {"config": {"parent": parent}, "omitted": omitted, "deleted": not document}
    return {"type": told.kind, "timestamp": iso(notice.at_us), "data": data}


def _brief(error: Any) -> Any:
    """Cut the texts of an error; the whole is with the attempt, for `longshore why`."""
    if not isinstance(error, dict):
        return None
    return {
        name: str(error[name])[: limits.NOTICE_FIELD_BYTES // 4]
        for name in ("type", "message")
        if error.get(name) is not None
    }

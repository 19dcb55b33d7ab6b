"""Webhooks of buckets: who is told of the ends of attempts, at which address, signed with what.

A bucket tells nobody until somebody asks: a webhook of it or of all buckets switches the notices
of its queue on (`engine.notices`), and so does a document that asks for a message in Slack.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from longshore import ids, limits
from longshore.access import Principal
from longshore.access.tables import organisations
from longshore.edge import outbound, webhooks
from longshore.edge.addresses import Network
from longshore.edge.jobs import JobContext
from longshore.edge.secrets import Secrets
from longshore.engine import queues
from longshore.engine.tables import queues as queues_table
from longshore.errors import InvalidRequest, NotFound, Reject, TooLarge
from longshore.storage import now_us
from longshore.surfaces.buckets.tables import bucket_webhooks

SURFACE: Final = "buckets"
DELIVER: Final = "buckets.deliver_webhook"
KINDS: Final = ("work.success", "work.failure", "work.exhausted")
"""An attempt succeeded; one failed and another follows; one failed and none follows by itself."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Somebody to tell.

    Attributes:
        queue_id: the queue of its bucket, or None for all buckets.
        pipeline: the name of that bucket, or None.
        kinds: what it is told of; some of KINDS.
    """

    id: str
    organisation_id: str
    queue_id: int | None
    pipeline: str | None
    url: str = field(repr=False)
    secrets: Secrets = field(repr=False)
    kinds: tuple[str, ...]
    created_us: int

    def wants(self, queue_id: int, kind: str) -> bool:
        """Return whether it is to be told of such an end in such a bucket."""
        return self.queue_id in (None, queue_id) and kind in self.kinds


_SELECTED: Final = select(bucket_webhooks, queues_table.c.name.label("pipeline")).outerjoin(
    queues_table, queues_table.c.id == bucket_webhooks.c.queue_id
)


def create(
    connection: Connection,
    principal: Principal,
    *,
    url: str,
    pipeline: str | None,
    kinds: Sequence[str],
    networks: Sequence[Network] = (),
) -> Webhook:
    """Make a webhook with a new secret.

    Args:
        connection: the transaction.
        principal: whose organisation it belongs to.
        url: where to.
        pipeline: its bucket, or None for all buckets, those to come as well.
        kinds: what it is told of; some of KINDS.
        networks: private networks that it may be in.

    Raises:
        InvalidRequest: the URL may not be called, or a kind is unknown.
        TooLarge: there are `limits.WEBHOOKS` of them already.
        NotFound: there is no such bucket.
    """
    outbound.checked_url(url, networks, what="url")
    _check_kinds(kinds)
    organisation_id = principal.organisation_id
    _hold_off_new_buckets(connection, organisation_id, alone=True)
    if len(listing(connection, organisation_id)) >= limits.WEBHOOKS:
        raise TooLarge(
            f"There are {limits.WEBHOOKS} webhooks already, which is the most. Remove one first.",
            details={"limit": limits.WEBHOOKS},
        )
    queue_id = None if pipeline is None else _queue_of(connection, organisation_id, pipeline)
    made = Webhook(
        id=ids.new(ids.WEBHOOK),
        organisation_id=organisation_id,
        queue_id=queue_id,
        pipeline=pipeline,
        url=url,
        secrets=Secrets.fresh(),
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        created_us=now_us(connection),
    )
    _insert(connection, made)
    _switch_on(connection, organisation_id, queue_id)
    # So that the queue of the deliveries is listened to before there is one.
    webhooks.queue(connection, organisation_id)
    return made


def listing(connection: Connection, organisation_id: str) -> list[Webhook]:
    """Return the organisation's webhooks, oldest first."""
    query = _SELECTED.where(bucket_webhooks.c.organisation_id == organisation_id)
    return [_webhook(row) for row in connection.execute(query.order_by(bucket_webhooks.c.id))]


def of_organisations(
    connection: Connection, organisation_ids: Collection[str]
) -> dict[str, list[Webhook]]:
    """Return the webhooks of organisations, by organisation."""
    found: dict[str, list[Webhook]] = {each: [] for each in organisation_ids}
    query = _SELECTED.where(bucket_webhooks.c.organisation_id.in_(organisation_ids))
    for row in connection.execute(query.order_by(bucket_webhooks.c.id)):
        found[row.organisation_id].append(_webhook(row))
    return found


def find(connection: Connection, organisation_id: str, webhook_id: str) -> Webhook | None:
    """Return a webhook of the organisation, or None."""
    row = connection.execute(
        _SELECTED.where(
            bucket_webhooks.c.id == webhook_id,
            bucket_webhooks.c.organisation_id == organisation_id,
        )
    ).one_or_none()
    return None if row is None else _webhook(row)


def remove(connection: Connection, organisation_id: str, webhook_id: str) -> None:
    """Delete a webhook; what is still to be delivered to it is given up at its next try.

    Raises:
        NotFound: there is no such webhook.
    """
    gone = connection.execute(
        delete(bucket_webhooks).where(
            bucket_webhooks.c.id == webhook_id,
            bucket_webhooks.c.organisation_id == organisation_id,
        )
    ).rowcount
    if not gone:
        raise _missing(webhook_id)


def rotate(
    connection: Connection, organisation_id: str, webhook_id: str, *, keep_s: float | None
) -> Webhook:
    """Give a webhook a new secret; the one before stays beside it, see `Secrets.rotated`.

    Raises:
        NotFound: there is no such webhook.
        InvalidRequest: `keep_s` is out of range.
    """
    chosen = (bucket_webhooks.c.id == webhook_id) & (
        bucket_webhooks.c.organisation_id == organisation_id
    )
    # Two changes at the same instant must not both start from the same secret.
    connection.execute(select(bucket_webhooks.c.id).where(chosen).with_for_update())
    found = find(connection, organisation_id, webhook_id)
    if found is None:
        raise _missing(webhook_id)
    secrets = found.secrets.rotated(now_us(connection), keep_s)
    connection.execute(update(bucket_webhooks).where(chosen).values(secrets=secrets.text()))
    return replace(found, secrets=secrets)


def for_new_bucket(connection: Connection, organisation_id: str) -> bool:
    """Return whether a bucket that is being made begins with its notices on.

    To be called in the transaction that makes its queue, and only then: it waits for a webhook
    that is being made at this moment, so that one of the two sees the other.
    """
    _hold_off_new_buckets(connection, organisation_id, alone=False)
    query = select(func.count()).where(
        bucket_webhooks.c.organisation_id == organisation_id,
        bucket_webhooks.c.queue_id.is_(None),
    )
    return connection.execute(query).scalar_one() > 0


async def deliver(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Send a message to a webhook once, signed with the secrets that it has now.

    Raises:
        DeliveryFailed, InvalidRequest: as `longshore.edge.webhooks.send` does.
        Reject: the receiver wants no more, or the webhook was removed.
    """
    webhook_id = str(payload["webhook_id"])
    webhook = await context.database.read(find, context.organisation_id, webhook_id)
    if webhook is None:
        raise Reject(f"The webhook {webhook_id} was removed, so nothing is delivered to it.")
    valid = webhook.secrets.valid(context.clock.now_us())
    answer = await webhooks.send(context, webhook.url, payload["body"], valid)
    return {"answered": answer.status}


def _check_kinds(kinds: Sequence[str]) -> None:
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not kinds:
        named = f"{unknown[0][:80]!a} is not a kind" if unknown else "kinds is empty"
        raise InvalidRequest(f"{named}. Give some of {', '.join(KINDS)}.")


def _insert(connection: Connection, made: Webhook) -> None:
    connection.execute(
        insert(bucket_webhooks).values(
            id=made.id,
            organisation_id=made.organisation_id,
            queue_id=made.queue_id,
            url=made.url,
            secrets=made.secrets.text(),
            kinds=json.dumps(made.kinds),
            created_us=made.created_us,
        )
    )


def _queue_of(connection: Connection, organisation_id: str, pipeline: str) -> int:
    found = queues.find(connection, organisation_id, SURFACE, pipeline)
    if found is None:
        raise NotFound(
            f"There is no bucket {pipeline[:128]!r}. Deposit its first work before, or make a "
            "webhook for all buckets, with pipeline null."
        )
    return found.id


def _switch_on(connection: Connection, organisation_id: str, queue_id: int | None) -> None:
    """Let the queues of buckets tell of the ends of attempts."""
    silent = update(queues_table).where(
        queues_table.c.organisation_id == organisation_id,
        queues_table.c.surface == SURFACE,
        queues_table.c.notices.is_(False),
    )
    if queue_id is not None:
        silent = silent.where(queues_table.c.id == queue_id)
    connection.execute(silent.values(notices=True))


def _hold_off_new_buckets(connection: Connection, organisation_id: str, *, alone: bool) -> None:
    # SQLite has one writer at a time and needs no lock. FOR NO KEY UPDATE against FOR SHARE: keys
    # and secrets of the organisation, which refer to its row, can be made meanwhile.
    if connection.dialect.name == "postgresql":
        connection.execute(
            select(organisations.c.id)
            .where(organisations.c.id == organisation_id)
            .with_for_update(read=not alone, key_share=alone)
        )


def _missing(webhook_id: str) -> NotFound:
    return NotFound(
        f"There is no webhook {webhook_id[:80]!r}. GET /buckets/webhooks lists those there are."
    )


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        **{
            **row._asdict(),
            "secrets": Secrets.load(row.secrets),
            "kinds": tuple(json.loads(row.kinds)),
        }
    )

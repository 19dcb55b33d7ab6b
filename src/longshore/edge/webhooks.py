"""Deliveries: messages to addresses that users name, as jobs that are tried until they are taken.

A delivery waits in a queue of its own: a receiver that lets each one hang must hold up neither
other receivers nor the jobs that finish and delete things. It is signed when it is sent
(longshore.wire.webhooks), so that a secret that was changed meanwhile counts at once. A delivery
is at least once: if an answer is lost, the message is sent again under the same `webhook-id`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
from sqlalchemy import Connection

from longshore.clock import SECOND_US
from longshore.edge.jobs import JOB_MEMORY_S, SYSTEM, JobContext
from longshore.edge.outbound import Answer
from longshore.edge.wakeups import JOBS
from longshore.engine import queues
from longshore.engine.works import NewWork
from longshore.errors import DeliveryFailed, Reject
from longshore.limits import WEBHOOK_ATTEMPTS
from longshore.storage import notify
from longshore.wire import webhooks as wire

QUEUE: Final = "webhooks"
BACKOFF_S: Final = 30.0
"""Pause before the second try, about; it doubles, so that the eighth comes within 64 minutes."""
CONCURRENCY: Final = 2
"""Deliveries to one receiver that are under way at once."""
CONCURRENCY_IN_ALL: Final = 8
"""Deliveries of one organisation that are under way at once."""
GONE: Final = 410
"""A receiver's word that it wants no more (Standard Webhooks: stop sending)."""


def queue(connection: Connection, organisation_id: str) -> int:
    """Return the id of the queue that an organisation's deliveries wait in."""
    queue_id = queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SYSTEM,
        name=QUEUE,
        attempts_max=WEBHOOK_ATTEMPTS,
        backoff_s=BACKOFF_S,
        backoff_max_s=3600.0,
        concurrency_max=CONCURRENCY_IN_ALL,
        retention_s=JOB_MEMORY_S,
    )
    if queues.get(connection, queue_id).key_concurrency_max is None:
        # It was just made, or by a version that did not tell receivers apart.
        queues.configure(
            connection,
            queue_id,
            concurrency_max=CONCURRENCY_IN_ALL,
            key_concurrency_max=CONCURRENCY,
        )
        notify(connection, JOBS)
    return queue_id


def delivery(
    queue_id: int, receiver: str, payload: Mapping[str, Any], *, work_id: str | None = None
) -> NewWork:
    """Return a delivery to be submitted.

    Args:
        queue_id: from `queue`.
        receiver: whom it goes to, such as `host_of` a URL; deliveries to one share its limit.
        payload: of the job, with its name under `job`.
        work_id: its id, which is the message's `webhook-id` too.
    """
    encoded = json.dumps(payload).encode()
    return NewWork(queue_id, encoded, id=work_id, concurrency_key=receiver)


def host_of(url: str) -> str:
    """Return the host of a URL, which is all of it that may be shown."""
    return httpx.URL(url).host


async def send(
    context: JobContext,
    url: str,
    body: Any,
    secrets: Sequence[str],
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Sign a message, send it once, and return the answer of a receiver that took it.

    Args:
        context: of the delivery; its work's id becomes `webhook-id`.
        url: where to.
        body: JSON-ready.
        secrets: what it is signed with, newest first.
        headers: sent with it.

    Raises:
        DeliveryFailed: the receiver cannot be reached, or did not answer with 2xx.
        Reject: it answered 410, and wants no more.
        InvalidRequest: the URL may not be called (any more).
    """
    data = json.dumps(body).encode()
    at_s = context.clock.now_us() // SECOND_US
    signed = wire.headers(secrets, context.work_id, at_s, data)
    answer = await context.outbound.post(url, data, {**(headers or {}), **signed})
    check(answer)
    return answer


def check(answer: Answer) -> None:
    """Raise DeliveryFailed unless the answer is 2xx, and Reject if it is 410."""
    if 200 <= answer.status < 300:
        return
    if answer.status == GONE:
        raise Reject(
            "The receiver answered 410: it is gone for good, so this is not sent again. Remove the "
            "webhook, or give it another URL."
        )
    redirect = " Redirects are not followed." if 300 <= answer.status < 400 else ""
    raise DeliveryFailed(
        f"The receiver answered {answer.status}, and only 2xx means that it took the "
        f"message.{redirect}"
    )

"""Telling a receiver that a run has ended (protocol §3.6): a job that is tried until it is taken.

The job carries all that it needs, so that it can be delivered when the run's record is gone. It
waits in a queue of its own: a receiver that lets every delivery hang must not hold up the jobs
that finish runs and delete things. What it carries may hold credentials and is never shown.
"""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection

from longshore.clock import SECOND_US
from longshore.edge.jobs import JOB_MEMORY_S, SYSTEM, JobContext
from longshore.engine import queues, works
from longshore.engine.works import NewWork
from longshore.errors import DeliveryFailed
from longshore.limits import WEBHOOK_ATTEMPTS
from longshore.surfaces.apps import deletions, run_settings
from longshore.surfaces.apps.runs import Run
from longshore.wire.apps import RunStatus

DELIVER: Final = "apps.deliver_webhook"
FORGET: Final = "apps.forget_delivery"
QUEUE: Final = "webhooks"
BACKOFF_S: Final = 30.0
"""Pause before the second try, about; it doubles, so that the eighth comes within 64 minutes."""
CONCURRENCY: Final = 2
"""Deliveries of one organisation that are under way at once."""


def submit(connection: Connection, run: Run) -> None:
    """Queue the delivery of a run that has just ended, if anyone is to be told."""
    webhook = run_settings.load(run.settings).webhook
    if webhook is None:
        return
    payload = {
        "job": DELIVER,
        "url": webhook.url,
        "headers": webhook.headers,
        "body": message(run),
    }
    work = NewWork(_queue(connection, run.organisation_id), _encode(payload), id=webhook.job_id)
    works.submit(connection, [work], actor="apps.finish_run")


def message(run: Run) -> dict[str, str]:
    """Return what the receiver is told, as the protocol words it."""
    told = {
        "status": "OK" if run.status is RunStatus.COMPLETE else "ERROR",
        "job_id": run.id,
        "input_dir": run.input_dir,
        "output": run.output_dir,
    }
    if run.status is not RunStatus.COMPLETE:
        told["msg"] = run.message or f"The run ended as {run.status}."
    return told


async def deliver(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Send it once. A try whose answer was lost is repeated, with the same `webhook-id`.

    Raises:
        DeliveryFailed: the receiver cannot be reached, or did not answer with 2xx.
        InvalidRequest: the URL may not be called (any more).
    """
    headers = {
        **payload["headers"],
        "webhook-id": context.work_id,
        "webhook-timestamp": str(context.clock.now_us() // SECOND_US),
    }
    answer = await context.outbound.post(payload["url"], _encode(payload["body"]), headers)
    if not 200 <= answer.status < 300:
        redirect = " Redirects are not followed." if 300 <= answer.status < 400 else ""
        raise DeliveryFailed(
            f"The receiver answered {answer.status}, and only 2xx means that it took the "
            f"message.{redirect}"
        )
    return {deletions.ANSWERED: answer.status}


def forget(connection: Connection, run: Run, *, actor: str) -> int:
    """Delete the delivery of a run whose record is deleted; return the rows that are gone.

    One that is still due is delivered first, and deleted by a job that waits for its end.
    """
    webhook = run_settings.load(run.settings).webhook
    if webhook is None or webhook.job_id is None:
        return 0
    found = works.get_many(connection, [webhook.job_id]).get(webhook.job_id)
    if found is None:
        return 0
    if found.final:
        return sum(works.forget(connection, work_ids=[found.id]).values())
    job = {"job": FORGET, "work_id": found.id}
    deletions.submit_job(connection, run.organisation_id, job, actor=actor, requires=(found.id,))
    return 0


async def forget_delivery(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete a delivery that has ended; doing it again finds nothing."""
    work_ids = [str(payload["work_id"])]
    gone = await context.database.write(works.forget, work_ids=work_ids)
    return {"rows": sum(gone.values()), "objects": 0, "bytes": 0}


def _queue(connection: Connection, organisation_id: str) -> int:
    return queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SYSTEM,
        name=QUEUE,
        attempts_max=WEBHOOK_ATTEMPTS,
        backoff_s=BACKOFF_S,
        backoff_max_s=3600.0,
        concurrency_max=CONCURRENCY,
        retention_s=JOB_MEMORY_S,
    )


def _encode(value: Any) -> bytes:
    return json.dumps(value).encode()

"""Telling a receiver that a run has ended (protocol §3.6): a job that is tried until it is taken.

The job carries all that it needs, so that it can be delivered when the run's record is gone. What
it carries may hold credentials and is never shown.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection

from longshore.edge import secrets, webhooks
from longshore.edge.jobs import JobContext
from longshore.engine import works
from longshore.surfaces.apps import deletions, run_settings
from longshore.surfaces.apps.runs import Run
from longshore.wire.apps import RunStatus

DELIVER: Final = "apps.deliver_webhook"
FORGET: Final = "apps.forget_delivery"


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
    queue_id = webhooks.queue(connection, run.organisation_id)
    work = webhooks.delivery(queue_id, webhook.host, payload, work_id=webhook.job_id)
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
    """Send it once, signed with the organisation's secret.

    Raises:
        DeliveryFailed, Reject, InvalidRequest: as `longshore.edge.webhooks.send` does.
    """
    known = await context.database.read(secrets.find_of_organisation, context.organisation_id)
    if known is None:
        known = await context.database.write(secrets.of_organisation, context.organisation_id)
    valid = known.valid(context.clock.now_us())
    answer = await webhooks.send(
        context, payload["url"], payload["body"], valid, payload["headers"]
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

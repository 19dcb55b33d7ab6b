"""Routes of activities: what workers say of the elements that they process."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge.call import Call
from longshore.edge.presence import has_left
from longshore.surfaces.corpus import activities, activity_batches, process_contents, tasks
from longshore.surfaces.corpus.activities import Update
from longshore.surfaces.corpus.activity_batches import Claim, Renewal, Reports
from longshore.surfaces.corpus.remaining import Remaining
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import root_of
from longshore.surfaces.corpus.routes.shared import PREFIX, Reader, Writer, answer, operation
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])
native = APIRouter(prefix="/activities", tags=["corpus"])
LOOK_AGAIN_S: Final = 5.0
"""A lease that ends rings no bell before the next attempt is queued; so a wait looks by itself."""


@router.put("/workers/versions/{id}/activity/", **operation("UpdateWorkerActivity", body=True))
async def update(run_id: Id, request: Request, call: Writer) -> Response:
    """Take a word of a worker of an element; the id is that of its worker run.

    409 says that the element is not to be processed, and is for `started` only.
    """
    said = await body_of(request, Update)
    # The history of the activity has it; the audit log is for what people do.
    return answer(
        await call.context.database.write(activities.change, call.principal, run_id, said)
    )


@router.post("/process/start-activity/", **operation("StartWorkerActivity"))
async def start_next(call: Writer) -> Response:
    """Start the next element in the queue of the task that calls; 404 when none is left."""
    database = call.context.database
    return answer(await database.write(activities.begin_next, call.principal, root_of(call)))


@router.get("/task/{id}/", **operation("RetrieveTask"))
async def retrieve_task(task_id: Id, call: Reader) -> Response:
    """Show a task."""
    return answer(await call.read(tasks.show, call.principal.organisation_id, task_id))


@native.get("/", **operation("RetrieveActivity"))
async def show(
    call: Reader,
    worker_run_id: Annotated[str, Query()],
    element_id: Annotated[str, Query()],
) -> Response:
    """Say why an element is where it is for a worker run, and how it came there."""
    organisation_id = call.principal.organisation_id
    return answer(
        await call.read(process_contents.activity, organisation_id, worker_run_id, element_id)
    )


@native.post("/claim", **operation("ClaimActivities", body=True))
async def claim(request: Request, call: Writer) -> Response:
    """Start up to so many elements of a worker run; waits up to `wait_s` for some."""
    asked = await body_of(request, Claim)
    wait_s = 0.0 if asked.elements is not None else min(asked.wait_s, limits.CLAIM_WAIT_S)
    made = await _claim(call, asked)
    if made["activities"] or wait_s <= 0:
        return answer(made)
    until_s = time.monotonic() + wait_s
    queue_id = await call.read(activity_batches.queue_of, call.principal, asked.worker_run_id)
    with call.context.wakeups.listen([] if queue_id is None else [queue_id]) as bell:
        while True:
            if await call.read(activity_batches.claimable, call.principal, asked.worker_run_id):
                # Whoever has hung up while waiting would let the leases run out.
                made = {} if await has_left(request) else await _claim(call, asked)
                if not made or made["activities"]:
                    return answer(made)
            rest_s = until_s - time.monotonic()
            if rest_s <= 0:
                return answer(made)
            await bell.wait(min(rest_s, LOOK_AGAIN_S))
            call.context.refuse_when_stopping()


@native.post("/renew", **operation("RenewActivities", body=True))
async def renew(request: Request, call: Writer) -> Response:
    """Hold elements for longer; the answer names those that are lost."""
    asked = await body_of(request, Renewal)
    return answer(await call.context.database.write(activity_batches.renew, call.principal, asked))


@native.post("/report", **operation("ReportActivities", body=True))
async def report(request: Request, call: Writer) -> Response:
    """Take down how it went with elements; the answer names those that were lost before."""
    said = await body_of(request, Reports)
    return answer(await call.context.database.write(activity_batches.report, call.principal, said))


async def _claim(call: Call, asked: Claim) -> dict[str, Any]:
    call.context.refuse_when_stopping()
    return await call.context.database.write(
        activity_batches.claim,
        call.principal,
        asked,
        root_of(call),
        call.context.shared(Remaining),
    )

"""Workers and queues: who takes works, when they last asked for some, and what is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Developer, Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import Form, read_form
from longshore.dashboard.parameters import NumberInPath
from longshore.edge.call import Call
from longshore.engine import activity_counts, queues, workers, works
from longshore.engine.activity_census import QueueCount
from longshore.errors import InvalidRequest, NotFound

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
HELD_WORKS: Final = 200
_LIMITS: Final = ("concurrency_max", "key_concurrency_max")


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """What there is to see of one worker."""

    worker: workers.Worker
    queues: list[queues.Queue]
    works: list[works.Work]


@router.get("/ui/workers")
async def list_workers(call: Viewer) -> Response:
    """Show the workers, those that are online first."""
    found = await call.read(workers.listing, call.principal.organisation_id)
    ordered = sorted(found, key=lambda worker: (not worker.online, -worker.started_us))
    return templating.render(
        call,
        "machines/workers.html",
        workers=ordered,
        slots=sum(worker.slots for worker in found if worker.online),
        running=sum(worker.running for worker in found if worker.online),
    )


@router.get("/ui/workers/{worker_id}")
async def show_worker(worker_id: str, call: Viewer) -> Response:
    """Show one worker: what it serves and what it runs."""

    def read(connection: Connection) -> WorkerPage:
        worker = workers.get(connection, call.principal.organisation_id, worker_id)
        served = queues.get_many(connection, workers.serves(connection, worker_id))
        held = works.get_many(connection, workers.holds(connection, worker_id, limit=HELD_WORKS))
        return WorkerPage(worker, list(served.values()), list(held.values()))

    return templating.render(call, "machines/worker.html", found=await call.read(read))


@router.get("/ui/queues")
async def list_queues(request: Request, call: Viewer) -> Response:
    """Show queues with what waits in them, as far as it was counted."""
    query = request.query_params
    name, surface = query.get("name", "").strip(), query.get("surface", "").strip()
    held = query.get("held") == "yes"
    after = _number(query.get("after", "0"))

    def read(
        connection: Connection,
    ) -> tuple[list[queues.Queue], dict[int, QueueCount], list[str]]:
        found = queues.search(
            connection,
            call.principal.organisation_id,
            beginning=name,
            surface=surface or None,
            only="held" if held else None,
            after=after,
            limit=ROWS + 1,
        )
        counted = activity_counts.of_queues(connection, [queue.id for queue in found])
        return found, counted, queues.surfaces(connection, call.principal.organisation_id)

    found, counted, surfaces = await call.read(read)
    wanted = {"name": name, "surface": surface, "held": "yes" if held else ""}
    further = ""
    if len(found) > ROWS:
        further = addressed("/ui/queues", **wanted, after=found[ROWS - 1].id)
    return templating.render(
        call,
        "machines/queues.html",
        queues=found[:ROWS],
        counted=counted,
        surfaces=surfaces,
        wanted=wanted,
        further=further,
        first=addressed("/ui/queues", **wanted) if after else "",
    )


@router.post("/ui/queues/{queue_id}/hold")
async def hold_queue(queue_id: NumberInPath, request: Request, call: Operator) -> Response:
    """Let nothing more be claimed from a queue."""
    form = await read_form(request)

    def hold(connection: Connection) -> queues.Queue:
        _own(connection, call, queue_id)
        return queues.hold(connection, queue_id, actor=call.principal.key_id, why=form.reason())

    queue = await call.write(
        "queues.hold", hold, target=str(queue_id), detail={"why": form.reason()}
    )
    return templating.done(f"{queue.name} is held: nothing more is claimed from it.")


@router.post("/ui/queues/{queue_id}/release")
async def release_queue(queue_id: NumberInPath, request: Request, call: Operator) -> Response:
    """Let works be claimed from a queue again."""
    form = await read_form(request)

    def release(connection: Connection) -> queues.Queue:
        _own(connection, call, queue_id)
        return queues.release(connection, queue_id)

    queue = await call.write(
        "queues.release", release, target=str(queue_id), detail={"why": form.reason()}
    )
    return templating.done(f"{queue.name} is released.")


@router.post("/ui/queues/{queue_id}/limits")
async def limit_queue(queue_id: NumberInPath, request: Request, call: Developer) -> Response:
    """Change how many works of a queue may run at once."""
    form = await read_form(request)
    changes = {name: _limit(form, name) for name in _LIMITS}

    def configure(connection: Connection) -> queues.Queue:
        _own(connection, call, queue_id)
        return queues.configure(connection, queue_id, **changes)

    queue = await call.write(
        "queues.configure",
        configure,
        target=str(queue_id),
        detail={**changes, "why": form.reason()},
    )
    return templating.done(f"The limits of {queue.name} are changed.")


def _own(connection: Connection, call: Call, queue_id: int) -> None:
    known = queues.get_many(connection, [queue_id]).get(queue_id)
    if known is None or known.organisation_id != call.principal.organisation_id:
        raise NotFound(f"There is no queue {queue_id}. List the queues to see which there are.")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(f"after is {text[:40]!r}; it must be the number of a queue.")
    return int(text)


def _limit(form: Form, name: str) -> int | None:
    text = form.text(name)
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 7 else 0
    if not 1 <= number <= 1_000_000:
        raise InvalidRequest(
            f"{name} is {text[:40]!r}; give a number from 1 to 1,000,000, or nothing for no limit."
        )
    return number

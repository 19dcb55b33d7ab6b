"""The worker's protocol (longshore.wire.worker) and the blobs that workers read and write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission
from longshore.access.masking import Masker
from longshore.edge import files
from longshore.edge.body import ASIDE_BYTES, stream, struct_body
from longshore.edge.call import Call, allow
from longshore.edge.callers import Reader
from longshore.edge.presence import has_left
from longshore.edge.responses import json_response
from longshore.engine import artifacts, logs, workers, works
from longshore.errors import InvalidRequest, NotFound, TooLarge
from longshore.server.native import worker_surfaces
from longshore.surfaces.apps import catalogue
from longshore.surfaces.buckets import depositing
from longshore.surfaces.corpus import worker_offers
from longshore.surfaces.pipelines import services
from longshore.surfaces.scripts import hosts
from longshore.wire import worker as wire
from longshore.wire.buckets import Pipeline
from longshore.wire.payloads import NO_RESULT

router = APIRouter(tags=["worker protocol"])
Worker = Annotated[Call, Depends(allow(Permission.WORK))]

_OFFERS_MAX: Final = 1_000
_FEW: Final = 8
_INCARNATION_CHARACTERS: Final = 64
_VERSION_CHARACTERS: Final = 100
_STREAMS: Final = frozenset({"stdout", "stderr", "worker"})
_UNKNOWN_WORK: Final = "the work does not exist (any more)"
_LOGS_ASIDE_CHARACTERS: Final = 64 * 1024
"""More characters of log lines than this are looked through for secrets in a thread."""


@router.post("/worker/register")
async def register(request: Request, call: Worker) -> Response:
    """Enter a worker and what it offers; the answer names the queues to claim from."""
    registration = await struct_body(request, wire.Registration)
    _check_registration(registration)

    def enter(connection: Connection) -> wire.Registered:
        organisation_id = call.principal.organisation_id
        offers = [
            (app.name, app.owner, app.version, app.description, app.timeout_s, app.attempts_max)
            for app in registration.apps
        ]
        queue_ids = catalogue.offer(connection, organisation_id, offers)
        queue_ids += [
            depositing.queue_of(connection, organisation_id, bucket.name)
            for bucket in registration.buckets
        ]
        queue_ids += services.offer(connection, organisation_id, registration.services)
        if registration.workbooks:
            queue_ids += services.offer_workbooks(connection, organisation_id)
        queue_ids += worker_offers.offer(connection, organisation_id, registration.workers)
        if registration.host is not None:
            host = hosts.ensure(
                connection, organisation_id, registration.host.name, actor=registration.name
            )
            queue_ids.append(host.queue_id)
        worker_id = workers.register(
            connection,
            organisation_id=organisation_id,
            name=registration.name,
            incarnation=registration.incarnation,
            slots=registration.slots,
            queue_ids=queue_ids,
            version=registration.version[:_VERSION_CHARACTERS],
        )
        lease_s = call.context.settings.lease_s
        return wire.Registered(worker_id=worker_id, queues=queue_ids, lease_s=lease_s)

    detail = {"name": registration.name, "slots": registration.slots}
    return _answer(
        await call.write(
            "workers.register", enter, target=lambda made: made.worker_id, detail=detail
        )
    )


@router.post("/worker/claim")
async def claim(request: Request, call: Worker) -> Response:
    """Lease works to a worker; waits up to `wait_s` for some. Writes nothing while there are none."""
    wanted = await struct_body(request, wire.ClaimRequest)
    if not 1 <= wanted.limit <= limits.CLAIM_WORKS:
        raise InvalidRequest(
            f"limit is {wanted.limit}; claim 1 to {limits.CLAIM_WORKS} works at once."
        )
    until_s = time.monotonic() + min(max(wanted.wait_s, 0.0), limits.CLAIM_WAIT_S)
    # The bell is there before the first look, so that no work slips in between look and wait.
    wakeups = call.context.wakeups
    with wakeups.listen(wanted.queues) as bell:
        found = await _look(call, wanted)
        while True:
            leases = await _lease(request, call, wanted, found)
            rest_s = until_s - time.monotonic()
            if leases or rest_s <= 0:
                return _answer(wire.ClaimAnswer(works=leases))
            rung = await bell.wait(rest_s)
            # Where few wait, it is for them that the bell has rung, and another look would only
            # make the work wait. A crowd looks first: one of them finds something to write.
            if rung and wanted.where is None and not wakeups.crowded(wanted.queues, _FEW):
                found = worker_surfaces.Found(found.served, found.served)
            else:
                found = await _look(call, wanted)


async def _look(call: Call, wanted: wire.ClaimRequest) -> worker_surfaces.Found:
    call.context.refuse_when_stopping()
    organisation_id = call.principal.organisation_id
    if len(wanted.queues) > _OFFERS_MAX:
        raise TooLarge(f"{len(wanted.queues)} queues; claim from at most {_OFFERS_MAX} at once.")

    def look(connection: Connection) -> tuple[bool, worker_surfaces.Found]:
        due = workers.stale(connection, organisation_id, wanted.worker_id, claiming=True)
        found = worker_surfaces.look(
            connection, organisation_id, wanted.queues, wanted.where, wanted.limit
        )
        return due, found

    due, found = await call.read(look)
    if due:
        await call.context.database.write(workers.seen, wanted.worker_id, claiming=True)
    return found


async def _lease(
    request: Request, call: Call, wanted: wire.ClaimRequest, found: worker_surfaces.Found
) -> list[wire.Claimed]:
    call.context.refuse_when_stopping()
    # Whoever has hung up while waiting would let the leases run out.
    if not found.queue_ids or await has_left(request):
        return []
    return await call.context.database.write(
        worker_surfaces.claim,
        found,
        limit=wanted.limit,
        holder=wanted.worker_id,
        lease_s=call.context.settings.lease_s,
        code_s=call.context.settings.access_code_s,
    )


@router.post("/worker/renew")
async def renew(request: Request, call: Worker) -> Response:
    """Lengthen leases; the answer names those to give up."""
    wanted = await struct_body(request, wire.RenewRequest)
    held = [(lease.work_id, lease.attempt) for lease in wanted.leases]
    lease_s = call.context.settings.lease_s

    def lengthen(connection: Connection) -> list[works.Lost]:
        return works.renew(connection, held, holder=wanted.worker_id, lease_s=lease_s)

    lost = await _as_worker(call, wanted.worker_id, lengthen)
    return _answer(wire.RenewAnswer(lost=lost))


@router.post("/worker/report")
async def report(request: Request, call: Worker) -> Response:
    """Record how attempts ended; the answer names those that the fence refused."""
    wanted = await struct_body(
        request, wire.ReportRequest, limit_bytes=limits.REPORT_BODY_BYTES, raw_parts=True
    )
    if len(wanted.reports) > limits.CLAIM_WORKS:
        raise TooLarge(f"{len(wanted.reports)} reports; send at most {limits.CLAIM_WORKS} at once.")
    masker = await call.masker()
    size = sum(map(_size, wanted.reports)) if masker else 0
    if size > ASIDE_BYTES:
        endings = await asyncio.to_thread(_endings, wanted.reports, masker)
    else:
        endings = _endings(wanted.reports, masker)

    def finish(connection: Connection) -> list[works.Lost]:
        try:
            return worker_surfaces.finish(
                connection, call.principal.organisation_id, endings, holder=wanted.worker_id
            )
        except RecursionError as error:
            # A fault of the server would be reported again, for ever.
            raise TooLarge("A result is nested too deep to be read. Flatten it.") from error

    lost = await _as_worker(call, wanted.worker_id, finish)
    return _answer(wire.ReportAnswer(lost=lost))


@router.post("/worker/logs")
async def append_logs(request: Request, call: Worker) -> Response:
    """Keep what user code printed; lines of works that the worker does not hold are dropped."""
    wanted = await struct_body(request, wire.LogRequest)
    masker = await call.masker()
    texts = [line.text for line in wanted.lines]
    if masker and sum(map(len, texts)) > _LOGS_ASIDE_CHARACTERS:
        texts = await asyncio.to_thread(masker.cut, texts)
    else:
        texts = masker.cut(texts)
    lines = [
        logs.NewLine(
            line.work_id,
            line.attempt,
            line.at_us,
            line.stream if line.stream in _STREAMS else "worker",
            text,
        )
        for line, text in zip(wanted.lines, texts, strict=True)
    ]

    def append(connection: Connection) -> int:
        workers.stale(connection, call.principal.organisation_id, wanted.worker_id)
        return logs.append(connection, lines, holder=wanted.worker_id)

    return json_response({"dropped": await call.context.database.write(append)})


@router.post("/worker/leave")
async def leave(request: Request, call: Worker) -> Response:
    """Hear that a worker ends; what it still holds is queued again at once."""
    goodbye = await struct_body(request, wire.Goodbye)

    def depart(connection: Connection) -> int:
        workers.stale(connection, call.principal.organisation_id, goodbye.worker_id)
        return workers.lost(
            connection, goodbye.worker_id, actor=goodbye.worker_id, why="the worker has left"
        )

    released = await call.write("workers.leave", depart, target=goodbye.worker_id)
    return json_response({"released": released})


@router.get("/blobs/{blob_id}")
async def download(blob_id: str, request: Request, call: Reader) -> Response:
    """Send a blob of the organisation; X-Checksum-SHA256 has its checksum in hexadecimal."""
    artifact = await call.read(artifacts.get, call.principal.organisation_id, blob_id)
    return await files.send(
        call.context,
        artifact,
        media_type=artifact.media_type,
        headers={"X-Checksum-SHA256": artifact.sha256},
        wanted_range=request.headers.get("range"),
    )


@router.post("/blobs", status_code=201)
async def upload(request: Request, call: Worker) -> Response:
    """Take a blob; it counts once an accepted report names it, and is swept away otherwise."""
    stored = await files.receive(
        call.context,
        call.principal.organisation_id,
        stream(request, limit_bytes=limits.FILE_BYTES),
        limits.FILE_BYTES,
    )
    return json_response(stored, 201)


async def _as_worker(
    call: Call, worker_id: str, work: Callable[[Connection], Sequence[works.Lost]]
) -> list[wire.Lost]:
    """Run `work` in a transaction as a worker of the caller's organisation."""
    organisation_id = call.principal.organisation_id

    def change(connection: Connection) -> list[wire.Lost]:
        if workers.stale(connection, organisation_id, worker_id):
            workers.seen(connection, worker_id)
        return [_lost(connection, organisation_id, each) for each in work(connection)]

    return await call.context.database.write(change)


def _lost(connection: Connection, organisation_id: str, lost: works.Lost) -> wire.Lost:
    """Write a lost lease for the wire; of another organisation's work nothing is told."""
    try:
        ours = works.organisation_of(connection, lost.work_id) == organisation_id
    except NotFound:
        ours = False
    return wire.Lost(
        work_id=lost.work_id,
        attempt=lost.attempt,
        reason=lost.reason if ours else _UNKNOWN_WORK,
        cancelled=lost.cancelled and ours,
    )


def _check_registration(registration: wire.Registration) -> None:
    if not 1 <= registration.slots <= limits.CLAIM_WORKS:
        raise InvalidRequest(
            f"slots is {registration.slots}; a worker has 1 to {limits.CLAIM_WORKS}."
        )
    if not 1 <= len(registration.name) <= limits.NAME_CHARACTERS:
        raise InvalidRequest(
            f"The worker's name must have 1 to {limits.NAME_CHARACTERS} characters."
        )
    if not 1 <= len(registration.incarnation) <= _INCARNATION_CHARACTERS:
        raise InvalidRequest(
            f"incarnation must have 1 to {_INCARNATION_CHARACTERS} characters, random at each "
            "start of the worker."
        )
    kinds = (registration.apps, registration.buckets, registration.services, registration.workers)
    offers = sum(len(kind) for kind in kinds)
    if offers > _OFFERS_MAX:
        raise TooLarge(
            f"{offers} apps, buckets, services and worker programs; a worker offers at most "
            f"{_OFFERS_MAX}. Start several workers."
        )
    for bucket in registration.buckets:
        _check_bucket(bucket.name)


def _check_bucket(name: str) -> None:
    try:
        msgspec.convert(name, Pipeline)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"{name[:200]!a} cannot be the name of a bucket: it may have 1 to 128 letters, digits "
            "and hyphens."
        ) from error


def _endings(reports: Sequence[wire.Report], masker: Masker) -> list[works.Ending]:
    return [_ending(each, masker) for each in reports]


def _size(report: wire.Report) -> int:
    """Return about how much there is to look through."""
    error = report.error
    said = 0 if error is None else len(error.message) + len(error.traceback)
    return len(bytes(report.result)) + said


def _ending(report: wire.Report, masker: Masker) -> works.Ending:
    success = report.outcome is wire.Outcome.SUCCESS
    result: bytes | None = bytes(report.result)
    if not success and result == bytes(NO_RESULT):
        result = None
    if result is not None:
        # What a command printed was cut where there was much of it.
        result = masker.json(result, cut=True)
    return works.Ending(
        work_id=report.work_id,
        attempt=report.attempt,
        outcome=works.Outcome(report.outcome.value),
        result=result,
        error=None if report.error is None else _error(report.error, masker),
        retry_delay_s=report.retry_delay_s,
    )


def _error(error: wire.AttemptError, masker: Masker) -> bytes:
    most = limits.ERROR_CHARACTERS
    kind, message, traceback = masker.cut([error.type, error.message, error.traceback])
    return msgspec.json.encode(
        wire.AttemptError(
            type=kind[: limits.NAME_CHARACTERS],
            message=message[:most],
            traceback=traceback[-most:],
        )
    )


def _answer(answer: Any) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")

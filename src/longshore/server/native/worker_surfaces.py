"""What differs between the surfaces in the worker's protocol: what a claim gives, what an end does."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Select, Text, select

from longshore import limits, tracing
from longshore.engine import artifacts, queues, traces, works
from longshore.engine.states import State
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.engine.works import Ending, Lease, Lost, Outcome
from longshore.errors import Conflict, InvalidRequest, NotFound, TooLarge
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.apps import secrets
from longshore.surfaces.buckets import query, updating, withdrawing
from longshore.surfaces.buckets.withdrawing import Wanted
from longshore.surfaces.corpus import judging, tasks
from longshore.surfaces.pipelines import chunks
from longshore.surfaces.scripts import claiming, recording
from longshore.surfaces.scripts import judging as scripts_judging
from longshore.wire import worker as wire
from longshore.wire.payloads import AppResult, FunctionResult

_PDF_KEY: Final = b'"pdf_blob_id"'


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found.

    Attributes:
        served: the queues that may be claimed from, by surface.
        queue_ids: those among them where there may be something now.
        among: the works that the filter of the claim has chosen, by surface.
    """

    served: Mapping[str, list[int]]
    queue_ids: Mapping[str, list[int]]
    among: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims from which queues of one surface."""

    queue_ids: list[int]
    holder: str
    lease_s: float
    among: list[str] | None
    code_s: float = limits.ACCESS_CODE_S


@dataclass(frozen=True, slots=True)
class Surface:
    """How works of one surface are handed to workers and come back.

    Attributes:
        claim: leases up to so many works; returns them with their payloads.
        record: writes down what accepted endings say, for the organisation.
        served: the queues that a claim from the given ones looks into.
        keeps_results: whether it has the results itself, so that the engine stores none.
        judged: the endings as the surface sees them, before the engine hears of them.
        follows_returns: whether it is also told of attempts that were handed back unfinished.
        result_bytes: how large a result may be.
    """

    claim: Callable[[Connection, Claim, int], list[wire.Claimed]]
    record: Callable[[Connection, str, Sequence[Ending]], None]
    served: Callable[[Connection, list[int]], list[int]] = lambda _, queue_ids: queue_ids
    judged: Callable[[Connection, Sequence[Ending]], Sequence[Ending]] = lambda _, endings: endings
    keeps_results: bool = False
    follows_returns: bool = False
    result_bytes: int = limits.JSON_BODY_BYTES


def look(
    connection: Connection,
    organisation_id: str,
    queue_ids: Sequence[int],
    where: Mapping[str, Any] | None,
    limit: int,
) -> Found:
    """Find what a claim could take, in a read transaction, so that an idle claim writes nothing.

    Raises:
        NotFound: a queue is another organisation's; told in the words for one that is not there.
        InvalidRequest, TooLarge: the filter cannot be used.
    """
    by_surface: dict[str, list[int]] = {}
    for queue in queues.get_many(connection, set(queue_ids)).values():
        if queue.organisation_id != organisation_id or queue.surface not in SURFACES:
            raise NotFound(f"There is no queue {queue.id}. List the queues to see which there are.")
        by_surface.setdefault(queue.surface, []).append(queue.id)
    claimable = {
        surface: ids
        for surface, ids in by_surface.items()
        if works.claimable(connection, SURFACES[surface].served(connection, ids))
    }
    buckets = claimable.get("buckets")
    if where is None or buckets is None:
        return Found(by_surface, claimable)
    wanted = Wanted(buckets, query.parse(where))
    among = withdrawing.candidates(connection, wanted, limit=limit)
    if not among:
        del claimable["buckets"]
    return Found(by_surface, claimable, {"buckets": among})


def claim(
    connection: Connection,
    found: Found,
    *,
    limit: int,
    holder: str,
    lease_s: float,
    code_s: float = limits.ACCESS_CODE_S,
) -> list[wire.Claimed]:
    """Lease up to `limit` works. Which surface comes first is left to chance, so that none waits.

    `code_s` is how long the one-time codes of steps of workflows are valid.
    """
    claimed: list[wire.Claimed] = []
    order = list(found.queue_ids)
    random.shuffle(order)
    for surface in order:
        if len(claimed) < limit:
            among = found.among.get(surface)
            asked = Claim(found.queue_ids[surface], holder, lease_s, among, code_s)
            claimed += SURFACES[surface].claim(connection, asked, limit - len(claimed))
    return claimed if tracing.spans is None else _with_traces(connection, claimed)


def _with_traces(connection: Connection, claimed: Sequence[wire.Claimed]) -> list[wire.Claimed]:
    names = {
        queue_id: queue.name
        for queue_id, queue in queues.get_many(connection, {each.queue for each in claimed}).items()
    }
    known = traces.of(connection, [each.work_id for each in claimed])
    return [
        replace(each, trace=_trace(names[each.queue], known.get(each.work_id))) for each in claimed
    ]


def _trace(queue: str, found: traces.Trace | None) -> wire.ClaimedTrace:
    if found is None:
        return wire.ClaimedTrace(queue=queue)
    return wire.ClaimedTrace(queue=queue, traceparent=found.traceparent, shared=found.shared)


def finish(
    connection: Connection, organisation_id: str, endings: Sequence[Ending], *, holder: str
) -> list[Lost]:
    """Record how attempts ended, in the engine and at their surfaces; return what was refused."""
    held = _held(connection, endings, holder)
    endings = _judged(connection, endings, held)
    for ending in endings:
        _check_size(ending, _surface(held, ending).result_bytes)
    lost = works.finish(
        connection,
        [
            replace(ending, result=None)
            if _surface(held, ending).keeps_results and ending.result is not None
            else ending
            for ending in endings
        ],
        holder=holder,
    )
    refused = {(each.work_id, each.attempt) for each in lost}
    accepted: dict[str, list[Ending]] = {}
    for ending in endings:
        key = (ending.work_id, ending.attempt)
        # A repeated report was recorded when it came first; the work may have moved on since.
        if key not in held or key in refused:
            continue
        if ending.outcome is not Outcome.HANDED_BACK or SURFACES[held[key]].follows_returns:
            accepted.setdefault(held[key], []).append(ending)
    for surface, ended in accepted.items():
        SURFACES[surface].record(connection, organisation_id, ended)
    return lost


def _judged(
    connection: Connection, endings: Sequence[Ending], held: Mapping[tuple[str, int], str]
) -> Sequence[Ending]:
    by_surface: dict[str, list[Ending]] = {}
    for ending in endings:
        surface = held.get((ending.work_id, ending.attempt), "apps")
        by_surface.setdefault(surface, []).append(ending)
    return [
        ending
        for surface, some in by_surface.items()
        for ending in SURFACES[surface].judged(connection, some)
    ]


def _check_size(ending: Ending, most_bytes: int) -> None:
    if ending.result is not None and len(ending.result) > most_bytes:
        raise TooLarge(
            f"The result of {ending.work_id} has {len(ending.result)} bytes; at most {most_bytes} "
            "are kept."
        )


def _held(
    connection: Connection, endings: Sequence[Ending], holder: str
) -> dict[tuple[str, int], str]:
    """Return the surface of each reported attempt that runs now and is the holder's."""
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(ending.work_id,) for ending in endings], 1)
    return {
        (row.id, row.attempt): row.surface
        for row in connection.execute(_surfaces(dialect), given)
        if row.state == State.RUNNING and row.worker_id == holder and row.surface in SURFACES
    }


@cache
def _surfaces(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(
            works_table.c.id,
            works_table.c.attempt,
            works_table.c.state,
            works_table.c.worker_id,
            queues_table.c.surface,
        )
        .join(given, given.c.id == works_table.c.id)
        .join(queues_table, queues_table.c.id == works_table.c.queue_id)
    )


def _surface(held: Mapping[tuple[str, int], str], ending: Ending) -> Surface:
    return SURFACES[held.get((ending.work_id, ending.attempt), "apps")]


def _claim_files(connection: Connection, asked: Claim, limit: int) -> list[wire.Claimed]:
    leases = works.claim(
        connection, asked.queue_ids, limit=limit, holder=asked.holder, lease_s=asked.lease_s
    )
    return [
        _claimed(lease, secrets.resolved(connection, lease, holder=asked.holder))
        for lease in leases
    ]


def _claim_bucket_works(connection: Connection, asked: Claim, limit: int) -> list[wire.Claimed]:
    withdrawn = withdrawing.claim(
        connection,
        Wanted(asked.queue_ids, None),
        limit=limit,
        holder=asked.holder,
        lease_s=asked.lease_s,
        among=asked.among,
    )
    return [_claimed(each.lease, msgspec.json.encode(each.document)) for each in withdrawn]


def _claimed(lease: Lease, payload: bytes) -> wire.Claimed:
    return wire.Claimed(
        work_id=lease.id,
        attempt=lease.attempt,
        queue=lease.queue_id,
        surface=lease.surface,
        payload=msgspec.Raw(payload),
        lease_until_us=lease.lease_until_us,
        timeout_s=lease.timeout_s,
    )


def _claim_chunks(connection: Connection, asked: Claim, limit: int) -> list[wire.Claimed]:
    claimed = chunks.claim(
        connection, asked.queue_ids, limit=limit, holder=asked.holder, lease_s=asked.lease_s
    )
    return [_claimed(lease, payload) for lease, payload in claimed]


def _claim_tasks(connection: Connection, asked: Claim, limit: int) -> list[wire.Claimed]:
    claimed = tasks.claim(
        connection, asked.queue_ids, limit=limit, holder=asked.holder, lease_s=asked.lease_s
    )
    return [_claimed(lease, payload) for lease, payload in claimed]


def _claim_steps(connection: Connection, asked: Claim, limit: int) -> list[wire.Claimed]:
    claimed = claiming.claim(
        connection,
        asked.queue_ids,
        limit=limit,
        holder=asked.holder,
        lease_s=asked.lease_s,
        code_s=asked.code_s,
    )
    return [_claimed(lease, payload) for lease, payload in claimed]


def _record_files(connection: Connection, organisation_id: str, endings: Sequence[Ending]) -> None:
    for ending in endings:
        if ending.result is not None and ending.outcome is Outcome.SUCCESS:
            _keep_pdf(connection, organisation_id, ending.result)


def _record_bucket_works(
    connection: Connection, organisation_id: str, endings: Sequence[Ending]
) -> None:
    for ending in endings:
        _check_function_result(ending)
    updating.record(connection, organisation_id, endings)


def _check_function_result(ending: Ending) -> None:
    if ending.result is None:
        return
    try:
        result = msgspec.json.decode(ending.result, type=FunctionResult)
        msgspec.json.decode(result.results, type=dict[str, Any] | None)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(
            f"The result of {ending.work_id} is none of a function: {str(error)[:300]}."
        ) from error


def _keep_pdf(connection: Connection, organisation_id: str, result: bytes) -> None:
    """Make the PDF count that the worker has uploaded for this result."""
    if _PDF_KEY not in result:
        return
    try:
        pdf = msgspec.json.decode(result, type=AppResult)
    except msgspec.ValidationError:
        return
    if pdf.pdf_blob_id is None or pdf.pdf_size_bytes is None or pdf.pdf_sha256 is None:
        return
    try:
        artifacts.get(connection, organisation_id, pdf.pdf_blob_id)
    except NotFound:
        _adopt(connection, organisation_id, pdf.pdf_blob_id, pdf.pdf_size_bytes, pdf.pdf_sha256)


def _adopt(
    connection: Connection, organisation_id: str, blob_id: str, size_bytes: int, sha256: str
) -> None:
    try:
        artifacts.store(connection, blob_id, size_bytes=size_bytes, sha256=sha256)
    except Conflict:
        # Swept away meanwhile, or never there: the run says that it has no PDF.
        return
    try:
        artifacts.get(connection, organisation_id, blob_id)
    except NotFound as error:
        raise InvalidRequest(
            f"A result names {blob_id} as its PDF, which was not uploaded with this key."
        ) from error


SURFACES: Final[dict[str, Surface]] = {
    "apps": Surface(_claim_files, _record_files),
    "buckets": Surface(_claim_bucket_works, _record_bucket_works, keeps_results=True),
    "pipelines": Surface(
        _claim_chunks,
        chunks.record,
        chunks.served,
        keeps_results=True,
        result_bytes=limits.CHUNK_RESULT_BYTES,
    ),
    "corpus": Surface(_claim_tasks, tasks.record, judged=judging.judged, follows_returns=True),
    "scripts": Surface(
        _claim_steps,
        recording.record,
        judged=scripts_judging.judged,
        keeps_results=True,
        follows_returns=True,
    ),
}
"""The surfaces whose works workers run."""

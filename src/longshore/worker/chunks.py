"""A chunk of records in, their outputs out: what a process, thread or cluster runs for pipelines.

Nothing here knows where it runs. The data is decoded once and the outputs are encoded once; what
happens for each record beside the function's own work is in `longshore.worker.records`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from longshore.errors import Reject
from longshore.limits import CHUNK_RESULT_BYTES
from longshore.wire.payloads import NO_RESULT, ChunkPayload, ChunkResult
from longshore.wire.pipelines import Summary
from longshore.worker import outputs, services, summaries
from longshore.worker.batches import run_batches
from longshore.worker.progress import Order, Position, cells_of, parts
from longshore.worker.records import Chunk, Target, Unreadable, run_records
from longshore.worker.registry import Registry
from longshore.worker.services import Service
from longshore.worker.troubles import Troubles, catching_warnings

_KEY_CHARACTERS: Final = 100

Compute = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Computes the outputs of one record, for services that are no Python function."""


class _Data(msgspec.Struct, frozen=True):
    """The data of a chunk as it was pushed."""

    inputs: list[Any]
    parameters: dict[str, Any] | None = None
    summary: Summary | None = None


class _RawData(msgspec.Struct, frozen=True):
    """The same, with each record unread."""

    inputs: list[msgspec.Raw]
    parameters: dict[str, Any] | None = None
    summary: Summary | None = None


_DATA = msgspec.json.Decoder(_Data)
_PAYLOAD = msgspec.json.Decoder(ChunkPayload)
_RESULT = msgspec.json.Encoder()


def run_chunk(
    registry: Registry,
    payload: bytes | msgspec.Raw,
    *,
    order: Order | None = None,
    position: Position | None = None,
    compute: Callable[[ChunkPayload], Compute] | None = None,
) -> bytes:
    """Compute a chunk and return the JSON of its `ChunkResult`.

    Args:
        registry: what this process has loaded.
        payload: the JSON of a `ChunkPayload`.
        order: which records to leave out or to run apart; all at once unless given.
        position: where the present record is written down; nobody looks unless given.
        compute: returns what computes a record of a workbook.

    Raises:
        ConfigurationError: the service is not registered here.
        RetryLater: the function wants the whole chunk to be tried again later.
        Reject: the result is larger than what is kept, or the chunk cannot be read.
    """
    job = _PAYLOAD.decode(payload)
    began_s = time.perf_counter()
    if job.kind == "python":
        service = services.find(registry, job.service, job.version)
        target, batch, declared = _target(service), service.batch, service.outputs
    else:
        assert compute is not None, "a workbook was handed to a process that takes none"
        target = Target(compute(job), f"{job.service}[{job.version}]", whole=True)
        batch, declared = False, tuple(job.workbook.outputs) if job.workbook else None
    data = _read(job)
    chunk = _chunk(job, data, position or Position(cells_of()))
    todo = _todo(chunk, order or Order())
    with catching_warnings(chunk.troubles, chunk.position.cells):
        (run_batches if batch else run_records)(target, chunk, todo)
    return _result(job, data, chunk, declared, began_s)


def _target(service: Service) -> Target:
    fields = service.inputs or ()
    return Target(
        service.function,
        service.label,
        whole=service.whole,
        accepts=service.accepts,
        required=frozenset(field.name for field in fields if field.required),
        positional=service.positional,
        defaults={field.name: field.default for field in fields if not field.required},
    )


def _read(job: ChunkPayload) -> _Data:
    try:
        return _DATA.decode(job.data)
    except msgspec.MsgspecError:
        # One record with a number that is out of range must not cost the others.
        pass
    try:
        raw = msgspec.json.decode(job.data, type=_RawData)
    except msgspec.MsgspecError as error:
        raise Reject(f"The chunk cannot be read: {error}. Push it again, corrected.") from error
    return _Data([_read_record(each) for each in raw.inputs], raw.parameters, raw.summary)


def _read_record(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.MsgspecError as error:
        return Unreadable(f"The record cannot be read: {error}.")


def _chunk(job: ChunkPayload, data: _Data, position: Position) -> Chunk:
    header, records = None, data.inputs
    if job.columnar:
        header, records = (data.inputs[0] if data.inputs else []), data.inputs[1:]
        if type(header) is not list or not all(type(name) is str for name in header):
            raise Reject("The first row of the chunk must be the names of the inputs.")
    parameters = data.parameters or {}
    return Chunk(
        records=records,
        header=header,
        parameters=parameters,
        # Not of the chunk itself: a circle of references would keep all of its records alive
        # until the garbage collector comes by.
        troubles=Troubles(partial(_name, job, records, header, parameters)),
        position=position,
        outputs=[None] * len(records),
    )


def _name(
    job: ChunkPayload,
    records: list[Any],
    header: list[str] | None,
    parameters: dict[str, Any],
    index: int,
) -> str:
    """Return what a person knows a record by, where the pipeline says which inputs that are."""
    if not job.unique_record_key or index >= len(records):
        return ""
    record: Any = records[index]
    if header is not None and type(record) is list:
        record = dict(zip(header, record, strict=False))
    if type(record) is not dict:
        return f"record {index}"
    known = {**parameters, **record}
    return ", ".join(
        f"{name}={_shown(known.get(name))}" for name in job.unique_record_key if name in known
    )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _KEY_CHARACTERS else f"{text[: _KEY_CHARACTERS - 1]}…"


def _todo(chunk: Chunk, order: Order) -> list[tuple[int, int]]:
    """Return what to run, and give errors to what is not run."""
    for index, error in order.lost.items():
        chunk.troubles.fail(index, error)
    unfit = chunk.unfit()
    apart = [part for part in order.apart if unfit.isdisjoint(range(*part))]
    return parts(len(chunk.records), apart, unfit | order.lost.keys())


def _result(
    job: ChunkPayload,
    data: _Data,
    chunk: Chunk,
    declared: tuple[str, ...] | None,
    began_s: float,
) -> bytes:
    made, count = chunk.outputs, len(chunk.records)
    summary = data.summary
    whole = made
    if job.outputs is not None:
        made = outputs.selected(made, job.outputs)
    names = None if chunk.header is None else _header(job, made, declared)
    text = outputs.encoded(made, names, chunk.troubles)
    figures = NO_RESULT
    if summary is not None:
        # Figures may be over outputs that are not wanted themselves, but not of failed records.
        for index in chunk.troubles.errors:
            whole[index] = None
        figures = summaries.encoded(summary, whole)
        text = text if summary.return_all_records else b"[]"
    times: msgspec.Raw = NO_RESULT
    if chunk.slow_ms:
        each_ms = [0] * count
        for index, slow_ms in chunk.slow_ms.items():
            each_ms[index] = slow_ms
        times = msgspec.Raw(_RESULT.encode(each_ms))
    result = _RESULT.encode(
        ChunkResult(
            records=count,
            failed=len(chunk.troubles.errors),
            compute_ms=(time.perf_counter() - began_s) * 1000,
            outputs=msgspec.Raw(text),
            warnings=chunk.troubles.encoded_warnings(count),
            errors=chunk.troubles.encoded_errors(count),
            process_time=times,
            summary=figures,
        )
    )
    if len(result) > CHUNK_RESULT_BYTES:
        raise Reject(
            f"The outputs of the chunk have {len(result)} bytes of JSON; at most "
            f"{CHUNK_RESULT_BYTES} are kept. Push fewer records in a chunk, or select outputs."
        )
    return result


def _header(
    job: ChunkPayload, made: list[outputs.Output | None], declared: tuple[str, ...] | None
) -> list[str]:
    if job.outputs is not None:
        return job.outputs
    first = next((output for output in made if output is not None), None)
    return list(declared or ()) if first is None else list(first)

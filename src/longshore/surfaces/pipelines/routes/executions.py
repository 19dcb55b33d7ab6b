"""Synchronous execution over HTTP: one record (v3) or a list of them (v4)."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from longshore import ids, limits
from longshore.clock import iso
from longshore.edge.body import check_depth, decoded
from longshore.edge.call import Call
from longshore.edge.compression import deflated, inflated_body
from longshore.edge.presence import has_left
from longshore.edge.wakeups import PIPELINE, Bell
from longshore.errors import InvalidRequest, LongshoreError, WaitTimeout
from longshore.surfaces.pipelines import creating, executing, metadata, pushing
from longshore.surfaces.pipelines.creating import Wanted
from longshore.surfaces.pipelines.executing import Begun
from longshore.surfaces.pipelines.pushing import Chunk
from longshore.surfaces.pipelines.routes.tenants import TenantOperator
from longshore.wire.payloads import ChunkResult

router = APIRouter(tags=["services"])

LOOK_AGAIN_S: Final = 2.0
"""An execution that is over rings; this is for what nobody rings for, such as a cancellation."""
_NULL: Final = msgspec.Raw(b"null")
_UNSUPPORTED: Final = ("excel_file", "requested_output_regex")
_RAW_KEYS: Final = ("inputs", "parameters", "summary")
_log = logging.getLogger(__name__)

Fields = dict[str, msgspec.Raw]


class _RequestData(msgspec.Struct):
    inputs: Fields | None = None


class _Single(msgspec.Struct):
    """Body of an execution of one record (v3)."""

    request_data: _RequestData | None = None
    request_meta: Fields | None = None


class _Executed(msgspec.Struct):
    begun: Begun
    result: ChunkResult


@router.post("/{tenant}/api/v3/folders/{folder}/services/{service}/execute")
async def execute_one(
    folder: str, service: str, request: Request, call: TenantOperator
) -> Response:
    """Compute one record by a service."""
    return await _execute_one(request, call, {"service": f"{folder}/{service}"})


@router.post("/{tenant}/api/v3/service/{service_id}")
async def execute_one_by_service_id(
    service_id: str, request: Request, call: TenantOperator
) -> Response:
    """Compute one record by a service, which is named by its id."""
    return await _execute_one(request, call, {"service": service_id})


@router.post("/{tenant}/api/v3/version/{version_id}")
async def execute_one_by_version_id(
    version_id: str, request: Request, call: TenantOperator
) -> Response:
    """Compute one record by a version of a service, which is named by its id."""
    return await _execute_one(request, call, {"version_id": version_id})


@router.post("/{tenant}/api/v3/execute")
async def execute_one_by_meta(request: Request, call: TenantOperator) -> Response:
    """Compute one record by the service that `request_meta` names."""
    return await _execute_one(request, call, {})


@router.post("/{tenant}/api/v4/execute")
async def execute_many(request: Request, call: TenantOperator) -> Response:
    """Compute a list of records, objects or rows below a header row, by a service."""
    text = await inflated_body(request, limit_bytes=limits.PUSH_BODY_BYTES)
    fields = decoded(text, Fields)
    data = {name: fields.pop(name, _NULL) for name in _RAW_KEYS}
    if not bytes(data["inputs"]).startswith(b"["):
        raise InvalidRequest(
            "`inputs` is no list. Send the records as a list of objects, or as rows below a row "
            "of names; one record alone goes to .../api/v3/folders/FOLDER/services/NAME/execute."
        )
    asked = creating.wanted(_values(fields))
    chunk = pushing.read_data(_text_checked(data), "The request")
    done = await _executed(request, call, asked, chunk)
    return await deflated(request, _answer(call, _many(call, asked, chunk, done), done))


async def _execute_one(request: Request, call: Call, address: Mapping[str, str]) -> Response:
    text = await inflated_body(request, limit_bytes=limits.PUSH_BODY_BYTES)
    body = decoded(text, _Single) if text.strip() else _Single()
    meta = _values(body.request_meta or {})
    for name in _UNSUPPORTED:
        if meta.get(name):
            raise InvalidRequest(
                f"`{name}` is not possible here. Leave it out; `requested_output` chooses outputs."
            )
    asked = creating.wanted(_of_meta(address, meta))
    inputs = (body.request_data and body.request_data.inputs) or {}
    record = msgspec.json.encode(inputs)
    data = {"inputs": msgspec.Raw(b"[" + record + b"]"), "parameters": _NULL, "summary": _NULL}
    chunk = pushing.read_data(_text_checked(data), "The request")
    done = await _executed(request, call, asked, chunk)
    echo = msgspec.Raw(record) if meta.get("response_data_inputs") else None
    return await deflated(request, _answer(call, _one(call, asked, done, echo), done))


async def _executed(request: Request, call: Call, asked: Wanted, chunk: Chunk) -> _Executed:
    """Queue an execution and wait for its end; what is left of it when that fails is deleted."""
    database = call.context.database
    call.context.refuse_when_stopping()
    work_id = ids.new(ids.WORK)
    organisation_id, actor = call.principal.organisation_id, call.principal.key_id
    until_s = time.monotonic() + limits.EXECUTION_S
    with call.context.wakeups.listen_to([f"{PIPELINE}{work_id}"]) as bell:
        begun = await database.write(
            executing.begin, organisation_id, work_id, asked, chunk, actor=actor
        )
        try:
            result = await _outcome(request, call, bell, begun, until_s)
        except BaseException:
            await _forget(call, work_id)
            raise
    return _Executed(begun, result)


async def _outcome(
    request: Request, call: Call, bell: Bell, begun: Begun, until_s: float
) -> ChunkResult:
    while True:
        rest_s = until_s - time.monotonic()
        await bell.wait(min(max(rest_s, 0.0), LOOK_AGAIN_S))
        result = await call.context.database.read(executing.outcome, begun.work_id)
        if result is not None:
            return result
        call.context.refuse_when_stopping()
        if await has_left(request):
            raise ClientDisconnect
        if rest_s <= 0:
            raise WaitTimeout(
                f"{begun.version.uri} was not done within {limits.EXECUTION_S:.0f} seconds, and "
                "the execution was given up. Push the records to a pipeline, which has no such "
                "limit, or send fewer at a time."
            )


async def _forget(call: Call, work_id: str) -> None:
    try:
        await call.context.database.write(executing.forget, [work_id])
    except LongshoreError as error:
        # The sweep deletes it later.
        _log.warning("an execution was not deleted: %s", error)


def _answer(call: Call, content: Mapping[str, Any], done: _Executed) -> Response:
    return Response(
        msgspec.json.encode(content),
        media_type="application/json",
        background=BackgroundTask(_forget, call, done.begun.work_id),
    )


def _many(call: Call, asked: Wanted, chunk: Chunk, done: _Executed) -> dict[str, Any]:
    result = done.result
    nulls = [None] * result.records
    answer = {
        "outputs": executing.selected(result, chunk.columnar, done.begun.outputs),
        "warnings": _or(result.warnings, nulls),
        "errors": _or(result.errors, nulls),
        "process_time": _or(result.process_time, [0] * result.records),
        **metadata.identity(done.begun.version),
        "call_id": call.request_id,
        "compiler_version": metadata.COMPILER,
        "correlation_id": asked.settings.correlation_id,
        "request_timestamp": iso(call.context.clock.now_us()),
    }
    if bytes(result.summary) != b"null":
        answer["summary_output"] = result.summary
    return answer


def _one(call: Call, asked: Wanted, done: _Executed, echo: msgspec.Raw | None) -> dict[str, Any]:
    result = done.result
    outputs = msgspec.json.decode(
        executing.selected(result, columnar=False, names=done.begun.outputs),
        type=list[msgspec.Raw],
    )
    data: dict[str, Any] = {
        "outputs": outputs[0],
        "warnings": _first(result.warnings),
        "errors": _first(result.errors),
        "service_chain": None,
    }
    if echo is not None:
        data["inputs"] = echo
    process_time = _first(result.process_time)
    return {
        "status": "Success",
        "error": None,
        "response_data": data,
        "response_meta": meta_of(
            call,
            metadata.identity(done.begun.version),
            kind=done.begun.version.kind,
            process_time=_or(process_time, 0),
            correlation_id=asked.settings.correlation_id,
        ),
    }


def meta_of(
    call: Call,
    identity: Mapping[str, str],
    *,
    kind: str,
    process_time: Any = 0,
    correlation_id: str | None = None,
) -> dict[str, Any]:
    """Return `response_meta` of the answers about one version."""
    return {
        **identity,
        "process_time": process_time,
        "call_id": call.request_id,
        "compiler_type": kind.capitalize(),
        "compiler_version": metadata.COMPILER,
        "source_hash": None,
        "engine_id": None,
        "correlation_id": correlation_id,
        "parameterset_version_id": None,
        **system_meta(call),
    }


def system_meta(call: Call) -> dict[str, Any]:
    """Return what every `response_meta` has."""
    return {
        "system": metadata.SYSTEM,
        "request_timestamp": iso(call.context.clock.now_us()),
    }


def _of_meta(address: Mapping[str, str], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `request_meta` asks for under the names that an execution of many has."""
    service = address.get("service") or meta.get("service_id") or meta.get("service_uri")
    version = meta.get("version")
    if isinstance(service, str) and isinstance(version, str) and version:
        service = f"{service.partition('[')[0]}[{version}]"
    return {
        "service": service,
        "version_id": address.get("version_id") or meta.get("version_id"),
        "version_by_timestamp": meta.get("transaction_date"),
        "output": meta.get("requested_output"),
        "subservice": meta.get("service_category"),
        "correlation_id": meta.get("correlation_id"),
    }


def _values(fields: Fields) -> dict[str, Any]:
    values = {}
    for name, raw in fields.items():
        check_depth(bytes(raw))
        values[name] = decoded(bytes(raw), Any)
    return values


def _text_checked(data: Mapping[str, msgspec.Raw]) -> bytes:
    text = msgspec.json.encode(data)
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not UTF-8 text.") from error
    return text


def _or(raw: msgspec.Raw, otherwise: Any) -> Any:
    return otherwise if bytes(raw) == b"null" else raw


def _first(raw: msgspec.Raw) -> msgspec.Raw:
    found: list[msgspec.Raw] | None = msgspec.json.decode(raw, type=list[msgspec.Raw] | None)
    return found[0] if found else _NULL

"""Making a pipeline: what its creator wishes, and the queue that it gets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.engine import queues
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines import services
from longshore.surfaces.pipelines.pipelines import SURFACE, Pipeline
from longshore.surfaces.pipelines.services import Version
from longshore.surfaces.pipelines.tables import pipelines
from longshore.wire.pipelines import PipelineSettings

MEGABYTE: Final = 1_000_000
"""The protocol's megabyte: its sample buffers are 70 000 000 and 80 000 000 bytes."""
_TEXT_CHARACTERS: Final = 1_000
_NAMES: Final = 1_000
BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the body of a request asks for; see `wire.pipelines.PipelineSettings`."""

    service: str | None
    version_id: str | None
    active_since: str | None
    settings: PipelineSettings
    input_buffer_bytes: int
    output_buffer_bytes: int


def wanted(body: Mapping[str, Any]) -> Wanted:
    """Return what the body of a request asks for; null counts as not given.

    Raises:
        InvalidRequest: a value is of the wrong kind or out of range, or no service is named.
    """
    service, version_id = _text(body, "service"), _text(body, "version_id")
    if service is None and version_id is None:
        raise InvalidRequest(
            "The request names no service. Send `service` (such as folder/service[1.0]) or "
            "`version_id`; proxies are not known here."
        )
    return Wanted(
        service,
        version_id,
        _text(body, "version_by_timestamp"),
        PipelineSettings(
            source_system=_text(body, "source_system"),
            correlation_id=_text(body, "correlation_id"),
            call_purpose=_text(body, "call_purpose"),
            unique_record_key=_names(body, "unique_record_key"),
            outputs=_names(body, "output"),
            subservices=_names(body, "subservice"),
            acceptable_error_percentage=_percentage(body),
            initial_workers=_count(body, "initial_workers"),
            max_workers=_count(body, "max_workers"),
            chunks_per_request=_count(body, "chunks_per_request"),
            runner_thread_count=_count(body, "runner_thread_count"),
        ),
        _buffer(body, "max_input_size", limits.INPUT_BUFFER_BYTES),
        _buffer(body, "max_output_size", limits.OUTPUT_BUFFER_BYTES),
    )


def create(
    connection: Connection, principal: Principal, request_id: str | None, asked: Wanted
) -> Pipeline:
    """Make a pipeline; the same request sent again (by its x-request-id) gives the one there is.

    Raises:
        NotFound: there is no such service or version.
        InvalidRequest: an output or subservice is not one of the service.
    """
    request_key = _request_key(principal, request_id)
    made = _made_before(connection, principal, request_key)
    if made is not None:
        return made
    version = services.resolve(
        connection,
        principal.organisation_id,
        service=asked.service,
        version_id=asked.version_id,
        active_since=asked.active_since,
    )
    settings = with_outputs(asked.settings, version)
    pipeline_id = ids.new(ids.PIPELINE)
    at_us = now_us(connection)
    queue_id = queues.ensure(
        connection,
        organisation_id=principal.organisation_id,
        surface=SURFACE,
        name=f"{version.uri} {pipeline_id}",
        parent_id=services.serving_queue(connection, version),
        attempts_max=version.details.attempts_max,
        backoff_s=BACKOFF_S,
        backoff_max_s=BACKOFF_MAX_S,
        concurrency_max=first_concurrency(settings),
        notices=True,
        successes_told=False,
    )
    connection.execute(
        insert(pipelines).values(
            id=pipeline_id,
            organisation_id=principal.organisation_id,
            service_id=version.service_id,
            version_id=version.id,
            queue_id=queue_id,
            service_uri=version.uri,
            created_by=principal.key_id,
            created_us=at_us,
            updated_us=at_us,
            active_us=at_us,
            request_key=request_key,
            settings=msgspec.json.encode(settings).decode(),
            input_buffer_bytes=asked.input_buffer_bytes,
            output_buffer_bytes=asked.output_buffer_bytes,
        )
    )
    return stored.get(connection, principal.organisation_id, pipeline_id)


def _made_before(
    connection: Connection, principal: Principal, request_key: str | None
) -> Pipeline | None:
    if request_key is None:
        return None
    found = connection.execute(
        select(pipelines.c.id).where(
            pipelines.c.organisation_id == principal.organisation_id,
            pipelines.c.request_key == request_key,
        )
    ).scalar()
    return None if found is None else stored.get(connection, principal.organisation_id, found)


def first_concurrency(settings: PipelineSettings) -> int | None:
    """Return how many chunks may run at once until the first is computed.

    `initial_workers` is where a pipeline starts before it ramps up to `max_workers`.
    """
    given = [n for n in (settings.initial_workers, settings.max_workers) if n is not None]
    return min(given) if given else None


def with_outputs(settings: PipelineSettings, version: Version) -> PipelineSettings:
    """Return the settings with the outputs of their subservices among the outputs.

    Raises:
        InvalidRequest: an output or subservice is not one of the service.
    """
    if settings.subservices is None and settings.outputs is None:
        return settings
    details = version.details
    outputs = list(settings.outputs or ())
    if details.outputs is not None:
        _check_known(outputs, details.outputs, "output", version)
    known = details.subservices
    _check_known(settings.subservices or (), list(known), "subservice", version)
    for name in settings.subservices or ():
        outputs += known[name]
    return msgspec.structs.replace(settings, outputs=list(dict.fromkeys(outputs)))


def _check_known(names: Sequence[str], known: Sequence[str], noun: str, version: Version) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            there = ", ".join(known) or "none"
            raise InvalidRequest(
                f"{version.uri} has no {noun} {name[:80]!r}.{hint} There are: {there}."
            )


def _request_key(principal: Principal, request_id: str | None) -> str | None:
    if not request_id:
        return None
    return hashlib.sha256(f"{principal.key_id}\n{request_id}".encode()).hexdigest()


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _TEXT_CHARACTERS:
        raise InvalidRequest(
            f"`{name}` must be text of at most {_TEXT_CHARACTERS} characters, or be left out."
        )
    return value


def _names(body: Mapping[str, Any], name: str) -> list[str] | None:
    """Return names that are given with commas in between, as the client joins them, or as a list."""
    value = body.get(name)
    if isinstance(value, str):
        value = value.split(",")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidRequest(f"`{name}` must be names with commas in between, or be left out.")
    if len(value) > _NAMES or any(len(one) > limits.NAME_CHARACTERS for one in value):
        raise InvalidRequest(
            f"`{name}` may have {_NAMES} names of {limits.NAME_CHARACTERS} characters."
        )
    return list(dict.fromkeys(one.strip() for one in value if one.strip())) or None


def _count(body: Mapping[str, Any], name: str) -> int | None:
    value = _number(body, name)
    if value is None:
        return None
    if value != int(value) or not 1 <= value <= limits.PIPELINE_WORKERS:
        raise InvalidRequest(
            f"`{name}` is {value}; give a whole number of 1 to {limits.PIPELINE_WORKERS}."
        )
    return int(value)


def _buffer(body: Mapping[str, Any], name: str, default_bytes: int) -> int:
    # Clients before 0.3 leave the unit out of the name.
    for spelling in (f"{name}_in_mb", name):
        megabytes = _number(body, spelling)
        if megabytes is None:
            continue
        size_bytes = int(megabytes * MEGABYTE)
        if not 1 <= size_bytes <= limits.BUFFER_BYTES:
            raise InvalidRequest(
                f"`{spelling}` is {megabytes}; give megabytes, up to "
                f"{limits.BUFFER_BYTES // MEGABYTE}."
            )
        return size_bytes
    return default_bytes


def _percentage(body: Mapping[str, Any]) -> float:
    # A client is known that computes large negative numbers here.
    return min(max(_number(body, "acceptable_error_percentage") or 0.0, 0.0), 100.0)


def _number(body: Mapping[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequest(f"`{name}` must be a number, or be left out.")
    return value

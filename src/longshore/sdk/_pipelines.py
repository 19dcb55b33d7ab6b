"""What the client of pipelines does without the network: bodies, addresses and duplicate ids."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

import msgspec

from longshore import ids
from longshore.errors import Conflict, InvalidRequest
from longshore.sdk._calls import without_none
from longshore.sdk.pipelines import BatchChunk, ChunkData, Inputs

IfDuplicated = Literal["replace", "ignore", "throw"]
Names = Sequence[str] | str

_URI: Final = re.compile(r"(?:folders/)?[^/\[\]]+/(?:services/)?[^/\[\]]+(?:\[[^\[\]]*\])?")
_ID_KINDS: Final = {"service/": "service", "version/": "version_id"}
_logger = logging.getLogger("longshore.sdk")


class PipelineOptions(TypedDict, total=False):
    """How to make a pipeline; every key may be left out.

    Attributes:
        active_since: take the version that was active at this time (ISO 8601).
        source_system: the program that asks, for those who read the list of pipelines.
        correlation_id: an id of one's own.
        call_purpose: what it is for.
        subservices: named groups of outputs.
        selected_outputs: only these outputs are wanted.
        unique_record_key: inputs whose values tell a person which record it is.
        min_runners: how many chunks are computed at once until the first one is done.
        max_runners: how many chunks are computed at once.
        chunks_per_vm: kept and told again; workers take what is next.
        runners_per_vm: as `chunks_per_vm`.
        max_input_size: megabytes of inputs that wait to be computed.
        max_output_size: megabytes of outputs that wait to be pulled.
        accuracy: share of records that must be free of errors, 0 to 1; otherwise the pipeline
            becomes `failed`.
    """

    active_since: str | None
    source_system: str | None
    correlation_id: str | None
    call_purpose: str | None
    subservices: Names | None
    selected_outputs: Names | None
    unique_record_key: Names | None
    min_runners: int | None
    max_runners: int | None
    chunks_per_vm: int | None
    runners_per_vm: int | None
    max_input_size: float | None
    max_output_size: float | None
    accuracy: float | None


_SPELLINGS: Final = {
    "active_since": "version_by_timestamp",
    "source_system": "source_system",
    "correlation_id": "correlation_id",
    "call_purpose": "call_purpose",
    "subservices": "subservice",
    "selected_outputs": "output",
    "unique_record_key": "unique_record_key",
    "min_runners": "initial_workers",
    "max_runners": "max_workers",
    "chunks_per_vm": "chunks_per_request",
    "runners_per_vm": "runner_thread_count",
    "max_input_size": "max_input_size_in_mb",
    "max_output_size": "max_output_size_in_mb",
}


def creation_body(uri: str, options: PipelineOptions) -> dict[str, Any]:
    """Return the body that creates a pipeline over a service.

    Raises:
        InvalidRequest: the service is not spelled as one, or an option is unknown or impossible.
    """
    given = dict(options)
    accuracy = given.pop("accuracy", None)
    if unknown := sorted(given.keys() - _SPELLINGS.keys()):
        raise InvalidRequest(
            f"A pipeline has no option {unknown[0]!r}. There are: {', '.join(_SPELLINGS)}, accuracy."
        )
    body = {_SPELLINGS[name]: _joined(value) for name, value in given.items()}
    return without_none(
        **named_service(uri),
        **{"call_purpose": "Pipeline", "source_system": "Longshore Python SDK", **body},
        acceptable_error_percentage=_percentage(accuracy),
    )


def named_service(uri: str) -> dict[str, str]:
    """Return how a request names a service or a version of one.

    Raises:
        InvalidRequest: it is spelled in no known way.
    """
    text = uri.strip().strip("/")
    for prefix, key in _ID_KINDS.items():
        if text.startswith(prefix) and text[len(prefix) :]:
            return {key: text[len(prefix) :]}
    if not _URI.fullmatch(text):
        raise InvalidRequest(
            f"{uri[:200]!r} is not a service. Write folder/name, folder/name[1.4], "
            "service/ID or version/ID; `longshore service list` shows what there is."
        )
    return {"service": text}


def _percentage(accuracy: Any) -> float:
    if accuracy is None:
        return 0
    if not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
        raise InvalidRequest(f"accuracy is {accuracy!r}; give a share between 0 and 1.")
    # Rounded to a millionth, for 1 - 0.95 is a little more than 0.05.
    return math.ceil(round((1 - accuracy) * 100, 6))


def _joined(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    return ",".join(value)


def chunks_of(
    inputs: Inputs | None,
    data: ChunkData | None,
    chunks: Sequence[BatchChunk | Mapping[str, Any]] | None,
) -> list[BatchChunk]:
    """Return the chunks to push, given in one of three forms; each has an id.

    Raises:
        InvalidRequest: not exactly one form was given, or a chunk is none.
    """
    if sum(each is not None for each in (inputs, data, chunks)) != 1:
        raise InvalidRequest("Give exactly one of inputs=, data= and chunks=.")
    if inputs is not None:
        data = ChunkData(inputs=inputs, parameters={})
    if data is not None:
        chunks = [BatchChunk(data=data)]
    assert chunks is not None
    return [_with_id(each, position) for position, each in enumerate(chunks)]


def _with_id(chunk: BatchChunk | Mapping[str, Any], position: int) -> BatchChunk:
    if not isinstance(chunk, BatchChunk):
        try:
            chunk = msgspec.convert(chunk, BatchChunk)
        except msgspec.ValidationError as error:
            raise InvalidRequest(
                f"Chunk {position} of the push cannot be used: {error}. It is a BatchChunk, or "
                '{"id": ..., "data": {"inputs": [...]}}.'
            ) from error
    return BatchChunk(id=chunk.id or ids.new("ck"), data=chunk.data, size=chunk.size)


def without_duplicates(
    chunks: Sequence[BatchChunk], known: Mapping[str, int], policy: IfDuplicated
) -> list[BatchChunk]:
    """Return the chunks with each id used once, as the policy has it.

    Args:
        chunks: what is to be pushed; all have ids.
        known: ids that were pushed before.
        policy: "replace" gives a chunk with a known id another one, "ignore" leaves the chunk
            out with a warning in the log, "throw" raises.

    Raises:
        Conflict: an id is known, and the policy is "throw".
        InvalidRequest: there is no such policy.
    """
    if policy not in ("replace", "ignore", "throw"):
        raise InvalidRequest(
            f"if_chunk_id_duplicated is {policy!r}; it is replace, ignore or throw."
        )
    kept: dict[str, BatchChunk] = {}
    for chunk in chunks:
        assert chunk.id is not None
        if chunk.id not in known and chunk.id not in kept:
            kept[chunk.id] = chunk
        elif policy == "replace":
            other = ids.new("ck")
            kept[other] = BatchChunk(id=other, data=chunk.data, size=chunk.size)
        elif policy == "throw":
            raise Conflict(
                f"Chunk {chunk.id!r} was pushed before; nothing of this push was sent. Give it "
                'another id, or push with if_chunk_id_duplicated="replace" or "ignore".',
                details={"chunk_id": chunk.id},
            )
        else:
            _logger.warning("chunk %r was pushed before and is left out", chunk.id)
    return list(kept.values())


def push_body(chunks: Sequence[BatchChunk]) -> bytes:
    """Return the body of a push.

    Raises:
        InvalidRequest: a value has no form in JSON.
    """
    return encode({"chunks": chunks})


def encode(value: Any) -> bytes:
    """Return a value as JSON. NaN and infinities become null, which is what JSON has for them.

    Raises:
        InvalidRequest: there is a value that has no form in JSON.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, OverflowError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidRequest(
            f"The records have a value that JSON cannot hold: {error}. Use text, numbers, "
            "booleans, None, dates, lists and mappings."
        ) from error


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a value of numpy, pandas and the like."""
    plain = getattr(value, "tolist", None)
    if plain is not None:
        return plain()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"objects of type {type(value).__name__} are not supported")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_plain)

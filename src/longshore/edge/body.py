"""Reading request bodies: size, depth and form are checked before anything is made of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from longshore import limits
from longshore.edge.call import BODY_DIGEST
from longshore.errors import InvalidRequest, TooLarge

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S")

IDLE_S: Final = 30.0
"""Longest pause between two pieces of a body, in seconds."""
ASIDE_BYTES: Final = 256 * 1024
"""Larger bodies are parsed in a thread, so that other requests do not wait for them."""
SHOWN_PROBLEMS: Final = 5

# Every alternative can match to the end of the text, so that one pass suffices for any input.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")


async def json_body(request: Request, *, limit_bytes: int = limits.JSON_BODY_BYTES) -> Any:
    """Return the JSON value in the body of a request.

    Raises:
        TooLarge: it is larger than `limit_bytes` (known from Content-Length before a byte is
            read, else while reading) or nested deeper than `limits.JSON_DEPTH`.
        InvalidRequest: it is not JSON: bad UTF-8, NaN or Infinity, a key given twice, a character
            that no text may hold, a number that no machine holds.
    """
    data = await raw_body(request, limit_bytes=limit_bytes)
    if not data.strip():
        raise InvalidRequest("The request has no body. Send a JSON value.")
    return await _value(data)


async def json_object(
    request: Request, *, limit_bytes: int = limits.JSON_BODY_BYTES
) -> dict[str, Any]:
    """Return the JSON object in the body of a request; see `json_body` for what is refused."""
    return _as_object(await json_body(request, limit_bytes=limit_bytes))


async def optional_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request, or an empty one when there is no body."""
    data = await raw_body(request, limit_bytes=limits.JSON_BODY_BYTES)
    return _as_object(await _value(data)) if data.strip() else {}


async def struct_body(
    request: Request,
    form: type[S],
    *,
    limit_bytes: int = limits.JSON_BODY_BYTES,
    raw_parts: bool = False,
) -> S:
    """Return the body decoded as a msgspec struct, for the hot routes.

    With `raw_parts`, what lies deep in the body is kept as the bytes that came: its depth is then
    bounded only by what the decoder can walk through, and no time is spent to find it out.

    Raises:
        TooLarge, InvalidRequest: as `json_body`, or the body has not the form of the struct.
    """
    data = await raw_body(request, limit_bytes=limit_bytes)

    def decode() -> S:
        if not raw_parts:
            check_depth(data)
        return decoded(data, form)

    return await asyncio.to_thread(decode) if len(data) > ASIDE_BYTES else decode()


def decoded(data: bytes, form: type[S]) -> S:
    """Return JSON text decoded as a msgspec struct.

    Raises:
        InvalidRequest: it is not JSON, or has not the form of the struct.
        TooLarge: it is nested deeper than the decoder can walk through.
    """
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body cannot be used: {str(error)[:500]}") from error
    except RecursionError as error:
        raise TooLarge(
            f"The body is nested deeper than {limits.JSON_DEPTH} levels. Flatten it.",
            details={"limit": limits.JSON_DEPTH},
        ) from error


async def raw_body(request: Request, *, limit_bytes: int) -> bytes:
    """Return the body's bytes; TooLarge beyond `limit_bytes`."""
    pieces = [piece async for piece in stream(request, limit_bytes=limit_bytes)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def stream(request: Request, *, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body piece by piece and remember its checksum for the idempotency key.

    Raises:
        TooLarge: Content-Length says that it is larger than `limit_bytes` (nothing is read), or
            more than that arrives.
        InvalidRequest: nothing arrives for `IDLE_S` seconds.
        ClientDisconnect: the client is gone before the end of the body.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        refuse_size(limit_bytes, int(declared))
    digest = hashlib.sha256()
    size = 0
    more = True
    while more:
        try:
            async with asyncio.timeout(IDLE_S):
                message = await request.receive()
        except TimeoutError:
            raise InvalidRequest(
                f"The body stopped arriving for {IDLE_S:.0f} seconds, so the request was given "
                "up and nothing was changed. Send it again."
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        piece = message.get("body", b"")
        if not piece:
            continue
        size += len(piece)
        if size > limit_bytes:
            refuse_size(limit_bytes, None)
        digest.update(piece)
        yield piece
    request.scope[BODY_DIGEST] = digest.hexdigest()


def refuse_size(limit_bytes: int, size_bytes: int | None) -> NoReturn:
    """Raise TooLarge for a body of `size_bytes`, where that is known."""
    size = f"{size_bytes} bytes" if size_bytes is not None else "larger"
    raise TooLarge(
        f"The body may have {limit_bytes} bytes here and is {size}. Send less at a time; large "
        "files go up in parts. GET /longshore/v1/limits lists all limits.",
        details={"limit_bytes": limit_bytes, "size_bytes": size_bytes},
    )


def check_depth(data: bytes) -> None:
    """Refuse JSON text that is nested deeper than `limits.JSON_DEPTH`, without parsing it.

    Raises:
        TooLarge: it is, or its brackets do not match.
    """
    if data.count(b"[") + data.count(b"{") <= limits.JSON_DEPTH:
        return
    # Only the brackets outside of strings are left; each round takes the innermost level away.
    brackets = _STRINGS.sub(b"", data).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(limits.JSON_DEPTH):
        if not brackets or b"[" * (limits.JSON_DEPTH + 1) in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise TooLarge(
            f"The body is nested deeper than {limits.JSON_DEPTH} levels, or its brackets do not "
            "match. Flatten it.",
            details={"limit": limits.JSON_DEPTH},
        )


def parse(model: type[M], data: Any) -> M:
    """Return `data` as a model, or raise InvalidRequest with a sentence for each problem."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidRequest(
            explain(error.errors(include_url=False, include_input=False, include_context=False))
        ) from error


def explain(problems: Any) -> str:
    """Return what pydantic found wrong, for people: where and what, the first few of it."""
    parts = []
    for problem in problems[:SHOWN_PROBLEMS]:
        place = ".".join(str(step)[:80] for step in problem["loc"])
        parts.append(f"{place}: {problem['msg']}" if place else str(problem["msg"]))
    more = len(problems) - SHOWN_PROBLEMS
    text = "; ".join(parts) + (f"; and {more} more" if more > 0 else "")
    return f"The request cannot be used: {text}."


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return `openapi_extra` for a route that reads its body by `json_body` and `parse`.

    Routes do not declare bodies as parameters: FastAPI would read and parse them before the
    dependency that checks the key and before our limits.
    """
    schema = model.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def json_value(data: bytes) -> Any:
    """Return the JSON value of a text that is no body, such as a field of a form.

    Raises:
        TooLarge, InvalidRequest: as `json_body`.
    """
    return _loads(data)


async def _value(data: bytes) -> Any:
    return await asyncio.to_thread(_loads, data) if len(data) > ASIDE_BYTES else _loads(data)


def _as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body is {_kind(value)}. Send a JSON object, {{...}}.")
    return value


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Put definitions in the place of references, which do not reach into a path's own schema."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}


def _loads(data: bytes) -> Any:
    check_depth(data)
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_repeats,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 text (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except (ValueError, RecursionError) as error:
        # Python refuses integers of more than 4300 digits.
        raise InvalidRequest(f"The body cannot be used: {str(error)[:200]}.") from error
    if "\\u" in text:
        _refuse_odd_characters(value)
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InvalidRequest(f"The key {twice[:80]!r} is given twice in one object. Send it once.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"{name} is not JSON. Send a number, or null.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidRequest(f"The number {text[:40]} is too large. Send a smaller one, or text.")
    return number


def _refuse_odd_characters(value: Any) -> None:
    """Refuse characters that an escape can smuggle in and that no database keeps."""
    text = json.dumps(value, ensure_ascii=False)
    if "\\u0000" in text.replace("\\\\", ""):
        raise InvalidRequest("A text in the body holds the character NUL. Remove it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            "A text in the body holds half of a surrogate pair, which is no character. Remove it."
        ) from error


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

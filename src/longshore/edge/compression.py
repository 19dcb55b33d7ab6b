"""Bodies that travel compressed: gzip and deflate, inflated under a hard limit of their size."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import body
from longshore.edge.body import ASIDE_BYTES, raw_body
from longshore.errors import InvalidRequest

SMALLEST_BYTES: Final = 1_024
"""Smaller answers are sent as they are: to compress them saves nothing."""
_LEVEL: Final = 1
_MEMBERS: Final = 16
"""Most members of a gzip body; each costs a copy of what follows it."""
_GZIP_BITS: Final = 31
_RAW_BITS: Final = -15
_BITS: Final = {"gzip": _GZIP_BITS, "x-gzip": _GZIP_BITS, "deflate": zlib.MAX_WBITS}


async def inflated_body(request: Request, *, limit_bytes: int) -> bytes:
    """Return the body of a request as it was before its Content-Encoding.

    Raises:
        TooLarge: the body, or what it inflates to, has more than `limit_bytes`.
        InvalidRequest: the encoding is unknown, or the body is not of that encoding.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", *_BITS):
        raise InvalidRequest(
            f"The Content-Encoding {encoding[:80]!r} is not known here. Send gzip, deflate, or the "
            "body as it is."
        )
    data = await raw_body(request, limit_bytes=limit_bytes)
    if encoding not in _BITS:
        return data
    return await asyncio.to_thread(inflate, data, encoding, limit_bytes)


def inflate(data: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return what `data` inflates to, without ever holding more than `limit_bytes` of it.

    Raises:
        TooLarge: it inflates to more.
        InvalidRequest: it is not of that encoding, or not complete.
    """
    pieces: list[bytes] = []
    size = 0
    bits = _BITS[encoding]
    # Some senders leave the header of zlib out of "deflate"; its first byte tells.
    if encoding == "deflate" and data[:1] and data[0] & 0x0F != zlib.DEFLATED:
        bits = _RAW_BITS
    try:
        for _ in range(_MEMBERS):
            inflater = zlib.decompressobj(bits)
            piece = inflater.decompress(data, limit_bytes - size + 1)
            size += len(piece)
            if size > limit_bytes:
                body.refuse_size(limit_bytes, None)
            if not inflater.eof:
                raise InvalidRequest(
                    f"The body ends before its {encoding} data does. Send it whole."
                )
            pieces.append(piece)
            # A gzip body may have several members; behind anything else nothing may follow.
            data = inflater.unused_data
            if not data:
                return b"".join(pieces)
            if bits != _GZIP_BITS:
                raise InvalidRequest(f"Something follows the {encoding} data of the body.")
    except zlib.error as error:
        raise InvalidRequest(
            f"The body is not {encoding}, as its Content-Encoding says: {error}."
        ) from error
    raise InvalidRequest(
        f"The body has more than {_MEMBERS} gzip members. Compress it in one piece."
    )


async def deflated(request: Request, response: Response) -> Response:
    """Compress an answer where the request asks for it, unless it is short."""
    response.headers["Vary"] = "Accept-Encoding"
    encoding = _wanted(request.headers.get("accept-encoding", ""))
    content = bytes(response.body)
    if encoding is None or len(content) < SMALLEST_BYTES:
        return response
    if len(content) > ASIDE_BYTES:
        response.body = await asyncio.to_thread(_deflate, content, encoding)
    else:
        response.body = _deflate(content, encoding)
    response.headers["Content-Encoding"] = encoding
    response.headers["Content-Length"] = str(len(response.body))
    return response


def _deflate(content: bytes, encoding: str) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _BITS[encoding])
    return packer.compress(content) + packer.flush()


def _wanted(accepted: str) -> str | None:
    """Return the first encoding of ours that an Accept-Encoding header allows."""
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        refused = parameters.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000")
        if name.strip() in ("gzip", "deflate") and not refused:
            return name.strip()
    return None

"""Sending a large file in parts, so that a broken connection costs one part only."""

from __future__ import annotations

import base64
import hashlib
from math import ceil
from pathlib import Path
from typing import Any, Final

from longshore.corpus.image import retried_request
from longshore.corpus.mixin import logger

MIB: Final = 1 << 20
PART_BYTES_MIN: Final = 5 * MIB
PART_BYTES_MAX: Final = 50 * MIB
PARTS_WANTED: Final = 5
PARTS_MAX: Final = 10_000


def part_bytes(size_bytes: int) -> int:
    """Return how large the parts of a file are: five parts, but neither tiny nor huge ones."""
    wanted = ceil(size_bytes / PARTS_WANTED / MIB) * MIB
    within = min(max(wanted, PART_BYTES_MIN), PART_BYTES_MAX)
    return max(within, ceil(size_bytes / PARTS_MAX))


def upload_in_parts(client: Any, path: Path, *, object_type: str, object_id: str) -> None:
    """Send a file as the content of an object of the API.

    Args:
        client: of the API.
        path: the file.
        object_type: such as "model_version".
        object_id: of the object.

    Raises:
        ErrorResponse: the API refused it. What was sent has been dropped.
        httpx.HTTPError: a part cannot be sent. What was sent has been dropped.
    """
    target = {"object_type": object_type, "object_id": str(object_id)}
    upload = client.request("CreateMultipartUpload", body={**target, "checksum_algorithm": None})
    target["upload_id"] = upload["upload_id"]
    try:
        parts = _send(client, path, target)
        client.request("CompleteMultipartUpload", body={**target, "parts": parts})
    except BaseException:
        _abort(client, target)
        raise


def _send(client: Any, path: Path, target: dict[str, str]) -> list[dict[str, Any]]:
    size_bytes = path.stat().st_size
    length = part_bytes(size_bytes)
    parts: list[dict[str, Any]] = []
    with path.open("rb") as file:
        # An empty file has one part, too: without any there is nothing to complete.
        while (data := file.read(length)) or not parts:
            md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
            part = {"part_number": len(parts) + 1, "checksum": None, "md5_hash": md5}
            slot = client.request("CreateMultipartUploadPart", body={**target, **part})
            response = retried_request(
                "PUT",
                slot["url"],
                content=data,
                headers={"Content-Length": str(len(data)), "Content-MD5": md5},
            )
            parts.append({**part, "etag": response.headers["Etag"]})
            logger.debug("Sent part %d of %s", len(parts), path.name)
    return parts


def _abort(client: Any, target: dict[str, str]) -> None:
    """Tell the API to drop the parts; the error that led here is the one to be seen."""
    try:
        client.request("AbortMultipartUpload", body=target)
    except Exception:  # noqa: BLE001 - whatever it is, it must not hide the first one
        logger.warning("The upload %s could not be aborted", target["upload_id"], exc_info=True)

"""Pages of users' files as pictures: drawn by a process of its own, few at the same time.

What users upload may be made to break those who open it. So a process that has nothing else to do
opens it, with a bound on its time and its memory, and the server takes a JPEG picture from it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from typing import Any, Final

from longshore import limits
from longshore.engine.artifacts import Artifact
from longshore.errors import InvalidRequest, Unavailable
from longshore.storage.blobs import Blobs

_MODULE: Final = "longshore.dashboard.pages.runs.drawing"


class Pictures:
    """Draws pages and keeps the last ones; one for all requests of a server."""

    def __init__(self, _database: Any = None) -> None:
        """Begin with nothing drawn."""
        self._slots = asyncio.Semaphore(limits.IMAGES_AT_ONCE)
        self._drawn: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._drawn_bytes = 0

    async def page(self, blobs: Blobs, blob: Artifact, number: int) -> bytes:
        """Return a page of a file, from 0, as a JPEG picture.

        Raises:
            InvalidRequest: the file has no such page, or is nothing that can be drawn.
            NotFound: its bytes are gone.
            Unavailable: what draws is not installed, or took too long.
        """
        known = self._drawn.get((blob.id, number))
        if known is not None:
            self._drawn.move_to_end((blob.id, number))
            return known
        if blob.size_bytes > limits.DRAWN_FILE_BYTES:
            raise InvalidRequest(
                f"The file has {blob.size_bytes:,} bytes; up to {limits.DRAWN_FILE_BYTES:,} are "
                "drawn. Download it instead."
            )
        async with self._slots:
            parts = blobs.get(blob.id, sha256=blob.sha256, size_bytes=blob.size_bytes)
            data = b"".join([part async for part in parts])
            picture = await _draw(data, number)
        self._keep((blob.id, number), picture)
        return picture

    def _keep(self, key: tuple[str, int], picture: bytes) -> None:
        self._drawn_bytes += len(picture) - len(self._drawn.get(key, b""))
        self._drawn[key] = picture
        while self._drawn_bytes > limits.DRAWN_CACHE_BYTES and self._drawn:
            _, oldest = self._drawn.popitem(last=False)
            self._drawn_bytes -= len(oldest)


async def _draw(data: bytes, number: int) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", _MODULE, str(number),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # What a file may take over shall find no secrets of the server in its environment.
        env={},
    )  # fmt: skip
    try:
        async with asyncio.timeout(limits.DRAWING_S):
            out, _ = await process.communicate(data)
    except TimeoutError as error:
        raise Unavailable(
            f"The page was not drawn within {limits.DRAWING_S:.0f} seconds. Download the file "
            "instead."
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _told(process.returncode, out)


def _told(code: int | None, out: bytes) -> bytes:
    """Return the picture, or raise what the process said of it."""
    head, _, picture = out.partition(b"\n")
    if code != 0 or not head:
        raise InvalidRequest("The file broke what draws its pages. Download it instead.")
    told = json.loads(head)
    if told["error"] is None:
        return picture
    raise (Unavailable if told["missing"] else InvalidRequest)(told["error"])

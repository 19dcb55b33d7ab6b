"""Images on their way to those who ask: decoded once for many parts, few at the same time.

To decode and to encode takes the processor for a while. It is done in threads, a bounded number
of them, so that the server answers everything else meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from longshore import limits
from longshore.errors import ConfigurationError
from longshore.storage.blobs import Blobs
from longshore.surfaces.corpus.iiif import Rendering
from longshore.surfaces.corpus.images import Image

if TYPE_CHECKING:
    from PIL import Image as Pillow

    from longshore.surfaces.corpus.pixels import Picture


class Renderer:
    """Decodes, cuts and encodes images; one for all requests of a server."""

    def __init__(self, _database: Any = None) -> None:
        """Begin with nothing decoded."""
        self._slots = asyncio.Semaphore(limits.IMAGES_AT_ONCE)
        self._decoded: OrderedDict[str, Pillow.Image] = OrderedDict()
        self._decoded_bytes = 0
        self._decoding: dict[str, asyncio.Task[Pillow.Image]] = {}

    async def inspect(self, data: bytes) -> Picture:
        """Do what `pixels.inspect` does."""
        async with self._slots:
            return await asyncio.to_thread(_pixels().inspect, data)

    async def render(self, blobs: Blobs, image: Image, wanted: Rendering) -> bytes:
        """Return the part of an image that is wanted, as a file.

        Raises:
            InvalidRequest: the format cannot hold it.
            CorruptData: the stored bytes are damaged.
            NotFound: they are gone.
            Unavailable: the blob store cannot be used.
        """
        decoded = await self._image(blobs, image)
        async with self._slots:
            return await asyncio.to_thread(_pixels().render, decoded, wanted)

    async def _image(self, blobs: Blobs, image: Image) -> Pillow.Image:
        found = self._decoded.get(image.id)
        if found is not None:
            self._decoded.move_to_end(image.id)
            return found
        # Whoever wants it meanwhile waits for the same decoding, which a client that goes away
        # does not end for the others.
        task = self._decoding.get(image.id)
        if task is None:
            task = asyncio.create_task(self._decode(blobs, image))
            self._decoding[image.id] = task
            task.add_done_callback(lambda done: self._end(image.id, done))
        return await asyncio.shield(task)

    def _end(self, image_id: str, task: asyncio.Task[Pillow.Image]) -> None:
        del self._decoding[image_id]
        if not task.cancelled():
            # Where nobody waits any more, nobody else looks at the exception.
            task.exception()

    async def _decode(self, blobs: Blobs, image: Image) -> Pillow.Image:
        async with self._slots:
            parts = blobs.get(image.blob_id or "", sha256=image.sha256, size_bytes=image.size_bytes)
            data = b"".join([part async for part in parts])
            decoded: Pillow.Image = await asyncio.to_thread(_pixels().decode, data)
        self._keep(image.id, decoded)
        return decoded

    def _keep(self, image_id: str, decoded: Pillow.Image) -> None:
        size_bytes = _pixels().size_bytes(decoded)
        if size_bytes > limits.IMAGE_CACHE_BYTES:
            return
        self._decoded[image_id] = decoded
        self._decoded_bytes += size_bytes
        while self._decoded_bytes > limits.IMAGE_CACHE_BYTES:
            _, oldest = self._decoded.popitem(last=False)
            self._decoded_bytes -= _pixels().size_bytes(oldest)


def _pixels() -> Any:
    """Return the module that decodes images; Pillow is loaded with the first image only.

    Raises:
        ConfigurationError: it is not installed beside the server.
    """
    try:
        return importlib.import_module("longshore.surfaces.corpus.pixels")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Images are decoded by Pillow, which is not installed beside the server. Run "
            "pip install 'longshore[corpus]' there and start it again."
        ) from error

"""From the user's files to the batch that a run reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from longshore.errors import InvalidRequest, LongshoreError
from longshore.sdk._async.batches import AsyncBatch, AsyncBatches
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._async.uploads import upload_all
from longshore.sdk._sources import FilePaths, sources_of


@asynccontextmanager
async def new_batch(
    transport: AsyncTransport, files: FilePaths, *, progress: bool
) -> AsyncIterator[AsyncBatch]:
    """Upload files into a new batch, and delete it again when the block (or the upload) fails.

    So a run of an unknown app leaves nothing behind.

    Raises:
        InvalidRequest: the files cannot be uploaded; nothing was sent.
    """
    sources = sources_of(files)
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    batch = await AsyncBatches(transport).create(f"{sources[0].name[:200]}{more}")
    try:
        await upload_all(transport, batch.id, sources, progress=progress)
        yield batch
    except LongshoreError as error:
        await _discard(batch, error)
        raise


def check_one_input(
    files: FilePaths | None, batch: AsyncBatch | int | None, input_dir: str | None
) -> None:
    """Refuse anything but exactly one input for a run.

    Raises:
        InvalidRequest: none or several were given.
    """
    if sum(value is not None for value in (files, batch, input_dir)) != 1:
        raise InvalidRequest(
            "A run has one input: give exactly one of files=, batch= and input_dir=."
        )


async def _discard(batch: AsyncBatch, cause: LongshoreError) -> None:
    try:
        await batch.delete()
    except LongshoreError as error:
        cause.add_note(f"Batch {batch.id} stays, since it could not be deleted either: {error}")

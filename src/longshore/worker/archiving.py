"""Products and plots of works of buckets: upload them, and remove them once that counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from longshore.errors import LongshoreError, TooLarge
from longshore.wire.payloads import FunctionResult, StoredFile
from longshore.worker.backoff import Backoff
from longshore.worker.channel import Finished, LocalFile
from longshore.worker.transport import StoredBlob, Transport, may_try_again

_TIMEOUT_S = 300.0
_OCTETS = "application/octet-stream"

Note = Callable[[str], None]


async def store_files(transport: Transport, finished: Finished, note: Note) -> Finished:
    """Upload the files that are to be copied or moved, and name their blobs in the result.

    A path where there is no file here stays a mere name, and so does a file that is too large for
    the server; the log of the work says so. Waits for a server that is away.

    Returns:
        The end with the whole result; its `files` are those that may be removed afterwards.

    Raises:
        LongshoreError: the server refuses a file.
    """
    stored: list[StoredFile] = []
    done: list[LocalFile] = []
    for file in finished.files:
        if not await asyncio.to_thread(Path(file.path).is_file):
            note(f"The {file.kind} {file.name} is no file on this worker; it is only named.")
            continue
        if file.method != "delete":
            blob = await _upload(transport, Path(file.path), file, note)
            if blob is None:
                continue
            stored.append(
                StoredFile(
                    kind=file.kind,
                    path=file.name,
                    blob_id=blob.blob_id,
                    size_bytes=blob.size_bytes,
                    sha256=blob.sha256,
                )
            )
        if file.method != "copy":
            done.append(file)
    if stored:
        result = msgspec.json.decode(finished.result, type=FunctionResult)
        result = msgspec.structs.replace(result, artifacts=stored)
        encoded = msgspec.Raw(msgspec.json.encode(result))
        finished = msgspec.structs.replace(finished, result=encoded)
    return msgspec.structs.replace(finished, files=done)


def remove(files: Sequence[LocalFile]) -> None:
    """Remove files whose work is recorded as done; one that is gone, or may not be, stays so."""
    for file in files:
        with contextlib.suppress(OSError):
            Path(file.path).unlink()


async def _upload(
    transport: Transport, source: Path, file: LocalFile, note: Note
) -> StoredBlob | None:
    backoff = Backoff()
    while True:
        try:
            return await transport.upload(source, media_type=_OCTETS, timeout_s=_TIMEOUT_S)
        except TooLarge as error:
            note(f"The {file.kind} {file.name} is not kept, only named: {error.message}")
            return None
        except OSError as error:
            note(f"The {file.kind} {file.name} cannot be read, it is only named: {error}.")
            return None
        except LongshoreError as error:
            if not may_try_again(error):
                raise
        await backoff.wait()

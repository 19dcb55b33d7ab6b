"""Files of a work: its input comes to a private directory, its PDF goes back to the server."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from longshore.errors import LongshoreError
from longshore.wire.payloads import AppPayload, AppResult
from longshore.wire.worker import Claimed
from longshore.worker.backoff import Backoff
from longshore.worker.channel import Finished, Run
from longshore.worker.transport import StoredBlob, Transport, may_try_again

_TIMEOUT_S = 60.0
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")


async def fetch_input(transport: Transport, work: Claimed, directory: Path) -> Run:
    """Download the input of a work and return the order to run it.

    Waits for a server that is away; the attempt is stopped from outside when its lease is lost.

    Raises:
        CorruptData: the file did not arrive as it was stored.
        LongshoreError: the server refuses, because the file is gone for example.
        msgspec.MsgspecError: the payload is not one of an app.
    """
    file = msgspec.json.decode(work.payload, type=AppPayload).file
    # Only the suffix is the user's, for libraries that go by it.
    suffix = Path(file.name).suffix
    target = directory / f"input{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    backoff = Backoff()
    while True:
        try:
            await transport.download(
                file.blob_id,
                target,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                timeout_s=_TIMEOUT_S,
            )
        except LongshoreError as error:
            if not may_try_again(error):
                raise
        else:
            break
        await backoff.wait()
    return Run(work.work_id, work.attempt, work.surface, work.payload, str(target), str(directory))


async def store_pdf(transport: Transport, finished: Finished) -> Finished:
    """Upload the PDF that belongs to a result and name it there.

    Raises:
        LongshoreError: the server refuses it.
    """
    if finished.pdf is None:
        return finished
    backoff = Backoff()
    while (blob := await _try_upload(transport, Path(finished.pdf))) is None:
        await backoff.wait()
    result = msgspec.structs.replace(
        msgspec.json.decode(finished.result, type=AppResult),
        pdf_blob_id=blob.blob_id,
        pdf_size_bytes=blob.size_bytes,
        pdf_sha256=blob.sha256,
    )
    return msgspec.structs.replace(finished, result=msgspec.Raw(msgspec.json.encode(result)))


async def _try_upload(transport: Transport, source: Path) -> StoredBlob | None:
    try:
        return await transport.upload(source, media_type="application/pdf", timeout_s=_TIMEOUT_S)
    except LongshoreError as error:
        if may_try_again(error):
            return None
        raise

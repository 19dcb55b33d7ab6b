# Generated from _async/uploads.py by tools/unasync.py; edit that file instead.
"""Bringing files into a batch: whole below the part size, in parts above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from longshore.errors import LongshoreError
from longshore.limits import MIB, PART_BYTES
from longshore.sdk._calls import APPS, Call, creating, segment
from longshore.sdk._progress import bar
from longshore.sdk._sources import Slice, Source
from longshore.sdk._sync.transport import Transport
from longshore.sdk._waiting import in_parallel
from longshore.wire.apps import UploadPart, UploadSession

UPLOADS_AT_ONCE: Final = 4
_COPIED_BYTES_PER_S: Final = 5 * MIB
_SESSIONS: Final = f"{APPS}/batches/multipart-upload"


def upload_all(
    transport: Transport, batch_id: int, sources: Sequence[Source], *, progress: bool
) -> None:
    """Upload several files, up to four at once, with a bar over the bytes where asked for.

    Raises:
        LongshoreError: the first upload that failed; files uploaded before it stay.
    """
    label = f"{len(sources)} files" if len(sources) != 1 else sources[0].name
    total_bytes = sum(source.size_bytes for source in sources)
    with bar(label, shown=progress, total=total_bytes, sized=True) as shown:

        def one(source: Source) -> None:
            upload(transport, batch_id, source, shown.advance)

        in_parallel(one, sources, limit=UPLOADS_AT_ONCE)


def _tell_nobody(_amount: float) -> None:
    pass


def upload(
    transport: Transport,
    batch_id: int,
    source: Source,
    sent: Callable[[float], None] = _tell_nobody,
) -> None:
    """Upload one file; `sent` is told the bytes that have arrived."""
    if source.size_bytes > PART_BYTES:
        _upload_in_parts(transport, batch_id, source, sent)
        return
    path = f"{APPS}/batches/{segment(batch_id)}/files/{segment(source.name)}"
    transport.send(Call("PUT", path, content=source.whole()))
    sent(source.size_bytes)


def _upload_in_parts(
    transport: Transport, batch_id: int, source: Source, sent: Callable[[float], None]
) -> None:
    opening = {"batch_id": batch_id, "filename": source.name, "file_size": source.size_bytes}
    session = transport.fetch(creating(_SESSIONS, opening), UploadSession)
    path = f"{_SESSIONS}/sessions/{segment(session.session_id)}"
    try:
        parts = []
        for number, slice_ in enumerate(source.slices(session.part_size), start=1):
            parts.append(_upload_part(transport, f"{path}/parts/{number}", slice_))
            sent(slice_.length)
        # The server copies the parts into one file before it answers.
        patience_s = source.size_bytes / _COPIED_BYTES_PER_S
        commit = {"action": "commit", "parts": parts}
        transport.send(creating(path, commit, patience_s=patience_s))
    except LongshoreError as error:
        _abort(transport, path, error)
        raise


def _upload_part(transport: Transport, path: str, slice_: Slice) -> dict[str, str | int]:
    part = transport.fetch(Call("PUT", path, content=slice_), UploadPart)
    return {"part_num": part.part_num, "part_id": part.part_id}


def _abort(transport: Transport, path: str, cause: LongshoreError) -> None:
    """Give the parts back; where even that fails the server expires them by itself."""
    try:
        transport.send(creating(path, {"action": "abort"}))
    except LongshoreError as error:
        cause.add_note(f"The upload session could not be aborted either: {error}")

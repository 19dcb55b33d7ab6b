"""The files that a task's program has left: find them, and send them to the server as blobs.

The program may have left anything: links that lead elsewhere, pipes, names that are no text.
Files are opened from directory to directory, and no link is followed on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from longshore.errors import LongshoreError, TooLarge
from longshore.limits import PATH_BYTES, TASK_FILES, TASK_FILES_BYTES
from longshore.wire.tasks import TaskFile
from longshore.worker.backoff import Backoff
from longshore.worker.transport import StoredBlob, Transport, may_try_again

_TIMEOUT_S: Final = 300.0
_OCTETS: Final = "application/octet-stream"
_DEPTH: Final = 100
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that nobody writes to would hold up the one who opens it.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Left:
    """A file that was found; `path` is relative to the task's directory."""

    path: str
    size_bytes: int


async def store(transport: Transport, directory: Path, note: Note) -> list[TaskFile]:
    """Upload the files below a directory; waits for a server that is away.

    What is no plain file, or has a name that no artifact can have, is left out, and so is a file
    that is too large for the server; the log of the task says so.

    Raises:
        TooLarge: there are more files or bytes than one task may leave.
        LongshoreError: the server refuses a file.
        OSError: the directory cannot be read.
    """
    found = await asyncio.to_thread(find, directory, note)
    stored: list[TaskFile] = []
    for left in found:
        media_type = mimetypes.guess_type(left.path, strict=False)[0] or _OCTETS
        blob = await _upload(transport, directory, left, media_type, note)
        if blob is not None:
            stored.append(
                TaskFile(
                    path=left.path,
                    blob_id=blob.blob_id,
                    size_bytes=blob.size_bytes,
                    sha256=blob.sha256,
                    content_type=media_type,
                )
            )
    return stored


def find(directory: Path, note: Note) -> list[Left]:
    """Return the files below a directory, by path.

    Raises:
        TooLarge: there are more files or bytes than one task may leave.
        OSError: the directory cannot be read.
    """
    found: list[Left] = []
    total_bytes = 0
    for left in _walk(directory, "", note, 0):
        found.append(left)
        total_bytes += left.size_bytes
        if len(found) > TASK_FILES or total_bytes > TASK_FILES_BYTES:
            raise TooLarge(
                f"The program left more than {TASK_FILES} files or {TASK_FILES_BYTES} bytes in its "
                "directory, and none of them is kept. Let it remove what is not needed later, or "
                "put it into one archive."
            )
    return sorted(found, key=lambda each: each.path)


def open_inside(directory: Path, path: str) -> BinaryIO:
    """Open a file below a directory without following any link.

    Raises:
        OSError: it is not there any more, or is no plain file.
    """
    *folders, name = path.split("/")
    with contextlib.ExitStack() as opened:

        def descend(folder: str | Path, descriptor: int | None) -> int:
            below = os.open(folder, _FOLDER, dir_fd=descriptor)
            opened.callback(os.close, below)
            return below

        descriptor = descend(directory, None)
        for folder in folders:
            descriptor = descend(folder, descriptor)
        file = os.fdopen(os.open(name, _FILE, dir_fd=descriptor), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is no plain file any more")
    return file


def _walk(directory: Path, prefix: str, note: Note, depth: int) -> Iterator[Left]:
    with os.scandir(directory) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_symlink():
                note(f"The link {path!a} is not kept; let the program leave the file itself.")
            elif entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH:
                    yield from _walk(Path(entry.path), f"{path}/", note, depth + 1)
                else:
                    note(f"The folder {path[:200]!a} is too deep; what is in it is not kept.")
            elif not entry.is_file(follow_symlinks=False):
                note(f"{path!a} is neither a file nor a folder and is not kept.")
            elif not _is_name(path):
                note(f"The file {path[:200]!a} is not kept: no artifact can have its name.")
            else:
                yield Left(path, entry.stat(follow_symlinks=False).st_size)


def _is_name(path: str) -> bool:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return False
    plain = all(ord(letter) >= 0x20 and letter not in "\x7f\\" for letter in path)
    return plain and len(encoded) <= PATH_BYTES


async def _upload(
    transport: Transport, directory: Path, left: Left, media_type: str, note: Note
) -> StoredBlob | None:
    backoff = Backoff()
    while True:
        try:
            with open_inside(directory, left.path) as file:
                return await transport.upload_open(
                    file, media_type=media_type, timeout_s=_TIMEOUT_S
                )
        except TooLarge as error:
            note(f"The file {left.path} is not kept: {error.message}")
            return None
        except OSError as error:
            note(f"The file {left.path} is not kept, for it cannot be read: {error}.")
            return None
        except LongshoreError as error:
            if not may_try_again(error):
                raise
        await backoff.wait()

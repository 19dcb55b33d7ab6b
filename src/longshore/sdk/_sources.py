"""What can be uploaded: a path, bytes or an open binary file, read in slices that can be read again."""

from __future__ import annotations

import asyncio
import glob
import io
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias, cast

from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import MULTIPART_FILE_BYTES, NAME_CHARACTERS

CHUNK_BYTES: Final = 256 * 1024
FilePath: TypeAlias = "str | os.PathLike[str]"
FilePaths: TypeAlias = "FilePath | Iterable[FilePath]"
FileContent: TypeAlias = "FilePath | bytes | bytearray | memoryview | BinaryIO"


class _Opener(Protocol):
    def __call__(self) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a source; each iteration reads it from its start."""

    name: str
    open: _Opener
    offset: int
    length: int

    def chunks(self) -> Iterator[bytes]:
        """Read the slice in chunks.

        Raises:
            InvalidRequest: the file became shorter after the upload began.
        """
        with self.open() as stream:
            stream.seek(self.offset)
            left = self.length
            while left:
                left -= len(chunk := self._read(stream, left))
                yield chunk

    async def async_chunks(self) -> AsyncIterator[bytes]:
        """Read the slice in chunks, off the event loop.

        Raises:
            InvalidRequest: the file became shorter after the upload began.
        """
        with self.open() as stream:
            stream.seek(self.offset)
            left = self.length
            while left:
                left -= len(chunk := await asyncio.to_thread(self._read, stream, left))
                yield chunk

    def _read(self, stream: BinaryIO, left: int) -> bytes:
        chunk = stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise InvalidRequest(
                f"{self.name}: the file ended {left} bytes early; it changed while it was being "
                "uploaded. Upload it again when nothing writes to it."
            )
        return chunk


@dataclass(frozen=True, slots=True)
class Source:
    """One file to upload.

    Attributes:
        name: name that it gets in the batch.
        size_bytes: its size when the upload began.
        open: opens the content at its start.
    """

    name: str
    size_bytes: int
    open: _Opener

    def whole(self) -> Slice:
        """Return all of it."""
        return Slice(self.name, self.open, 0, self.size_bytes)

    def slices(self, part_bytes: int) -> list[Slice]:
        """Return it cut into parts of `part_bytes`; the last may be smaller."""
        return [
            Slice(self.name, self.open, offset, min(part_bytes, self.size_bytes - offset))
            for offset in range(0, self.size_bytes, part_bytes)
        ]


def source_of(content: FileContent, name: str | None = None) -> Source:
    """Make a source of a path, bytes or an open binary file.

    Args:
        content: a path is streamed from disk; of an open file the rest from its present
            position is taken.
        name: name of the file in the batch; needed where the content has none of its own.

    Raises:
        InvalidRequest: there is no such file, it has no name or one that is too long, or it is
            open as text or cannot be read again.
        TooLarge: the file is above limits.MULTIPART_FILE_BYTES.
    """
    if isinstance(content, str | os.PathLike):
        source = _of_path(Path(content), name)
    elif isinstance(content, bytes | bytearray | memoryview):
        frozen = bytes(content)
        source = Source(_name(name), len(frozen), lambda: io.BytesIO(frozen))
    else:
        source = _of_stream(content, name)
    if source.size_bytes > MULTIPART_FILE_BYTES:
        raise TooLarge(
            f"{source.name} has {source.size_bytes} bytes; the largest file is "
            f"{MULTIPART_FILE_BYTES} bytes. Split it.",
            details={"size_bytes": source.size_bytes, "limit_bytes": MULTIPART_FILE_BYTES},
        )
    return source


def sources_of(files: FilePaths) -> list[Source]:
    """Make sources of a path, a pattern such as "*.jpg" or "scans/**/*.pdf", a directory or a list.

    Of a directory the files directly in it are taken; hidden files are left out. The order is
    by name, and everything is checked before anything is uploaded.

    Raises:
        InvalidRequest: a path does not exist, a pattern or directory holds no file, or two
            files would get the same name in the batch.
        TooLarge: a file is above limits.MULTIPART_FILE_BYTES.
    """
    if isinstance(files, str | os.PathLike):
        paths = _expand(files)
    else:
        paths = [path for entry in files for path in _expand(entry)]
    if not paths:
        raise InvalidRequest("No files were given; give a path, a pattern, a directory or a list.")
    sources = [source_of(path) for path in paths]
    _refuse_equal_names(sources, paths)
    return sources


def _expand(entry: FilePath) -> list[Path]:
    path = Path(entry)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        missing = f"The directory {path} holds no files."
    elif glob.has_magic(str(entry)):
        # Path.glob refuses absolute patterns, which a user may well give.
        matches = glob.glob(str(entry), recursive=True)  # noqa: PTH207
        found = sorted(path for path in map(Path, matches) if path.is_file())
        missing = f"No file matches {str(entry)!r} (looked from {Path.cwd()})."
    else:
        found, missing = [], f"There is no file {path} (looked from {Path.cwd()})."
    if not found:
        raise InvalidRequest(f"{missing} Nothing was uploaded.")
    return found


def _refuse_equal_names(sources: Sequence[Source], paths: Sequence[Path]) -> None:
    counts = Counter(source.name for source in sources)
    name = next((name for name, count in counts.items() if count > 1), None)
    if name is not None:
        places = ", ".join(str(path) for path in paths if path.name == name)
        raise InvalidRequest(
            f"Several files are named {name!r} ({places}); one would replace the other in the "
            "batch. Add them one by one with add_file(path, name=...)."
        )


def _of_path(path: Path, name: str | None) -> Source:
    if not path.is_file():
        what = "is a directory; use add_files" if path.is_dir() else "does not exist"
        raise InvalidRequest(f"{path} {what}. Nothing was uploaded.")
    return Source(_name(name or path.name), path.stat().st_size, lambda: path.open("rb"))


def _of_stream(stream: BinaryIO, name: str | None) -> Source:
    if not hasattr(stream, "read") or isinstance(stream.read(0), str):
        raise InvalidRequest(
            f"{stream!r} cannot be uploaded: give a path, bytes, or a file opened with mode 'rb'."
        )
    own_name = getattr(stream, "name", None)
    if name is None and isinstance(own_name, str):
        name = Path(own_name).name
    checked_name = _name(name)
    if not (hasattr(stream, "seekable") and stream.seekable()):
        raise InvalidRequest(
            f"{stream!r} cannot be read a second time, which an upload may need to. Read it first: "
            "add_file(stream.read(), name=...)."
        )
    start = stream.tell()
    size_bytes = stream.seek(0, os.SEEK_END) - start
    window = _Window(stream, start)
    return Source(checked_name, size_bytes, lambda: nullcontext(cast(BinaryIO, window)))


class _Window:
    """A user's open file whose position 0 is where the user had left it; never closed by us."""

    def __init__(self, stream: BinaryIO, start: int) -> None:
        self._stream = stream
        self._start = start

    def seek(self, offset: int) -> int:
        return self._stream.seek(self._start + offset)

    def read(self, size: int) -> bytes:
        return self._stream.read(size)


def _name(name: str | None) -> str:
    if not name:
        raise InvalidRequest("The file has no name; give name=... as it is to be in the batch.")
    if len(name) > NAME_CHARACTERS:
        raise InvalidRequest(
            f"The file name {name[:40]!r}... has {len(name)} characters; the most is "
            f"{NAME_CHARACTERS}. Give a shorter name=..."
        )
    return name

"""Unpacking archives of others (tar, compressed with Zstandard) within bounds.

An archive may be made to fill the disk or the memory, or to write elsewhere. So everything is
counted while it streams by, only plain files and directories are made, and links inside of the
archive become further names of the files that they point to: nothing ever follows a link.
"""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Final

from longshore.errors import ConfigurationError, CorruptData, TooLarge
from longshore.limits import MODEL_FILES, MODEL_UNPACKED_BYTES, PATH_BYTES, UNPACK_RATIO

_CHUNK_BYTES: Final = 1 << 20
# Of names and other headers between two files; a header that is longer was made to fill memory.
_HEADERS_BYTES: Final = 1 << 20
# Below this an archive may be as even as it likes.
_RATIO_FREE_BYTES: Final = 64 << 20
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES: Final = 64 * tarfile.BLOCKSIZE
_UNUSABLE: Final = (
    tarfile.TarError,
    EOFError,
    # Headers of headers of headers.
    RecursionError,
    ValueError,
    # One name is that of a file and of a directory.
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def is_compressed(path: Path) -> bool:
    """Whether a file begins as one that Zstandard has compressed."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def unpack(
    archive: Path,
    directory: Path,
    *,
    stop: threading.Event,
    limit_bytes: int = MODEL_UNPACKED_BYTES,
    limit_files: int = MODEL_FILES,
) -> None:
    """Unpack a tar file that Zstandard has compressed, in one frame or many.

    Args:
        archive: the file.
        directory: new or empty; left half filled when something is refused.
        stop: ends the unpacking soon when it is set.
        limit_bytes: most bytes without compression.
        limit_files: most entries.

    Raises:
        CorruptData: it is no such archive, or names something outside of the directory or
            something that is neither a file, a directory nor a link to a file of the archive.
        TooLarge: it has more bytes or entries than the limits, or more than `UNPACK_RATIO` times
            the bytes of the archive.
        ConfigurationError: the library for such archives is not installed here.
    """
    try:
        # Loaded with the first archive only: most workers never unpack one.
        import zstandard  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Archives of models are unpacked with zstandard, which is not installed beside this "
            "worker. Run pip install 'longshore[corpus]' there and start it again."
        ) from error
    directory.mkdir(exist_ok=True)
    size_bytes = archive.stat().st_size
    limit_bytes = min(limit_bytes, max(size_bytes * UNPACK_RATIO, _RATIO_FREE_BYTES))
    try:
        with archive.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            stream = _Counted(reader, stop, limit_bytes)
            _Unpacking(stream, directory, limit_files, limit_bytes).run()
    except (*_UNUSABLE, zstandard.ZstdError) as error:
        raise CorruptData(
            f"The archive cannot be unpacked: {error}. Make it again, as tar compressed with "
            "Zstandard (.tar.zst)."
        ) from error


class _Counted:
    """The stream without compression; it ends with an error at its limits."""

    def __init__(self, stream: IO[bytes], stop: threading.Event, limit_bytes: int) -> None:
        self._stream = stream
        self._stop = stop
        self._limit_bytes = limit_bytes
        self._read_bytes = 0
        self._headers_bytes: int | None = 0

    def expect(self, *, headers: bool) -> None:
        """Say whether what is read next is headers, which are bounded, or the bytes of a file."""
        self._headers_bytes = 0 if headers else None

    def read(self, size: int) -> bytes:
        if self._stop.is_set():
            raise CorruptData("The unpacking was stopped.")
        data = self._stream.read(size)
        self._read_bytes += len(data)
        if self._read_bytes > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        if self._headers_bytes is not None:
            self._headers_bytes += len(data)
            if self._headers_bytes > _HEADERS_BYTES:
                raise CorruptData(
                    "The archive has names or headers of more than 1 MiB. Make it again."
                )
        return data


class _Unpacking:
    """One archive on its way to a directory."""

    def __init__(
        self, stream: _Counted, directory: Path, limit_files: int, limit_bytes: int
    ) -> None:
        self._stream = stream
        self._directory = directory
        self._limit_files = limit_files
        self._limit_bytes = limit_bytes
        self._written_bytes = 0
        self._files: set[str] = set()
        self._links: dict[str, str] = {}

    def run(self) -> None:
        count = 0
        with tarfile.open(mode="r|", fileobj=self._stream, bufsize=_BUFFER_BYTES) as archive:  # type: ignore[call-overload]
            while (member := archive.next()) is not None:
                count += 1
                if count > self._limit_files:
                    raise TooLarge(
                        f"The archive has more than {self._limit_files} entries. Leave out what the "
                        "worker does not need."
                    )
                self._stream.expect(headers=False)
                self._take(archive, member)
                # It keeps all it has seen otherwise.
                archive.members.clear()
                self._stream.expect(headers=True)
        self._link()

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = _inside(member.name)
        if name == "." and member.isdir():
            return
        target = self._directory / name
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        elif member.isreg():
            self._write(archive, member, target)
            self._files.add(name)
            self._links.pop(name, None)
        elif member.issym() or member.islnk():
            base = PurePosixPath(name).parent if member.issym() else PurePosixPath()
            self._links[name] = _inside(str(base / member.linkname))
            self._files.discard(name)
        else:
            raise CorruptData(
                f"The archive holds {member.name[:200]!a}, which is neither a file nor a "
                "directory. Leave it out."
            )

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        # The stream does not tell: a file with holes is longer than what there is of it.
        self._written_bytes += member.size
        if self._written_bytes > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        if member.size < 0:
            raise CorruptData(f"The archive has no length for {member.name[:200]!a}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        assert source is not None
        left = member.size
        mode = 0o700 if member.mode & 0o100 else 0o600
        # A second entry of the same name is another file, never one that the first points to.
        target.unlink(missing_ok=True)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            while chunk := source.read(min(_CHUNK_BYTES, left)):
                file.write(chunk)
                left -= len(chunk)
        if left:
            raise CorruptData(f"The archive ends in the middle of {member.name[:200]!a}.")

    def _link(self) -> None:
        for name in self._links:
            target = _file_of(name, self._links)
            if target not in self._files:
                raise CorruptData(
                    f"The archive holds a link {name[:200]!a} to {self._links[name][:200]!a}, which "
                    "is no file of the archive. Put the file itself there."
                )
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            os.link(self._directory / target, path)


def _file_of(name: str, links: Mapping[str, str]) -> str:
    """Return what a link leads to in the end."""
    seen: set[str] = set()
    while name in links and name not in seen:
        seen.add(name)
        name = links[name]
    return name


def _inside(name: str) -> str:
    """Return a name in its plain form, relative to the directory.

    Raises:
        CorruptData: it leads outside.
    """
    if "\x00" in name or name.startswith("/") or len(name.encode()) > PATH_BYTES:
        raise _outside(name)
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise _outside(name)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"The archive has more than {limit_bytes} bytes without compression, which is the most for "
        "its size. Leave out what the worker does not need."
    )


def _outside(name: str) -> CorruptData:
    return CorruptData(
        f"The archive holds the name {name[:200]!a}, which leads outside of its directory or is too "
        "long. Make it again with relative names."
    )

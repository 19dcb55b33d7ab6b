"""The blob store: bytes under ids that the server made, in a directory or in S3.

A user's name for a file is metadata in the database and never part of a path or key. Size and
checksum are recorded when a blob is written and compared when it is read.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from longshore.errors import (
    ConfigurationError,
    CorruptData,
    DiskFull,
    NotFound,
    RangeNotSatisfiable,
    ServerFault,
    TooLarge,
    Unavailable,
)

CHUNK_BYTES: Final = 1024 * 1024
_ID: Final = re.compile(r"[a-z]{2}_[0-9a-z]{26}")


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """Bytes that lie in the store, and when they were written there, by the store's clock."""

    blob_id: str
    size_bytes: int
    modified_us: int


class Blobs:
    """Bytes by id, durable once `put` returns."""

    def __init__(self, store: ObjectStore, root: Path | None) -> None:
        """Use `store`; `root` is its directory when it is a local one."""
        self._store = store
        self._root = root

    def describe(self) -> str:
        """Return where the blobs lie, for people."""
        return str(self._root) if self._root else repr(self._store)

    async def put(self, blob_id: str, chunks: AsyncIterable[bytes], *, limit_bytes: int) -> Stored:
        """Write a blob; it is durable when this returns, and absent when it raises.

        Raises:
            TooLarge: more than `limit_bytes` arrive.
            CorruptData: the directory that it belongs in is a link out of the store.
            DiskFull: there is no space left.
            Unavailable: the store cannot be used.
        """
        digest = hashlib.sha256()
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                size += len(chunk)
                if size > limit_bytes:
                    raise _OverLimit
                digest.update(chunk)
                yield chunk

        self._refuse_links(blob_id)
        try:
            await self._write(_key(blob_id), counted())
        except _OverLimit:
            await self.delete(blob_id)
            raise TooLarge(
                f"The file is larger than {limit_bytes} bytes. Send it in parts, or split it.",
                details={"limit_bytes": limit_bytes},
            ) from None
        except OSError as error:
            await self._clear(blob_id)
            # A bucket that is not there is a FileNotFoundError to obstore.
            raise (_disk_error(error) if self._root else _away(error)) from error
        except BaseError as error:
            await self._clear(blob_id)
            raise _away(error) from error
        except BaseException:
            await self._clear(blob_id)
            raise
        return Stored(size, digest.hexdigest())

    async def get(
        self, blob_id: str, *, sha256: str | None = None, size_bytes: int | None = None
    ) -> AsyncIterator[bytes]:
        """Read a blob in chunks of about a megabyte.

        The last chunk is held back until size and checksum are compared, so that a reader never
        takes damaged bytes for a whole file.

        Raises:
            NotFound: there is no such blob.
            CorruptData: the bytes are not the ones that were written.
            Unavailable: the store cannot be used.
        """
        digest = hashlib.sha256()
        size = 0
        held: bytes | None = None
        async for chunk in self._chunks(blob_id):
            digest.update(chunk)
            size += len(chunk)
            if held is not None:
                yield held
            held = chunk
        wrong_size = size_bytes is not None and size != size_bytes
        if wrong_size or (sha256 is not None and digest.hexdigest() != sha256):
            raise CorruptData(
                f"Blob {blob_id} is damaged: its {size} bytes are not the ones that were written. "
                "Restore it from a back-up or upload the file again.",
                details={"blob_id": blob_id},
            )
        if held is not None:
            yield held

    async def get_range(self, blob_id: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to but not including `end`.

        Raises:
            NotFound: there is no such blob.
            RangeNotSatisfiable: the range is empty or lies outside the blob.
            Unavailable: the store cannot be used.
        """
        self._refuse_links(blob_id)
        key = _key(blob_id)
        with _translated(blob_id):
            size = (await obstore.head_async(self._store, key))["size"]
            if not 0 <= start < end <= size:
                raise RangeNotSatisfiable(
                    f"Bytes {start} to {end} lie outside blob {blob_id}, which has {size} bytes.",
                    details={"size_bytes": size},
                )
            data = await obstore.get_range_async(self._store, key, start=start, end=end)
        return bytes(data)

    async def delete(self, blob_id: str) -> None:
        """Remove a blob and what an unfinished write left of it; nothing there is fine.

        Raises:
            CorruptData: its directory is a link out of the store.
            Unavailable: the store cannot be used.
        """
        key = _key(blob_id)
        if self._root is not None:
            self._refuse_links(blob_id, parents_only=True)
            await asyncio.to_thread(_remove, self._root / key)
            return
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise _away(error) from error

    async def list_ids(self) -> list[str]:
        """Return the ids of all blobs that are there; Unavailable if the store cannot be used."""
        found: list[str] = []
        try:
            async for page in obstore.list(self._store):
                found.extend(entry["path"].rpartition("/")[2] for entry in page)
        except BaseError as error:
            raise _away(error) from error
        return [name for name in found if _ID.fullmatch(name)]

    async def look(self, *, limit: int) -> list[FoundBlob]:
        """Return up to about `limit` of the blobs that are there, in no order.

        Raises:
            Unavailable: the store cannot be used.
        """
        found: list[FoundBlob] = []
        try:
            async for page in obstore.list(self._store):
                for entry in page:
                    name = entry["path"].rpartition("/")[2]
                    if _ID.fullmatch(name):
                        modified_s = entry["last_modified"].timestamp()
                        found.append(FoundBlob(name, entry["size"], int(modified_s * 1_000_000)))
                if len(found) >= limit:
                    break
        except BaseError as error:
            raise _away(error) from error
        return found

    async def has(self, blob_id: str) -> bool:
        """Return whether the bytes of a blob are there; Unavailable if the store cannot be used."""
        try:
            await obstore.head_async(self._store, _key(blob_id))
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise _away(error) from error
        return True

    async def _chunks(self, blob_id: str) -> AsyncIterator[bytes]:
        self._refuse_links(blob_id)
        with _translated(blob_id):
            result = await obstore.get_async(self._store, _key(blob_id))
            async for part in result.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(part)

    async def _write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        if self._root is None:
            await obstore.put_async(self._store, key, chunks)
            return
        # The local store of obstore does not fsync, and what we acknowledge must be durable.
        await _write_durably(self._root / key, chunks)

    async def _clear(self, blob_id: str) -> None:
        try:
            await self.delete(blob_id)
        except (OSError, ServerFault):
            # The failed write is what the caller must hear of; the sweeper removes leftovers.
            return

    def _refuse_links(self, blob_id: str, *, parents_only: bool = False) -> None:
        """Refuse to follow a symlink out of the store (obstore would)."""
        if self._root is None:
            return
        path = self._root / _key(blob_id)
        if parents_only:
            path = path.parent
        if path.is_symlink() or not path.resolve().is_relative_to(self._root):
            raise CorruptData(
                f"Blob {blob_id} is a link, which the server never makes. Remove it from the blob store.",
                details={"blob_id": blob_id},
            )


class _OverLimit(Exception):
    pass


def open_blobs(location: str) -> Blobs:
    """Open a blob store: a directory, or an address such as s3://bucket/prefix.

    Raises:
        ConfigurationError: the location cannot be used.
    """
    if "://" in location:
        # obstore knows more schemes, but a store in memory or a directory without fsync would
        # not keep what was acknowledged.
        if not location.startswith("s3://"):
            raise ConfigurationError(
                f"{location!r} is not a blob store. Give a directory, or s3://bucket/prefix."
            )
        try:
            # Whoever writes http:// into AWS_ENDPOINT_URL means it; otherwise it is not used.
            return Blobs(from_url(location, client_options={"allow_http": True}), None)
        except (BaseError, ValueError) as error:
            raise ConfigurationError(
                f"The blob store {location!r} cannot be used ({_first_line(error)}). Give a directory or "
                "s3://bucket/prefix, with the credentials in the usual AWS_ variables."
            ) from error
    root = Path(location)
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The blob directory {location!r} cannot be made ({error.strerror}). Give another one with --blobs."
        ) from error
    root = root.resolve()
    return Blobs(LocalStore(root), root)


async def _write_durably(path: Path, chunks: AsyncIterator[bytes]) -> None:
    """Write beside the final place, fsync, rename, and fsync the directory."""
    partial = path.with_suffix(".partial")
    descriptor = await asyncio.to_thread(_create, partial)
    try:
        try:
            async for chunk in chunks:
                await asyncio.to_thread(_write_all, descriptor, chunk)
            await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        await asyncio.to_thread(_publish, partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _create(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _publish(partial: Path, path: Path) -> None:
    partial.replace(path)
    for directory in (path.parent, path.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _key(blob_id: str) -> str:
    """Return the key of a blob; only ids that the server made pass."""
    if not _ID.fullmatch(blob_id):
        raise NotFound(
            f"{blob_id!r} is not the id of a blob. Ids look like bl_ and 26 letters and digits."
        )
    # The last two characters are random, so the directories fill evenly.
    return f"{blob_id[-2:]}/{blob_id}"


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".partial").unlink(missing_ok=True)


@contextmanager
def _translated(blob_id: str) -> Iterator[None]:
    """Turn what the store says into our errors."""
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(blob_id) from error
    except BaseError as error:
        raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        f"The blob store cannot be used ({_first_line(error)}). Check its address and that it "
        "runs, then try again."
    )


def _first_line(error: Exception) -> str:
    # What follows is a dump of the request, with its headers.
    return str(error).partition("\n")[0]


def _missing(blob_id: str) -> NotFound:
    return NotFound(
        f"Blob {blob_id} is not in the store; it was deleted, or the store is not the one it was written to.",
        details={"blob_id": blob_id},
    )


def _disk_error(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            "The disk that holds the blobs is full, so the file was not stored. Reads still work. "
            "Free some space or delete finished runs, then try again."
        )
    return Unavailable(
        f"The blob store could not take the file ({error.strerror}). Check its disk, then try again."
    )

"""Archives: tar files compressed with Zstandard, as models and datasets travel, and zip files."""

from __future__ import annotations

import hashlib
import logging
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import zstandard

from longshore.errors import CorruptData

logger = logging.getLogger("longshore.corpus")

LEVEL: Final = 3
CHUNK_BYTES: Final = 1 << 20


def decompress_zst_archive(compressed_archive: Path) -> tuple[int, Path]:
    """Decompress a file into a temporary one, whose descriptor and path are returned.

    A file may be made of several frames: the published worker library writes one per KiB.
    Give both to `close_delete_file` when done.

    Raises:
        CorruptData: the file is not compressed with Zstandard.
    """
    descriptor, name = tempfile.mkstemp(suffix=".tar")
    path = Path(name)
    try:
        with compressed_archive.open("rb") as source, path.open("wb") as target:
            _decompress(source, target)
    except zstandard.ZstdError as error:
        close_delete_file(descriptor, path)
        message = f"{compressed_archive} cannot be decompressed: {error}. Fetch it again."
        raise CorruptData(message) from error
    logger.debug("Decompressed %s to %s", compressed_archive, path)
    return descriptor, path


def extract_tar_archive(archive_path: Path, destination: Path) -> None:
    """Unpack a tar file into a directory; members that point outside it are refused.

    Raises:
        CorruptData: the file is no tar file, or holds a member that points outside.
    """
    try:
        with tarfile.open(archive_path) as archive:
            archive.extractall(destination, filter="data")
    except (tarfile.ReadError, tarfile.FilterError, EOFError) as error:
        raise CorruptData(f"{archive_path} cannot be unpacked: {error}") from error


def extract_tar_zst_archive(compressed_archive: Path, destination: Path) -> tuple[int, Path]:
    """Unpack a compressed tar file into a directory.

    Returns:
        Descriptor and path of the temporary file without compression, for `close_delete_file`.

    Raises:
        CorruptData: see `decompress_zst_archive` and `extract_tar_archive`.
    """
    descriptor, path = decompress_zst_archive(compressed_archive)
    try:
        extract_tar_archive(path, destination)
    except BaseException:
        close_delete_file(descriptor, path)
        raise
    return descriptor, path


def close_delete_file(file_descriptor: int | None, file_path: Path) -> None:
    """Close a descriptor and delete its file; a file that cannot be deleted is only warned of."""
    try:
        if file_descriptor is not None:
            os.close(file_descriptor)
        file_path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("Unable to delete file %s: %s", file_path, error)


def zstd_compress(source: Path, destination: Path | None = None) -> tuple[int | None, Path, str]:
    """Compress a file.

    Args:
        source: the file.
        destination: where to write; a temporary file by default.

    Returns:
        Descriptor of the temporary file, if one was made, the path written to, and the
        hexadecimal MD5 of what was written.
    """
    descriptor, target = _target(destination, ".tar.zst")
    md5 = hashlib.md5(usedforsecurity=False)
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    with source.open("rb") as plain, target.open("wb") as compressed:
        for chunk in compressor.read_to_iter(plain, size=source.stat().st_size):
            md5.update(chunk)
            compressed.write(chunk)
    return descriptor, target, md5.hexdigest()


def create_tar_archive(path: Path, destination: Path | None = None) -> tuple[int | None, Path, str]:
    """Pack what is below a directory into a tar file; its members' names are relative to it.

    Args:
        path: the directory.
        destination: where to write; a temporary file by default.

    Returns:
        Descriptor of the temporary file, if one was made, the path written to, and the
        hexadecimal MD5 of the bytes of all files, in the order of their paths.
    """
    descriptor, target = _target(destination, ".tar")
    members = sorted(found for found in path.rglob("*") if found != target)
    with tarfile.open(target, "w") as archive:
        for member in members:
            archive.add(member, arcname=str(member.relative_to(path)), recursive=False)
    md5 = hashlib.md5(usedforsecurity=False)
    for member in members:
        if member.is_file():
            for chunk in _chunks(member):
                md5.update(chunk)
    return descriptor, target, md5.hexdigest()


def create_tar_zst_archive(
    source: Path, destination: Path | None = None
) -> tuple[int | None, Path, str, str]:
    """Pack what is below a directory into a compressed tar file.

    Returns:
        Descriptor of the temporary file, if one was made, the path written to, the hexadecimal
        MD5 of the archive, and that of the files' content (see `create_tar_archive`).
    """
    tar_descriptor, tar_path, content_hash = create_tar_archive(source)
    try:
        descriptor, path, archive_hash = zstd_compress(tar_path, destination)
    finally:
        close_delete_file(tar_descriptor, tar_path)
    return descriptor, path, archive_hash, content_hash


def create_zip_archive(
    source: Path, destination: Path | None = None
) -> tuple[zipfile.ZipFile, Path]:
    """Pack what is below a directory into a zip file.

    Returns:
        The archive, closed, and the path written to.
    """
    descriptor, target = _target(destination, ".zip")
    if descriptor is not None:
        os.close(descriptor)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in sorted(source.rglob("*")):
            if member != target:
                archive.write(member, arcname=member.relative_to(source))
    return archive, target


def _decompress(source: IO[bytes], target: IO[bytes]) -> None:
    """Decompress all frames of a file into another."""
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    while chunk := reader.read(CHUNK_BYTES):
        target.write(chunk)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _target(destination: Path | None, suffix: str) -> tuple[int | None, Path]:
    if destination is not None:
        return None, Path(destination)
    descriptor, name = tempfile.mkstemp(prefix="longshore-", suffix=suffix)
    return descriptor, Path(name)

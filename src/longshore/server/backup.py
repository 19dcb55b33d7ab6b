"""Back-ups of a server that keeps its data in a directory: a SQLite file and blobs beside it.

A back-up is a directory with a copy of the database, the blobs that it names, and a manifest,
which is written last: without one, a directory is no back-up. It is taken while the server runs or
not; nothing is locked, since the copy is made by one read transaction (VACUUM INTO). Blobs never
change once they are stored. They are copied before the database is and again after it, so that
what the copy names is there, also when files are stored and deleted meanwhile.

The master key stays behind on purpose: neither it nor a copy of the database opens anything alone.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from sqlalchemy.engine import make_url

from longshore import __version__
from longshore.clock import SystemClock, iso
from longshore.errors import ConfigurationError, CorruptData
from longshore.settings import Settings
from longshore.storage.blobs import CHUNK_BYTES

FORMAT: Final = 1
DATABASE: Final = "longshore.db"
BLOBS: Final = "blobs"
MANIFEST: Final = "backup.json"
_SNAPSHOTS_MAX: Final = 5
"""How often the database is copied again because blobs of the last copy were deleted meanwhile."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a back-up holds.

    Attributes:
        format: of the back-up, for later versions.
        longshore: version that took it.
        taken: when the database was copied, in ISO 8601.
        database_bytes: size of the copy of the database.
        database_sha256: its checksum in hexadecimal digits.
        works: how many works are in it.
        blobs: how many blobs are in it, or None where they were left out.
        blobs_bytes: their size.
        damaged: ids of blobs that the database names and that were missing or damaged.
    """

    format: int
    longshore: str
    taken: str
    database_bytes: int
    database_sha256: str
    works: int
    blobs: int | None
    blobs_bytes: int
    damaged: list[str]


@dataclass(frozen=True, slots=True)
class _Blob:
    """A blob that the database says is stored."""

    id: str
    size_bytes: int
    sha256: str

    def below(self, directory: Path) -> Path:
        # As longshore.storage.blobs lays them out.
        return directory / self.id[-2:] / self.id


def take(settings: Settings, target: Path, *, without_blobs: bool = False) -> Manifest:
    """Back up what a server on this machine keeps into the new directory `target`.

    Raises:
        ConfigurationError: the database is not SQLite, blobs are in S3, or there is no server's
            data, or `target` is not empty.
    """
    source = sqlite_path(settings)
    if not source.is_file():
        raise ConfigurationError(
            f"There is no database {source}. Name the data directory with --data."
        )
    blobs = None if without_blobs else _blobs_directory(settings)
    _make_empty(target)
    taken, named, copied = _copy_both(source, blobs, target)
    database = target / DATABASE
    for blob in set(copied) - set(named):
        blob.below(target / BLOBS).unlink(missing_ok=True)
    damaged = [] if blobs is None else [blob.id for blob in named if not copied[blob]]
    manifest = Manifest(
        format=FORMAT,
        longshore=__version__,
        taken=taken,
        database_bytes=database.stat().st_size,
        database_sha256=_checksum(database),
        works=_count_works(database),
        blobs=None if blobs is None else len(named) - len(damaged),
        blobs_bytes=0 if blobs is None else sum(b.size_bytes for b in named if copied[b]),
        damaged=sorted(damaged),
    )
    _write_manifest(target, manifest)
    return manifest


def _copy_both(
    source: Path, blobs: Path | None, target: Path
) -> tuple[str, list[_Blob], dict[_Blob, bool]]:
    """Copy the database, and the blobs that it names.

    Returns the time of the copy, the blobs in it, and of each blob that was looked at whether it
    was copied as it was written.
    """
    copied = {} if blobs is None else dict(_copy_blobs(_stored(source), blobs, target / BLOBS))
    for left in reversed(range(_SNAPSHOTS_MAX)):
        taken = _snapshot(source, target / DATABASE)
        named = _stored(target / DATABASE)
        missing = [] if blobs is None else [blob for blob in named if not copied.get(blob)]
        if blobs is not None:
            copied |= dict(_copy_blobs(missing, blobs, target / BLOBS))
        # What is not there any more may have been deleted after the copy of the database was made.
        if all(copied[blob] for blob in missing) or not left:
            return taken, named, copied
    raise AssertionError("the last turn returns")


def read(target: Path) -> Manifest:
    """Return the manifest of a back-up.

    Raises:
        ConfigurationError: the directory is no back-up that this version can read.
    """
    path = target / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{target} is no back-up: it has no {MANIFEST}, which is written when all else is there."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}). Take another back-up."
        ) from error
    if manifest.format != FORMAT:
        raise ConfigurationError(
            f"The back-up {target} was taken by Longshore {manifest.longshore} in a form that this "
            f"version ({__version__}) does not know. Install that version to restore it."
        )
    return manifest


def put_back(target: Path, settings: Settings) -> Manifest:
    """Copy a back-up to where a server with these settings looks for its data, and check it.

    The caller holds the lock of the data directory. The database comes last, so that a directory
    in which this was cut short has none.

    Raises:
        ConfigurationError: there is data already, or the directory is no back-up.
        CorruptData: the back-up is not as it was written.
    """
    manifest = read(target)
    place = sqlite_path(settings)
    blobs = None if manifest.blobs is None else _blobs_directory(settings)
    # A log that a crash has left would be played onto the restored file when it is opened.
    beside = [place.with_name(f"{place.name}{end}") for end in ("-wal", "-shm", "-journal")]
    for path in (place, *beside, blobs):
        if path is not None and path.exists() and (path.is_file() or any(path.iterdir())):
            raise ConfigurationError(
                f"{path} is there already. A back-up is restored into a new data directory: name "
                "one with --data, or move the old one away first, with all files of its name."
            )
    copy = target / DATABASE
    if not copy.is_file() or _checksum(copy) != manifest.database_sha256:
        raise CorruptData(f"{copy} is not as it was written. Restore another back-up.")
    if blobs is not None:
        damaged = set(manifest.damaged)
        wanted = [blob for blob in _stored(copy) if blob.id not in damaged]
        bad = [blob.id for blob, good in _copy_blobs(wanted, target / BLOBS, blobs) if not good]
        if bad:
            raise CorruptData(
                f"{len(bad)} files of the back-up {target} are missing or damaged, such as "
                f"{bad[0]}. Restore another back-up."
            )
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = place.with_suffix(".partial")
    _copy(copy, partial)
    os.sync()
    partial.replace(place)
    return manifest


def sqlite_path(settings: Settings) -> Path:
    """Return the SQLite file of a server.

    Raises:
        ConfigurationError: the server's database is not SQLite.
    """
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise ConfigurationError(
            "This server's database is PostgreSQL: back it up with pg_dump, and restore it with "
            "pg_restore. docs/how-to/back-up-and-restore has the commands."
        )
    return Path(url.database).resolve()


def _blobs_directory(settings: Settings) -> Path:
    if "://" in settings.blobs_url:
        raise ConfigurationError(
            f"The blobs are in {settings.blobs_url}, which this command does not copy. Let the "
            "store keep versions, and give --without-blobs."
        )
    return Path(settings.blobs_url).resolve()


def _make_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(
            f"{target} is not empty. Each back-up wants a directory of its own."
        )
    target.mkdir(parents=True, exist_ok=True, mode=0o700)


def _opened(path: Path) -> sqlite3.Connection:
    # Read-only: no second connection may write to the file of a server, or checkpoint it.
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)


def _snapshot(source: Path, copy: Path) -> str:
    """Copy the database in one read transaction; return when."""
    copy.unlink(missing_ok=True)
    taken = str(iso(SystemClock().now_us()))
    with closing(_opened(source)) as connection:
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("VACUUM INTO ?", (str(copy),))
    with closing(_opened(copy)) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise CorruptData(f"The database {source} is damaged: {found}. Restore an older back-up.")
    copy.chmod(0o600)
    return taken


def _stored(database: Path) -> list[_Blob]:
    with closing(_opened(database)) as connection:
        rows = connection.execute(
            "SELECT id, size_bytes, sha256 FROM artifacts WHERE state = 'stored' ORDER BY id"
        )
        return [_Blob(*row) for row in rows]


def _count_works(database: Path) -> int:
    with closing(_opened(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM works").fetchone()[0])


def _copy_blobs(blobs: list[_Blob], source: Path, target: Path) -> Iterator[tuple[_Blob, bool]]:
    """Copy blobs; yield each with whether it was there and as it was written."""
    for blob in blobs:
        place = blob.below(target)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            size, checksum = _copy(blob.below(source), place)
        except FileNotFoundError:
            yield blob, False
            continue
        good = (size, checksum) == (blob.size_bytes, blob.sha256)
        if not good:
            place.unlink()
        yield blob, good


def _copy(source: Path, place: Path) -> tuple[int, str]:
    """Copy a file that only its owner may read; return its size in bytes and its checksum."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as reading:
        writing = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(writing, "wb") as written:
            while piece := reading.read(CHUNK_BYTES):
                digest.update(piece)
                size += len(piece)
                written.write(piece)
    return size, digest.hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(target: Path, manifest: Manifest) -> None:
    # Everything that it speaks of is on the disk before it is.
    os.sync()
    partial = target / f".{MANIFEST}"
    with partial.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target / MANIFEST)
    os.sync()

"""The blob store in a directory and in S3 (moto's server on the loopback)."""

from __future__ import annotations

import errno
import hashlib
import os
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from longshore import ids
from longshore.errors import (
    ConfigurationError,
    CorruptData,
    DiskFull,
    NotFound,
    RangeNotSatisfiable,
    TooLarge,
    Unavailable,
)
from longshore.storage.blobs import CHUNK_BYTES, Blobs, Stored, open_blobs

LIMIT = 100 * 1024 * 1024
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket, with the environment that leads there."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", s3_server),
    ):
        monkeypatch.setenv(name, value)
    address = f"{s3_server}/bucket"
    fetch(address, method="PUT")
    yield address
    fetch(f"{s3_server}/moto-api/reset", method="POST")


def fetch(address: str, *, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(address, method=method)) as answer:
        body: bytes = answer.read()
        return body


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture(params=["directory", "s3"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    if request.param == "s3":
        request.getfixturevalue("s3_bucket")
        return open_blobs("s3://bucket/some/prefix")
    return open_blobs(str(request.getfixturevalue("directory")))


@pytest.fixture
def blob_id() -> str:
    return ids.new(ids.BLOB)


async def chunks(*parts: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


async def whole(blobs: Blobs, blob_id: str, stored: Stored | None = None) -> bytes:
    received: list[bytes] = []
    await read_into(received, blobs, blob_id, stored)
    return b"".join(received)


async def read_into(
    received: list[bytes], blobs: Blobs, blob_id: str, stored: Stored | None
) -> None:
    """Read a blob, keeping what was handed out before an error."""
    size_bytes = stored.size_bytes if stored else None
    sha256 = stored.sha256 if stored else None
    async for part in blobs.get(blob_id, sha256=sha256, size_bytes=size_bytes):
        received += [part]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if not path.is_dir())


async def test_a_blob_comes_back_as_it_was_written(blobs: Blobs, blob_id: str) -> None:
    stored = await blobs.put(blob_id, chunks(b"one ", b"", b"two"), limit_bytes=LIMIT)
    assert stored == Stored(7, hashlib.sha256(b"one two").hexdigest())
    assert await whole(blobs, blob_id, stored) == b"one two"
    assert await whole(blobs, blob_id) == b"one two"


async def test_a_blob_of_many_parts_comes_back_in_chunks(blobs: Blobs, blob_id: str) -> None:
    parts = [bytes([number]) * MIB for number in range(12)]
    stored = await blobs.put(blob_id, chunks(*parts), limit_bytes=LIMIT)
    read = [
        part
        async for part in blobs.get(blob_id, sha256=stored.sha256, size_bytes=stored.size_bytes)
    ]
    assert b"".join(read) == b"".join(parts)
    assert len(read) > 1
    assert all(len(part) >= CHUNK_BYTES for part in read[:-1])


async def test_a_blob_may_be_empty(blobs: Blobs, blob_id: str) -> None:
    stored = await blobs.put(blob_id, chunks(), limit_bytes=0)
    assert stored.size_bytes == 0
    assert await whole(blobs, blob_id, stored) == b""
    assert await blobs.list_ids() == [blob_id]


async def test_a_blob_may_be_exactly_as_large_as_the_limit(blobs: Blobs, blob_id: str) -> None:
    assert (await blobs.put(blob_id, chunks(b"x" * 10), limit_bytes=10)).size_bytes == 10


@pytest.mark.parametrize("parts", [1, 12])
async def test_a_blob_over_the_limit_is_refused_and_leaves_nothing(
    blobs: Blobs, blob_id: str, parts: int
) -> None:
    source = chunks(*[b"x" * MIB] * parts)
    with pytest.raises(TooLarge) as refusal:
        await blobs.put(blob_id, source, limit_bytes=parts * MIB - 1)
    assert refusal.value.details == {"limit_bytes": parts * MIB - 1}
    assert await blobs.list_ids() == []
    with pytest.raises(NotFound):
        await whole(blobs, blob_id)


@pytest.mark.parametrize("parts", [0, 1, 12])
async def test_a_source_that_fails_leaves_nothing(blobs: Blobs, blob_id: str, parts: int) -> None:
    source = chunks(*[b"x" * MIB] * parts, then=LookupError("the client went away"))
    with pytest.raises(LookupError, match="the client went away"):
        await blobs.put(blob_id, source, limit_bytes=LIMIT)
    assert await blobs.list_ids() == []


async def test_a_range_is_read_without_the_rest(blobs: Blobs, blob_id: str) -> None:
    await blobs.put(blob_id, chunks(b"0123456789"), limit_bytes=LIMIT)
    assert await blobs.get_range(blob_id, 0, 1) == b"0"
    assert await blobs.get_range(blob_id, 3, 7) == b"3456"
    assert await blobs.get_range(blob_id, 0, 10) == b"0123456789"


@pytest.mark.parametrize(("start", "end"), [(5, 5), (7, 3), (-1, 3), (10, 11), (0, 11), (40, 50)])
async def test_a_range_outside_the_blob_is_refused(
    blobs: Blobs, blob_id: str, start: int, end: int
) -> None:
    await blobs.put(blob_id, chunks(b"0123456789"), limit_bytes=LIMIT)
    with pytest.raises(RangeNotSatisfiable, match="10 bytes"):
        await blobs.get_range(blob_id, start, end)


async def test_a_deleted_blob_is_gone_and_may_be_deleted_again(blobs: Blobs, blob_id: str) -> None:
    other = ids.new(ids.BLOB)
    for one in (blob_id, other):
        await blobs.put(one, chunks(b"x"), limit_bytes=LIMIT)
    assert sorted(await blobs.list_ids()) == sorted([blob_id, other])
    for _ in range(2):
        await blobs.delete(blob_id)
    assert await blobs.list_ids() == [other]


async def test_a_blob_that_is_not_there_is_not_found(blobs: Blobs, blob_id: str) -> None:
    with pytest.raises(NotFound, match=blob_id):
        await whole(blobs, blob_id)
    with pytest.raises(NotFound, match=blob_id):
        await blobs.get_range(blob_id, 0, 1)


@pytest.mark.parametrize(
    "name",
    [
        "", "x", "../../etc/passwd", "/etc/passwd", "bl_" + "x" * 25, "bl_" + "x" * 27,
        "bl_" + "X" * 26, "bl_" + "x" * 23 + "/..", "bl_" + "x" * 25 + "\0", "bl_" + "é" * 26,
        "bl_" + "x" * 26 + "\n", "bl_%2e%2e" + "x" * 20,
    ],
)  # fmt: skip
async def test_only_ids_that_the_server_makes_become_paths(blobs: Blobs, name: str) -> None:
    for attempt in (
        blobs.put(name, chunks(b"x"), limit_bytes=LIMIT),
        whole(blobs, name),
        blobs.get_range(name, 0, 1),
        blobs.delete(name),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await blobs.list_ids() == []


async def test_damaged_bytes_are_never_handed_out_whole(blobs: Blobs, blob_id: str) -> None:
    """What a reader gets before the error lacks the end, so it cannot be taken for the file."""
    parts = [bytes([number]) * MIB for number in range(4)]
    stored = await blobs.put(blob_id, chunks(*parts), limit_bytes=LIMIT)
    damaged = Stored(stored.size_bytes, "00" * 32)
    received: list[bytes] = []
    with pytest.raises(CorruptData, match=blob_id):
        await read_into(received, blobs, blob_id, damaged)
    assert sum(map(len, received)) < stored.size_bytes


async def test_a_small_damaged_blob_yields_nothing(blobs: Blobs, blob_id: str) -> None:
    stored = await blobs.put(blob_id, chunks(b"small"), limit_bytes=LIMIT)
    for damaged in (Stored(5, "00" * 32), Stored(6, stored.sha256), Stored(4, stored.sha256)):
        received: list[bytes] = []
        with pytest.raises(CorruptData):
            await read_into(received, blobs, blob_id, damaged)
        assert received == []


async def test_a_flipped_bit_and_a_torn_file_are_noticed(directory: Path, blob_id: str) -> None:
    blobs = open_blobs(str(directory))
    stored = await blobs.put(blob_id, chunks(b"0123456789" * 1000), limit_bytes=LIMIT)
    path = directory / blob_id[-2:] / blob_id
    good = path.read_bytes()
    for bad in (good[:5000] + b"X" + good[5001:], good[:5000], good + b"0", b""):
        path.write_bytes(bad)
        with pytest.raises(CorruptData):
            await whole(blobs, blob_id, stored)
    path.write_bytes(good)
    assert await whole(blobs, blob_id, stored) == good


async def test_what_a_crash_left_is_not_a_blob_and_goes_with_its_id(
    directory: Path, blob_id: str
) -> None:
    blobs = open_blobs(str(directory))
    leftover = directory / blob_id[-2:] / f"{blob_id}.partial"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    assert await blobs.list_ids() == []
    with pytest.raises(NotFound):
        await whole(blobs, blob_id)
    await blobs.delete(blob_id)
    assert files(directory) == []


async def test_a_write_goes_over_what_a_crash_left(directory: Path, blob_id: str) -> None:
    blobs = open_blobs(str(directory))
    leftover = directory / blob_id[-2:] / f"{blob_id}.partial"
    leftover.parent.mkdir()
    leftover.write_bytes(b"far more than what comes now")
    stored = await blobs.put(blob_id, chunks(b"now"), limit_bytes=LIMIT)
    assert await whole(blobs, blob_id, stored) == b"now"
    assert files(directory) == [blob_id]


async def test_a_failed_write_leaves_no_file_of_any_name(directory: Path, blob_id: str) -> None:
    blobs = open_blobs(str(directory))
    with pytest.raises(TooLarge):
        await blobs.put(blob_id, chunks(b"xx"), limit_bytes=1)
    with pytest.raises(LookupError):
        await blobs.put(blob_id, chunks(b"x", then=LookupError()), limit_bytes=LIMIT)
    assert files(directory) == []


async def test_links_in_the_store_are_not_followed(directory: Path, tmp_path: Path) -> None:
    blobs = open_blobs(str(directory))
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    linked, outside = ids.new(ids.BLOB), tmp_path / "outside"
    (directory / linked[-2:]).mkdir()
    (directory / linked[-2:] / linked).symlink_to(secret)
    attempts: list[Awaitable[object]] = [whole(blobs, linked), blobs.get_range(linked, 0, 1)]
    for attempt in attempts:
        with pytest.raises(CorruptData, match="is a link"):
            await attempt
    await blobs.delete(linked)
    assert secret.read_bytes() == b"secret"
    assert files(directory) == []

    through = ids.new(ids.BLOB)
    outside.mkdir()
    (outside / through).write_bytes(b"secret")
    (directory / linked[-2:]).rmdir()
    (directory / through[-2:]).symlink_to(outside, target_is_directory=True)
    attempts = [
        whole(blobs, through),
        blobs.get_range(through, 0, 1),
        blobs.delete(through),
        blobs.put(through, chunks(b"x"), limit_bytes=LIMIT),
    ]
    for attempt in attempts:
        with pytest.raises(CorruptData, match="is a link"):
            await attempt
    assert files(outside) == [through]
    assert (outside / through).read_bytes() == b"secret"


async def test_a_partial_file_that_is_a_link_is_not_written_through(
    directory: Path, tmp_path: Path, blob_id: str
) -> None:
    blobs = open_blobs(str(directory))
    target = tmp_path / "target"
    target.write_bytes(b"untouched")
    (directory / blob_id[-2:]).mkdir()
    (directory / blob_id[-2:] / f"{blob_id}.partial").symlink_to(target)
    with pytest.raises(Unavailable):
        await blobs.put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    assert target.read_bytes() == b"untouched"


async def test_a_blob_is_on_disk_before_it_is_acknowledged(
    directory: Path, blob_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before it gets its name, then both directories."""
    steps: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    await open_blobs(str(directory)).put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    assert steps == [f"{blob_id}.partial", blob_id[-2:], directory.name]


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, Unavailable)],
)
async def test_a_disk_that_takes_no_more_is_told_from_one_that_fails(
    directory: Path,
    blob_id: str,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
) -> None:
    blobs = open_blobs(str(directory))
    kept = ids.new(ids.BLOB)
    await blobs.put(kept, chunks(b"kept"), limit_bytes=LIMIT)

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(error):
            await blobs.put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(error):
            await blobs.put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    assert files(directory) == [kept]
    assert await whole(blobs, kept) == b"kept"
    await blobs.put(blob_id, chunks(b"x"), limit_bytes=LIMIT)


async def test_files_of_the_store_are_for_its_owner_only(directory: Path, blob_id: str) -> None:
    await open_blobs(str(directory)).put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    for path in (directory, directory / blob_id[-2:], directory / blob_id[-2:] / blob_id):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_failed_upload_to_s3_leaves_no_unfinished_upload(
    s3_bucket: str, blob_id: str
) -> None:
    """They are invisible, and are paid for."""
    blobs = open_blobs("s3://bucket/prefix")
    with pytest.raises(TooLarge):
        await blobs.put(blob_id, chunks(*[b"x" * MIB] * 12), limit_bytes=11 * MIB)
    with pytest.raises(LookupError):
        await blobs.put(blob_id, chunks(b"x" * MIB, then=LookupError()), limit_bytes=LIMIT)
    assert b"<UploadId>" not in fetch(f"{s3_bucket}?uploads")


async def test_a_prefix_keeps_stores_in_one_bucket_apart(s3_bucket: str, blob_id: str) -> None:
    one, two = open_blobs("s3://bucket/one"), open_blobs("s3://bucket/two")
    await one.put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    assert await two.list_ids() == []
    await two.delete(blob_id)
    assert await one.list_ids() == [blob_id]


async def test_a_bucket_that_is_not_there_is_unavailable(s3_bucket: str, blob_id: str) -> None:
    blobs = open_blobs("s3://another-bucket")
    with pytest.raises(Unavailable, match="Check its address") as error:
        await blobs.put(blob_id, chunks(b"x"), limit_bytes=LIMIT)
    assert "\n" not in error.value.message
    with pytest.raises(Unavailable):
        await blobs.list_ids()


@pytest.mark.parametrize(
    "location",
    ["memory:///", Path("/srv/blobs").as_uri(), "ftp://x/y", "https://x/y", "s3://"],
)
def test_a_place_that_keeps_nothing_or_is_unknown_is_refused(location: str) -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket/prefix"):
        open_blobs(location)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="--blobs"):
        open_blobs(str(tmp_path / "file" / "blobs"))


def test_a_store_describes_itself(blobs: Blobs) -> None:
    assert "blobs" in blobs.describe() or "bucket" in blobs.describe()

"""Bells for waiting claims, and files on their way in and out, on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from longshore.edge import files
from longshore.edge.context import Context
from longshore.engine import artifacts
from longshore.errors import CorruptData, NotFound, RangeNotSatisfiable, TooLarge, Unavailable
from longshore.storage import Database, notify
from tests.unit.serving import make_context

MIB = 1024 * 1024


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Iterator[Context]:
    made = make_context(database, tmp_path)
    hear(database)
    yield made
    made.close()


def ring(database: Database, *queue_ids: int) -> None:
    def write(connection: Connection) -> None:
        for queue_id in queue_ids:
            notify(connection, f"queue:{queue_id}")

    database.write_blocking(write)


def hear(database: Database) -> None:
    """Wait until notifications arrive: PostgreSQL's listener connects in the background."""
    heard = threading.Event()
    end = database.subscribe(lambda topic: heard.set() if topic == "queue:0" else None)
    for _ in range(100):
        ring(database, 0)
        if heard.wait(0.1):
            break
    end()
    assert heard.is_set()


async def test_a_bell_rings_for_its_queues_only(context: Context) -> None:
    with context.wakeups.listen([1, 2]) as bell, context.wakeups.listen([3]) as other:
        await asyncio.to_thread(ring, context.database, 2)
        assert await bell.wait(5)
        assert not await other.wait(0.05)
        assert not await bell.wait(0.05)


async def test_work_that_came_before_the_wait_still_rings(context: Context) -> None:
    with context.wakeups.listen([7]) as bell:
        await context.database.write(lambda connection: notify(connection, "queue:7"))
        await asyncio.sleep(0.2)
        assert await bell.wait(0)


async def test_a_wait_ends_at_its_time(context: Context) -> None:
    assert not await context.wakeups.wait([1], 0.01)


async def test_a_rolled_back_change_rings_nothing(context: Context) -> None:
    def fails(connection: Connection) -> None:
        notify(connection, "queue:1")
        raise NotFound("no")

    with context.wakeups.listen([1]) as bell:
        with pytest.raises(NotFound):
            await context.database.write(fails)
        assert not await bell.wait(0.05)


async def test_a_stop_rings_for_all_and_for_those_who_come_later(context: Context) -> None:
    with context.wakeups.listen([1]) as bell:
        context.stop()
        assert await bell.wait(0)
    assert await context.wakeups.wait([2], 0)
    with pytest.raises(Unavailable):
        context.refuse_when_stopping()


async def test_nothing_is_left_of_those_who_went(context: Context) -> None:
    with context.wakeups.listen([1, 2]):
        pass
    assert not context.wakeups._bells


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def keep(context: Context, content: bytes) -> artifacts.Artifact:
    stored = await files.receive(context, "og", chunks(content), len(content))

    def write(connection: Connection) -> artifacts.Artifact:
        artifacts.store(
            connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256
        )
        return artifacts.get(connection, "og", stored.blob_id)

    return await context.database.write(write)


async def content_of(response: Response) -> bytes:
    if not isinstance(response, StreamingResponse):
        return bytes(response.body)
    return b"".join([bytes(piece) async for piece in response.body_iterator])  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 5])
async def test_a_file_comes_back_as_it_was(context: Context, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    artifact = await keep(context, content)
    response = await files.send(context, artifact)
    assert response.headers["content-length"] == str(size)
    assert await content_of(response) == content


async def test_a_file_over_the_limit_leaves_nothing(context: Context) -> None:
    with pytest.raises(TooLarge):
        await files.receive(context, "og", chunks(b"12345", b"67890"), 9)
    assert await context.blobs.list_ids() == []
    doomed = await context.database.read(artifacts.doomed, limit=10)
    assert len(doomed) == 1


async def test_an_upload_that_breaks_off_leaves_nothing(context: Context) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"12345"
        raise ConnectionResetError

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it becomes, nothing may stay
        await files.receive(context, "og", broken(), 100)
    assert await context.blobs.list_ids() == []


async def test_damaged_bytes_are_not_sent(context: Context, tmp_path: Path) -> None:
    artifact = await keep(context, b"right")
    [path] = [path for path in (tmp_path / "blobs").rglob("bl_*") if path.is_file()]
    path.write_bytes(b"wrong")
    with pytest.raises(CorruptData, match=artifact.id):
        await files.send(context, artifact)
    path.unlink()
    with pytest.raises(NotFound):
        await files.send(context, artifact)


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=8-99", 206, b"89"),
        (None, 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("pages=1-2", 200, b"0123456789"),
    ],
)
async def test_ranges(context: Context, wanted: str | None, status: int, content: bytes) -> None:
    response = await files.send(context, await keep(context, b"0123456789"), wanted_range=wanted)
    assert (response.status_code, await content_of(response)) == (status, content)
    assert response.headers["content-length"] == str(len(content))
    assert ("content-range" in response.headers) == (status == 206)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-20", "bytes=-0"])
async def test_a_range_outside_the_file_is_refused(context: Context, wanted: str) -> None:
    artifact = await keep(context, b"0123456789")
    with pytest.raises(RangeNotSatisfiable) as caught:
        await files.send(context, artifact, wanted_range=wanted)
    assert caught.value.details == {"size_bytes": 10}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.pdf", "attachment; filename*=UTF-8''a.pdf"),
        ('ü"\r\n/x', "attachment; filename*=UTF-8''%C3%BC%22%0D%0A%2Fx"),
    ],
)
def test_a_name_cannot_leave_its_header(name: str, header: str) -> None:
    assert files.disposition(name) == header


async def test_many_waiters_wake_together(context: Context) -> None:
    waiting: list[Any] = [asyncio.create_task(context.wakeups.wait([5], 5)) for _ in range(50)]
    await asyncio.sleep(0)
    await asyncio.to_thread(ring, context.database, 5)
    assert all(await asyncio.gather(*waiting))

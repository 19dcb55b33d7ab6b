"""Batches and uploads over the wire, in both colours."""

from __future__ import annotations

import asyncio
import json as json_module
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.errors import Conflict, InvalidRequest, NotFound, TooLarge
from longshore.sdk import AsyncClient, Client
from tests.unit.sdk_support import COLOURS, Script, client, close, json, settle


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_batch_is_made_and_read(colour: Any) -> None:
    info = {
        "id": 7,
        "name": "scans",
        "workspace": "local",
        "batch_owner": "admin",
        "created_at_ms": 1_700_000_000_123,
        "updated_at_ms": None,
        "path": "og_1/local/fs/Longshore Drive/batches/7",
        "a_field_of_tomorrow": 1,
    }
    script = Script(json({"id": 7}), json(info))
    used = client(colour, script)
    batch = await settle(used.batches.create("scans", "local"))
    assert (batch.id, batch.name, batch.created_at) == (7, "scans", None)
    await settle(batch.refresh())
    await close(used)
    assert json_module.loads(script.requests[0].content) == {"name": "scans", "workspace": "local"}
    assert script.paths == ["POST /api/v2/batches", "GET /api/v2/batches/7"]
    assert batch.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert batch.info.created_by == "admin"


async def test_what_was_never_read_is_not_guessed() -> None:
    with client(Client, Script()) as used:
        batch = used.batches.of(7)
        with pytest.raises(InvalidRequest, match=r"refresh\(\)"):
            _ = batch.name


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("a b/ü#?.pdf", "a%20b%2F%C3%BC%23%3F.pdf"),
        ("..", "%2E%2E"),
        ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
        (".", "%2E"),
        ("100%.txt", "100%25.txt"),
    ],
)
async def test_a_name_never_leaves_its_segment_of_the_path(
    colour: Any, name: str, encoded: str
) -> None:
    script = Script(httpx.Response(204), json({"job_id": "wk_1"}, 202))
    used = client(colour, script)
    batch = used.batches.of(7)
    await settle(batch.add_file(b"content", name))
    await settle(batch.delete_file(name))
    await close(used)
    path = f"/api/v2/batches/7/files/{encoded}"
    assert script.paths == [f"PUT {path}", f"DELETE {path}"]
    assert script.requests[0].content == b"content"
    assert script.requests[0].headers["Content-Type"] == "application/octet-stream"
    assert script.requests[0].headers["Content-Length"] == "7"
    assert "Transfer-Encoding" not in script.requests[0].headers


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_empty_file_is_sent_as_such(colour: Any) -> None:
    script = Script(httpx.Response(204))
    used = client(colour, script)
    await settle(used.batches.of(7).add_file(b"", "empty"))
    await close(used)
    assert script.requests[0].headers["Content-Length"] == "0"


class PartsServer:
    """Takes multipart uploads, and can refuse one part."""

    def __init__(self, refuse: int | None = None) -> None:
        self.refuse = refuse
        self.parts: dict[int, bytes] = {}
        self.opened: Any = None
        self.closed: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if match := re.search(r"/parts/(\d+)$", path):
            number = int(match[1])
            if number == self.refuse:
                return json({"message": "no"}, 409)
            self.parts[number] = request.content
            return json({"part_id": f"pt_{number}", "part_num": number}, 201)
        body = json_module.loads(request.content)
        if path.endswith("/multipart-upload"):
            self.opened = body
            return json({"session_id": "us/1", "part_size": limits.PART_BYTES}, 201)
        self.closed.append(body)
        return httpx.Response(201)


LARGE = b"0123456789abcdef" * (limits.PART_BYTES // 16) * 2 + b"rest"


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large.pdf"
    path.write_bytes(LARGE)
    return path


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_large_file_goes_in_parts(colour: Any, large_file: Path) -> None:
    server = PartsServer()
    used = client(colour, server)
    await settle(used.batches.of(7).add_file(large_file))
    await close(used)
    assert server.opened == {"batch_id": 7, "filename": "large.pdf", "file_size": len(LARGE)}
    assert [len(server.parts[n]) for n in (1, 2, 3)] == [limits.PART_BYTES, limits.PART_BYTES, 4]
    assert b"".join(server.parts[n] for n in (1, 2, 3)) == LARGE
    parts = [{"part_num": n, "part_id": f"pt_{n}"} for n in (1, 2, 3)]
    assert server.closed == [{"action": "commit", "parts": parts}]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_failed_part_gives_the_session_back(colour: Any, large_file: Path) -> None:
    server = PartsServer(refuse=2)
    used = client(colour, server)
    with pytest.raises(Conflict, match="no"):
        await settle(used.batches.of(7).add_file(large_file))
    await close(used)
    assert server.closed == [{"action": "abort"}]


async def test_a_file_of_exactly_one_part_goes_whole(tmp_path: Path) -> None:
    path = tmp_path / "exact.bin"
    path.write_bytes(bytes(limits.PART_BYTES))
    script = Script(httpx.Response(204))
    with client(Client, script) as used:
        used.batches.of(7).add_file(path)
    assert script.paths == ["PUT /api/v2/batches/7/files/exact.bin"]


@pytest.mark.parametrize("colour", COLOURS)
async def test_several_files_are_uploaded_at_once_but_not_all(colour: Any, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.jpg").write_bytes(b"%d" % number)
    arrived: dict[str, bytes] = {}
    present, most = 0, 0
    together = threading.Barrier(4, timeout=20)
    lock = threading.Lock()

    def blocking(request: httpx.Request) -> httpx.Response:
        nonlocal present, most
        with lock:
            present += 1
            most = max(most, present)
        together.wait()
        with lock:
            present -= 1
            arrived[request.url.path.rpartition("/")[2]] = request.content
        return httpx.Response(204)

    async def waiting(request: httpx.Request) -> httpx.Response:
        nonlocal present, most
        present += 1
        most = max(most, present)
        await asyncio.to_thread(together.wait)
        present -= 1
        arrived[request.url.path.rpartition("/")[2]] = request.content
        return httpx.Response(204)

    used = client(colour, blocking if colour is Client else waiting)
    await settle(used.batches.of(7).add_files(tmp_path))
    await close(used)
    assert arrived == {f"{number:02}.jpg": b"%d" % number for number in range(12)}
    assert most == 4


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_first_failed_upload_is_raised_and_stops_the_rest(
    colour: Any, tmp_path: Path
) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.jpg").write_bytes(b"x")
    seen: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return json({"message": "too big", "code": "too_large"}, 413)

    used = client(colour, server)
    with pytest.raises(TooLarge, match="too big"):
        await settle(used.batches.of(7).add_files(tmp_path / "*.jpg"))
    await close(used)
    assert len(seen) < 40


@pytest.mark.parametrize("colour", COLOURS)
async def test_all_files_of_a_batch_are_listed_page_by_page(colour: Any) -> None:
    def node(name: str) -> dict[str, Any]:
        metadata = {"node_type": "file", "size": 3, "modified_timestamp": 1_700_000_000}
        return {"name": name, "full_path": f"drive/{name}", "metadata": metadata}

    script = Script(
        json({"nodes": [node("a")], "next_page_token": "t/1", "has_more": True}),
        json({"nodes": [node("b")], "next_page_token": None, "has_more": False}),
    )
    used = client(colour, script)
    nodes = await settle(used.batches.of(7).files())
    await close(used)
    assert [(n.name, n.size_bytes, n.is_folder) for n in nodes] == [
        ("a", 3, False),
        ("b", 3, False),
    ]
    assert nodes[0].modified_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert script.requests[1].url.params["start_token"] == "t/1"


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_listing_goes_on_until_a_page_is_not_full(colour: Any) -> None:
    def page(count: int, first: int) -> httpx.Response:
        return json({"batches": [{"id": first + n, "name": "b"} for n in range(count)]})

    script = Script(page(limits.PAGE_ROWS, 0), page(2, limits.PAGE_ROWS), page(5, 0))
    used = client(colour, script)
    assert len(await settle(used.batches.list(workspace="w"))) == limits.PAGE_ROWS + 2
    assert len(await settle(used.batches.list(limit=5))) == 5
    await close(used)
    asked = [dict(request.url.params) for request in script.requests]
    assert asked[1] == {"workspace": "w", "limit": "1000", "offset": "1000"}
    assert asked[2] == {"limit": "5", "offset": "0"}


@pytest.mark.parametrize("colour", COLOURS)
async def test_deleting_a_batch_gives_a_job_that_can_be_waited_for(colour: Any) -> None:
    script = Script(
        json({"job_id": "wk_9"}, 202),
        json({"state": "PENDING"}),
        json({"state": "RUNNING"}),
        json({"state": "COMPLETE", "rows": 3, "objects": 2, "bytes": 1000}),
    )
    used = client(colour, script)
    job = await settle(used.batches.of(7).delete())
    assert (job.id, job.state) == ("wk_9", "PENDING")
    await settle(job.wait())
    await close(used)
    assert job.state == "COMPLETE"
    assert (job.removed.rows, job.removed.objects, job.removed.size_bytes) == (3, 2, 1000)


async def test_a_missing_batch_is_not_found() -> None:
    script = Script(json({"message": "There is no batch 9.", "code": "not_found"}, 404))
    async with client(AsyncClient, script) as used:
        with pytest.raises(NotFound, match="There is no batch 9"):
            await used.batches.get(9)

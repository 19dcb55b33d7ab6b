from __future__ import annotations

from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.clock import ManualClock
from tests.surfaces.apps_rig import Platform

ROOT = "/api/v2/batches/multipart-upload"
PART = 4


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PART_BYTES", PART)


async def opened(apps: Platform, batch_id: int, size: object = 10, name: str = "big.pdf") -> str:
    answer = await apps.client.post(
        ROOT, json={"batch_id": str(batch_id), "filename": name, "file_size": size}
    )
    assert answer.status_code == 201, answer.text
    session_id: str = answer.json()["session_id"]
    assert answer.json()["part_size"] == PART
    assert answer.headers["location"] == f"http://test{ROOT}/sessions/{session_id}"
    return session_id


async def put_part(apps: Platform, session_id: str, number: int, content: bytes) -> httpx.Response:
    return await apps.client.put(f"{ROOT}/sessions/{session_id}/parts/{number}", content=content)


async def sent(apps: Platform, session_id: str, content: bytes) -> list[dict[str, Any]]:
    parts = []
    for number, start in enumerate(range(0, len(content), PART), 1):
        answer = await put_part(apps, session_id, number, content[start : start + PART])
        assert answer.status_code == 201, answer.text
        assert answer.json()["part_num"] == number
        parts.append(answer.json())
    return parts


async def end(apps: Platform, session_id: str, action: str, parts: object = None) -> httpx.Response:
    body = {"action": action, **({"parts": parts} if parts is not None else {})}
    return await apps.client.post(f"{ROOT}/sessions/{session_id}", json=body)


async def names(apps: Platform, batch_id: int) -> list[str]:
    return [node["name"] for node in (await apps.get(f"/batches/{batch_id}/files"))["nodes"]]


async def test_parts_become_one_file_when_committed(apps: Platform) -> None:
    batch_id = await apps.batch()
    session_id = await opened(apps, batch_id, "10")
    parts = await sent(apps, session_id, b"0123456789")
    assert await names(apps, batch_id) == []

    committed = await end(apps, session_id, "commit", parts)
    again = await end(apps, session_id, "commit", parts)

    assert committed.status_code == again.status_code == 204
    assert await names(apps, batch_id) == ["big.pdf"]
    path = apps.folder(f"batches/{batch_id}/big.pdf")
    assert (await apps.client.get(f"/api/v2/files/{path}")).content == b"0123456789"
    assert (await apps.leftovers())[0] == 1
    assert (await end(apps, session_id, "abort")).status_code == 409
    assert (await end(apps, session_id, "commit", parts[:1])).status_code == 409
    assert (await put_part(apps, session_id, 1, b"0123")).status_code == 409


async def test_a_part_may_be_sent_again_and_the_last_one_counts(apps: Platform) -> None:
    batch_id = await apps.batch()
    session_id = await opened(apps, batch_id, 5)
    first = (await put_part(apps, session_id, 1, b"0123")).json()
    same = (await put_part(apps, session_id, 1, b"0123")).json()
    other = (await put_part(apps, session_id, 1, b"abcd")).json()
    last = (await put_part(apps, session_id, 2, b"e")).json()

    stale = await end(apps, session_id, "commit", [first, last])
    good = await end(apps, session_id, "commit", [other, last])

    assert same == first
    assert stale.status_code == 400
    assert "another part_id" in stale.json()["message"]
    assert good.status_code == 204
    path = apps.folder(f"batches/{batch_id}/big.pdf")
    assert (await apps.client.get(f"/api/v2/files/{path}")).content == b"abcde"
    assert (await apps.leftovers())[0] == 1


async def test_a_commit_must_name_every_part_in_order(apps: Platform) -> None:
    batch_id = await apps.batch()
    session_id = await opened(apps, batch_id, 10)
    parts = await sent(apps, session_id, b"01234567")
    missing = {"part_num": 3, "part_id": "pt_none"}

    for named, told in (
        (None, "must name 1 to 3"),
        (parts, "must name 1 to 3"),
        ([parts[1], parts[0], missing], "must name 1 to 3"),
        ([*parts, missing], "was not received"),
    ):
        answer = await end(apps, session_id, "commit", named)
        assert answer.status_code == 400
        assert told in answer.json()["message"]
    assert await names(apps, batch_id) == []
    assert (await end(apps, session_id, "finish")).status_code == 400


async def test_a_part_must_have_its_size_and_number(apps: Platform) -> None:
    session_id = await opened(apps, await apps.batch(), 10)

    for number, content in ((1, b"012"), (3, b"0123"), (0, b"x"), (4, b"x"), (10**6, b"x")):
        answer = await put_part(apps, session_id, number, content)
        assert answer.status_code == 400
        assert "part" in answer.json()["message"].lower()

    async def chunked() -> object:
        yield b"01"

    unsized = await apps.client.put(f"{ROOT}/sessions/{session_id}/parts/1", content=chunked())  # type: ignore[arg-type]
    assert unsized.status_code == 400
    assert "has 2 bytes and must have 4" in unsized.json()["message"]
    assert (await apps.leftovers())[0] == 0


async def test_an_aborted_upload_leaves_nothing(apps: Platform) -> None:
    batch_id = await apps.batch()
    session_id = await opened(apps, batch_id, 10)
    parts = await sent(apps, session_id, b"0123456789")

    aborted = await end(apps, session_id, "abort")
    again = await end(apps, session_id, "abort")
    late = await end(apps, session_id, "commit", parts)

    assert aborted.status_code == again.status_code == 204
    assert late.status_code == 409
    assert "aborted" in late.json()["message"]
    assert await apps.leftovers() == (0, [])


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"file_size": 0}, 400, "is empty"),
        ({"file_size": -5}, 400, "is empty"),
        ({"file_size": 2**40}, 413, "Split it"),
        ({"file_size": 1.5}, 400, "whole number"),
        ({"filename": "../up"}, 400, "leave its folder"),
        ({"filename": "n" * 300}, 413, "255"),
        ({"batch_id": 4711}, 404, "no batch"),
        ({"batch_id": None}, 400, "batch_id"),
    ],
)
async def test_an_upload_that_cannot_be_is_refused(
    apps: Platform, change: dict[str, object], status: int, told: str
) -> None:
    body = {"batch_id": await apps.batch(), "filename": "a", "file_size": 3, **change}

    answer = await apps.client.post(ROOT, json=body)

    assert answer.status_code == status
    assert told in answer.json()["message"]


async def test_an_idle_upload_expires_with_its_parts(apps: Platform, clock: ManualClock) -> None:
    session_id = await opened(apps, await apps.batch(), 10)
    await put_part(apps, session_id, 1, b"0123")
    clock.advance(limits.UPLOAD_SESSION_S - 10)
    await put_part(apps, session_id, 2, b"4567")
    clock.advance(limits.UPLOAD_SESSION_S - 10)
    assert apps.sweep()["uploads"] == 0

    clock.advance(20)

    assert apps.sweep()["uploads"] == 1
    assert await apps.leftovers() == (0, [])
    gone = await put_part(apps, session_id, 3, b"89")
    assert gone.status_code == 404
    assert "expired" in gone.json()["message"]


async def test_another_organisation_cannot_touch_an_upload(apps: Platform) -> None:
    session_id = await opened(apps, await apps.batch(), 4)
    async with await apps.other() as other:
        put = await other.put(f"{ROOT}/sessions/{session_id}/parts/1", content=b"0123")
        abort = await other.post(f"{ROOT}/sessions/{session_id}", json={"action": "abort"})

    assert put.status_code == abort.status_code == 404
    assert (await put_part(apps, session_id, 1, b"0123")).status_code == 201

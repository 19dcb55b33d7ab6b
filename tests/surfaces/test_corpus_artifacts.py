"""Artifacts: files that tasks leave, and the addresses that take and give bytes without a key."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from longshore import ids, limits
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.engine import artifacts as blobs
from longshore.errors import InvalidRequest
from longshore.storage import Database
from longshore.surfaces.corpus import artifacts
from longshore.wire.tasks import TaskFile
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.corpus_tasks_rig import Task, bearer, end_task, run_task

CONTENT = b'{"a": 1}\n' * 1000


@dataclass
class Rig:
    corpora: Corpora
    corpus_id: str
    task: Task
    clock: ManualClock

    @property
    def path(self) -> str:
        return f"/task/{self.task.id}/artifacts/"

    async def call(self, method: str, path: str, **more: Any) -> Any:
        return await self.corpora.call(method, path, **{"headers": self.task.headers, **more})

    async def announce(
        self,
        path: str = "out/results.json",
        *,
        size: int = len(CONTENT),
        content_type: str = "application/json",
        **more: Any,
    ) -> Any:
        body = {"path": path, "content_type": content_type, "size": size}
        return await self.call("POST", self.path, body=body, **{"expect": 201, **more})

    async def put(
        self, address: str, content: bytes = CONTENT, content_type: str | None = "application/json"
    ) -> httpx.Response:
        """Send bytes as the published client does: to the address it was given, without a key."""
        headers = {"Authorization": ""} | (
            {} if content_type is None else {"Content-Type": content_type}
        )
        return await self.corpora.client.put(address, content=content, headers=headers)

    async def get(self, path: str) -> httpx.Response:
        address = f"/api/v1/task/{self.task.id}/artifact/{quote(path, safe='')}"
        return await self.corpora.client.get(address, headers=self.task.headers)

    async def listed(self) -> list[str]:
        return [each["path"] for each in await self.call("GET", self.path)]

    def stored(self) -> int:
        """Return how many blobs count."""
        organisation_id = self.corpora.served.organisation.id
        return self.corpora.database.read_blocking(blobs.counts, organisation_id)["objects"]


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Rig]:
    async with corpora_of(database, clock, tmp_path) as corpora:
        corpus_id = corpora.corpus()
        yield Rig(corpora, corpus_id, run_task(corpora, corpus_id), clock)


async def test_a_file_is_announced_sent_without_a_key_listed_and_downloaded(rig: Rig) -> None:
    made = await rig.announce()
    assert made["s3_put_url"].startswith("http://test/api/v1/uploads/")
    assert await rig.call("GET", rig.path) == []
    assert (await rig.get("out/results.json")).status_code == 404
    assert (await rig.put(made["s3_put_url"])).status_code == 200
    [listed] = await rig.call("GET", rig.path)
    assert (listed["id"], listed["path"]) == (made["id"], "out/results.json")
    assert (listed["size"], listed["content_type"]) == (len(CONTENT), "application/json")
    assert listed["s3_put_url"] is None
    got = await rig.get("out/results.json")
    assert got.content == CONTENT
    # JSON and text would be decoded by the published clients.
    assert got.headers["content-type"] == "application/octet-stream"
    assert "results.json" in got.headers["content-disposition"]


async def test_an_address_takes_its_bytes_once(rig: Rig) -> None:
    address = (await rig.announce())["s3_put_url"]
    await rig.put(address)
    again = await rig.put(address)
    assert again.status_code == 404
    assert again.json()["type"] == "client_error"
    assert rig.stored() == 1


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""])
async def test_bytes_of_another_size_are_refused_and_the_address_stays_good(
    rig: Rig, content: bytes
) -> None:
    address = (await rig.announce())["s3_put_url"]
    refused = await rig.put(address, content)
    assert refused.status_code in (400, 413), refused.text
    assert await rig.listed() == []
    assert (await rig.put(address)).status_code == 200


async def test_the_log_has_no_address_that_could_be_used(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    address = (await rig.announce())["s3_put_url"]
    with caplog.at_level(logging.INFO, logger="longshore.access"):
        await rig.put(address, b"")
        await rig.put("/api/v1/uploads/parts/abcdefgh")
        await rig.corpora.client.get("/api/v1/downloads/ijklmnop/x.sqlite")
    assert "/api/v1/uploads/..." in caplog.text
    for secret in (address.rpartition("/")[2], "abcdefgh", "ijklmnop"):
        assert secret not in caplog.text


async def test_bytes_that_come_in_pieces_are_counted(rig: Rig) -> None:
    address = (await rig.announce())["s3_put_url"]

    async def pieces() -> AsyncIterator[bytes]:
        yield CONTENT[:100]
        yield CONTENT[100:200]

    headers = {"Authorization": "", "Content-Type": "application/json"}
    refused = await rig.corpora.client.put(address, content=pieces(), headers=headers)
    assert refused.status_code == 400, refused.text
    assert rig.stored() == 0


async def test_another_content_type_is_refused(rig: Rig) -> None:
    address = (await rig.announce())["s3_put_url"]
    assert (await rig.put(address, content_type="text/html")).status_code == 400
    assert (await rig.put(address, content_type="application/JSON; x=y")).status_code == 200


async def test_an_address_ends_after_a_while(rig: Rig) -> None:
    address = (await rig.announce())["s3_put_url"]
    rig.clock.advance(limits.UPLOAD_LINK_S + 1)
    assert (await rig.put(address)).status_code == 404


@pytest.mark.parametrize("secret", ["x", "x" * 43, "%00", "..%2F..", "é" * 43])
async def test_a_guessed_address_takes_and_gives_nothing(rig: Rig, secret: str) -> None:
    await rig.announce()
    assert (await rig.put(f"/api/v1/uploads/{secret}")).status_code in (400, 404)
    got = await rig.corpora.client.get(f"/api/v1/downloads/{secret}/x")
    assert got.status_code in (400, 404)


async def test_a_new_address_ends_the_one_before_and_new_bytes_replace_the_old(rig: Rig) -> None:
    first = (await rig.announce())["s3_put_url"]
    made = await rig.announce()
    assert (await rig.put(first)).status_code == 404
    await rig.put(made["s3_put_url"])
    # A task that is tried again leaves the same files.
    again = await rig.announce(size=3)
    assert again["id"] == made["id"]
    assert (await rig.get("out/results.json")).content == CONTENT
    await rig.put(again["s3_put_url"], b"new")
    assert (await rig.get("out/results.json")).content == b"new"
    assert rig.stored() == 1


@pytest.mark.parametrize(
    "path",
    ["", "/", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "a\\..\\b", "a\nb", "."],
)
async def test_a_path_that_leaves_the_directory_is_refused(rig: Rig, path: str) -> None:
    refused = await rig.announce(path, expect=400)
    assert refused["errors"][0]["attr"] == ["path"]
    file = TaskFile(path=path, blob_id="bl_" + "0" * 26, size_bytes=1, sha256="0" * 64)
    with pytest.raises(InvalidRequest):
        rig.corpora.database.write_blocking(
            artifacts.add, rig.corpora.served.organisation.id, rig.task.id, [file]
        )


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"size": -1}, 400),
        ({"size": limits.ARTIFACT_BYTES + 1}, 413),
        ({"content_type": ""}, 400),
        ({"content_type": "a\r\nb: c"}, 400),
        ({"path": "x" * (limits.PATH_BYTES + 1)}, 413),
    ],
)
async def test_a_file_that_cannot_be_one_is_refused(
    rig: Rig, fields: dict[str, Any], status: int
) -> None:
    await rig.announce(**fields, expect=status)


async def test_a_task_leaves_files_of_its_own_only(rig: Rig) -> None:
    other = run_task(rig.corpora, rig.corpus_id)
    await rig.announce(headers=other.headers, expect=403)
    await rig.announce(headers=bearer(rig.corpora.served.token(Role.VIEWER)), expect=403)
    await rig.announce(headers=bearer(rig.corpora.served.token(Role.OPERATOR)))
    await end_task(rig.corpora, rig.task)
    await rig.announce(expect=401)


async def test_tasks_of_others_and_of_nobody_are_not_found(rig: Rig) -> None:
    await rig.put((await rig.announce("x"))["s3_put_url"])
    _, other = rig.corpora.served.other_organisation()
    for task_id in (rig.task.id, ids.uuid(), "nonsense"):
        headers = bearer(other)
        path = f"/task/{task_id}/artifacts/"
        told = await rig.corpora.call("GET", path, headers=headers, expect=404)
        assert told["detail"] == f"There is no task {task_id}."
        got = await rig.corpora.client.get(f"/api/v1/task/{task_id}/artifact/x", headers=headers)
        assert got.status_code == 404
        await rig.announce(headers=headers, expect=404)


async def test_files_that_a_worker_uploaded_become_artifacts_once(rig: Rig) -> None:
    organisation_id = rig.corpora.served.organisation.id
    sent = await rig.corpora.client.post("/longshore/v1/blobs", content=CONTENT)
    blob = sent.json()
    file = TaskFile(
        path="a/b c.txt",
        blob_id=blob["blob_id"],
        size_bytes=len(CONTENT),
        sha256=blob["sha256"],
        content_type="text/plain",
    )
    for _ in range(2):
        rig.corpora.database.write_blocking(artifacts.add, organisation_id, rig.task.id, [file])
    assert await rig.listed() == ["a/b c.txt"]
    got = await rig.get("a/b c.txt")
    assert got.content == CONTENT
    assert got.headers["content-type"] == "application/octet-stream"
    other = run_task(rig.corpora, rig.corpus_id)
    with pytest.raises(InvalidRequest):
        rig.corpora.database.write_blocking(artifacts.add, organisation_id, other.id, [file])


async def test_forgotten_artifacts_give_their_bytes_up(rig: Rig) -> None:
    await rig.put((await rig.announce())["s3_put_url"])
    gone = rig.corpora.database.write_blocking(artifacts.forget, [rig.task.id])
    assert (gone.count, gone.size_bytes) == (1, len(CONTENT))
    assert await rig.listed() == []


async def test_a_part_of_a_file_can_be_had(rig: Rig) -> None:
    await rig.put((await rig.announce("x"))["s3_put_url"])
    got = await rig.corpora.client.get(
        f"/api/v1/task/{rig.task.id}/artifact/x", headers={"Range": "bytes=1-3"}
    )
    assert (got.status_code, got.content) == (206, CONTENT[1:4])

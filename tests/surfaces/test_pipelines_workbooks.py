"""Workbooks become versions of services over HTTP, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from longshore import limits, workbooks
from longshore.access import Role
from longshore.engine import artifacts, queues
from longshore.engine.tables import artifacts as artifact_rows
from longshore.server.native import NATIVE
from longshore.storage import Database
from longshore.surfaces.pipelines import services
from longshore.surfaces.pipelines import workbooks as workbook_services
from longshore.surfaces.pipelines.services import Version
from tests.unit.serving import Served, bearer, serving
from tests.unit.workbook_files import quote, save

NAME = "tariffs/quote"
INPUTS = ("age", "amount", "level")
OUTPUTS = ("premium", "note")
PATH = f"{NATIVE}/services/workbooks"


@dataclass
class Uploads:
    """A server that takes workbooks, and a workbook."""

    served: Served
    path: Path

    @property
    def database(self) -> Database:
        return self.served.database

    @property
    def organisation_id(self) -> str:
        return self.served.organisation.id

    async def send(
        self,
        path: Path | None = None,
        *,
        name: str = NAME,
        inputs: Sequence[str] = INPUTS,
        outputs: Sequence[str] = OUTPUTS,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> httpx.Response:
        return await self.served.client.post(
            PATH,
            params={"name": name, "inputs": inputs, "outputs": outputs, **query},
            content=(path or self.path).read_bytes(),
            headers=headers,
        )

    async def add(self, path: Path | None = None, **how: Any) -> dict[str, Any]:
        answer = await self.send(path, **how)
        assert answer.status_code == 201, answer.text
        added: dict[str, Any] = answer.json()
        return added

    async def refused(self, status: int, path: Path | None = None, **how: Any) -> str:
        answer = await self.send(path, **how)
        assert answer.status_code == status, answer.text
        return answer.text

    async def versions(self) -> list[str]:
        answer = await self.served.client.get(f"{NATIVE}/services")
        return [each["uri"] for one in answer.json()["services"] for each in one["versions"]]

    def version(self, version_id: str) -> Version:
        return self.database.read_blocking(services.get, self.organisation_id, version_id)

    def blobs(self) -> dict[str, int]:
        """Return how many blobs there are in each state."""

        def count(connection: Connection) -> dict[str, int]:
            states = list(connection.execute(select(artifact_rows.c.state)).scalars())
            return {state: states.count(state) for state in set(states)}

        return self.database.read_blocking(count)


@pytest.fixture
async def uploads(database: Database, tmp_path: Path) -> AsyncIterator[Uploads]:
    async with serving(database, tmp_path / "data") as served:
        yield Uploads(served, quote(tmp_path / "quote.xlsx"))


async def test_a_workbook_becomes_a_version_of_a_service(uploads: Uploads) -> None:
    added = await uploads.add()
    assert added["uri"] == "tariffs/quote[1.0.0]"
    assert (added["kind"], added["made"]) == ("workbook", True)
    assert added["example"] == {"premium": 200, "note": "high"}
    assert added["inputs"] == [
        {"name": "age", "kind": "number", "required": False, "default": 30},
        {"name": "amount", "kind": "number", "required": False, "default": 10_000},
        {"name": "level", "kind": "text", "required": False, "default": "gold"},
    ]
    assert added["outputs"] == ["premium", "note"]
    assert await uploads.versions() == ["tariffs/quote[1.0.0]"]
    assert uploads.blobs() == {"stored": 1}


async def test_the_stored_file_is_what_was_sent(uploads: Uploads) -> None:
    version = uploads.version((await uploads.add())["id"])
    assert version.blob_id is not None
    answer = await uploads.served.client.get(f"{NATIVE}/blobs/{version.blob_id}")
    assert answer.content == uploads.path.read_bytes()
    stored = uploads.database.read_blocking(artifacts.get, uploads.organisation_id, version.blob_id)
    file = workbook_services.file_of(version)
    assert file is not None
    assert (file.sha256, file.size_bytes) == (stored.sha256, stored.size_bytes)
    assert (file.inputs, file.outputs) == (list(INPUTS), list(OUTPUTS))


async def test_the_same_workbook_again_is_the_same_version(uploads: Uploads) -> None:
    first = await uploads.add()
    for how in ({}, {"version": "1.0.0"}, {"name": "Tariffs/QUOTE"}):
        again = await uploads.add(**how)
        assert (again["id"], again["made"]) == (first["id"], False)
    assert uploads.blobs()["stored"] == 1


async def test_another_workbook_becomes_the_next_version(uploads: Uploads, tmp_path: Path) -> None:
    await uploads.add(version="2.9")
    other = await uploads.add(quote(tmp_path / "other.xlsx", factor=1.5))
    assert other["uri"] == "tariffs/quote[2.10]"
    fewer = await uploads.add(inputs=["age"])
    assert fewer["uri"] == "tariffs/quote[2.11]"
    assert await uploads.versions() == [f"tariffs/quote[2.{n}]" for n in (11, 10, 9)]


async def test_a_version_never_gets_other_content(uploads: Uploads, tmp_path: Path) -> None:
    first = await uploads.add(version="1.0.0")
    other = quote(tmp_path / "other.xlsx", factor=1.5)
    assert "another workbook" in await uploads.refused(409, other, version="1.0.0")
    assert "other inputs" in await uploads.refused(409, inputs=["age"], version="1.0.0")
    assert uploads.version(first["id"]).blob_id is not None
    assert uploads.blobs()["stored"] == 1


async def test_of_two_workbooks_at_once_one_becomes_the_version(
    uploads: Uploads, tmp_path: Path
) -> None:
    other = quote(tmp_path / "other.xlsx", factor=1.5)
    answers = await asyncio.gather(
        uploads.send(version="1.0.0"), uploads.send(other, version="1.0.0")
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert uploads.blobs()["stored"] == 1


async def test_a_repeated_request_gets_the_same_answer(uploads: Uploads) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await uploads.send(headers=headers)
    again = await uploads.send(headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert uploads.blobs()["stored"] == 1


async def test_a_workbook_that_cannot_be_computed_is_refused_and_nothing_is_left(
    uploads: Uploads, tmp_path: Path
) -> None:
    names = {"x": "Calc!$A$1", "y": "Calc!$B$1"}
    path = save(tmp_path / "bad.xlsx", {"A1": 1, "B1": '=CUBEVALUE("a",A1)'}, names)
    said = await uploads.refused(400, path, inputs=["x"], outputs=["y"])
    assert "CUBEVALUE in Calc!B1" in said
    assert "premum" in await uploads.refused(400, outputs=["premum"])
    assert await uploads.versions() == []
    assert uploads.blobs() == {"doomed": 2}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"name": "quote"}, "cannot be the name of a service"),
        ({"name": "a/b[1]"}, "cannot be the name of a service"),
        ({"version": "../1"}, "cannot be a version"),
        ({"inputs": ["x" * 256]}, "may have 255"),
    ],
)
async def test_wrong_names_are_refused_before_the_file_is_taken(
    uploads: Uploads, how: dict[str, Any], said: str
) -> None:
    assert said in await uploads.refused(400, **how)
    assert uploads.blobs() == {}


async def test_a_file_that_is_too_large_is_refused_unread(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WORKBOOK_BYTES", 100)
    assert "100" in await uploads.refused(413)
    assert uploads.blobs().get("stored", 0) == 0


async def test_a_server_without_the_libraries_says_what_to_install(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "installed", lambda: False)
    assert "longshore[workbooks]" in await uploads.refused(503)
    assert uploads.blobs() == {}


async def test_only_so_many_are_checked_at_once(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert workbook_services._CHECKS.acquire(blocking=False)
    try:
        assert "Try again" in await uploads.refused(503)
    finally:
        workbook_services._CHECKS.release(2)
    await uploads.add()


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.OPERATOR, 403),
                                              (Role.WORKER, 403), (Role.DEVELOPER, 201)])  # fmt: skip
async def test_developers_add_workbooks(uploads: Uploads, role: Role, status: int) -> None:
    headers = bearer(uploads.served.token(role))
    assert (await uploads.send(headers=headers)).status_code == status


async def test_a_deleted_version_takes_its_file_along(uploads: Uploads) -> None:
    added = await uploads.add()
    answer = await uploads.served.client.delete(f"{NATIVE}/services/{added['id']}")
    assert answer.status_code == 200, answer.text
    assert uploads.blobs() == {"doomed": 1}
    assert (await uploads.add())["made"] is True


async def test_organisations_do_not_see_each_others_workbooks(uploads: Uploads) -> None:
    await uploads.add()
    _, token = uploads.served.other_organisation()
    added = await uploads.add(headers=bearer(token))
    assert (added["made"], added["uri"]) == (True, "tariffs/quote[1.0.0]")


async def test_a_worker_serves_workbooks_that_come_after_it(uploads: Uploads) -> None:
    offered = uploads.database.write_blocking(services.offer_workbooks, uploads.organisation_id)
    added = await uploads.add()
    version = uploads.version(added["id"])
    assert [uploads.database.read_blocking(queues.get, version.queue_id).parent_id] == offered
    found = uploads.database.read_blocking(services.serving_queue, version)
    assert [found] == offered
    again = uploads.database.write_blocking(services.offer_workbooks, uploads.organisation_id)
    assert again == offered

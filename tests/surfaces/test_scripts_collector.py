"""The Collector's contract as a whole: the calls of the libraries, over a socket, in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.access import Role
from longshore.clock import ManualClock
from longshore.server.app import describe
from longshore.storage import Database
from tests.surfaces import collector_rig as rig
from tests.surfaces.scripts_rig import Held, Scripts, scripts_of
from tests.unit.serving import listening

DATA = """
workflow: data
triggers:
  events: [{name: data-arrived}]
defaults: {host: host1}
steps:
  Extract: {script: extract.py, retries: {attempts: 1, delay_s: 0}}
  fetch: {script: fetch.py, depends_on: [Extract], matrix: {part: ["a/b", "c, d?", "Ü"]}}
  load: {script: load.py, depends_on: [fetch]}
"""


@pytest.fixture
async def scripts(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Scripts]:
    async with scripts_of(database, tmp_path, clock) as made:
        await made.serve("host1")
        await made.call("POST", "/workflows", body={"text": DATA})
        yield made


@pytest.fixture
def collector(scripts: Scripts) -> Iterator[str]:
    """The base address (CA_WBS_URL) of a server on a socket."""
    with listening(scripts.served.app) as port:
        yield f"http://127.0.0.1:{port}/coreauto"


class Library:
    """The calls of `cawbs`, as its published contract has them."""

    def __init__(self, base: str, code: str, run_id: object, step: str) -> None:
        self._headers = {"Environment": "local"}
        self._base, self._run_id, self._step = base, str(run_id), step
        token = self.call("POST", "/auth/apicode", {"apiCode": code}).json()["token"]
        self._headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return httpx.request(
            method, f"{self._base}/v1{path}", json=body, headers=self._headers, timeout=20
        )

    def event(self) -> Any:
        return self.call("GET", f"/rtevent/{self._run_id}").json()["payload"]

    def put(self, payload: Any) -> int:
        body = {"actionId": self._run_id, "stepname": self._step.lower(), "payload": payload}
        return self.call("POST", "/rtstep/payload", body).status_code

    def previous(self, step: str) -> httpx.Response:
        return self.call("GET", f"/rtstep/payload/{self._run_id}/{step}")


def library(base: str, held: Held) -> Library:
    return Library(base, held.payload.code, held.payload.run_id, held.payload.step)


async def test_steps_hand_on_what_they_made_as_the_libraries_do_it(
    scripts: Scripts, collector: str
) -> None:
    body = {"eventName": "data-arrived", "payload": {"file": "a.csv"}, "eventSource": "watcher"}
    sent = Library(collector, scripts.served.token(Role.INGRESS), 0, "").call(
        "POST", "/rtevent", body
    )
    assert sent.status_code == 201
    (first,) = await scripts.claim("host1")
    calls = library(collector, first)
    assert calls.event() == {"file": "a.csv"}
    assert calls.put({"error": "the file is cut off"}) == 200
    assert calls.previous("extract").json()["payload"] == {"error": "the file is cut off"}
    await scripts.report("host1", first, outcome="failure", exit_code=1)
    assert calls.put("too late") == 401
    assert calls.previous("extract").status_code == 401

    status = await scripts.call("GET", f"/rtevent/status/{first.payload.run_id}")
    assert status["steps"][0]["status"] in ("waiting", "ready")
    second = await claimed(scripts)
    assert (second.attempt, second.payload.attempt) == (2, 2)
    calls = library(collector, second)
    assert calls.put({"rows": 3, "stage": {"table": "raw/a, b?"}}) == 200
    await scripts.report("host1", second)

    parts = await scripts.claim("host1")
    assert len(parts) == 3
    for held in parts:
        calls = library(collector, held)
        assert calls.previous("EXTRACT").json()["payload"]["rows"] == 3
        assert calls.put(held.payload.matrix["part"]) == 200
        await scripts.report("host1", held)
    load = library(collector, await claimed(scripts))
    assert load.previous("Fetch").json()["payload"] == ["a/b", "c, d?", "Ü"]
    name = parts[0].payload.step.replace("/", "%2F").replace("[", "%5B")
    assert load.previous(name).json()["payload"] == "a/b"
    found = load.call("GET", "/rtstep/payload/actionid/stage,table/raw%2Fa%2C%20b%3F").json()
    assert found["actionId"] == first.payload.run_id
    assert load.call("GET", "/rtstep/payload/actionid/stage%2Ctable/raw/a,%20b%3F").json() == found


async def claimed(scripts: Scripts) -> Held:
    """Claim the one step that is ready, let go of first where its next attempt is due."""
    tidy(scripts.database)
    (held,) = await scripts.claim("host1")
    return held


def tidy(database: Database) -> None:
    database.write_blocking(rig.retry_due)


async def test_an_attempt_that_is_lost_loses_its_token(
    scripts: Scripts, clock: ManualClock
) -> None:
    await rig.send(scripts.served, "POST", "/rtevent", body={"eventName": "data-arrived"})
    (held,) = await scripts.claim("host1")
    token = await scripts.token(held)
    own = f"/rtevent/{held.payload.run_id}"
    assert (await rig.send(scripts.served, "GET", own, headers=token)).status_code == 200
    clock.advance(3600)
    scripts.database.write_blocking(rig.expire_due)
    for method, path, body in (
        ("POST", "/rtstep/once", {"key": "mail"}),
        ("POST", "/rtevent", {"eventName": "data-arrived"}),
        ("POST", "/flag", {"name": "delivered", "date": "2025-01-31"}),
        ("GET", own, None),
        ("GET", "/rtstep/payload/actionid/a/b", None),
    ):
        answer = await rig.send(scripts.served, method, path, headers=token, body=body)
        assert answer.status_code == 401, path


async def test_a_tokens_environment_is_checked_as_well(scripts: Scripts) -> None:
    await rig.send(scripts.served, "POST", "/rtevent", body={"eventName": "data-arrived"})
    (held,) = await scripts.claim("host1")
    token = await scripts.token(held)
    path = f"/rtevent/{held.payload.run_id}"
    for name, expected in (("Local", 200), ("other", 404), ("", 200)):
        headers = {**token, "Environment": name}
        answer = await rig.send(scripts.served, "GET", path, headers=headers)
        assert answer.status_code == expected, name


async def test_a_token_opens_nothing_but_what_steps_need(scripts: Scripts) -> None:
    await rig.send(scripts.served, "POST", "/rtevent", body={"eventName": "data-arrived"})
    (held,) = await scripts.claim("host1")
    token = await scripts.token(held)
    for method, path in (
        ("GET", "/coreauto/v1/flag"),
        ("DELETE", "/coreauto/v1/flag?name=a&date=2025-01-31"),
        ("GET", "/coreauto/v1/workflows"),
        ("POST", "/coreauto/v1/workflows"),
        ("GET", "/coreauto/v1/runs"),
        ("GET", "/longshore/v1/queues"),
        ("POST", "/longshore/v1/worker/claim"),
        ("POST", "/longshore/v1/scripts/code"),
        ("POST", "/longshore/v1/keys"),
        ("GET", "/api/v1/corpus/"),
    ):
        answer = await scripts.client.request(method, path, headers=token, json={})
        assert answer.status_code == 403, path


async def test_each_call_of_the_contract_is_described(scripts: Scripts) -> None:
    paths = describe(scripts.served.app)["paths"]
    for method, path in (
        ("post", "/auth/apicode"),
        ("post", "/rtevent"),
        ("get", "/rtevent/list"),
        ("get", "/rtevent/{actionId}"),
        ("get", "/rtevent/status/{actionId}"),
        ("post", "/rtstep/payload"),
        ("get", "/rtstep/payload/{actionId}/{stepname}"),
        ("get", "/rtstep/payload/actionid/{path}/{value}"),
        ("post", "/rtstep/once"),
        ("post", "/rtstep/once/done"),
        ("post", "/flag"),
        ("get", "/flag"),
        ("delete", "/flag"),
    ):
        operation = paths[f"/coreauto/v1{path}"][method]
        assert len(operation["description"]) > 20, path
        if method == "post":
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            assert body["properties"], path
        for name in ("{actionId}", "{stepname}", "{path}", "{value}"):
            described = {each["name"]: each for each in operation.get("parameters", [])}
            assert (name in path) == (name[1:-1] in described), (path, name)
    assert paths["/coreauto/v1/auth/apicode"]["post"]["security"] == []

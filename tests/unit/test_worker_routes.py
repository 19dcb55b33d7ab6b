"""The server's side of the worker protocol, and that it tells one organisation nothing of another."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from longshore import limits
from longshore.access import Role
from longshore.engine import artifacts, logs, workers, works
from longshore.engine.works import NewWork, State
from longshore.errors import NotFound
from longshore.storage import Database
from longshore.wire.payloads import AppDocument, AppFile, AppPayload, AppResult
from tests.unit.serving import Served, bearer, listening, serving
from tests.unit.worker_server import WorkerProcess, poll

NATIVE = "/longshore/v1"
APP = {"name": "Good", "owner": "local", "version": "1.0.0", "attempts_max": 3}


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


class Client:
    """Speaks the protocol with one key."""

    def __init__(self, served: Served, token: str) -> None:
        self.served = served
        self.headers = bearer(token)
        self.worker_id = ""
        self.queues: list[int] = []

    async def raw(self, verb: str, **body: Any) -> httpx.Response:
        return await self.served.client.post(
            f"{NATIVE}/worker/{verb}", json=body, headers=self.headers
        )

    async def post(self, verb: str, **body: Any) -> Any:
        answer = await self.raw(verb, worker_id=self.worker_id, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def register(self, incarnation: str = "1", **more: Any) -> Any:
        body = {"name": "dock", "slots": 2, "apps": [APP], "incarnation": incarnation}
        answer = await self.raw("register", **(body | more))
        assert answer.status_code == 200, answer.text
        registered = answer.json()
        self.worker_id, self.queues = registered["worker_id"], registered["queues"]
        return registered

    async def claim(self, limit: int = 10, wait_s: float = 0.0) -> list[Any]:
        answer = await self.post("claim", queues=self.queues, limit=limit, wait_s=wait_s)
        found: list[Any] = answer["works"]
        return found

    async def submit(self, count: int = 1, payload: bytes = b'{"a": 1}') -> list[str]:
        new = [NewWork(self.queues[0], payload) for _ in range(count)]
        made = await self.served.database.write(works.submit, new, actor="test")
        return [each.id for each in made]


@pytest.fixture
async def client(served: Served) -> Client:
    made = Client(served, served.token(Role.WORKER))
    await made.register()
    return made


@pytest.fixture
async def stranger(served: Served) -> Client:
    other, _ = served.other_organisation()
    made = Client(served, served.token(Role.WORKER, organisation_id=other.id))
    await made.register(incarnation="2")
    return made


def success(work: Any, result: str = '{"documents": []}') -> dict[str, Any]:
    return {
        "work_id": work["work_id"],
        "attempt": work["attempt"],
        "outcome": "success",
        "result": msgspec.json.decode(result),
    }


async def state(client: Client, work_id: str) -> State:
    return (await client.served.database.read(works.get, work_id)).state


async def test_the_same_incarnation_is_the_same_worker(client: Client) -> None:
    first = client.worker_id
    again = await client.register()
    assert again["worker_id"] == first
    assert again["lease_s"] == client.served.context.settings.lease_s
    assert (await client.register(incarnation="3"))["worker_id"] != first


async def test_a_claimed_work_is_reported_once_and_may_be_repeated(client: Client) -> None:
    [work_id] = await client.submit()
    [work] = await client.claim()
    assert work["work_id"] == work_id
    assert work["surface"] == "apps"
    assert work["payload"] == {"a": 1}
    for _ in range(2):
        assert await client.post("report", reports=[success(work)]) == {"lost": []}
    assert await state(client, work_id) == State.SUCCESS
    output = (await client.served.database.read(works.outputs, [work_id]))[work_id]
    assert output.result == b'{"documents":[]}'


async def test_a_waiting_claim_gets_a_work_that_arrives(client: Client) -> None:
    waiting = asyncio.create_task(client.claim(wait_s=20))
    for _ in range(5):
        await asyncio.sleep(0)
    [work_id] = await client.submit()
    async with asyncio.timeout(10):
        [work] = await waiting
    assert work["work_id"] == work_id


async def test_an_idle_claim_writes_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(*_: Any, **__: Any) -> None:
        raise AssertionError("an idle claim wrote")

    # That it claims at all is noted at once, and now and then.
    assert await client.claim(wait_s=0.05) == []
    with monkeypatch.context() as patched:
        patched.setattr(type(client.served.database), "write", write)
        assert await client.claim(wait_s=0.05) == []


async def test_a_stopping_server_hands_out_nothing(client: Client) -> None:
    await client.submit()
    waiting = asyncio.create_task(
        client.raw("claim", worker_id=client.worker_id, queues=client.queues, limit=1)
    )
    client.served.context.stop()
    answer = await waiting
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"


async def test_renewal_names_what_is_lost_and_what_is_to_be_cancelled(client: Client) -> None:
    await client.submit(2)
    kept, cancelled = await client.claim()
    await client.served.database.write(
        works.cancel, [cancelled["work_id"]], actor="test", why="test"
    )
    answer = await client.post(
        "renew",
        leases=[[kept["work_id"], 1], [cancelled["work_id"], 1], ["wk_nothing", 1]],
    )
    lost = {each["work_id"]: each for each in answer["lost"]}
    assert set(lost) == {cancelled["work_id"], "wk_nothing"}
    assert lost[cancelled["work_id"]]["cancelled"] is True
    assert lost["wk_nothing"]["cancelled"] is False


async def test_lines_of_works_that_are_not_held_are_dropped(client: Client) -> None:
    await client.submit()
    [work] = await client.claim()
    line = {"work_id": work["work_id"], "attempt": 1, "at_us": 5, "stream": "odd", "text": "a\0b"}
    other = {**line, "work_id": "wk_nothing"}
    assert await client.post("logs", lines=[line, other]) == {"dropped": 1}
    [kept] = await client.served.database.read(logs.read, [work["work_id"]], limit=10)
    assert (kept.stream, kept.text) == ("worker", "a\ufffdb")


async def test_a_worker_that_leaves_gives_back_what_it_holds(client: Client) -> None:
    [work_id] = await client.submit()
    await client.claim()
    assert await client.post("leave") == {"released": 1}
    assert await client.served.database.read(workers.online, client.queues[0]) == 0
    assert await state(client, work_id) != State.RUNNING


async def test_another_organisation_learns_nothing_and_changes_nothing(
    client: Client, stranger: Client
) -> None:
    [work_id] = await client.submit()
    [work] = await client.claim()
    pair = [work_id, work["attempt"]]
    nothing = await stranger.post("report", reports=[success({"work_id": "wk_no", "attempt": 1})])
    theirs = await stranger.post("report", reports=[success(work)])
    assert theirs["lost"][0]["reason"] == nothing["lost"][0]["reason"]
    assert "does not exist" in theirs["lost"][0]["reason"]
    renewed = await stranger.post("renew", leases=[pair])
    assert "does not exist" in renewed["lost"][0]["reason"]
    assert await state(client, work_id) == State.RUNNING


@pytest.mark.parametrize("verb", ["claim", "renew", "report", "logs", "leave"])
async def test_a_worker_of_another_organisation_is_unknown(
    client: Client, stranger: Client, verb: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "claim": {"queues": [], "limit": 1},
        "renew": {"leases": []},
        "report": {"reports": []},
        "logs": {"lines": []},
        "leave": {},
    }
    answers = [
        await stranger.raw(verb, worker_id=worker_id, **bodies[verb])
        for worker_id in (client.worker_id, "wr_nothing")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert "Register again" in answers[0].json()["detail"]


async def test_queues_of_another_organisation_are_unknown(client: Client, stranger: Client) -> None:
    await client.submit()
    answers = [
        await stranger.raw("claim", worker_id=stranger.worker_id, queues=[queue], limit=1, wait_s=0)
        for queue in (client.queues[0], 987654)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["title"] == answers[1].json()["title"]


@pytest.mark.parametrize(
    ("verb", "body", "says"),
    [
        ("register", {"name": "a", "slots": 0, "incarnation": "1"}, "slots is 0"),
        ("register", {"name": "", "slots": 1, "incarnation": "1"}, "name must have"),
        ("register", {"name": "a", "slots": 1, "incarnation": ""}, "incarnation must have"),
        ("register", {"name": "a", "slots": 1}, "incarnation"),
        ("claim", {"queues": [], "limit": 0}, "limit is 0"),
        ("claim", {"queues": [], "limit": 1001}, "limit is 1001"),
        ("renew", {"leases": [{"work_id": 3}]}, "cannot be used"),
    ],
)
async def test_bad_requests_get_a_clear_answer(
    client: Client, verb: str, body: dict[str, Any], says: str
) -> None:
    if verb != "register":
        body = {"worker_id": client.worker_id, **body}
    answer = await client.raw(verb, **body)
    assert answer.status_code in (400, 422)
    assert says in answer.json()["detail"]


async def test_a_viewers_key_cannot_claim(served: Served, client: Client) -> None:
    viewer = Client(served, served.token(Role.VIEWER))
    answer = await viewer.raw("claim", worker_id=client.worker_id, queues=[], limit=1)
    assert answer.status_code == 403


async def test_a_result_over_the_limit_is_refused(client: Client) -> None:
    [work_id] = await client.submit()
    [work] = await client.claim()
    large = success(work, '"' + "x" * limits.JSON_BODY_BYTES + '"')
    answer = await client.raw("report", worker_id=client.worker_id, reports=[large])
    assert answer.status_code == 413
    assert await state(client, work_id) == State.RUNNING


async def upload(client: Client, data: bytes = b"%PDF-1.7") -> dict[str, Any]:
    answer = await client.served.client.post(
        f"{NATIVE}/blobs", content=data, headers=client.headers
    )
    assert answer.status_code == 201
    stored: dict[str, Any] = answer.json()
    assert stored["size_bytes"] == len(data)
    assert stored["sha256"] == hashlib.sha256(data).hexdigest()
    return stored


def with_pdf(work: Any, stored: dict[str, Any]) -> dict[str, Any]:
    result = AppResult(
        documents=[AppDocument(fields=[])],
        pdf_blob_id=stored["blob_id"],
        pdf_size_bytes=stored["size_bytes"],
        pdf_sha256=stored["sha256"],
    )
    return success(work, msgspec.json.encode(result).decode())


async def test_an_uploaded_pdf_counts_once_its_report_is_accepted(client: Client) -> None:
    await client.submit()
    [work] = await client.claim()
    stored = await upload(client)
    place = f"{NATIVE}/blobs/{stored['blob_id']}"
    before = await client.served.client.get(place, headers=client.headers)
    assert before.status_code == 404
    for _ in range(2):
        assert await client.post("report", reports=[with_pdf(work, stored)]) == {"lost": []}
    after = await client.served.client.get(place, headers=client.headers)
    assert after.content == b"%PDF-1.7"
    assert after.headers["x-checksum-sha256"] == stored["sha256"]


async def test_a_pdf_of_a_refused_report_does_not_count(client: Client) -> None:
    stored = await upload(client)
    nobodys = with_pdf({"work_id": "wk_nothing", "attempt": 1}, stored)
    assert len((await client.post("report", reports=[nobodys]))["lost"]) == 1
    with pytest.raises(NotFound):
        await client.served.database.read(
            artifacts.get, client.served.organisation.id, stored["blob_id"]
        )


async def test_a_pdf_of_another_organisation_is_refused(client: Client, stranger: Client) -> None:
    [work_id] = await stranger.submit()
    [work] = await stranger.claim()
    stored = await upload(client)
    answer = await stranger.raw(
        "report", worker_id=stranger.worker_id, reports=[with_pdf(work, stored)]
    )
    assert answer.status_code == 400
    assert await state(stranger, work_id) == State.RUNNING
    place = f"{NATIVE}/blobs/{stored['blob_id']}"
    assert (await client.served.client.get(place, headers=client.headers)).status_code == 404


async def test_a_real_worker_runs_works_of_a_real_server(served: Served, tmp_path: Path) -> None:
    client = Client(served, served.token(Role.WORKER))
    await client.register(incarnation="first")
    data = b"brought ashore"
    stored = await upload(client, data)
    await served.database.write(
        artifacts.store, stored["blob_id"], size_bytes=len(data), sha256=stored["sha256"]
    )
    payload = AppPayload(
        run_id="rn_1",
        owner="LOCAL",
        app="good",
        version="1.0.0",
        position=0,
        file=AppFile(
            blob_id=stored["blob_id"], name="a.txt", size_bytes=len(data), sha256=stored["sha256"]
        ),
    )
    modules = [str(Path(__file__).with_name("worker_apps.py"))]
    token = client.headers["Authorization"].removeprefix("Bearer ")
    with listening(served.app) as port:
        url = f"http://127.0.0.1:{port}"
        worker = WorkerProcess(url, modules, tmp_path / "worker.log", key=token)
        try:
            made = await client.submit(3, msgspec.json.encode(payload))
            await asyncio.to_thread(
                poll,
                lambda: all(
                    served.database.read_blocking(works.get, work_id).state == State.SUCCESS
                    for work_id in made
                ),
            )
        finally:
            await asyncio.to_thread(worker.close)
            # Lets the claim go that the worker has hung up on.
            served.context.stop()
        assert worker.process.returncode == 0, worker.text()
    outputs = await served.database.read(works.outputs, made)
    for output in outputs.values():
        result = msgspec.json.decode(output.result or b"", type=AppResult)
        assert result.documents[0].fields[0].value == "brought ashore"

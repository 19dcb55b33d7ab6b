"""The worker protocol for buckets: registration, filters, ends, and what a late report cannot undo."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.access import Role
from longshore.storage import Database
from tests.unit.serving import Served, bearer, listening, serving
from tests.unit.worker_server import WorkerProcess

NATIVE = "/longshore/v1"
BASE = {"site": "local", "user": "me"}


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path, background=True) as made:
        yield made


class Client:
    """A worker that speaks the protocol by hand, and a depositor."""

    def __init__(self, served: Served, token: str) -> None:
        self.served = served
        self.headers = bearer(token)
        self.worker_id = ""
        self.queues: list[int] = []

    async def raw(self, verb: str, **body: Any) -> Any:
        path = f"{NATIVE}/worker/{verb}"
        return await self.served.client.post(path, json=body, headers=self.headers)

    async def post(self, verb: str, **body: Any) -> Any:
        answer = await self.raw(verb, worker_id=self.worker_id, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def register(self, *buckets: str, incarnation: str = "1") -> list[int]:
        offers = [{"name": name} for name in buckets]
        answer = await self.raw(
            "register", name="dock", slots=2, buckets=offers, incarnation=incarnation
        )
        assert answer.status_code == 200, answer.text
        self.worker_id, self.queues = answer.json()["worker_id"], answer.json()["queues"]
        return self.queues

    async def claim(self, limit: int = 10, **more: Any) -> list[Any]:
        found: list[Any] = (await self.post("claim", queues=self.queues, limit=limit, **more))[
            "works"
        ]
        return found

    async def report(self, work: Any, outcome: str = "success", **more: Any) -> list[Any]:
        report = {"work_id": work["work_id"], "attempt": work["attempt"], "outcome": outcome}
        lost: list[Any] = (await self.post("report", reports=[report | more]))["lost"]
        return lost

    async def deposit(self, pipeline: str, **fields: Any) -> str:
        answer = await self.served.client.post(
            "/buckets/work?return_ids=True", json=[BASE | {"pipeline": pipeline} | fields]
        )
        assert answer.status_code == 200, answer.text
        work_id: str = answer.json()[0]
        return work_id

    async def view(self, work_id: str) -> dict[str, Any]:
        query = {"query": {"id": work_id}, "projection": {}, "skip": 0, "limit": 1}
        [document] = (await self.served.client.post("/buckets/view", json=query)).json()
        assert isinstance(document, dict)
        return document

    async def finished(self, work_id: str) -> dict[str, Any]:
        """Wait until a work is over, and return its document."""
        pause = asyncio.Event()
        async with asyncio.timeout(20):
            while (document := await self.view(work_id))["status"] not in ("success", "failure"):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(pause.wait(), 0.02)
        return document

    async def events(self, work_id: str) -> list[Any]:
        answer = await self.served.client.get(f"{NATIVE}/works/{work_id}/events")
        body = answer.json()
        found: list[Any] = (
            body
            if isinstance(body, list)
            else next(value for value in body.values() if isinstance(value, list))
        )
        return found


@pytest.fixture
async def client(served: Served) -> Client:
    made = Client(served, served.token(Role.WORKER))
    await made.register("search", "other")
    return made


async def test_a_registration_makes_the_buckets_and_names_their_queues(client: Client) -> None:
    again = await client.register("other", "search")
    assert again == list(reversed(await client.register("search", "other")))
    await client.deposit("search")
    names = (await client.served.client.get("/buckets/status/pipelines")).json()
    assert "search" in names


@pytest.mark.parametrize("name", ["", "with space", "under_score", "x" * 129])
async def test_a_name_that_no_bucket_can_have_is_refused(client: Client, name: str) -> None:
    answer = await client.raw(
        "register", name="dock", slots=1, incarnation="2", buckets=[{"name": name}]
    )
    assert answer.status_code == 400
    assert "cannot be the name of a bucket" in answer.text


async def test_a_claim_gives_the_document_as_clients_see_it(client: Client) -> None:
    work_id = await client.deposit("search", parameters={"dm": 5}, timeout=77, extra={"a": 1})
    [work] = await client.claim()
    assert (work["work_id"], work["surface"], work["timeout_s"]) == (work_id, "buckets", 77.0)
    document = work["payload"]
    assert document == await client.view(work_id)
    assert (document["status"], document["attempt"], document["extra"]) == ("running", 1, {"a": 1})


async def test_highest_priority_first_over_all_buckets(client: Client) -> None:
    low = await client.deposit("search", priority=1)
    high = await client.deposit("other", priority=5)
    assert [work["work_id"] for work in await client.claim()] == [high, low]


async def test_a_filter_chooses_among_the_works(client: Client) -> None:
    wanted = await client.deposit("search", site="kko", tags=["a", "b"], event=[7, 8])
    await client.deposit("search", site="kko", tags=["c"], event=[7])
    await client.deposit("search", site="gbo", tags=["a"], event=[7])
    where = {"site": {"$in": ["kko"]}, "tags": {"$in": ["a", "x"]}, "event": {"$in": [8]}}
    assert [work["work_id"] for work in await client.claim(where=where)] == [wanted]
    assert await client.claim(where=where) == []
    assert len(await client.claim()) == 2


async def test_a_filter_that_cannot_be_used_is_refused(client: Client) -> None:
    await client.deposit("search")
    answer = await client.raw(
        "claim",
        worker_id=client.worker_id,
        queues=client.queues,
        limit=1,
        where={"$where": "sleep(1000)"},
    )
    assert answer.status_code == 400
    assert "$where" in answer.text


async def test_results_products_and_plots_are_in_the_document(client: Client) -> None:
    work_id = await client.deposit("search")
    [work] = await client.claim()
    result = {"results": {"snr": 1.5}, "products": ["a.csv"], "plots": ["b.png"]}
    assert await client.report(work, result=result) == []
    document = await client.view(work_id)
    assert {name: document[name] for name in result} == result
    assert document["status"] == "success"
    assert document["stop"] >= document["start"]
    listed = (await client.served.client.get(f"/buckets/artifacts/{work_id}")).json()
    assert [(each["kind"], each["path"]) for each in listed] == [
        ("product", "a.csv"),
        ("plot", "b.png"),
    ]


async def test_an_uploaded_file_belongs_to_the_work(client: Client) -> None:
    work_id = await client.deposit("search")
    [work] = await client.claim()
    blob = (
        await client.served.client.post(f"{NATIVE}/blobs", content=b"1,2\n", headers=client.headers)
    ).json()
    artifact = {"kind": "product", "path": "a.csv", **blob}
    result = {"results": None, "products": ["a.csv"], "plots": None, "artifacts": [artifact]}
    assert await client.report(work, result=result) == []
    [listed] = (await client.served.client.get(f"/buckets/artifacts/{work_id}")).json()
    assert listed == artifact
    stored = await client.served.client.get(f"{NATIVE}/blobs/{blob['blob_id']}")
    assert stored.content == b"1,2\n"


async def test_a_failure_keeps_its_error_and_may_have_results_that_say_why(client: Client) -> None:
    work_id = await client.deposit("search", retries=1)
    [work] = await client.claim()
    error = {"type": "ValueError", "message": "no pulse", "traceback": "in search"}
    result = {"results": {"error": "no pulse"}}
    assert await client.report(work, "failure", error=error, result=result) == []
    document = await client.view(work_id)
    assert (document["status"], document["results"]) == ("failure", {"error": "no pulse"})
    assert error in [event["detail"] for event in await client.events(work_id)]


@pytest.mark.parametrize("result", [{"results": [1]}, {"results": 3}, [], {"products": "a"}])
async def test_a_result_of_another_form_is_refused_and_changes_nothing(
    client: Client, result: object
) -> None:
    work_id = await client.deposit("search")
    [work] = await client.claim()
    report = {"work_id": work_id, "attempt": 1, "outcome": "success", "result": result}
    answer = await client.raw("report", worker_id=client.worker_id, reports=[report])
    assert answer.status_code == 400
    assert (await client.view(work_id))["status"] == "running"
    assert await client.report(work, "failure") == []


async def test_a_repeated_report_does_not_undo_what_came_after_it(client: Client) -> None:
    work_id = await client.deposit("search")
    [work] = await client.claim()
    first = {"results": {"try": 1}}
    assert await client.report(work, result=first) == []
    document = await client.view(work_id) | {"results": {"edited": True}}
    answer = await client.served.client.put("/buckets/work", json=[document])
    assert answer.json() is True
    assert await client.report(work, result=first) == []
    assert (await client.view(work_id))["results"] == {"edited": True}


async def test_a_late_report_is_refused_and_writes_nothing(client: Client) -> None:
    work_id = await client.deposit("search")
    [work] = await client.claim()
    await client.post("leave")
    await client.register("search", incarnation="3")
    [lost] = await client.report(work, result={"results": {"late": True}})
    assert lost["work_id"] == work_id
    assert (await client.view(work_id))["results"] is None


async def test_a_handed_back_work_is_queued_as_it_was(client: Client) -> None:
    work_id = await client.deposit("search")
    [work] = await client.claim()
    assert await client.report(work, "handed_back") == []
    document = await client.view(work_id)
    assert (document["status"], document["stop"]) == ("queued", None)


async def test_another_organisations_bucket_is_no_bucket(client: Client, served: Served) -> None:
    other, _ = served.other_organisation()
    stranger = Client(served, served.token(Role.WORKER, organisation_id=other.id))
    await stranger.register("search", incarnation="9")
    assert set(stranger.queues).isdisjoint(client.queues)
    await client.deposit("search")
    assert await stranger.claim() == []
    answer = await stranger.raw(
        "claim", worker_id=stranger.worker_id, queues=client.queues, limit=1
    )
    assert answer.status_code == 404


async def test_a_waiting_claim_gets_a_work_that_arrives(client: Client) -> None:
    waiting = asyncio.create_task(client.claim(wait_s=20))
    for _ in range(20):
        await asyncio.sleep(0)
    work_id = await client.deposit("search")
    async with asyncio.timeout(10):
        [work] = await waiting
    assert work["work_id"] == work_id


async def test_a_real_worker_runs_the_works_of_a_bucket(
    client: Client, served: Served, tmp_path: Path
) -> None:
    token = client.headers["Authorization"].removeprefix("Bearer ")
    functions = str(Path(__file__).with_name("worker_functions.py"))
    with listening(served.app) as port:
        worker = WorkerProcess(
            f"http://127.0.0.1:{port}",
            [functions],
            tmp_path / "worker.log",
            key=token,
            buckets=["any"],
            where={"site": {"$in": ["local"]}},
        )
        made = "worker_functions.files"
        expected = [
            (await client.deposit("square", parameters={"value": 3}), {"square": 9}),
            (
                await client.deposit("any", function=made, parameters={"directory": str(tmp_path)}),
                {"rows": 1},
            ),
            (await client.deposit("any", command=["false"], retries=1), None),
        ]
        elsewhere = await client.deposit("square", site="elsewhere")
        try:
            for work_id, results in expected:
                document = await client.finished(work_id)
                assert document["results"] == results
            assert (await client.view(elsewhere))["status"] == "queued"
        finally:
            await asyncio.to_thread(worker.close)
            served.context.stop()
    listed = (await served.client.get(f"/buckets/artifacts/{expected[1][0]}")).json()
    assert [each["blob_id"] is not None for each in listed] == [True, True, False]

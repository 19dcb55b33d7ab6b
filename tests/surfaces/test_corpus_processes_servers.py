"""Two servers on one database: each element and each task goes to one of them only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from longshore.clock import ManualClock
from longshore.server.app import create_app
from longshore.storage import open_database
from tests.surfaces.processes_rig import Processes, ponos, processes_of
from tests.unit.serving import make_context

Both = tuple[Processes, httpx.AsyncClient, httpx.AsyncClient]


@pytest.fixture
async def both(database_url: str, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Both]:
    """Two applications with connections of their own."""
    first = open_database(database_url, clock=clock, migrate=False)
    second = open_database(database_url, clock=clock, migrate=False)
    async with processes_of(first, clock, tmp_path / "one") as processes:
        context = make_context(second, tmp_path / "two")
        transport = httpx.ASGITransport(create_app(context))
        headers = processes.corpora.client.headers
        async with httpx.AsyncClient(
            transport=transport, base_url="http://two", headers=headers
        ) as other:
            yield processes, processes.corpora.client, other
        context.close()
    first.close()
    second.close()


async def test_an_element_is_started_at_one_of_two_servers_only(both: Both) -> None:
    processes, *clients = both
    pages = processes.pages(*[f"p{number}" for number in range(25)])
    made = await processes.start(chunks=2)
    tokens = [each["payload"]["token"] for each in await processes.claim()]
    path = f"/api/v1/workers/versions/{made['workers'][0]['id']}/activity/"

    async def start(client: httpx.AsyncClient, token: str, page: str) -> int:
        body = {"element_id": page, "process_id": made["id"], "state": "started"}
        return (await client.put(path, json=body, headers=ponos(token))).status_code

    for page in pages:
        answers = await asyncio.gather(
            *[start(client, token, page) for client, token in zip(clients, tokens, strict=True)]
        )
        assert sorted(answers) == [200, 409]


async def test_claims_at_two_servers_give_each_element_once(both: Both) -> None:
    processes, *clients = both
    pages = processes.pages(*[f"p{number}" for number in range(200)])
    made = await processes.start(queue=True)
    claim = {"worker_run_id": made["workers"][0]["id"], "limit": 11}
    seen: list[str] = []

    async def work(client: httpx.AsyncClient) -> None:
        root = "/longshore/v1/corpus/activities"
        while True:
            answer = (await client.post(f"{root}/claim", json=claim)).json()
            if not answer["activities"]:
                return
            given = [
                {
                    "element_id": each["element"]["id"],
                    "attempt": each["attempt"],
                    "state": "processed",
                }
                for each in answer["activities"]
            ]
            body = {"worker_run_id": claim["worker_run_id"], "reports": given}
            assert (await client.post(f"{root}/report", json=body)).json() == {"lost": []}
            seen.extend(each["element_id"] for each in given)

    await asyncio.gather(*[work(client) for client in clients * 2])
    assert sorted(seen) == sorted(pages)
    assert (await processes.process(made))["progress"]["processed"] == 200


async def test_a_process_is_started_at_one_of_two_servers_only(both: Both) -> None:
    processes, *clients = both
    processes.pages(*[f"p{number}" for number in range(50)])
    made = await processes.create()
    answers = await asyncio.gather(
        *[client.post(f"/api/v1/process/{made['id']}/start/") for client in clients * 2]
    )
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409]
    assert (await processes.process(made))["progress"]["total"] == 50
    assert len((await processes.process(made))["tasks"]) == 1


async def test_two_processes_over_the_same_elements_share_their_activities(both: Both) -> None:
    processes, *clients = both
    processes.pages(*[f"p{number}" for number in range(50)])
    made = [await processes.create(), await processes.create()]
    answers = await asyncio.gather(
        *[
            client.post(f"/api/v1/process/{each['id']}/start/")
            for client, each in zip(clients, made, strict=True)
        ]
    )
    assert [each.status_code for each in answers] == [200, 200]
    for each in made:
        assert (await processes.process(each))["progress"]["total"] == 50
    claim = {"worker_run_id": made[0]["workers"][0]["id"], "limit": 500}
    first = await processes.native("claim", claim)
    second = await processes.native(
        "claim", {**claim, "worker_run_id": made[1]["workers"][0]["id"]}
    )
    assert len(first["activities"]) + len(second["activities"]) == 50


async def test_the_same_worker_is_entered_once_by_two_servers(both: Both) -> None:
    processes, *clients = both
    offer = {"slug": "writer", "version": "1"}
    answers = await asyncio.gather(
        *[client.post("/api/v1/workers/", json=offer) for client in clients * 3]
    )
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["id"] for each in answers}) == 1
    assert (await processes.call("GET", "/workers/"))["count"] == 2

"""Requests about datasets, files and models that come at the same instant."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.clock import ManualClock
from longshore.engine import artifacts as blobs
from longshore.storage import Database
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.corpus_tasks_rig import run_jobs, run_task
from tests.surfaces.models_rig import Rig, md5_base64, model_of

AT_ONCE = 8


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


async def statuses(requests: Sequence[Awaitable[httpx.Response]]) -> Counter[int]:
    return Counter(answer.status_code for answer in await asyncio.gather(*requests))


def post(corpora: Corpora, path: str, body: Any, **more: Any) -> Awaitable[httpx.Response]:
    return corpora.client.post(f"/api/v1{path}", json=body, **more)


async def dataset(corpora: Corpora, corpus_id: str, **fields: Any) -> str:
    body = {"name": "a", "set_names": ["one", "two"], **fields}
    path = f"/corpus/{corpus_id}/datasets/"
    return str((await corpora.call("POST", path, body=body, expect=201))["id"])


async def test_a_name_of_a_dataset_is_given_once(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    path = f"/corpus/{corpus_id}/datasets/"
    found = await statuses([post(corpora, path, {"name": "a"}) for _ in range(AT_ONCE)])
    assert found == {201: 1, 400: AT_ONCE - 1}
    others = [await dataset(corpora, corpus_id, name=f"b{number}") for number in range(AT_ONCE)]
    found = await statuses(
        [corpora.client.patch(f"/api/v1/datasets/{each}/", json={"name": "c"}) for each in others]
    )
    assert found == {200: 1, 400: AT_ONCE - 1}


async def test_an_element_is_put_into_one_set(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    dataset_id = await dataset(corpora, corpus_id)
    [page] = corpora.elements(corpus_id, ["a"])
    path = f"/datasets/{dataset_id}/elements/"
    found = await statuses(
        [
            post(corpora, path, {"set": ("one", "two")[number % 2], "element_id": page})
            for number in range(AT_ONCE)
        ]
    )
    assert found == {201: 1, 400: AT_ONCE - 1}


async def test_a_dataset_is_built_once(corpora: Corpora) -> None:
    dataset_id = await dataset(corpora, corpora.corpus())
    path = f"/datasets/{dataset_id}/build/"
    answers = await asyncio.gather(*(post(corpora, path, None) for _ in range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert len(await run_jobs(corpora)) == 1


async def test_nothing_is_added_to_a_dataset_behind_its_archive(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    dataset_id = await dataset(corpora, corpus_id)
    pages = corpora.elements(corpus_id, [str(number) for number in range(AT_ONCE)])
    path = f"/datasets/{dataset_id}"
    requests = [
        post(corpora, f"{path}/elements/", {"set": "one", "element_id": page}) for page in pages
    ]
    requests.insert(AT_ONCE // 2, post(corpora, f"{path}/build/", None))
    found = await statuses(requests)
    assert found[200] == 1
    shown = await corpora.call("GET", f"{path}/")
    assert shown["set_elements"]["one"] == found[201]
    assert found[201] + found[400] == AT_ONCE


async def test_an_address_takes_one_of_many_files(corpora: Corpora) -> None:
    task = run_task(corpora, corpora.corpus())
    body = {"path": "x", "content_type": "a/b", "size": 3}
    path = f"/task/{task.id}/artifacts/"
    announced = await asyncio.gather(
        *(post(corpora, path, body, headers=task.headers) for _ in range(AT_ONCE))
    )
    assert {answer.status_code for answer in announced} == {201}
    assert len({answer.json()["id"] for answer in announced}) == 1
    made = await corpora.call("POST", path, body=body, headers=task.headers, expect=201)
    headers = {"Authorization": "", "Content-Type": "a/b"}
    found = await statuses(
        [
            corpora.client.put(made["s3_put_url"], content=b"abc", headers=headers)
            for _ in range(AT_ONCE)
        ]
    )
    assert found == {200: 1, 404: AT_ONCE - 1}
    organisation_id = corpora.served.organisation.id
    assert corpora.database.read_blocking(blobs.counts, organisation_id)["objects"] == 1


async def test_an_export_is_started_once(corpora: Corpora) -> None:
    path = f"/corpus/{corpora.corpus()}/export/"
    found = await statuses([post(corpora, path, {}) for _ in range(AT_ONCE)])
    assert found == {201: 1, 400: AT_ONCE - 1}


async def test_a_secret_that_is_set_by_many_has_the_value_of_one(corpora: Corpora) -> None:
    address = "/longshore/v1/corpus/secrets/a"
    found = await statuses(
        [corpora.client.put(address, json={"content": f"v{number}"}) for number in range(AT_ONCE)]
    )
    # Also the first of all, which makes the key file.
    assert found == {200: AT_ONCE}
    value = (await corpora.call("GET", "/secret/a"))["content"]
    assert value in {f"v{number}" for number in range(AT_ONCE)}


async def test_parts_are_put_together_once_and_a_tag_is_given_once(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    async with model_of(database, clock, tmp_path) as rig:
        path = f"/model/{rig.model_id}/versions/"
        found = await statuses([post(rig.corpora, path, {"tag": "t"}) for _ in range(AT_ONCE)])
        assert found == {201: 1, 400: AT_ONCE - 1}
        await _complete_at_once(rig)
        body = {"name": "same"}
        found = await statuses([post(rig.corpora, "/models/", body) for _ in range(AT_ONCE)])
        assert found == {201: 1, 400: AT_ONCE - 1}


async def _complete_at_once(rig: Rig) -> None:
    made = await rig.announced()
    upload_id = await rig.begin(made["id"])
    sent = await rig.send_parts(made["id"], upload_id)
    body = rig.about(made["id"], upload_id, parts=sent)
    path = "/upload/multipart/complete/"
    found = await statuses([post(rig.corpora, path, body) for _ in range(AT_ONCE)])
    assert found == {200: AT_ONCE}
    assert (await rig.version(made["id"]))["state"] == "available"
    assert rig.stored() == 1


async def test_a_part_that_comes_twice_at_once_is_one_part(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    async with model_of(database, clock, tmp_path) as rig:
        made = await rig.create()
        upload_id = await rig.begin(made["id"])
        addresses = [await rig.part(made["id"], upload_id, 1, b"abc") for _ in range(2)]
        found = await statuses(
            [
                rig.put(address, b"abc", **{"Content-MD5": md5_base64(b"abc")})
                for address in addresses * 4
            ]
        )
        # Those of the address before the last come too late.
        assert found == {200: 4, 404: 4}
        assert rig.stored() == 1

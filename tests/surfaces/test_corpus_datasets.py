"""Datasets, their sets and what is in them, as both published clients use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from longshore import ids, limits
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.corpus.tables import corpus_process_sets
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.corpus_tasks_rig import bearer, run_task


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


async def create(corpora: Corpora, corpus_id: str, **fields: Any) -> Any:
    """Make a dataset as the client 0.6.0 does."""
    body = {
        "name": "Letters",
        "description": "of 1880",
        "set_names": ["train", "dev"],
        "unique_elements": True,
        **fields,
    }
    return await corpora.call("POST", f"/corpus/{corpus_id}/datasets/", body=body, expect=201)


async def add(
    corpora: Corpora, dataset_id: str, set_name: str, element_id: str, *, expect: int = 201
) -> Any:
    body = {"set": set_name, "element_id": element_id}
    path = f"/datasets/{dataset_id}/elements/"
    return await corpora.call("POST", path, body=body, expect=expect)


async def test_a_dataset_has_its_sets_and_is_open(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    assert made["state"] == "open"
    assert made["corpus_id"] == corpus_id
    assert made["task_id"] is None
    assert [each["name"] for each in made["sets"]] == ["train", "dev"]
    assert made["set_elements"] == {"train": 0, "dev": 0}
    assert await corpora.call("GET", f"/datasets/{made['id']}/") == made
    page = await corpora.call("GET", f"/corpus/{corpus_id}/datasets/")
    assert page["results"] == [made]
    assert (page["count"], page["number"], page["next"]) == (1, 1, None)


async def test_a_dataset_without_set_names_has_the_usual_ones(corpora: Corpora) -> None:
    path = f"/corpus/{corpora.corpus()}/datasets/"
    made = await corpora.call("POST", path, body={"name": "a"}, expect=201)
    assert [each["name"] for each in made["sets"]] == ["training", "test", "validation"]


async def test_a_set_is_shown_without_its_dataset(corpora: Corpora) -> None:
    # The client passes what it gets on as keywords, beside a `dataset` of its own.
    made = await create(corpora, corpora.corpus(), set_names=["train set", "dev"])
    found = await corpora.call("GET", f"/datasets/{made['id']}/sets/train%20set/")
    assert found == made["sets"][0]
    assert set(found) == {"id", "name"}
    by_id = await corpora.call("GET", f"/datasets/{made['id']}/sets/{found['id']}/")
    assert by_id == found
    await corpora.call("GET", f"/datasets/{made['id']}/sets/none/", expect=404)


async def test_elements_are_listed_by_set_with_all_that_clients_want_of_them(
    corpora: Corpora,
) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    pages = corpora.elements(corpus_id, ["a", "b", "c"], image_id=corpora.image())
    for page in pages[:2]:
        await add(corpora, made["id"], "train", page)
    await add(corpora, made["id"], "dev", pages[2])
    path = f"/datasets/{made['id']}/elements/"
    found = await corpora.call("GET", path, params={"set": "train", "with_count": "True"})
    assert found["count"] == 2
    assert found["next"] is None
    assert [(each["set"], each["element"]["id"]) for each in found["results"]] == [
        ("train", pages[0]),
        ("train", pages[1]),
    ]
    element = found["results"][0]["element"]
    assert element == await corpora.call("GET", f"/element/{pages[0]}/")
    assert (element["type"], element["name"]) == ("page", "a")
    everything = await corpora.call("GET", path)
    assert len(everything["results"]) == 3
    assert "count" not in everything
    shown = await corpora.call("GET", f"/datasets/{made['id']}/")
    assert shown["set_elements"] == {"train": 2, "dev": 1}


async def test_the_elements_of_a_set_come_in_pages_by_cursor(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    pages = corpora.elements(corpus_id, [str(number) for number in range(7)])
    body = {"set": "train", "element_ids": pages}
    path = f"/datasets/{made['id']}/elements/"
    await corpora.call("POST", f"{path}bulk/", body=body, expect=201)
    query = {"set": "train", "page_size": 3, "with_count": "true"}
    first = await corpora.call("GET", path, params=query)
    assert first["count"] == 7
    found, following = list(first["results"]), first["next"]
    while following:
        answer = (await corpora.client.get(following)).json()
        found += answer["results"]
        following = answer["next"]
    assert [each["element"]["id"] for each in found] == pages


async def test_a_set_that_does_not_exist_is_named(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    [page] = corpora.elements(corpus_id, ["a"])
    refused = await add(corpora, made["id"], "test", page, expect=400)
    assert "'test'" in refused["detail"]
    assert refused["errors"][0]["attr"] == ["set"]
    path = f"/datasets/{made['id']}/elements/"
    await corpora.call("GET", path, params={"set": "test"}, expect=400)
    await corpora.call("DELETE", f"{path}{page}/", params={"set": "test"}, expect=400)


async def test_an_element_is_once_in_a_set_and_in_one_set_where_that_is_asked_for(
    corpora: Corpora,
) -> None:
    corpus_id = corpora.corpus()
    [page] = corpora.elements(corpus_id, ["a"])
    unique = await create(corpora, corpus_id)
    await add(corpora, unique["id"], "train", page)
    for set_name in ("train", "dev"):
        refused = await add(corpora, unique["id"], set_name, page, expect=400)
        assert "'train'" in refused["detail"]
    free = await create(corpora, corpus_id, name="free", unique_elements=False)
    await add(corpora, free["id"], "train", page)
    await add(corpora, free["id"], "dev", page)
    await add(corpora, free["id"], "dev", page, expect=400)
    body = {"unique_elements": True}
    await corpora.call("PATCH", f"/datasets/{free['id']}/", body=body, expect=400)


async def test_elements_of_another_corpus_and_ids_that_are_none_are_refused(
    corpora: Corpora,
) -> None:
    corpus_id, other = corpora.corpus(), corpora.corpus("others")
    made = await create(corpora, corpus_id)
    [page], [foreign] = corpora.elements(corpus_id, ["a"]), corpora.elements(other, ["b"])
    for wrong in (foreign, ids.uuid(), "nonsense"):
        refused = await add(corpora, made["id"], "train", wrong, expect=400)
        assert wrong in refused["detail"]
        body = {"set": "train", "element_ids": [page, wrong]}
        path = f"/datasets/{made['id']}/elements/bulk/"
        await corpora.call("POST", path, body=body, expect=400)
    body = {"set": "train", "element_ids": [page, page]}
    path = f"/datasets/{made['id']}/elements/bulk/"
    await corpora.call("POST", path, body=body, expect=400)
    shown = await corpora.call("GET", f"/datasets/{made['id']}/")
    assert shown["set_elements"] == {"train": 0, "dev": 0}


async def test_an_element_that_is_taken_out_stays_in_the_corpus(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    [page] = corpora.elements(corpus_id, ["a"])
    await add(corpora, made["id"], "train", page)
    path = f"/datasets/{made['id']}/elements/{page}/"
    await corpora.call("DELETE", path, params={"set": "dev"}, expect=404)
    await corpora.call("DELETE", path, params={"set": "train"}, expect=204)
    await corpora.call("DELETE", path, params={"set": "train"}, expect=404)
    await corpora.call("GET", f"/element/{page}/")


async def test_sets_are_added_renamed_and_removed(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    path = f"/datasets/{made['id']}/sets/"
    await corpora.call("POST", path, body={"name": "test"}, expect=201)
    await corpora.call("POST", path, body={"name": "test"}, expect=400)
    await corpora.call("PATCH", f"{path}test/", body={"name": "eval"})
    await corpora.call("PATCH", f"{path}eval/", body={"name": "train"}, expect=400)
    await corpora.call("DELETE", f"{path}train/", expect=204)
    await corpora.call("DELETE", f"{path}dev/", expect=204)
    await corpora.call("DELETE", f"{path}eval/", expect=400)
    shown = await corpora.call("GET", f"/datasets/{made['id']}/")
    assert [each["name"] for each in shown["sets"]] == ["eval"]


async def test_changing_the_list_of_sets_keeps_what_is_in_those_that_stay(
    corpora: Corpora,
) -> None:
    corpus_id = corpora.corpus()
    made = await create(corpora, corpus_id)
    [page] = corpora.elements(corpus_id, ["a"])
    await add(corpora, made["id"], "train", page)
    path = f"/datasets/{made['id']}/"
    body = {"set_names": ["test", "train"], "name": "New", "description": "text"}
    changed = await corpora.call("PATCH", path, body=body)
    assert [each["name"] for each in changed["sets"]] == ["test", "train"]
    assert changed["set_elements"] == {"test": 0, "train": 1}
    assert (changed["name"], changed["description"]) == ("New", "text")
    await corpora.call("PATCH", path, body={"set_names": ["test"]}, expect=400)
    assert await corpora.call("GET", path) == changed


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": 1},
        {"set_names": []},
        {"set_names": ["a", "a"]},
        {"set_names": ["a:b"]},
        {"set_names": ["x" * 51]},
        {"set_names": [""]},
        {"set_names": [f"s{number}" for number in range(limits.DATASET_SETS + 1)]},
        {"unique_elements": "yes"},
    ],
)
async def test_a_dataset_that_cannot_be_one_is_refused(
    corpora: Corpora, fields: dict[str, Any]
) -> None:
    corpus_id = corpora.corpus()
    path = f"/corpus/{corpus_id}/datasets/"
    body = {"name": "a", "set_names": ["train"], **fields}
    refused = await corpora.call("POST", path, body=body, expect=400)
    assert refused["errors"][0]["attr"][0] == next(iter(fields))
    assert (await corpora.call("GET", path))["count"] == 0


async def test_a_name_is_given_once_in_a_corpus(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    await create(corpora, corpus_id)
    body = {"name": "Letters"}
    path = f"/corpus/{corpus_id}/datasets/"
    refused = await corpora.call("POST", path, body=body, expect=400)
    assert refused["errors"][0]["code"] == "unique"
    await create(corpora, corpora.corpus("others"))


async def test_ids_of_nothing_and_of_another_organisation_are_not_found(corpora: Corpora) -> None:
    made = await create(corpora, corpora.corpus())
    _, other = corpora.served.other_organisation()
    for dataset_id in (made["id"], ids.uuid(), "nonsense"):
        headers = bearer(other)
        path = f"/datasets/{dataset_id}/"
        told = await corpora.call("GET", path, headers=headers, expect=404)
        assert told["detail"] == f"There is no dataset {dataset_id}."
        await corpora.call("PATCH", path, body={"name": "x"}, headers=headers, expect=404)
        await corpora.call("DELETE", path, headers=headers, expect=404)
        await corpora.call("GET", f"{path}elements/", headers=headers, expect=404)
        await corpora.call("GET", f"{path}sets/train/", headers=headers, expect=404)
        await corpora.call("POST", f"{path}build/", headers=headers, expect=404)
    assert (await corpora.call("GET", f"/datasets/{made['id']}/")) == made


async def test_viewers_see_and_tasks_change(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    viewer = bearer(corpora.served.token(Role.VIEWER))
    task = run_task(corpora, corpus_id)
    path = f"/corpus/{corpus_id}/datasets/"
    body = {"name": "a", "set_names": ["train"]}
    await corpora.call("POST", path, body=body, headers=viewer, expect=403)
    made = await corpora.call("POST", path, body=body, headers=task.headers, expect=201)
    assert (await corpora.call("GET", path, headers=viewer))["results"] == [made]
    dataset = f"/datasets/{made['id']}/"
    await corpora.call("DELETE", dataset, headers=task.headers, expect=403)
    await corpora.call("DELETE", dataset, expect=204)
    await corpora.call("GET", dataset, expect=404)


async def test_sets_that_go_leave_nothing_in_the_processes_over_them(corpora: Corpora) -> None:
    made = await create(corpora, corpora.corpus())

    def use(connection: Connection) -> None:
        for place, each in enumerate(made["sets"]):
            values = {"process_id": ids.uuid(), "set_id": each["id"], "position": place}
            connection.execute(corpus_process_sets.insert().values(values))

    def used(connection: Connection) -> list[str]:
        return list(connection.scalars(select(corpus_process_sets.c.set_id)))

    corpora.database.write_blocking(use)
    await corpora.call("DELETE", f"/datasets/{made['id']}/sets/train/", expect=204)
    assert corpora.database.read_blocking(used) == [made["sets"][1]["id"]]
    await corpora.call("DELETE", f"/datasets/{made['id']}/", expect=204)
    assert corpora.database.read_blocking(used) == []

"""Metadata and embeddings of elements."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.surfaces.corpus.tables import corpus_embeddings, corpus_metadata
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of

TABLES = [corpus_metadata, corpus_embeddings]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def listed(results: Results, element: str, **query: Any) -> list[Any]:
    found = await results.call("GET", f"/element/{element}/metadata/", params=query)
    assert isinstance(found, list)
    return found


async def test_a_metadata_is_stamped_with_its_worker_run_and_listed(results: Results) -> None:
    page = results.pages[0]
    body = {"type": "date", "name": "written", "value": "1899", "worker_run_id": results.run}
    made = await results.make(f"/element/{page}/metadata/", body)
    assert (made["type"], made["name"], made["value"]) == ("date", "written", "1899")
    assert made["worker_run"] == {"id": results.run, "summary": "reader 1"}
    [found] = await listed(results, page)
    assert (found["id"], found["element_id"], found["entity"]) == (made["id"], page, None)
    assert (found["worker_run_id"], found["worker_version_id"]) == (results.run, results.version)


async def test_a_metadata_may_name_an_entity_of_the_corpus(results: Results) -> None:
    others = results.corpora.corpus("others")
    entities = []
    for corpus in (results.corpus, others):
        kind = (await results.make("/entity/types/", {"name": "person", "corpus": corpus}))["id"]
        body = {"name": "Ada", "type_id": kind, "corpus": corpus}
        entities.append((await results.make("/entity/", body))["id"])
    path = f"/element/{results.pages[0]}/metadata/"
    body = {"type": "text", "name": "author", "value": "Ada", "entity_id": entities[0]}
    await results.make(path, body)
    [found] = await listed(results, results.pages[0])
    assert (found["entity"]["id"], found["entity"]["name"]) == (entities[0], "Ada")
    for wrong in (entities[1], UNKNOWN, "no id"):
        answer = await results.refused(
            path, {**body, "entity_id": wrong}, names=["entity_id"], tables=TABLES
        )
        assert wrong in answer["detail"]


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("text", "a", "a"),
        ("html", "<b>a</b>", "<b>a</b>"),
        ("markdown", "*a*", "*a*"),
        ("location", "Grenoble", "Grenoble"),
        ("reference", "FRAD 38", "FRAD 38"),
        ("numeric", 3, "3"),
        ("numeric", 2.5, "2.5"),
        ("numeric", "1e3", "1e3"),
        ("url", "https://example.org/a?b#c", "https://example.org/a?b#c"),
    ],
)
async def test_a_value_is_kept_as_text(results: Results, kind: str, value: Any, kept: str) -> None:
    body = {"type": kind, "name": "n", "value": value}
    assert (await results.make(f"/element/{results.pages[0]}/metadata/", body))["value"] == kept


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("type", {"type": "colour"}),
        ("type", {"type": None}),
        ("name", {"name": ""}),
        ("name", {"name": "  "}),
        ("name", {"name": "x" * 256}),
        ("value", {"value": " "}),
        ("value", {"value": None}),
        ("value", {"value": True}),
        ("value", {"type": "numeric", "value": "three"}),
        ("value", {"type": "numeric", "value": "nan"}),
        ("value", {"type": "url", "value": "javascript:alert(1)"}),
        ("value", {"type": "url", "value": "http://"}),
        ("value", {"type": "url", "value": "http://[1"}),
        ("worker_run_id", {"worker_run_id": UNKNOWN}),
    ],
)
async def test_a_metadata_that_cannot_be_is_refused_with_its_field(
    results: Results, field: str, change: dict[str, Any]
) -> None:
    path = f"/element/{results.pages[0]}/metadata/"
    good = {"type": "text", "name": "n", "value": "v"}
    await results.refused(path, {**good, **change}, names=[field], tables=TABLES)
    if field != "worker_run_id":
        await results.refused(
            path + "bulk/",
            {"worker_run_id": results.run, "metadata_list": [good, {**good, **change}]},
            names=["metadata_list", 1, field],
            tables=TABLES,
        )


async def test_many_metadata_come_back_in_order(results: Results) -> None:
    given = [
        {"type": "text", "name": name, "value": value}
        for name, value in (("b", "2"), ("a", "1"), ("b", "2"))
    ]
    body = {"worker_run_id": results.run, "metadata_list": given}
    path = f"/element/{results.pages[0]}/metadata/bulk/"
    made = await results.make(path, body)
    assert set(made) == {"worker_run_id", "metadata_list"}
    assert [(each["name"], each["value"]) for each in made["metadata_list"]] == [
        ("b", "2"), ("a", "1"), ("b", "2"),
    ]  # fmt: skip
    found = await listed(results, results.pages[0])
    assert [each["id"] for each in found] == [each["id"] for each in made["metadata_list"]]
    body = {"metadata_list": []}
    await results.refused(path, body, names=["metadata_list"], tables=TABLES)


async def test_metadata_of_the_elements_above_come_where_they_are_asked_for(
    results: Results,
) -> None:
    for element, value in (
        (results.folder, "box"),
        (results.pages[0], "p1"),
        (results.pages[1], "p2"),
    ):
        body = {"type": "text", "name": "n", "value": value}
        await results.make(f"/element/{element}/metadata/", body)

    async def values(**query: Any) -> list[str]:
        return [each["value"] for each in await listed(results, results.pages[0], **query)]

    assert await values() == ["p1"]
    assert await values(load_parents="False") == ["p1"]
    assert await values(load_parents="True") == ["box", "p1"]
    await results.call("GET", f"/element/{UNKNOWN}/metadata/", expect=404)


async def test_an_embedding_comes_back_with_the_numbers_that_were_given(results: Results) -> None:
    path = f"/element/{results.pages[0]}/embedding/"
    value = [0.1, -2.5, 1 / 3, 0.0, 1e-30, 3]
    made = await results.make(path, {"value": value, "worker_run_id": results.run})
    assert made["value"] == pytest.approx(value, rel=1e-7)
    assert made["value"][:2] == [0.1, -2.5]
    assert made["worker_run"] == {"id": results.run, "summary": "reader 1"}
    assert made["created"].endswith("Z")
    page = await results.call("GET", path)
    assert (page["count"], page["number"]) == (1, 1)
    assert page["results"] == [made]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ([], ["value"]),
        (None, ["value"]),
        ([0.5, "x"], ["value", 1]),
        ([0.5, None], ["value", 1]),
        ([0.5, 1e39], ["value", 1]),
        ([0.0] * 16_001, ["value"]),
    ],
)
async def test_an_embedding_that_cannot_be_is_refused(
    results: Results, value: Any, names: list[Any]
) -> None:
    path = f"/element/{results.pages[0]}/embedding/"
    await results.refused(path, {"value": value}, names=names, tables=TABLES)

"""Entity types, entities, and the places in texts that speak of them."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.surfaces.corpus.tables import (
    corpus_entities,
    corpus_entity_types,
    corpus_transcription_entities,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of, worker_run

TABLES = [corpus_entity_types, corpus_entities, corpus_transcription_entities]
TEXT = "Ada met Élie 👋 in Rome"


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def make_type(results: Results, name: str, corpus: str | None = None, **more: Any) -> str:
    body = {"name": name, "corpus": corpus or results.corpus, **more}
    return str((await results.make("/entity/types/", body))["id"])


async def make_entity(results: Results, name: str, type_id: str, **more: Any) -> str:
    body = {"name": name, "type_id": type_id, "corpus": results.corpus, **more}
    return str((await results.make("/entity/", body))["id"])


async def transcribe(results: Results, page: int = 0) -> str:
    path = f"/element/{results.pages[page]}/transcription/"
    return str((await results.make(path, {"text": TEXT}))["id"])


async def spans(results: Results, transcription: str, **query: Any) -> list[Any]:
    path = f"/transcription/{transcription}/entities/"
    listed = (await results.call("GET", path, params=query))["results"]
    assert isinstance(listed, list)
    return listed


async def test_entity_types_are_listed_by_name(results: Results) -> None:
    place = await make_type(results, "place", color="#28B62C")
    person = await make_type(results, "person")
    listed = await results.call("GET", f"/corpus/{results.corpus}/entity-types/")
    assert (listed["count"], listed["number"]) == (2, 1)
    assert [each["id"] for each in listed["results"]] == [person, place]
    assert listed["results"][1] == {"id": place, "name": "place", "color": "28b62c"}
    assert len(listed["results"][0]["color"]) == 6


async def test_an_entity_type_that_exists_is_refused_with_400(results: Results) -> None:
    made = await make_type(results, "person")
    body = {"name": "person", "corpus": results.corpus}
    answer = await results.refused("/entity/types/", body, names=["name"], tables=TABLES)
    assert answer["existing_id"] == made
    assert await make_type(results, "person", results.corpora.corpus("others")) != made


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("name", ""), ("name", " "), ("corpus", UNKNOWN), ("corpus", "no id"), ("color", "red")],
)
async def test_an_entity_type_that_cannot_be_is_refused_with_its_field(
    results: Results, field: str, wrong: str
) -> None:
    body = {"name": "person", "corpus": results.corpus, field: wrong}
    await results.refused("/entity/types/", body, names=[field], tables=TABLES)


async def test_an_entity_has_what_the_older_clients_give(results: Results) -> None:
    person = await make_type(results, "person")
    body = {
        "name": "Ada",
        "type_id": person,
        "metas": {"born": 1815},
        "validated": True,
        "corpus": results.corpus,
        "worker_run_id": results.run,
    }
    made = await results.make("/entity/", body)
    listed = await results.call("GET", f"/corpus/{results.corpus}/entities/")
    assert listed["results"] == [made]
    assert (made["metas"], made["validated"], made["type"]["id"]) == ({"born": 1815}, True, person)
    assert made["worker_run"] == {"id": results.run, "summary": "reader 1"}
    plain = await results.make("/entity/", {**body, "metas": None, "validated": None})
    assert (plain["metas"], plain["validated"]) == (None, False)


async def test_an_entity_that_cannot_be_is_refused_with_its_field(results: Results) -> None:
    person = await make_type(results, "person")
    elsewhere = await make_type(results, "person", results.corpora.corpus("others"))
    good = {"name": "Ada", "type_id": person, "corpus": results.corpus}
    for field, wrong in (
        ("name", " "),
        ("name", "x" * 501),
        ("type_id", elsewhere),
        ("type_id", UNKNOWN),
        ("type_id", "no id"),
        ("corpus", UNKNOWN),
        ("metas", []),
        ("worker_run_id", UNKNOWN),
    ):
        body = {**good, field: wrong}
        await results.refused("/entity/", body, names=[field], tables=TABLES)


async def test_entities_are_found_by_a_part_of_their_name(results: Results) -> None:
    person = await make_type(results, "person")
    for name in ("Ada", "Adam", "100% Bob", "B_b"):
        await make_entity(results, name, person)

    async def names(name: str) -> list[str]:
        path = f"/corpus/{results.corpus}/entities/"
        listed = await results.call("GET", path, params={"name": name})
        return [each["name"] for each in listed["results"]]

    assert await names("aDa") == ["Ada", "Adam"]
    assert await names("%") == ["100% Bob"]
    assert await names("_") == ["B_b"]


async def test_entities_are_found_below_an_element(results: Results) -> None:
    person = await make_type(results, "person")
    ada, bob, loose = [await make_entity(results, name, person) for name in ("Ada", "Bob", "Zoe")]
    for page, entity in ((0, ada), (0, ada), (1, bob)):
        body = {"entity": entity, "offset": 0, "length": 3}
        await results.make(f"/transcription/{await transcribe(results, page)}/entities/", body)

    async def found(parent: str) -> list[str]:
        path = f"/corpus/{results.corpus}/entities/"
        listed = await results.call("GET", path, params={"parent": parent})
        return [each["id"] for each in listed["results"]]

    assert await found(results.folder) == [ada, bob]
    assert await found(results.pages[0]) == [ada]
    assert await found(results.pages[2]) == []
    path = f"/corpus/{results.corpus}/entities/"
    answer = await results.call("GET", path, params={"parent": UNKNOWN}, expect=400)
    assert answer["errors"][0]["attr"] == ["parent"]
    assert loose not in await found(results.folder)


async def test_a_span_is_made_as_the_older_and_as_the_newer_clients_do(results: Results) -> None:
    person, transcription = await make_type(results, "person"), await transcribe(results)
    ada = await make_entity(results, "Ada", person)
    path = f"/transcription/{transcription}/entities/"
    common = {"length": 3, "offset": 0, "worker_run_id": results.run}
    older = await results.make(path, {**common, "entity": ada, "confidence": 0.33})
    newer = await results.make(path, {**common, "type_id": person, "offset": 18})
    assert (older["entity"], older["type_id"], older["confidence"]) == (ada, person, 0.33)
    assert (newer["entity"], newer["type_id"], newer["confidence"]) == (None, person, None)
    assert {older["worker_run_id"], newer["worker_run_id"]} == {results.run}
    first, second = await spans(results, transcription)
    assert (first["id"], first["entity"]["name"], first["offset"]) == (older["id"], "Ada", 0)
    assert (second["id"], second["entity"], second["type"]["name"]) == (newer["id"], None, "person")


async def test_a_span_that_cannot_be_is_refused_with_its_field(results: Results) -> None:
    person, transcription = await make_type(results, "person"), await transcribe(results)
    place = await make_type(results, "place")
    others = results.corpora.corpus("others")
    elsewhere = await make_type(results, "person", others)
    stranger = await make_entity(results, "Ada", elsewhere, corpus=others)
    ada = await make_entity(results, "Ada", person)
    path = f"/transcription/{transcription}/entities/"
    good = {"type_id": person, "offset": 0, "length": 3, "worker_run_id": results.run}
    for change, field in (
        ({"offset": -1}, "offset"),
        ({"offset": len(TEXT)}, "offset"),
        ({"offset": 2**70}, "offset"),
        ({"offset": 1.5}, "offset"),
        ({"length": 0}, "length"),
        ({"length": len(TEXT) + 1}, "length"),
        ({"offset": len(TEXT) - 1, "length": 2}, "length"),
        ({"confidence": 1.2}, "confidence"),
        ({"type_id": elsewhere}, "type_id"),
        ({"type_id": "no id"}, "type_id"),
        ({"type_id": None}, "type_id"),
        ({"type_id": place, "entity": ada}, "type_id"),
        ({"type_id": None, "entity": stranger}, "entity"),
        ({"type_id": None, "entity": UNKNOWN}, "entity"),
        ({"worker_run_id": UNKNOWN}, "worker_run_id"),
    ):
        await results.refused(path, {**good, **change}, names=[field], tables=TABLES)
    missing = f"/transcription/{UNKNOWN}/entities/"
    await results.call("POST", missing, body=good, expect=404)
    await results.call("GET", missing, expect=404)
    # The last character of the text is inside it.
    await results.make(path, {**good, "offset": len(TEXT) - 1, "length": 1})


async def test_many_named_entities_come_back_with_their_ids_in_order(results: Results) -> None:
    person, transcription = await make_type(results, "person"), await transcribe(results)
    given = [
        {"name": name, "type_id": person, "offset": offset, "length": length, "confidence": 0.5}
        for name, offset, length in (("Élie", 8, 4), ("Ada", 0, 3), ("Ada", 0, 2))
    ]
    body = {"worker_run_id": results.run, "entities": given}
    made = await results.make(f"/transcription/{transcription}/entities/bulk/", body)
    ids = [each["transcription_entity_id"] for each in made["entities"]]
    assert made["transcription_entities"] == ids
    kept = {row["id"]: row for row in results.rows(corpus_transcription_entities)}
    assert [kept[each]["offset"] for each in ids] == [8, 0, 0]
    named = {row["id"]: row for row in results.rows(corpus_entities)}
    assert [named[each["entity_id"]]["name"] for each in made["entities"]] == ["Élie", "Ada", "Ada"]
    assert {row["worker_run_id"] for row in [*kept.values(), *named.values()]} == {results.run}


async def test_many_typed_spans_come_back_as_ids_in_order(results: Results) -> None:
    person, transcription = await make_type(results, "person"), await transcribe(results)
    given = [{"type_id": person, "offset": offset, "length": 2} for offset in (5, 3, 4)]
    body = {"worker_run_id": results.run, "transcription_entities": given}
    made = await results.make(f"/transcription/{transcription}/entities/bulk/", body)
    kept = {row["id"]: row["offset"] for row in results.rows(corpus_transcription_entities)}
    assert [kept[each] for each in made["transcription_entities"]] == [5, 3, 4]
    assert [each["entity_id"] for each in made["entities"]] == [None, None, None]
    assert results.count(corpus_entities) == 0


@pytest.mark.parametrize("field", ["entities", "transcription_entities"])
async def test_many_entities_are_stored_all_or_none(results: Results, field: str) -> None:
    person, transcription = await make_type(results, "person"), await transcribe(results)
    path = f"/transcription/{transcription}/entities/bulk/"
    good = {"name": "Ada", "type_id": person, "offset": 0, "length": 3, "confidence": 0.5}

    async def refuse(second: dict[str, Any], *names: Any) -> None:
        body = {"worker_run_id": results.run, field: [good, second]}
        await results.refused(path, body, names=[field, 1, *names], tables=TABLES)

    await refuse(good)
    await refuse({**good, "offset": 20}, "length")
    await refuse({**good, "offset": 50}, "offset")
    await refuse({**good, "length": 0}, "length")
    await refuse({**good, "type_id": UNKNOWN}, "type_id")
    await refuse({**good, "confidence": -1}, "confidence")
    await refuse({name: value for name, value in good.items() if name != "type_id"}, "type_id")
    if field == "entities":
        await refuse({**good, "name": " "}, "name")
    both = {"entities": [good], "transcription_entities": [good]}
    for body in ({}, both):
        names = ["transcription_entities"]
        await results.refused(path, body, names=names, tables=TABLES)
    await results.refused(path, {field: []}, names=[field], tables=TABLES)


async def test_spans_are_listed_in_the_order_of_the_text_and_by_who_made_them(
    results: Results,
) -> None:
    person, transcription = await make_type(results, "person"), await transcribe(results)
    other_run, other_version = worker_run(results.corpora, results.corpus)
    path = f"/transcription/{transcription}/entities/"
    for offset, run in ((8, results.run), (0, None), (4, other_run)):
        body = {"type_id": person, "offset": offset, "length": 1, "worker_run_id": run}
        await results.make(path, body)

    async def offsets(**query: Any) -> list[int]:
        return [each["offset"] for each in await spans(results, transcription, **query)]

    assert await offsets() == [0, 4, 8]
    assert await offsets(worker_run="False") == [0]
    assert await offsets(worker_run=results.run) == [8]
    assert await offsets(worker_version=other_version) == [4]
    assert await offsets(worker_version="False") == [0]

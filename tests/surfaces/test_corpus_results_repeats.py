"""What a worker run says again, after an attempt that died or an answer that was lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table

from longshore.surfaces.corpus.tables import (
    corpus_classifications,
    corpus_elements,
    corpus_embeddings,
    corpus_entities,
    corpus_metadata,
    corpus_transcription_entities,
    corpus_transcriptions,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import Results, results_of, worker_run

TABLES: list[Table] = [
    corpus_elements,
    corpus_classifications,
    corpus_transcriptions,
    corpus_entities,
    corpus_transcription_entities,
    corpus_metadata,
    corpus_embeddings,
]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def requests(results: Results, run: str | None) -> list[tuple[str, dict[str, Any]]]:
    """Return a request of each kind that stores results; what they need is made by hand."""
    page, stamp = results.pages[0], {"worker_run_id": run}
    kinds = await results.call("GET", f"/corpus/{results.corpus}/classes/")
    if kinds["count"] == 0:
        path = f"/corpus/{results.corpus}/classes/"
        kinds["results"] = [await results.make(path, {"name": name}) for name in "ab"]
        body = {"name": "person", "corpus": results.corpus}
        await results.make("/entity/types/", body)
        await results.make(f"/element/{page}/transcription/", {"text": "Ada and Bob"})
    types = await results.call("GET", f"/corpus/{results.corpus}/entity-types/")
    kind = types["results"][0]["id"]
    texts = await results.call("GET", f"/element/{page}/transcriptions/")
    spans = f"/transcription/{texts['results'][0]['id']}/entities/"
    first = {"type_id": kind, "offset": 0, "length": 3, "confidence": 0.5}
    second = {**first, "offset": 8}
    noted = {"type": "text", "name": "n", "value": "v"}
    read = {"text": "line", "confidence": 0.5}
    zone = {**read, "polygon": [[0, 0], [10, 0], [10, 10]]}
    classified = [
        {"ml_class": each["id"], "confidence": 0.5, "high_confidence": False}
        for each in kinds["results"]
    ]
    return [
        ("/classification/bulk/", {"parent": page, "classifications": classified, **stamp}),
        (f"/element/{page}/transcription/", {**read, "text": "page", **stamp}),
        (
            "/transcription/bulk/",
            {"transcriptions": [{**read, "element_id": each} for each in results.pages], **stamp},
        ),
        (
            f"/element/{page}/transcriptions/bulk/",
            {"element_type": "text_line", "transcriptions": [zone], **stamp},
        ),
        (spans, {**first, "length": 2, **stamp}),
        (spans + "bulk/", {"transcription_entities": [first, second], **stamp}),
        (
            spans + "bulk/",
            {"entities": [{**first, "name": "Ada"}, {**second, "name": "Bob"}], **stamp},
        ),
        (f"/element/{page}/metadata/", {**noted, "name": "m", **stamp}),
        (f"/element/{page}/metadata/bulk/", {"metadata_list": [noted, noted], **stamp}),
        (f"/element/{page}/embedding/", {"value": [0.1, 0.2], **stamp}),
    ]


def counts(results: Results) -> dict[str, int]:
    return {table.name: results.count(table) for table in TABLES}


async def test_what_a_worker_run_says_again_is_stored_once(results: Results) -> None:
    asked = await requests(results, results.run)
    first = [await results.make(path, body) for path, body in asked]
    stored = counts(results)
    for (path, body), before in zip(asked, first, strict=True):
        again = await results.make(path, body)
        if path.endswith("/transcriptions/bulk/"):
            assert [each.pop("created") for each in (*before, *again)] == [True, False]
        assert again == before, path
    assert counts(results) == stored


async def test_another_worker_run_and_people_say_it_for_themselves(results: Results) -> None:
    asked = await requests(results, results.run)
    for path, body in asked:
        await results.make(path, body)
    once = counts(results)
    other, _ = worker_run(results.corpora, results.corpus)
    for path, body in await requests(results, other):
        await results.make(path, body)
    twice = counts(results)
    by_hand = [each for each in await requests(results, None) if "classification" not in each[0]]
    for _ in range(2):
        for path, body in by_hand:
            await results.make(path, body)
    more = counts(results)
    for name, count in once.items():
        if name == corpus_elements.name:
            # Zones are shared by all who find them.
            assert count == twice[name] == more[name]
            continue
        # One of them was transcribed by hand before.
        mine = count - (name == corpus_transcriptions.name)
        assert twice[name] == count + mine, name
        if name != corpus_classifications.name:
            assert more[name] == twice[name] + 2 * mine, name


async def test_two_things_that_are_the_same_in_one_call_are_two(results: Results) -> None:
    given = {"element_id": results.pages[0], "text": "ditto", "confidence": 0.5}
    body = {"worker_run_id": results.run, "transcriptions": [given, given]}
    first = await results.make("/transcription/bulk/", body)
    assert len({each["id"] for each in first["transcriptions"]}) == 2
    assert await results.make("/transcription/bulk/", body) == first
    body["transcriptions"] = [given, given, given]
    third = (await results.make("/transcription/bulk/", body))["transcriptions"]
    assert third[:2] == first["transcriptions"]
    assert results.count(corpus_transcriptions) == 3


async def test_the_first_confidence_of_a_text_stays(results: Results) -> None:
    path = f"/element/{results.pages[0]}/transcription/"
    body = {"text": "a", "confidence": 0.5, "worker_run_id": results.run}
    first = await results.make(path, body)
    assert await results.make(path, {**body, "confidence": 0.50001}) == first
    other = await results.make(path, {**body, "orientation": "vertical-lr"})
    assert other["id"] != first["id"]

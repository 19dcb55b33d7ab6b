"""Several workers that say the same at once, and large calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, event

from longshore import limits
from longshore.surfaces.corpus.tables import (
    corpus_classes,
    corpus_classifications,
    corpus_elements,
    corpus_entity_types,
    corpus_transcriptions,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import Results, results_of

AT_ONCE = 8
MANY = 2_000


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def at_once(results: Results, path: str, body: Any) -> list[Any]:
    post = results.corpora.client.post
    calls = [post(f"/api/v1{path}", json=body) for _ in range(AT_ONCE)]
    return list(await asyncio.gather(*calls))


async def test_the_same_thing_made_at_once_is_made_once_and_400_for_the_others(
    results: Results,
) -> None:
    async def only_one(path: str, body: Any) -> Any:
        answers = await at_once(results, path, body)
        assert Counter(each.status_code for each in answers) == {201: 1, 400: AT_ONCE - 1}
        return next(each.json() for each in answers if each.status_code == 201)

    made = await only_one(f"/corpus/{results.corpus}/classes/", {"name": "blank"})
    await only_one("/entity/types/", {"name": "person", "corpus": results.corpus})
    one = {"ml_class": made["id"], "confidence": 0.5}
    run = {"worker_run_id": results.run}
    await only_one("/classifications/", {"element": results.pages[0], **one, **run})
    many = {"parent": results.pages[1], **run, "classifications": [one]}
    answers = await at_once(results, "/classification/bulk/", many)
    assert len({each.json()["classifications"][0]["id"] for each in answers}) == 1
    for table, count in (
        (corpus_classes, 1),
        (corpus_entity_types, 1),
        (corpus_classifications, 2),
    ):
        assert results.count(table) == count


async def test_the_same_zone_found_at_once_is_made_once(results: Results) -> None:
    before = results.count(corpus_elements)
    polygon = [[0, 0], [10, 0], [10, 10]]
    body = {
        "element_type": "text_line",
        "worker_run_id": results.run,
        "transcriptions": [{"polygon": polygon, "text": "a", "confidence": 0.5}],
    }
    path = f"/element/{results.pages[0]}/transcriptions/bulk/"
    told = [each.json()[0] for each in await at_once(results, path, body)]
    assert sorted(each["created"] for each in told) == [False] * (AT_ONCE - 1) + [True]
    assert len({each["element_id"] for each in told}) == 1
    assert results.count(corpus_elements) == before + 1
    # The run has said one thing, if many times.
    assert len({each["id"] for each in told}) == 1
    assert results.count(corpus_transcriptions) == 1


async def test_many_results_are_stored_in_few_statements(results: Results) -> None:
    corpora = results.corpora
    image = corpora.image(MANY, 100)
    pages = corpora.elements(results.corpus, [str(n) for n in range(MANY)], image_id=image)
    texts = [{"text": f"line {number}", "confidence": 0.5} for number in range(MANY)]
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    async def make(path: str, body: dict[str, Any]) -> Any:
        statements.clear()
        made = await results.make(path, {"worker_run_id": results.run, **body})
        # A hundred rows a statement on SQLite, all in one on PostgreSQL.
        assert len(statements) < 4 * MANY / 100
        return made

    event.listen(Engine, "before_cursor_execute", count)
    try:
        given = [{**text, "element_id": page} for text, page in zip(texts, pages, strict=True)]
        made = await make("/transcription/bulk/", {"transcriptions": given})
        assert [each["element_id"] for each in made["transcriptions"]] == pages
        zones = [
            {**text, "polygon": [[number, 0], [number + 1, 0], [number + 1, 100]]}
            for number, text in enumerate(texts)
        ]
        body = {"element_type": "text_line", "transcriptions": zones}
        made = await make(f"/element/{pages[0]}/transcriptions/bulk/", body)
        assert len({each["element_id"] for each in made}) == MANY
        noted = [{"type": "text", "name": "n", "value": text["text"]} for text in texts]
        path = f"/element/{pages[0]}/metadata/bulk/"
        made = await make(path, {"metadata_list": noted})
        assert [each["value"] for each in made["metadata_list"]] == [each["text"] for each in texts]
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def test_more_results_than_one_call_takes_are_refused(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"type": "text", "name": "n", "value": "v"}
    body = {"metadata_list": [one] * (limits.RESULTS_PER_CALL + 1)}
    path = f"/element/{results.pages[0]}/metadata/bulk/"
    answer = await results.call("POST", path, body=body, expect=400)
    assert answer["errors"][0]["attr"] == ["metadata_list"]
    assert str(limits.RESULTS_PER_CALL) in answer["detail"]
    monkeypatch.setattr(limits, "CORPUS_BODY_BYTES", 100)
    answer = await results.call("POST", path, body={"metadata_list": [one] * 10}, expect=413)
    assert answer["type"] == "client_error"

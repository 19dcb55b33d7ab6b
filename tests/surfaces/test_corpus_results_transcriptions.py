"""Transcriptions of elements: one, many, and their listing."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.surfaces.corpus.tables import corpus_paths, corpus_transcriptions
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of, worker_run

TABLES = [corpus_transcriptions]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


def text(results: Results, what: str = "Dear Sir", **more: Any) -> dict[str, Any]:
    return {"text": what, "worker_run_id": results.run, "confidence": 0.8, **more}


async def read(results: Results, element: str, **query: Any) -> list[Any]:
    path = f"/element/{element}/transcriptions/"
    listed = (await results.call("GET", path, params=query))["results"]
    assert isinstance(listed, list)
    return listed


async def test_a_transcription_is_stamped_with_its_worker_run_and_listed(results: Results) -> None:
    page = results.pages[0]
    body = text(results, orientation="vertical-rl")
    made = await results.make(f"/element/{page}/transcription/", body)
    assert made == {
        "id": made["id"],
        "element_id": page,
        "text": "Dear Sir",
        "confidence": 0.8,
        "orientation": "vertical-rl",
        "worker_run_id": results.run,
        "worker_run": {"id": results.run, "summary": "reader 1"},
        "worker_version_id": results.version,
    }
    [listed] = await read(results, page)
    element = listed.pop("element")
    assert listed == made
    assert (element["id"], element["type"], element["name"]) == (page, "page", "p1")
    assert element["zone"]["polygon"][0] == [0, 0]


async def test_what_a_person_reads_needs_no_confidence(results: Results) -> None:
    path = f"/element/{results.pages[0]}/transcription/"
    made = await results.make(path, {"text": "x"})
    assert (made["confidence"], made["worker_run"], made["worker_run_id"]) == (None, None, None)
    assert made["orientation"] == "horizontal-lr"
    body = {"text": "x", "worker_run_id": results.run}
    await results.refused(path, body, names=["confidence"], tables=TABLES)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("text", ""),
        ("text", " \n"),
        ("text", None),
        ("text", 7),
        ("confidence", 1.2),
        ("confidence", -0.1),
        ("confidence", True),
        ("confidence", "0.5"),
        ("orientation", "diagonal"),
        ("worker_run_id", UNKNOWN),
        ("worker_run_id", "no id"),
        ("worker_run_id", False),
    ],
)
async def test_a_transcription_that_cannot_be_is_refused_with_its_field(
    results: Results, field: str, wrong: Any
) -> None:
    path = f"/element/{results.pages[0]}/transcription/"
    body = text(results) | {field: wrong}
    await results.refused(path, body, names=[field], tables=TABLES)


async def test_a_text_with_nul_is_refused_and_one_that_spells_it_is_kept(results: Results) -> None:
    path = f"/element/{results.pages[0]}/transcription/"
    await results.refused(path, text(results, "a\0b"), names=None, tables=TABLES)
    made = await results.make(path, text(results, r"a\u0000b"))
    assert made["text"] == r"a\u0000b"


@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b'{"text": "\xff"}', b'{"text": NaN}'])
async def test_a_body_that_is_no_json_object_is_refused(results: Results, sent: bytes) -> None:
    path = f"/api/v1/element/{results.pages[0]}/transcription/"
    answer = await results.corpora.client.post(path, content=sent)
    assert answer.status_code == 400
    assert answer.json()["type"] == "validation_error"
    assert results.count(corpus_transcriptions) == 0


@pytest.mark.parametrize("missing", [UNKNOWN, "no-id", "%2e%2e"])
async def test_an_element_that_is_not_there_is_404(results: Results, missing: str) -> None:
    body = text(results)
    await results.call("POST", f"/element/{missing}/transcription/", body=body, expect=404)
    await results.call("GET", f"/element/{missing}/transcriptions/", expect=404)


async def test_an_id_may_be_written_in_capitals_and_without_dashes(results: Results) -> None:
    page = results.pages[0]
    path = f"/element/{page.upper().replace('-', '')}/transcription/"
    assert (await results.make(path, text(results)))["element_id"] == page


async def test_many_transcriptions_come_back_in_order(results: Results) -> None:
    pages = [results.pages[2], results.pages[0], results.pages[2], results.pages[1]]
    body = {
        "worker_run_id": results.run,
        "transcriptions": [
            {"element_id": page, "text": f"line {number}", "confidence": number / 10}
            for number, page in enumerate(pages)
        ],
    }
    made = await results.make("/transcription/bulk/", body)
    assert made["worker_run_id"] == results.run
    assert [each["element_id"] for each in made["transcriptions"]] == pages
    assert [each["text"] for each in made["transcriptions"]] == [f"line {n}" for n in range(4)]
    assert set(made["transcriptions"][0]) == {
        "id", "element_id", "text", "confidence", "orientation",
    }  # fmt: skip
    kept = results.rows(corpus_transcriptions)
    assert [row["id"] for row in kept] == [each["id"] for each in made["transcriptions"]]
    assert {row["worker_run_id"] for row in kept} == {results.run}


async def test_many_transcriptions_are_stored_all_or_none(results: Results) -> None:
    async def refuse(wrong: dict[str, Any], field: str) -> Any:
        good = {"element_id": results.pages[0], "text": "good", "confidence": 0.5}
        body = {"worker_run_id": results.run, "transcriptions": [good, good, {**good, **wrong}]}
        names = ["transcriptions", 2, field]
        return await results.refused("/transcription/bulk/", body, names=names, tables=TABLES)

    for element in (UNKNOWN, "no id"):
        assert element in (await refuse({"element_id": element}, "element_id"))["detail"]
    await refuse({"text": ""}, "text")
    await refuse({"text": "\t"}, "text")
    await refuse({"confidence": 1.01}, "confidence")
    await refuse({"confidence": None}, "confidence")
    await refuse({"orientation": "up"}, "orientation")
    for transcriptions in ([], None, "x"):
        await results.refused(
            "/transcription/bulk/",
            {"worker_run_id": results.run, "transcriptions": transcriptions},
            names=["transcriptions"],
            tables=TABLES,
        )


async def test_transcriptions_below_an_element_are_listed_once_each(results: Results) -> None:
    # The first page has a line that hangs from the second page, too.
    line = results.corpora.elements(
        results.corpus, ["line"], kind="text_line", parent=results.pages[0]
    )[0]
    results.add(corpus_paths, parent_id=results.pages[1], child_id=line, position=0)
    for element, what in ((results.pages[0], "page"), (line, "line"), (results.folder, "box")):
        await results.make(f"/element/{element}/transcription/", text(results, what))
    elsewhere = results.corpora.elements(results.corpus, ["loose"])[0]
    await results.make(f"/element/{elsewhere}/transcription/", text(results, "loose"))

    async def texts(**query: Any) -> list[str]:
        return [each["text"] for each in await read(results, results.folder, **query)]

    assert await texts() == ["box"]
    assert await texts(recursive=False) == ["box"]
    assert await texts(recursive="True") == ["page", "line", "box"]
    assert await texts(recursive=True, element_type="text_line") == ["line"]
    assert await texts(element_type="text_line") == []


async def test_transcriptions_are_filtered_by_who_made_them(results: Results) -> None:
    other_run, other_version = worker_run(results.corpora, results.corpus)
    path = f"/element/{results.pages[0]}/transcription/"
    await results.make(path, {"text": "by hand"})
    await results.make(path, text(results, "first"))
    await results.make(path, text(results, "second", worker_run_id=other_run))

    async def texts(**query: Any) -> list[str]:
        return [each["text"] for each in await read(results, results.pages[0], **query)]

    assert await texts() == ["by hand", "first", "second"]
    assert await texts(worker_run="False") == ["by hand"]
    assert await texts(worker_version="False") == ["by hand"]
    assert await texts(worker_run=results.run) == ["first"]
    assert await texts(worker_version=other_version) == ["second"]
    assert await texts(worker_run=results.run, worker_version=other_version) == []
    assert await texts(worker_run=UNKNOWN) == []
    for name in ("worker_run", "worker_version"):
        listing = f"/element/{results.pages[0]}/transcriptions/"
        answer = await results.call("GET", listing, params={name: "mine"}, expect=400)
        assert answer["errors"][0]["attr"] == [name]


async def test_pages_of_transcriptions_follow_one_another(results: Results) -> None:
    page = results.pages[0]
    body = {
        "transcriptions": [{"element_id": page, "text": str(number)} for number in range(45)],
    }
    await results.make("/transcription/bulk/", body)
    texts, path = [], f"/element/{page}/transcriptions/"
    for number in (1, 2, 3):
        listed = await results.call("GET", path, params={"page": number, "worker_run": "False"})
        assert (listed["count"], listed["number"]) == (45, number)
        assert ("worker_run=False" in listed["next"]) if number < 3 else listed["next"] is None
        texts += [each["text"] for each in listed["results"]]
    assert texts == [str(number) for number in range(45)]
    await results.call("GET", path, params={"page": 4}, expect=404)

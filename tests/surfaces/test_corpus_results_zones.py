"""Zones that are made with the text on them: CreateElementTranscriptions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.surfaces.corpus.tables import corpus_elements, corpus_paths, corpus_transcriptions
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of

TABLES = [corpus_elements, corpus_paths, corpus_transcriptions]
BOXES = [
    [[100, 150], [700, 150], [700, 200], [100, 200]],
    [[0, 0], [1000, 0], [1000, 800], [0, 800]],
    [[100, 300], [120, 300], [120, 500], [100, 500]],
]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


def zones(results: Results, *boxes: Any, **more: Any) -> dict[str, Any]:
    return {
        "element_type": "text_line",
        "worker_run_id": results.run,
        "return_elements": True,
        "transcriptions": [
            {"polygon": box, "text": f"line {number}", "confidence": 0.5, **more}
            for number, box in enumerate(boxes)
        ],
    }


def place(results: Results, page: int = 0) -> str:
    return f"/element/{results.pages[page]}/transcriptions/bulk/"


async def test_zones_become_children_with_their_texts_in_order(results: Results) -> None:
    body = zones(results, *BOXES, element_confidence=0.75)
    made = await results.make(place(results), body)
    assert isinstance(made, list)
    assert [set(each) for each in made] == [{"id", "element_id", "created"}] * 3
    assert [each["created"] for each in made] == [True, True, True]
    lines = {row["id"]: row for row in results.rows(corpus_elements)}
    texts = {row["id"]: row for row in results.rows(corpus_transcriptions)}
    page = lines[results.pages[0]]
    for number, (each, box) in enumerate(zip(made, BOXES, strict=True)):
        line, text = lines[each["element_id"]], texts[each["id"]]
        assert json.loads(line["polygon"]) == [*box, box[0]]
        assert (line["image_id"], line["corpus_id"]) == (page["image_id"], page["corpus_id"])
        assert (line["confidence"], line["worker_run_id"]) == (0.75, results.run)
        assert (text["text"], text["element_id"]) == (f"line {number}", line["id"])
        assert (text["confidence"], text["worker_run_id"]) == (0.5, results.run)
    listed = await results.call(
        "GET",
        f"/element/{results.folder}/transcriptions/",
        params={"recursive": True, "element_type": "text_line"},
    )
    assert [each["id"] for each in listed["results"]] == [each["id"] for each in made]


async def test_a_zone_that_is_there_is_used_again(results: Results) -> None:
    first = await results.make(place(results), zones(results, BOXES[0], BOXES[1]))
    # In another order, closed, and with fractions: still the same zone.
    again = [[point[0] + 0.25, point[1] - 0.25] for point in BOXES[0]] + [BOXES[0][0]]
    second = await results.make(place(results), zones(results, BOXES[2], again, BOXES[2]))
    assert [each["created"] for each in second] == [True, False, False]
    assert second[1]["element_id"] == first[0]["element_id"]
    assert second[2]["element_id"] == second[0]["element_id"]
    # The text of the first zone is new there, the others are of zones that are new.
    assert len({each["id"] for each in [*first, *second]}) == 5
    positions = {row["child_id"]: row["position"] for row in rows_below(results, 0)}
    assert [positions[each["element_id"]] for each in (*first, second[0])] == [0, 1, 2]
    # Another type, and another page, have zones of their own.
    other = zones(results, BOXES[0]) | {"element_type": "page"}
    assert (await results.make(place(results), other))[0]["created"]
    assert (await results.make(place(results, 1), zones(results, BOXES[0])))[0]["created"]


def rows_below(results: Results, page: int) -> list[dict[str, Any]]:
    query = corpus_paths.select().where(corpus_paths.c.parent_id == results.pages[page])
    return results.corpora.database.read_blocking(
        lambda connection: [dict(row._mapping) for row in connection.execute(query)]
    )


@pytest.mark.parametrize(
    "polygon",
    [
        [[0, 0], [10, 10]],
        [[0, 0], [10, 10], [0, 0], [10, 10]],
        [[0, 0], [10, 0], [20, 0]],
        [[0, 0], [1001, 0], [5, 5]],
        [[0, -1], [10, 0], [5, 5]],
        [[0, 0], [10, 801], [5, 5]],
        [[0, 0], [10, 0, 3], [5, 5]],
        [[0, 0], [], [5, 5]],
        [],
        [[0, 0], [1, 1], [2, 0]] * 3_334,
    ],
)
async def test_a_polygon_that_cannot_be_is_refused_with_its_field(
    results: Results, polygon: Any
) -> None:
    names = ["transcriptions", 1, "polygon"]
    body = zones(results, BOXES[0], polygon)
    await results.refused(place(results), body, names=names, tables=TABLES)


async def test_zones_are_stored_all_or_none(results: Results) -> None:
    good = zones(results, *BOXES)
    for field, wrong, names in (
        ("text", " ", ["text"]),
        ("text", "", ["text"]),
        ("confidence", 1.2, ["confidence"]),
        ("confidence", None, ["confidence"]),
        ("orientation", "up", ["orientation"]),
        ("element_confidence", -0.1, ["element_confidence"]),
        ("polygon", None, ["polygon"]),
        ("polygon", [[0, 0], [1, "x"], [2, 2]], ["polygon", 1, 1]),
    ):
        body = {**good, "transcriptions": [*good["transcriptions"]]}
        body["transcriptions"][2] = {**body["transcriptions"][2], field: wrong}
        await results.refused(
            place(results), body, names=["transcriptions", 2, *names], tables=TABLES
        )
    for field, wrong in (
        ("element_type", "word"),
        ("element_type", None),
        ("worker_run_id", UNKNOWN),
        ("transcriptions", []),
    ):
        body = {**good, field: wrong}
        answer = await results.refused(place(results), body, names=[field], tables=TABLES)
        if wrong == "word":
            assert "word" in answer["detail"]


async def test_an_element_without_an_image_has_no_zones(results: Results) -> None:
    path = f"/element/{results.folder}/transcriptions/bulk/"
    await results.refused(path, zones(results, BOXES[0]), names=None, tables=TABLES)
    missing = f"/element/{UNKNOWN}/transcriptions/bulk/"
    await results.call("POST", missing, body=zones(results, BOXES[0]), expect=404)

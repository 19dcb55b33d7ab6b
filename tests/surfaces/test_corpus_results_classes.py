"""Classes of a corpus, and classifications of its elements."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.surfaces.corpus.tables import corpus_classes, corpus_classifications
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of

DUPLICATE = "The fields element, worker_run, ml_class must make a unique set."
TABLES = [corpus_classes, corpus_classifications]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def make_class(results: Results, name: str, corpus: str | None = None) -> str:
    made = await results.make(f"/corpus/{corpus or results.corpus}/classes/", {"name": name})
    return str(made["id"])


def classification(results: Results, ml_class: str, **more: Any) -> dict[str, Any]:
    return {
        "element": results.pages[0],
        "ml_class": ml_class,
        "worker_run_id": results.run,
        "confidence": 0.9,
        "high_confidence": False,
        **more,
    }


async def test_classes_are_listed_by_name_in_pages_that_the_clients_read(results: Results) -> None:
    for name in ("wide", "blank", "narrow"):
        await make_class(results, name)
    path = f"/corpus/{results.corpus}/classes/"
    first = await results.call("GET", path, params={"page_size": 2})
    assert (first["count"], first["number"], first["previous"]) == (3, 1, None)
    assert [each["name"] for each in first["results"]] == ["blank", "narrow"]
    second = await results.call("GET", path, params={"page_size": 2, "page": 2})
    assert [each["name"] for each in second["results"]] == ["wide"]
    assert second["next"] is None
    assert set(second["results"][0]) == {"id", "name"}


async def test_a_class_that_exists_is_refused_with_400_and_its_id(results: Results) -> None:
    made = await make_class(results, "blank")
    path = f"/corpus/{results.corpus}/classes/"
    answer = await results.refused(path, {"name": "blank"}, names=["name"], tables=TABLES)
    assert answer["errors"][0]["code"] == "unique"
    assert answer["existing_id"] == made
    assert answer["non_field_errors"] == [answer["detail"]]
    # Another corpus may have one of the same name.
    other = results.corpora.corpus("others")
    assert await make_class(results, "blank", other) != made


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "  "}, {"name": 3}, {}, {"name": "x" * 256}]
)
async def test_a_class_needs_a_name(results: Results, body: Any) -> None:
    await results.refused(f"/corpus/{results.corpus}/classes/", body, names=["name"], tables=TABLES)


async def test_a_classification_is_stamped_with_its_worker_run(results: Results) -> None:
    ml_class = await make_class(results, "blank")
    made = await results.make("/classifications/", classification(results, ml_class))
    assert made == {
        "id": made["id"],
        "element": results.pages[0],
        "ml_class": ml_class,
        "worker_run_id": results.run,
        "confidence": 0.9,
        "high_confidence": False,
        "state": "pending",
    }
    [row] = results.rows(corpus_classifications)
    assert (row["id"], row["worker_run_id"]) == (made["id"], results.run)


async def test_a_person_is_sure_unless_a_confidence_is_given(results: Results) -> None:
    ml_class = await make_class(results, "blank")
    body = {"element": results.pages[0], "ml_class": ml_class}
    made = await results.make("/classifications/", body)
    assert (made["confidence"], made["state"], made["worker_run_id"]) == (1.0, "validated", None)
    await results.refused(
        "/classifications/",
        {**body, "worker_run_id": results.run},
        names=["confidence"],
        tables=TABLES,
    )


async def test_the_same_classification_again_is_refused_in_the_words_that_clients_look_for(
    results: Results,
) -> None:
    ml_class = await make_class(results, "blank")
    body = classification(results, ml_class)
    await results.make("/classifications/", body)
    answer = await results.refused("/classifications/", body, names=None, tables=TABLES)
    assert answer["non_field_errors"] == [DUPLICATE]
    # By hand, and on another element, it is another one.
    await results.make("/classifications/", {**body, "worker_run_id": None})
    await results.make("/classifications/", {**body, "element": results.pages[1]})


async def test_many_classifications_come_back_in_order(results: Results) -> None:
    classes = [await make_class(results, name) for name in ("c", "a", "b")]
    body = {
        "parent": results.pages[0],
        "worker_run_id": results.run,
        "classifications": [
            {"ml_class": each, "confidence": 0.5, "high_confidence": each == classes[1]}
            for each in classes
        ],
    }
    made = await results.make("/classification/bulk/", body)
    assert set(made) == {"parent", "worker_run_id", "classifications"}
    given = made["classifications"]
    assert [each["ml_class"] for each in given] == classes
    assert [each["high_confidence"] for each in given] == [False, True, False]
    assert {each["id"] for each in given} == {
        row["id"] for row in results.rows(corpus_classifications)
    }


async def test_many_classifications_are_stored_all_or_none(results: Results) -> None:
    good, taken = await make_class(results, "good"), await make_class(results, "taken")
    elsewhere = await make_class(results, "good", results.corpora.corpus("others"))
    await results.make("/classifications/", classification(results, taken))

    async def refuse(last: dict[str, Any], names: list[Any] | None, **more: Any) -> Any:
        body = {
            "parent": results.pages[0],
            "worker_run_id": results.run,
            "classifications": [
                {"ml_class": good, "confidence": 0.5},
                {"ml_class": taken, "confidence": 0.5, **last},
            ],
            **more,
        }
        return await results.refused("/classification/bulk/", body, names=names, tables=TABLES)

    place = ["classifications", 1]
    assert (await refuse({}, None))["non_field_errors"] == [DUPLICATE]
    assert (await refuse({"ml_class": good}, None))["non_field_errors"] == [DUPLICATE]
    for wrong in (elsewhere, UNKNOWN, "no id"):
        answer = await refuse({"ml_class": wrong}, [*place, "ml_class"])
        assert wrong in answer["detail"]
    for wrong in (1.2, -0.1, "0.5", None, True):
        await refuse({"confidence": wrong}, [*place, "confidence"])
    await refuse({}, ["parent"], parent=UNKNOWN)
    await refuse({}, ["worker_run_id"], worker_run_id=UNKNOWN)
    await refuse({}, ["classifications"], classifications=[])

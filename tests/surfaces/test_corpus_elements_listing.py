"""Listings of elements: pages, order, and each filter against what it is to find."""

from __future__ import annotations

from typing import Any

import pytest

from longshore import ids
from longshore.surfaces.corpus.tables import (
    corpus_classes,
    corpus_classifications,
    corpus_metadata,
    corpus_paths,
    corpus_transcriptions,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of, worker_run

LINE = {"type": "text_line", "polygon": [[1, 2], [30, 2], [30, 9]]}


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def names(results: Results, path: str, **query: Any) -> list[str]:
    """Walk through all pages of a listing; return the names in order."""
    found: list[str] = []
    number = 1
    while True:
        params = {"page": number, "page_size": 2, **query}
        page = await results.call("GET", path, params=params)
        assert page["number"] == number
        assert len(page["results"]) <= 2
        found += [each["name"] for each in page["results"]]
        assert page["count"] >= len(found)
        if page["next"] is None:
            assert page["count"] == len(found)
            return found
        number += 1


async def filled(results: Results) -> dict[str, str]:
    """Lines on the first two pages, made by hand and by two versions; return ids by name."""
    made: dict[str, str] = {}
    other_run, other_version = worker_run(results.corpora, results.corpus)
    for page, run, lines in (
        (0, results.run, ["Alpha", "beta", "100% sure"]),
        (0, None, ["Alphabet"]),
        (1, other_run, ["gamma_1", "gammaX1"]),
    ):
        path = f"/element/{results.pages[page]}/children/bulk/"
        body = {"worker_run_id": run, "elements": [{**LINE, "name": name} for name in lines]}
        for name, each in zip(lines, await results.make(path, body), strict=True):
            made[name] = each["id"]
    for name, run in (("Alpha", results.run), ("Alpha", ""), ("beta", ""), ("gamma_1", other_run)):
        results.add(
            corpus_transcriptions,
            id=ids.uuid(), element_id=made[name], text="t", orientation="horizontal-lr",
            worker_run_id=run, created_us=0,
        )  # fmt: skip
    return {**made, "other_run": other_run, "other_version": other_version}


LINES = ["Alpha", "beta", "100% sure", "Alphabet", "gamma_1", "gammaX1"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["box 1", "p1", "p2", "p3", *LINES]),
        ({"type": "page"}, ["p1", "p2", "p3"]),
        ({"type": "text_line"}, LINES),
        ({"folder": "True"}, ["box 1"]),
        ({"folder": "false", "type": "page"}, ["p1", "p2", "p3"]),
        ({"folder": "True", "type": "page"}, []),
        ({"top_level": "True"}, ["box 1"]),
        ({"top_level": "False", "type": "page"}, ["p1", "p2", "p3"]),
        ({"name": "alpha"}, ["Alpha", "Alphabet"]),
        ({"name": "%"}, ["100% sure"]),
        ({"name": "a_1"}, ["gamma_1"]),
        ({"worker_run": "RUN"}, ["Alpha", "beta", "100% sure"]),
        ({"worker_run": "False", "type": "text_line"}, ["Alphabet"]),
        ({"worker_version": "OTHER_VERSION"}, ["gamma_1", "gammaX1"]),
        ({"worker_version": "VERSION", "name": "beta"}, ["beta"]),
        ({"worker_version": "False", "type": "text_line"}, ["Alphabet"]),
        ({"worker_run": UNKNOWN}, []),
        ({"transcription_worker_run": "RUN"}, ["Alpha"]),
        ({"transcription_worker_run": "False"}, ["Alpha", "beta"]),
        ({"transcription_worker_version": "OTHER_VERSION"}, ["gamma_1"]),
        ({"transcription_worker_version": "false"}, ["Alpha", "beta"]),
        ({"transcription_worker_run": "RUN", "transcription_worker_version": "False"}, []),
    ],
)
async def test_each_filter_finds_its_elements_of_a_corpus(
    results: Results, query: dict[str, str], expected: list[str]
) -> None:
    made = await filled(results)
    known = {
        "RUN": results.run, "VERSION": results.version, "OTHER_VERSION": made["other_version"],
    }  # fmt: skip
    given = {name: known.get(value, value) for name, value in query.items()}
    # Another corpus has the same things, and none of them is shown.
    results.corpora.elements(results.corpora.corpus("other"), ["Alpha", "p1"])
    assert await names(results, f"/corpus/{results.corpus}/elements/", **given) == expected


async def test_what_is_below_and_above_is_listed_near_and_far(results: Results) -> None:
    made = await filled(results)
    folder, page = results.folder, results.pages[0]
    below = f"/elements/{folder}/children/"
    assert await names(results, below) == ["p1", "p2", "p3"]
    assert await names(results, below, recursive="True") == ["p1", "p2", "p3", *LINES]
    assert await names(results, below, recursive="True", type="text_line", name="a") == [
        "Alpha", "beta", "Alphabet", "gamma_1", "gammaX1",
    ]  # fmt: skip
    assert await names(results, below, recursive="True", worker_run="False", folder="False") == [
        "p1", "p2", "p3", "Alphabet",
    ]  # fmt: skip
    assert await names(results, f"/elements/{page}/children/", worker_run=results.run) == [
        "Alpha", "beta", "100% sure",
    ]  # fmt: skip
    assert await names(results, f"/elements/{page}/children/", transcription_worker_run="0") == [
        "Alpha", "beta",
    ]  # fmt: skip
    above = f"/elements/{made['Alpha']}/parents/"
    assert await names(results, above) == ["p1"]
    assert await names(results, above, recursive="True") == ["box 1", "p1"]
    assert await names(results, above, recursive="True", type="folder") == ["box 1"]
    assert await names(results, above, name="zzz") == []
    assert await names(results, f"/elements/{folder}/parents/") == []
    # Below two others it is still listed once.
    await results.make(f"/element/{made['Alpha']}/parent/{results.pages[1]}/", None)
    assert await names(results, below, recursive="True") == ["p1", "p2", "p3", *LINES]
    assert await names(results, above, recursive="True") == ["box 1", "p1", "p2"]
    assert await names(results, f"/elements/{results.pages[1]}/children/") == [
        "gamma_1", "gammaX1", "Alpha",
    ]  # fmt: skip


async def test_a_circle_that_is_there_all_the_same_ends_a_listing(results: Results) -> None:
    page, folder = results.pages[0], results.folder
    results.add(corpus_paths, parent_id=page, child_id=folder, position=0)
    for path in (f"/elements/{folder}/children/", f"/elements/{page}/parents/"):
        found = await names(results, path, recursive="True")
        assert sorted(set(found)) == sorted(found)
        assert {"box 1", "p1"} <= set(found)


async def test_what_goes_with_elements_is_told_where_wanted(results: Results) -> None:
    page = results.pages[0]
    kind = ids.uuid()
    results.add(corpus_classes, id=kind, corpus_id=results.corpus, name="letter")
    classified, described = ids.uuid(), ids.uuid()
    results.add(
        corpus_classifications,
        id=classified, element_id=page, class_id=kind, worker_run_id=results.run, confidence=0.5,
        high_confidence=True, state="pending", created_us=0,
    )  # fmt: skip
    results.add(
        corpus_metadata,
        id=described, element_id=page, type="text", name="place", value="Paris",
        worker_run_id="", created_us=0,
    )  # fmt: skip
    path = f"/elements/{results.folder}/children/"
    everything = dict.fromkeys(("with_classes", "with_corpus", "with_metadata", "with_has_children", "with_zone"), "True")  # fmt: skip
    first, second, _ = (await results.call("GET", path, params=everything))["results"]
    stamp = {
        "worker_run_id": results.run,
        "worker_run": {"id": results.run, "summary": "reader 1"},
        "worker_version_id": results.version,
        "worker_version": results.version,
    }
    assert first["classes"] == [
        {
            "id": classified, "ml_class": {"id": kind, "name": "letter"}, "state": "pending",
            "confidence": 0.5, "high_confidence": True, **stamp,
        }
    ]  # fmt: skip
    assert first["metadata"] == [
        {
            "id": described, "type": "text", "name": "place", "value": "Paris", "dates": [],
            **dict.fromkeys(stamp),
        }
    ]  # fmt: skip
    assert (second["classes"], second["metadata"]) == ([], [])
    assert first["has_children"] is False
    assert first["corpus"]["id"] == results.corpus
    assert first["zone"]["polygon"]
    nothing = dict.fromkeys(everything, "False")
    bare = (await results.call("GET", path, params=nothing))["results"][0]
    for name in ("classes", "metadata", "has_children", "corpus", "zone"):
        assert bare[name] is None
    assert set(bare) == set(first)
    usual = (await results.call("GET", path))["results"][0]
    assert usual["zone"] == first["zone"]
    assert usual["corpus"] == first["corpus"]
    assert usual["classes"] is None
    folder = (await results.call("GET", f"/corpus/{results.corpus}/elements/", params=everything))[
        "results"
    ][0]
    assert folder["has_children"] is True


async def test_a_page_that_is_not_there_and_filters_that_are_none_are_refused(
    results: Results,
) -> None:
    paths = (
        f"/corpus/{results.corpus}/elements/",
        f"/elements/{results.folder}/children/",
        f"/elements/{results.pages[0]}/parents/",
    )
    for path in paths:
        await results.call("GET", path, params={"page": 2}, expect=404)
        await results.call("GET", path, params={"page": 0}, expect=400)
        answer = await results.call("GET", path, params={"type": "pages"}, expect=400)
        assert "'pages'" in answer["detail"]
        assert "'page'" in answer["detail"]
        for name in ("worker_run", "worker_version", "transcription_worker_run"):
            answer = await results.call("GET", path, params={name: "x"}, expect=400)
            assert "'x'" in answer["detail"]
        await results.call("GET", path, params={"folder": "maybe"}, expect=400)
    for strange in (UNKNOWN, "x"):
        await results.call("GET", f"/corpus/{strange}/elements/", expect=404)
        await results.call("GET", f"/elements/{strange}/children/", expect=404)
        await results.call("GET", f"/elements/{strange}/parents/", expect=404)

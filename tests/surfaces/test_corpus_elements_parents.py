"""Which element is below which: put there, taken away, deleted; and never in a circle."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection

from longshore import limits
from longshore.access import Role
from longshore.engine.works import Outcome
from longshore.surfaces.corpus import removal
from longshore.surfaces.corpus.tables import (
    corpus_dataset_elements,
    corpus_dataset_sets,
    corpus_datasets,
    corpus_elements,
    corpus_paths,
    corpus_transcription_entities,
    corpus_transcriptions,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.corpus_tasks_rig import run_jobs
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


def made(results: Results, names: str, **more: Any) -> list[str]:
    return results.corpora.elements(results.corpus, names.split(), **more)


async def children(results: Results, parent: str) -> list[str]:
    page = await results.call("GET", f"/elements/{parent}/children/")
    return [each["id"] for each in page["results"]]


async def test_an_element_is_put_below_several_and_taken_away(results: Results) -> None:
    a, b, c = made(results, "a b c")
    assert await results.make(f"/element/{c}/parent/{a}/", None) == {"parent": a, "child": c}
    await results.make(f"/element/{c}/parent/{b}/", None)
    await results.make(f"/element/{b}/parent/{a}/", None)
    assert await children(results, a) == [c, b]
    await results.call("DELETE", f"/element/{c}/parent/{a}/", expect=204)
    assert await children(results, a) == [b]
    assert await children(results, b) == [c]
    await results.call("DELETE", f"/element/{c}/parent/{a}/", expect=404)
    await results.call("GET", f"/element/{c}/")


async def test_many_are_put_below_one_and_what_is_there_stays_where_it_is(
    results: Results,
) -> None:
    a, b, c, d = made(results, "a b c d")
    path = f"/element/parent/{a}/"
    answer = await results.make(path, {"children": [b, c]})
    assert answer["children"] == [b, c]
    await results.make(path, {"children": [d, c, b, d]})
    assert await children(results, a) == [b, c, d]


async def test_what_cannot_be_below_is_refused(results: Results) -> None:
    a, b, c = made(results, "a b c")
    elsewhere = results.corpora.elements(results.corpora.corpus("other"), ["x"])[0]
    organisation, _ = results.corpora.served.other_organisation()
    foreign_corpus = results.corpora.corpus("foreign", organisation_id=organisation.id)
    foreign = results.corpora.elements(foreign_corpus, ["f"])[0]
    await results.make(f"/element/{b}/parent/{a}/", None)
    tables = [corpus_paths]
    again = await results.refused(f"/element/{b}/parent/{a}/", None, names=None, tables=tables)
    assert "already" in again["non_field_errors"][0]
    other = f"/element/{elsewhere}/parent/{a}/"
    answer = await results.refused(other, None, names=None, tables=tables)
    assert "another corpus" in answer["detail"]
    for strange in (UNKNOWN, "x", foreign):
        await results.call("POST", f"/element/{strange}/parent/{a}/", expect=404)
        await results.call("POST", f"/element/{a}/parent/{strange}/", expect=404)
        await results.call(
            "POST", f"/element/parent/{strange}/", body={"children": [a]}, expect=404
        )
        await results.refused(
            f"/element/parent/{a}/",
            {"children": [c, strange]},
            names=["children", 1],
            tables=tables,
        )
    body = {"children": [c, elsewhere]}
    answer = await results.refused(
        f"/element/parent/{a}/", body, names=["children", 1], tables=tables
    )
    assert "another corpus" in answer["detail"]
    strange_bodies: list[dict[str, Any]] = [{"children": []}, {"children": "x"}, {}]
    for strange_body in strange_bodies:
        await results.call("POST", f"/element/parent/{a}/", body=strange_body, expect=400)


async def test_nothing_gets_below_itself(results: Results) -> None:
    a, b, c, d = made(results, "a b c d")
    for child, parent in ((b, a), (c, b), (c, a), (d, c)):
        await results.make(f"/element/{child}/parent/{parent}/", None)
    for child, parent in ((a, a), (a, b), (a, c), (a, d), (b, d)):
        answer = await results.refused(
            f"/element/{child}/parent/{parent}/", None, names=None, tables=[corpus_paths]
        )
        assert answer["errors"][0]["code"] == "circle"
        await results.refused(
            f"/element/parent/{parent}/",
            {"children": [results.pages[0], child]},
            names=["children", 1],
            tables=[corpus_paths],
        )


async def test_two_at_once_make_no_circle(results: Results) -> None:
    for _ in range(10):
        a, b = made(results, "a b")
        answers = await asyncio.gather(
            *(
                results.corpora.client.post(f"/api/v1/element/{child}/parent/{parent}/")
                for child, parent in ((a, b), (b, a))
            )
        )
        assert sorted(answer.status_code for answer in answers) == [201, 400]


def _belongs(results: Results, element_id: str) -> None:
    """Put a text with an entity on an element."""
    text, span = f"t-{element_id}", f"s-{element_id}"
    results.add(
        corpus_transcriptions,
        id=text, element_id=element_id, text="t", orientation="horizontal-lr", worker_run_id="",
        created_us=0,
    )  # fmt: skip
    results.add(
        corpus_transcription_entities,
        id=span, transcription_id=text, type_id="x", offset=0, length=1, worker_run_id="",
        created_us=0,
    )  # fmt: skip


async def test_what_is_below_goes_with_an_element_but_what_others_have_stays(
    results: Results,
) -> None:
    folder, page = results.folder, results.pages[0]
    lines = made(results, "l1 l2 l3", kind="text_line", parent=page)
    words = made(results, "w1 w2", kind="text_line", parent=lines[0])
    # The second line, and so what is below it, is on another page, too.
    await results.make(f"/element/{lines[1]}/parent/{results.pages[1]}/", None)
    shared = made(results, "s", kind="text_line", parent=lines[1])
    await results.make(f"/element/{shared[0]}/parent/{lines[2]}/", None)
    for each in (*lines, *words, *shared):
        _belongs(results, each)
    await results.call("DELETE", f"/element/{page}/", expect=204)
    left = {row["id"] for row in results.rows(corpus_elements)}
    assert left == {folder, *results.pages[1:], lines[1], *shared}
    assert results.count(corpus_transcriptions) == 2
    assert results.count(corpus_transcription_entities) == 2
    assert await children(results, results.pages[1]) == [lines[1]]
    assert await children(results, lines[1]) == shared
    known = {folder, *results.pages, *lines, *words, *shared} & left
    paths = results.corpora.database.read_blocking(
        lambda connection: connection.execute(corpus_paths.select()).all()
    )
    assert all(row.parent_id in known and row.child_id in known for row in paths)


async def test_an_element_can_go_alone(results: Results) -> None:
    lines = made(results, "l1 l2", kind="text_line", parent=results.pages[0])
    params = {"delete_children": "False"}
    await results.call("DELETE", f"/element/{results.pages[0]}/", params=params, expect=204)
    for each in lines:
        page = await results.call("GET", f"/elements/{each}/parents/")
        assert page["count"] == 0


def _reopen(connection: Connection) -> None:
    connection.execute(corpus_datasets.update().values(state="open"))


async def test_an_element_of_a_complete_dataset_stays(results: Results) -> None:
    page = results.pages[0]
    line = made(results, "l1", kind="text_line", parent=page)[0]
    same = {
        "description": "",
        "unique_elements": False,
        "creator": "me",
        "created_us": 0,
        "updated_us": 0,
    }
    results.add(
        corpus_datasets, id="d", corpus_id=results.corpus, name="gold", state="complete", **same
    )
    results.add(corpus_dataset_sets, id="s", dataset_id="d", name="test", position=0)
    results.add(corpus_dataset_elements, set_id="s", element_id=line, dataset_id="d", id="m")
    for path in (f"/element/{page}/", f"/element/{line}/", f"/element/{results.folder}/"):
        answer = await results.call("DELETE", path, expect=400)
        assert "'gold'" in answer["detail"]
    assert results.count(corpus_elements) == 5
    results.corpora.database.write_blocking(_reopen)
    await results.call("DELETE", f"/element/{page}/", expect=204)
    assert results.count(corpus_dataset_elements) == 0


async def test_much_is_deleted_by_a_job_that_can_be_cut_short(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ELEMENTS_DELETED_PER_CALL", 20)
    monkeypatch.setattr(removal, "STEP_ELEMENTS", 7)
    page = results.pages[0]
    for line in made(results, "l1 l2 l3 l4 l5", kind="text_line", parent=page):
        made(results, "w1 w2 w3 w4", kind="text_line", parent=line)
    answer = await results.call("DELETE", f"/element/{page}/", expect=202)
    assert set(answer) == {"id", "work_id"}
    # Killed after some steps: what is left is still below the page.
    doomed = await results.corpora.database.read(removal.found, page)
    assert len(doomed.ids) == 26
    await results.corpora.database.write(removal.sweep, doomed.ids[:9], doomed.kept)
    rest = await results.corpora.database.read(removal.found, page)
    assert len(rest.ids) == 17
    # What came meanwhile goes, too.
    made(results, "late", kind="text_line", parent=page)
    assert await run_jobs(results.corpora) == [Outcome.SUCCESS]
    left = {row["id"] for row in results.rows(corpus_elements)}
    assert left == {results.folder, *results.pages[1:]}
    await results.call("DELETE", f"/element/{page}/", expect=404)


async def test_a_viewer_changes_nothing(results: Results) -> None:
    token = results.corpora.served.token(Role.VIEWER)
    headers = {"Authorization": f"Bearer {token}"}
    page, folder = results.pages[0], results.folder
    await results.call("GET", f"/element/{page}/", headers=headers)
    for method, path, body in (
        ("PATCH", f"/element/{page}/", {"name": "x"}),
        ("DELETE", f"/element/{page}/", None),
        ("POST", f"/element/{page}/children/bulk/", {"elements": []}),
        ("POST", "/elements/create/", {}),
        ("POST", f"/element/{page}/parent/{folder}/", None),
        ("DELETE", f"/element/{page}/parent/{folder}/", None),
        ("POST", f"/element/parent/{folder}/", {"children": [page]}),
        ("POST", "/corpus/", {"name": "x"}),
        ("PATCH", f"/corpus/{results.corpus}/", {"name": "x"}),
        ("DELETE", f"/corpus/{results.corpus}/", None),
        ("POST", "/elements/type/", {"slug": "x", "corpus": results.corpus}),
    ):
        await results.call(method, path, body=body, headers=headers, expect=403)

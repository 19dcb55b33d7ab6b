"""Elements that are made, moved and deleted at the same moment: nothing is left hanging in the air."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, exists, select

from longshore import ids
from longshore.engine.works import Outcome
from longshore.surfaces.corpus.tables import corpora as corpora_table
from longshore.surfaces.corpus.tables import corpus_elements, corpus_paths
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.corpus_tasks_rig import run_jobs
from tests.surfaces.results_corpus_rig import Results, results_of

ROUNDS = 8
LINE = {"type": "text_line", "name": "l", "polygon": [[0, 0], [9, 0], [9, 9]]}


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def send(results: Results, method: str, path: str, body: Any = None) -> httpx.Response:
    return await results.corpora.client.request(method, f"/api/v1{path}", json=body)


def _hanging(connection: Connection) -> int:
    """Count the paths with an end that does not exist."""
    ends = [
        exists().where(corpus_elements.c.id == column)
        for column in (corpus_paths.c.parent_id, corpus_paths.c.child_id)
    ]
    query = select(corpus_paths).where(~ends[0] | ~ends[1])
    return len(connection.execute(query).all())


def _lines(connection: Connection) -> int:
    return len(
        connection.execute(select(corpus_elements).where(corpus_elements.c.name == "l")).all()
    )


async def test_what_is_made_below_an_element_that_is_deleted_goes_with_it(
    results: Results,
) -> None:
    for number in range(ROUNDS):
        folder = results.corpora.elements(results.corpus, [f"box {number}"], kind="folder")[0]
        image = results.corpora.image()
        pages = results.corpora.elements(results.corpus, ["p", "q"], parent=folder, image_id=image)
        bulk = {"elements": [LINE] * 20}
        answers = await asyncio.gather(
            *(send(results, "POST", f"/element/{page}/children/bulk/", bulk) for page in pages),
            send(results, "DELETE", f"/element/{folder}/"),
            *(send(results, "POST", f"/element/{page}/children/bulk/", bulk) for page in pages),
        )
        assert {answer.status_code for answer in answers} <= {201, 204, 404}
        assert answers[2].status_code == 204
        assert results.corpora.database.read_blocking(_hanging) == 0
        assert results.corpora.database.read_blocking(_lines) == 0


async def test_two_deletions_that_overlap_both_end(results: Results) -> None:
    for number in range(ROUNDS):
        folder = results.corpora.elements(results.corpus, [f"box {number}"], kind="folder")[0]
        pages = results.corpora.elements(results.corpus, ["p", "q", "r"], parent=folder)
        lines = results.corpora.elements(results.corpus, ["l"] * 20, parent=pages[0])
        answers = await asyncio.gather(
            *(send(results, "DELETE", f"/element/{each}/") for each in (lines[3], folder, pages[0]))
        )
        assert {answer.status_code for answer in answers} <= {204, 404}
        assert results.corpora.database.read_blocking(_hanging) == 0
        assert results.corpora.database.read_blocking(_lines) == 0


async def test_an_element_that_is_put_below_one_that_is_deleted_stays_or_goes_whole(
    results: Results,
) -> None:
    for number in range(ROUNDS):
        names = [f"a {number}", f"b {number}"]
        parent, child = results.corpora.elements(results.corpus, names)
        linked, deleted = await asyncio.gather(
            send(results, "POST", f"/element/{child}/parent/{parent}/"),
            send(results, "DELETE", f"/element/{parent}/"),
        )
        assert deleted.status_code == 204
        assert linked.status_code in (201, 404)
        assert results.corpora.database.read_blocking(_hanging) == 0
        left = await send(results, "GET", f"/element/{child}/")
        assert left.status_code == (404 if linked.status_code == 201 else 200)


def _rows(connection: Connection) -> dict[str, int]:
    """Count what there is of corpora and elements."""
    tables = (corpora_table, corpus_elements, corpus_paths)
    counts = {table.name: len(connection.execute(select(table)).all()) for table in tables}
    return {name: count for name, count in counts.items() if count}


async def test_nothing_is_left_of_what_is_made_while_its_corpus_is_deleted(
    results: Results,
) -> None:
    body = {"type": "page", "name": "p", "corpus": results.corpus}
    kind = {"slug": "fresh", "corpus": results.corpus}
    bulk = f"/element/{results.pages[0]}/children/bulk/"
    answers = await asyncio.gather(
        *(send(results, "POST", "/elements/create/", body) for _ in range(5)),
        send(results, "DELETE", f"/corpus/{results.corpus}/"),
        *(send(results, "POST", bulk, {"elements": [LINE] * 20}) for _ in range(5)),
        send(results, "POST", "/elements/type/", kind),
    )
    assert {answer.status_code for answer in answers} <= {201, 202, 400, 404}
    assert await run_jobs(results.corpora) == [Outcome.SUCCESS]
    assert results.corpora.database.read_blocking(_rows) == {}


async def test_a_type_that_is_deleted_has_no_elements(results: Results) -> None:
    for number in range(ROUNDS):
        slug = f"kind{number}"
        made = await results.make("/elements/type/", {"slug": slug, "corpus": results.corpus})
        body = {"type": slug, "name": ids.uuid(), "corpus": results.corpus}
        created, deleted = await asyncio.gather(
            send(results, "POST", "/elements/create/", body),
            send(results, "DELETE", f"/elements/type/{made['id']}/"),
        )
        assert (created.status_code, deleted.status_code) in {(201, 400), (400, 204)}


async def test_odd_characters_in_a_filter_are_no_fault_of_the_server(results: Results) -> None:
    path = f"/corpus/{results.corpus}/elements/"
    for name in ("\0", "a\0b", "%", "_", "\\", "'", '"', "é", "\U0001f600", " "):
        for query in ({"name": name}, {"type": name}, {"worker_run": name}):
            answer = await results.corpora.client.get(f"/api/v1{path}", params=query)
            assert answer.status_code in (200, 400), (query, answer.text)

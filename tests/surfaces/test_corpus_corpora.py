"""Corpora and their types: made, listed, changed; and deleted with all that is in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from longshore import ids
from longshore.engine import queues, works
from longshore.engine.tables import results as engine_results
from longshore.engine.works import NewWork, Outcome
from longshore.storage import metadata as schema
from longshore.surfaces.corpus import corpus_deletion
from longshore.surfaces.corpus.tables import (
    corpora as corpora_table,
)
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_classes,
    corpus_classifications,
    corpus_dataset_elements,
    corpus_dataset_sets,
    corpus_datasets,
    corpus_elements,
    corpus_embeddings,
    corpus_entities,
    corpus_entity_types,
    corpus_exports,
    corpus_metadata,
    corpus_process_elements,
    corpus_process_sets,
    corpus_transcription_entities,
    corpus_transcriptions,
    corpus_types,
    corpus_worker_runs,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.corpus_tasks_rig import run_jobs
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def test_a_corpus_is_made_with_its_types_and_shown(corpora: Corpora) -> None:
    types = [{"slug": "page", "display_name": "Page"}, {"slug": "box", "folder": True}]
    body = {"name": "letters", "description": "old ones", "types": types}
    made = await corpora.call("POST", "/corpus/", body=body, expect=201)
    assert await corpora.call("GET", f"/corpus/{made['id']}/") == made
    shown = [(each["slug"], each["display_name"], each["folder"]) for each in made["types"]]
    assert shown == [("box", "box", True), ("page", "Page", False)]
    assert (made["name"], made["description"], made["public"]) == ("letters", "old ones", False)
    assert made["rights"] == ["read", "write", "admin"]
    other = await corpora.call("POST", "/corpus/", body={"name": "a first one"}, expect=201)
    listed = await corpora.call("GET", "/corpus/")
    assert [each["id"] for each in listed] == [other["id"], made["id"]]
    assert listed[1] == made
    changed = await corpora.call(
        "PATCH", f"/corpus/{made['id']}/", body={"name": "new", "description": ""}
    )
    assert changed == {**made, "name": "new", "description": ""}
    assert await corpora.call("PATCH", f"/corpus/{made['id']}/", body={}) == changed


async def test_what_a_corpus_cannot_be_is_refused(corpora: Corpora) -> None:
    first = await corpora.call("POST", "/corpus/", body={"name": "letters"}, expect=201)
    await corpora.call("POST", "/corpus/", body={"name": "other"}, expect=201)
    for body, names in (
        ({"name": "letters"}, ["name"]),
        ({"name": " "}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "x" * 256}, ["name"]),
        ({}, ["name"]),
        ({"name": "x", "public": True}, ["public"]),
        ({"name": "x", "types": [{"slug": "a b"}]}, ["slug"]),
        ({"name": "x", "types": [{"slug": "a"}, {"slug": "a"}]}, ["slug"]),
    ):
        answer = await corpora.call("POST", "/corpus/", body=body, expect=400)
        assert answer["errors"][0]["attr"] == names
    assert len(await corpora.call("GET", "/corpus/")) == 2
    changes: list[dict[str, Any]] = [{"name": "other"}, {"name": " "}, {"public": True}]
    for change in changes:
        await corpora.call("PATCH", f"/corpus/{first['id']}/", body=change, expect=400)
    for strange in (UNKNOWN, "letters"):
        await corpora.call("GET", f"/corpus/{strange}/", expect=404)
        await corpora.call("PATCH", f"/corpus/{strange}/", body={"name": "x"}, expect=404)
        await corpora.call("DELETE", f"/corpus/{strange}/", expect=404)


async def test_each_organisation_sees_its_own_corpora(corpora: Corpora) -> None:
    mine = await corpora.call("POST", "/corpus/", body={"name": "letters"}, expect=201)
    _, token = corpora.served.other_organisation()
    headers = {"Authorization": f"Bearer {token}"}
    assert await corpora.call("GET", "/corpus/", headers=headers) == []
    # The name is taken in the other organisation only.
    await corpora.call("POST", "/corpus/", body={"name": "letters"}, expect=201, headers=headers)
    path = f"/corpus/{mine['id']}/"
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        await corpora.call(method, path, body=body, expect=404, headers=headers)
    new = {"slug": "x", "corpus": mine["id"]}
    answer = await corpora.call("POST", "/elements/type/", body=new, expect=400, headers=headers)
    assert answer["errors"][0]["attr"] == ["corpus"]


async def test_a_type_is_made_changed_and_deleted(results: Results) -> None:
    new = {"slug": "word", "display_name": "Word", "folder": False, "corpus": results.corpus}
    made = await results.make("/elements/type/", new)
    assert (made["slug"], made["display_name"], made["folder"]) == ("word", "Word", False)
    path = f"/elements/type/{made['id']}/"
    assert await results.call("GET", path) == made
    again = await results.refused("/elements/type/", new, names=["slug"], tables=[corpus_types])
    assert "already" in again["detail"]
    for wrong, names in (
        ({"slug": "a/b"}, ["slug"]),
        ({"slug": ""}, ["slug"]),
        ({"slug": "x" * 51}, ["slug"]),
        ({"corpus": UNKNOWN}, ["corpus"]),
        ({"corpus": "letters"}, ["corpus"]),
        ({"folder": "no"}, ["folder"]),
    ):
        body = {**new, "slug": "fresh", **wrong}
        await results.refused("/elements/type/", body, names=names, tables=[corpus_types])
    changed = await results.call("PATCH", path, body={"slug": "token", "folder": True})
    assert changed == {**made, "slug": "token", "folder": True}
    answer = await results.call("PATCH", path, body={"slug": "page"}, expect=400)
    assert answer["errors"][0]["attr"] == ["slug"]
    await results.call("DELETE", path, expect=204)
    await results.call("DELETE", path, expect=404)
    await results.call("GET", "/elements/type/word/", expect=404)
    corpus = await results.call("GET", f"/corpus/{results.corpus}/")
    page = next(each["id"] for each in corpus["types"] if each["slug"] == "page")
    answer = await results.call("DELETE", f"/elements/type/{page}/", expect=400)
    assert results.pages[0] in answer["detail"]
    assert [each["slug"] for each in corpus["types"]] == ["folder", "page", "text_line"]


def _fill(results: Results) -> None:
    """Put a row into each table that has something of a corpus."""
    page, corpus, run = results.pages[0], results.corpus, results.run
    by = {"worker_run_id": run, "created_us": 0}
    on = {"id": "r", "element_id": page, **by}
    results.add(corpus_classes, id="c", corpus_id=corpus, name="letter")
    results.add(
        corpus_classifications, **on, class_id="c", confidence=0.5, high_confidence=False,
        state="pending",
    )  # fmt: skip
    results.add(corpus_transcriptions, **on, text="t", orientation="horizontal-lr")
    results.add(corpus_entity_types, id="e", corpus_id=corpus, name="name", color="ffffff")
    results.add(
        corpus_entities, id="n", corpus_id=corpus, type_id="e", name="Ada", validated=False, **by
    )
    results.add(
        corpus_transcription_entities, id="s", transcription_id="r", type_id="e", offset=0,
        length=1, **by,
    )  # fmt: skip
    results.add(corpus_metadata, **on, type="text", name="a", value="b")
    results.add(corpus_embeddings, **on, value=b"\0\0\0\0")
    about = {"corpus_id": corpus, "creator": "me", "created_us": 0, "updated_us": 0}
    results.add(
        corpus_datasets, id="d", name="gold", description="", state="complete",
        unique_elements=False, **about,
    )  # fmt: skip
    results.add(corpus_dataset_sets, id="t", dataset_id="d", name="test", position=0)
    results.add(corpus_dataset_elements, set_id="t", element_id=page, dataset_id="d", id="m")
    results.add(corpus_exports, id="x", state="failed", work_id="gone", **about)
    process = results.rows(corpus_worker_runs)[0]["process_id"]
    results.add(corpus_process_elements, process_id=process, position=0, element_id=page)
    results.add(corpus_process_sets, process_id=process, set_id="t", position=0)
    work_id = results.corpora.database.write_blocking(_activity, results)
    results.add(
        corpus_activities, work_id=work_id, element_id=page, run_key="k", worker_run_id=run,
        process_id=process,
    )  # fmt: skip


def _activity(connection: Any, results: Results) -> str:
    queue_id = queues.ensure(
        connection, organisation_id=results.corpora.served.organisation.id, surface="activities",
        name="run",
    )  # fmt: skip
    connection.execute(corpus_worker_runs.update().values(queue_id=queue_id))
    return works.submit(connection, [NewWork(queue_id, b"{}")], actor="me")[0].id


def _rows(results: Results) -> dict[str, int]:
    """Count the rows of all tables of corpora."""
    tables = [
        table for name, table in schema.tables.items() if name.startswith(("corpus_", "corpora"))
    ]

    def count(connection: Any) -> dict[str, int]:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table))
            for table in tables
        }

    return results.corpora.database.read_blocking(count)


def _counts(connection: Any, work_id: str) -> dict[str, int]:
    """Return what a job said that it deleted."""
    query = select(engine_results.c.result).where(engine_results.c.work_id == work_id)
    counts: dict[str, int] = json.loads(connection.scalar(query))
    return counts


async def test_a_corpus_goes_with_all_that_is_in_it_and_nothing_else(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_deletion, "STEP_ROWS", 2)
    before = _rows(results)
    other = results.corpora.corpus("other")
    results.corpora.elements(other, ["kept"])
    beside = _rows(results)
    _fill(results)
    full = _rows(results)
    for name in ("corpus_classes", "corpus_entities", "corpus_exports", "corpus_datasets"):
        assert full[name] == beside[name] + 1
    path = f"/corpus/{results.corpus}/"
    answer = await results.call("DELETE", path, expect=202)
    assert answer["elements"] == 4
    # Gone for everybody at once, and the name is free.
    await results.call("GET", path, expect=404)
    await results.call("DELETE", path, expect=404)
    await results.call("GET", f"/element/{results.pages[0]}/", expect=404)
    assert [each["id"] for each in await results.call("GET", "/corpus/")] == [other]
    again = await results.make("/corpus/", {"name": "letters"})
    assert await run_jobs(results.corpora) == [Outcome.SUCCESS]
    # What is not of a corpus stays: images go when nothing uses them, workers are the
    # organisation's.
    after = _rows(results)
    left = {name: count for name, count in after.items() if count}
    assert left == {
        "corpora": 2, "corpus_elements": 1, "corpus_types": 3, "corpus_images": 1,
        "corpus_workers": 1, "corpus_worker_versions": 1,
    }, before  # fmt: skip
    counts = results.corpora.database.read_blocking(_counts, answer["work_id"])
    assert counts["elements"] == 4
    assert counts["corpora"] == 1
    assert counts["activities"] == 1
    await results.call("DELETE", f"/corpus/{again['id']}/", expect=202)


async def test_a_deletion_that_was_cut_short_goes_on(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(results)
    await results.call("DELETE", f"/corpus/{results.corpus}/", expect=202)
    monkeypatch.setattr(corpus_deletion, "STEP_ROWS", 1)
    for step in corpus_deletion.STEPS:
        await results.corpora.database.write(step, results.corpus)
    assert results.count(corpus_elements) == 3
    # A request that had begun before made one more.
    results.corpora.elements(results.corpus, [f"late {ids.uuid()}"])
    assert await run_jobs(results.corpora) == [Outcome.SUCCESS]
    assert results.count(corpus_elements) == 0
    assert results.count(corpora_table) == 0

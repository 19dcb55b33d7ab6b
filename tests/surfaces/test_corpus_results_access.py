"""Whose results may be read and stored: those of another organisation do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.access import Role, tokens
from longshore.engine import queues, works
from longshore.surfaces.corpus.tables import (
    corpora as corpora_table,
)
from longshore.surfaces.corpus.tables import (
    corpus_classes,
    corpus_classifications,
    corpus_embeddings,
    corpus_entities,
    corpus_entity_types,
    corpus_metadata,
    corpus_transcription_entities,
    corpus_transcriptions,
)
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of, worker_run
from tests.unit.serving import bearer

TABLES = [
    corpus_classes,
    corpus_classifications,
    corpus_transcriptions,
    corpus_entity_types,
    corpus_entities,
    corpus_transcription_entities,
    corpus_metadata,
    corpus_embeddings,
]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


async def everything(results: Results) -> dict[str, str]:
    """Store a result of each kind; return the ids of all things."""
    page = results.pages[0]
    named = {"name": "a", "corpus": results.corpus}
    made = {"corpus": results.corpus, "element": page, "run": results.run}
    for kind, path, body in (
        ("class", f"/corpus/{results.corpus}/classes/", {"name": "a"}),
        ("type", "/entity/types/", named),
        ("transcription", f"/element/{page}/transcription/", {"text": "abc"}),
    ):
        made[kind] = (await results.make(path, body))["id"]
    body = {**named, "type_id": made["type"]}
    made["entity"] = (await results.make("/entity/", body))["id"]
    span = {"entity": made["entity"], "offset": 0, "length": 1}
    await results.make(f"/transcription/{made['transcription']}/entities/", span)
    classified = {"element": page, "ml_class": made["class"]}
    await results.make("/classifications/", classified)
    noted = {"type": "text", "name": "n", "value": "v"}
    await results.make(f"/element/{page}/metadata/", noted)
    await results.make(f"/element/{page}/embedding/", {"value": [0.5]})
    return made


def writes(ids: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return a request of each kind that stores a result about things of these ids."""
    element, text = ids["element"], ids["transcription"]
    run = {"worker_run_id": ids["run"]}
    classified = {"ml_class": ids["class"], "confidence": 0.5}
    read = {"text": "x", "confidence": 0.5}
    typed = {"type_id": ids["type"], "offset": 1, "length": 1}
    noted = {"type": "text", "name": "m", "value": "v"}
    return [
        (f"/corpus/{ids['corpus']}/classes/", {"name": "b"}),
        ("/classifications/", {**classified, **run, "element": element}),
        ("/classification/bulk/", {"parent": element, **run, "classifications": [classified]}),
        (f"/element/{element}/transcription/", {**read, **run}),
        ("/transcription/bulk/", {"transcriptions": [{**read, "element_id": element}], **run}),
        ("/entity/types/", {"name": "b", "corpus": ids["corpus"]}),
        ("/entity/", {"name": "b", "type_id": ids["type"], "corpus": ids["corpus"], **run}),
        (f"/transcription/{text}/entities/", {**typed, **run}),
        (f"/transcription/{text}/entities/bulk/", {"transcription_entities": [typed], **run}),
        (f"/element/{element}/metadata/", {**noted, **run}),
        (f"/element/{element}/metadata/bulk/", {"metadata_list": [noted], **run}),
        (f"/element/{element}/embedding/", {"value": [0.5], **run}),
    ]


def listings(ids: dict[str, str]) -> list[str]:
    return [
        f"/corpus/{ids['corpus']}/classes/",
        f"/corpus/{ids['corpus']}/entity-types/",
        f"/corpus/{ids['corpus']}/entities/",
        f"/element/{ids['element']}/transcriptions/",
        f"/element/{ids['element']}/metadata/",
        f"/element/{ids['element']}/embedding/",
        f"/transcription/{ids['transcription']}/entities/",
    ]


async def test_results_of_another_organisation_do_not_exist(results: Results) -> None:
    ids = await everything(results)
    other, token = results.corpora.served.other_organisation()
    mine = results.corpora.corpus("mine", organisation_id=other.id)
    page = results.corpora.elements(mine, ["p"])[0]
    run, _ = worker_run(results.corpora, mine, organisation_id=other.id)
    unknown = dict.fromkeys(ids, UNKNOWN)
    before = [results.count(table) for table in TABLES]

    async def told(method: str, path: str, body: Any = None) -> tuple[int, str]:
        address = f"/api/v1{path}"
        answer = await results.corpora.client.request(
            method, address, json=body, headers=bearer(token)
        )
        said = str(answer.json()["detail"])
        for each in {*ids.values(), UNKNOWN}:
            said = said.replace(each, "ID")
        return answer.status_code, said

    # As somebody who knows all ids, and as somebody who knows all but has a run of its own; either
    # hears what it hears of ids that nobody has.
    own = {"run": run}
    for theirs, none in ((ids, unknown), (ids | own, unknown | own)):
        for (path, body), (path_of_none, body_of_none) in zip(
            writes(theirs), writes(none), strict=True
        ):
            heard = await told("POST", path, body)
            assert heard[0] in (400, 404), path
            assert heard == await told("POST", path_of_none, body_of_none)
    for path, path_of_none in zip(listings(ids), listings(unknown), strict=True):
        heard = await told("GET", path)
        assert heard[0] == 404, path
        assert heard == await told("GET", path_of_none)
    # A class, type and worker run of the other organisation do not help with an element of one's own.
    for path, body in writes(ids | {"element": page}):
        if page in path or page in str(body):
            assert (await told("POST", path, body))[0] == 400
    assert [results.count(table) for table in TABLES] == before


async def test_a_viewer_reads_results_and_stores_none(results: Results) -> None:
    ids = await everything(results)
    viewer = bearer(results.corpora.served.token(Role.VIEWER))
    for path in listings(ids):
        await results.call("GET", path, headers=viewer)
    for path, body in writes(ids):
        await results.call("POST", path, body=body, headers=viewer, expect=403)
    for role in (Role.OPERATOR, Role.WORKER):
        headers = bearer(results.corpora.served.token(role))
        body = {"text": f"by {role}"}
        path = f"/element/{ids['element']}/transcription/"
        await results.make(path, body, headers=headers)


async def test_nothing_is_stored_in_a_corpus_that_is_being_deleted(results: Results) -> None:
    ids = await everything(results)
    before = [results.count(table) for table in TABLES]
    leave = corpora_table.update().values(deletion_id="wk_1")
    results.corpora.database.write_blocking(lambda connection: connection.execute(leave))
    for path, body in writes(ids):
        answer = await results.corpora.client.post(f"/api/v1{path}", json=body)
        assert answer.status_code in (400, 404), path
    assert [results.count(table) for table in TABLES] == before


def task_token(results: Results) -> tuple[str, str, str]:
    """Start a task; return its token, its worker run and the id of its work."""
    organisation = results.corpora.served.organisation.id

    def start(connection: Any) -> tuple[str, str]:
        queue = queues.ensure(
            connection, organisation_id=organisation, surface="corpus", name="reader/1"
        )
        works.submit(connection, [works.NewWork(queue, b"{}")], actor="test")
        [lease] = works.claim(connection, [queue], limit=1, holder="worker", lease_s=60)
        token = tokens.create(connection, organisation, lease.id, lease.attempt, surface="corpus")
        return token, lease.id

    token, work_id = results.corpora.database.write_blocking(start)
    run, _ = worker_run(results.corpora, results.corpus, work_id=work_id)
    return token, run, work_id


async def test_a_task_stores_results_of_its_own_process_only(results: Results) -> None:
    ids = await everything(results)
    token, run, _ = task_token(results)
    headers = {"Authorization": f"Ponos {token}"}
    for path, body in writes(ids | {"run": run}):
        # The run has put the element into that class by the request before.
        if "worker_run_id" in body and path != "/classification/bulk/":
            await results.make(path, body, headers=headers)
    for path, body in writes(ids):
        if "worker_run_id" not in body:
            continue
        for wrong in (results.run, None):
            refused = await results.call(
                "POST", path, body=body | {"worker_run_id": wrong}, headers=headers, expect=400
            )
            assert refused["errors"][0]["attr"] == ["worker_run_id"]


async def test_the_same_request_with_one_idempotency_key_stores_once(results: Results) -> None:
    path = f"/element/{results.pages[0]}/transcription/"
    headers = {"Idempotency-Key": "one"}
    first = await results.make(path, {"text": "once"}, headers=headers)
    assert await results.make(path, {"text": "once"}, headers=headers) == first
    assert results.count(corpus_transcriptions) == 1

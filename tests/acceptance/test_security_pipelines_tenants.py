"""X18 for record pipelines: bodies, queries and workers that name what another organisation has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.api import Holder
from tests.acceptance.conftest import Harbour
from tests.acceptance.tenancy import CANARY, STRANGERS, World, Worlds, check_silent
from tests.acceptance.tenancy_records import REQUEST_ID, ROOT, outcome_of
from tests.unit.workbook_files import quote

ROOM = f"/{STRANGERS}/api"
BATCH = f"{ROOM}/v4/batch"
RECORD = {"value": 1}


@pytest.fixture
def world(harbour: Harbour, worlds: Worlds) -> Iterator[World]:
    """The two organisations; whatever the stranger tries, the owner's work goes on."""
    made = worlds.open(harbour)
    yield made
    assert made.look() == made.seen
    _check_work_goes_on(made)


def _check_work_goes_on(world: World) -> None:
    """Let the owner pull what waits, and its workers report what they hold."""
    records, path = world.records, f"{ROOT}/{world.ids['record_pipeline']}/chunkresults"
    again = world.owner.get(path, delivery=world.ids["delivery"])["data"]
    fresh = world.owner.get(path)["data"]
    assert sorted(chunk["id"] for chunk in again + fresh) == [f"{CANARY}-1", f"{CANARY}-2"]
    assert all(chunk["outputs"] == [{CANARY: CANARY}] for chunk in again + fresh)
    for holder, held in ((records.holder, records.held), (records.books, records.book_held)):
        assert holder.renew(held) == []
        assert holder.report(held, "success", result=outcome_of(held, CANARY)) == []
    (waiting,) = records.holder.claim(wait_s=1.0)
    assert waiting["payload"]["data"]["inputs"] == [{"value": CANARY}]
    book = world.records.book_held["payload"]["workbook"]
    content = records.books.ask("GET", f"/longshore/v1/blobs/{book['blob_id']}").content
    assert hashlib.sha256(content).hexdigest() == book["sha256"]


def _ask(world: World, method: str, path: str, *, status: int, **request: Any) -> Any:
    """Ask as the stranger; what comes back holds nothing of the owner but what was sent."""
    answer = world.stranger.http.request(method, path, **request)
    what = f"{method} {path} {str(request)[:300]}"
    assert answer.status_code == status, f"{what} -> {answer.status_code} {answer.text[:300]}"
    check_silent(world, what, answer, *world.ids.values(), world.records.uri)
    return answer.json()


def _addresses(world: World) -> list[dict[str, str]]:
    ids, uri = world.ids, world.records.uri
    services = [
        uri,
        uri.upper(),
        f"{uri}[1.0.0]",
        f"{uri}[1]",
        f"/folders/{ids['folder']}/services/{ids['service']}",
        *(f"{prefix}{ids['service_id']}" for prefix in ("", "service/")),
        *(f"{prefix}{ids['old_version']}" for prefix in ("", "version/")),
        ids["book_version"],
    ]
    versions = [ids["version"], ids["old_version"], ids["book_version"]]
    return [{"service": name} for name in services] + [{"version_id": name} for name in versions]


def _own_worker(world: World, harbour: Harbour, **offers: Any) -> Holder:
    body = {"name": "worker", "role": "worker"}
    made = world.stranger.ask("POST", "/longshore/v1/keys", json=body, expect=(201,)).json()
    return harbour.holder(world.server, name="strange", key=made["key"], **offers)


def test_no_body_names_a_service_of_another_organisation(world: World) -> None:
    refused = set()
    for address in [*_addresses(world), {"service": "no/such"}]:
        for path in (BATCH, f"{ROOM}/v4/execute"):
            told = _ask(world, "POST", path, status=404, json={**address, "inputs": [RECORD]})
            refused.add(str(sorted(told)))
        meta = {
            "service_uri": address.get("service"),
            "service_id": address.get("service"),
            "version_id": address.get("version_id"),
        }
        for given in (meta, {**meta, "service_id": None}, {**meta, "version": "1.0.0"}):
            body = {"request_data": {"inputs": RECORD}, "request_meta": given}
            told = _ask(world, "POST", f"{ROOM}/v3/execute", status=404, json=body)
            refused.add(str(sorted(told)))
    assert len(refused) <= 2, f"with near names and without them: {refused}"
    assert _ask(world, "GET", "/longshore/v1/services", status=200) == {"services": []}
    described = _ask(world, "GET", f"{BATCH}/status", status=200)
    assert described["in_progress_batches"] == described["recent_batches"] == []
    assert described["tenant"]["status"]["output_buffer_used_bytes"] == 0


def test_a_service_of_the_same_name_is_another_one(world: World, harbour: Harbour) -> None:
    offers = [
        {"name": name, "version": version}
        for name in (world.records.uri, f"{CANARY}-books/{CANARY}-book")
        for version in ("1.0.0", "1.1.0")
    ]
    worker = _own_worker(world, harbour, services=offers, workbooks=True)
    assert not set(worker.queues) & {*world.records.holder.queues, *world.records.books.queues}
    assert worker.claim() == [], "what was pushed by another organisation is not for this worker"

    headers = {"x-request-id": REQUEST_ID}
    body = {"service": world.records.uri}
    own = _ask(world, "POST", BATCH, status=200, json=body, headers=headers)["id"]
    assert own != world.ids["record_pipeline"], "the same request id of another key is another one"
    chunk = {"id": f"{CANARY}-1", "data": {"inputs": [RECORD]}}
    _ask(world, "POST", f"{BATCH}/{own}/chunks", status=200, json={"chunks": [chunk]})
    (held,) = worker.claim(wait_s=1.0)
    assert held["payload"]["data"]["inputs"] == [RECORD]
    result = {"records": 1, "outputs": [{"own": 1}]}
    assert worker.report(held, "success", result=result) == []

    pull = f"{BATCH}/{own}/chunkresults"
    delivery = world.ids["delivery"]
    _ask(world, "GET", pull, status=404, params={"delivery": delivery})
    assert _ask(world, "GET", pull, status=200, params={"again": "true"})["data"] == []
    params = {"confirm": delivery, "max": "100"}
    (pulled,) = _ask(world, "GET", pull, status=200, params=params, headers=headers)["data"]
    assert pulled["outputs"] == [{"own": 1}]
    for after in ("", world.ids["chunk_work"], "0"):
        listed = _ask(world, "GET", f"{BATCH}/{own}/chunks", status=200, params={"after": after})
        assert len(listed["chunks"]) <= 1, after


def test_a_worker_of_another_organisation_reaches_no_chunk_and_no_workbook(
    world: World, harbour: Harbour
) -> None:
    records = world.records
    worker = _own_worker(world, harbour, workbooks=True)
    own = worker.queues
    for theirs in (records.holder, records.books):
        worker.queues = theirs.queues
        answer = worker.http.post(
            "/longshore/v1/worker/claim",
            json={"worker_id": worker.worker_id, "queues": theirs.queues, "limit": 5},
        )
        assert answer.status_code == 404 or answer.json()["works"] == [], answer.text
        check_silent(world, "a claim", answer)
    worker.queues = own
    for held in (records.held, records.book_held):
        assert [lost["work_id"] for lost in worker.renew(held)] == [held["work_id"]]
        lost = worker.report(held, "success", result=outcome_of(held, "forged"))
        assert [each["work_id"] for each in lost] == [held["work_id"]]
    blob = f"/longshore/v1/blobs/{world.ids['book_blob']}"
    for client in (worker, world.stranger):
        answer = client.http.get(blob)
        assert answer.status_code == 404, answer.text


def test_the_same_workbook_of_another_organisation_is_another_one(
    world: World, harbour: Harbour, tmp_path: Path
) -> None:
    content = quote(tmp_path / "quote.xlsx").read_bytes()
    params = {
        "name": f"{CANARY}-books/{CANARY}-book",
        "inputs": "age,amount",
        "outputs": "premium,note",
    }
    path = "/longshore/v1/services/workbooks"
    answer = world.stranger.http.post(path, params=params, content=content)
    assert answer.status_code == 201, answer.text
    assert world.ids["book_version"] not in answer.text
    made = answer.json()
    assert made["made"], "what another organisation has already is no reason not to make it"
    worker = _own_worker(world, harbour, workbooks=True)
    assert worker.claim() == []
    # Without its version the file goes, and the other organisation's stays.
    world.stranger.ask("DELETE", f"/longshore/v1/services/{made['id']}")
    _ask(world, "DELETE", f"/longshore/v1/services/{world.ids['book_version']}", status=404)

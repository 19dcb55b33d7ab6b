"""What the first of two organisations has of record pipelines: services, chunks, outputs, a workbook."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.api import Holder, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.pipelines import DELIVERY
from tests.unit.workbook_files import quote

ROOT = "/local/api/v4/batch"
CHUNKS = 4
REQUEST_ID = "the-request-that-made-it"
_TIMES = ("request_timestamp", "response_timestamp")


@dataclass
class Records:
    """The owner's side of record pipelines that a stranger must not reach.

    Attributes:
        held: a chunk that `holder` computes.
        book_held: a chunk of the workbook's pipeline that `books` computes.
    """

    uri: str
    holder: Holder
    held: dict[str, Any]
    books: Holder
    book_held: dict[str, Any]


def fill_records(
    harbour: Harbour, server: Server, owner: User, ids: dict[str, str], secret: str
) -> Records:
    """Let the owner have a pipeline with chunks in every state, a service and a workbook."""
    uri = f"{secret}-folder/{secret}-service"
    versions = [
        {"name": uri, "version": version, "description": secret, "outputs": [secret]}
        for version in ("1.0.0", "1.1.0")
    ]
    holder = harbour.holder(server, services=versions, name=f"{secret}-services")
    (service,) = owner.get("/longshore/v1/services")["services"]
    ids |= {
        "folder": service["folder"],
        "service": service["service"],
        "service_id": service["id"],
        "version": service["versions"][0]["id"],
        "old_version": service["versions"][1]["id"],
        "record_pipeline": _create(owner, uri, secret, request_id=REQUEST_ID),
    }
    held = _chunks(owner, holder, ids, secret)
    books = harbour.holder(server, workbooks=True, name=f"{secret}-books")
    book_held = _workbook(owner, books, ids, secret)
    ids["chunk_work"], ids["book_work"] = held["work_id"], book_held["work_id"]
    gone = _create(owner, uri, secret)
    job = owner.ask("DELETE", f"{ROOT}/{gone}", expect=(202,)).json()["id"]
    owner.job_done(job)
    ids["records_job"] = job
    return Records(uri, holder, held, books, book_held)


def look_at_records(owner: User, records: Records, ids: dict[str, str]) -> dict[str, Any]:
    """Return what the owner sees of them, without what is another at each look."""
    found: dict[str, Any] = {}
    for pipeline in (ids["record_pipeline"], ids["book_pipeline"]):
        status = owner.get(f"{ROOT}/{pipeline}/status")
        found[f"{pipeline} status"] = {
            name: value for name, value in status.items() if name not in _TIMES
        }
        data = owner.get(f"{ROOT}/{pipeline}")["data"]
        data["summary"].pop("batch_time_ms")
        data.pop("response_timestamp")
        found[f"{pipeline} info"] = data
        found[f"{pipeline} chunks"] = owner.get(f"{ROOT}/{pipeline}/chunks")
    for service in owner.get("/longshore/v1/services")["services"]:
        for version in service["versions"]:
            # Workers count while they are heard of, and these ones keep still.
            version.pop("workers")
        found[service["id"]] = service
    for held in (records.held, records.book_held):
        path = f"/longshore/v1/works/{held['work_id']}/events"
        found[path] = owner.get(path)
    return found


def outcome_of(held: dict[str, Any], secret: str) -> dict[str, Any]:
    """Return a result for a chunk that was handed out."""
    records = held["payload"]["records"]
    return {"records": records, "outputs": [{secret: secret}] * records}


def _create(owner: User, uri: str, secret: str, *, request_id: str | None = None) -> str:
    body = {"service": uri, "source_system": secret, "correlation_id": secret}
    headers = {"x-request-id": request_id} if request_id else {}
    return str(owner.ask("POST", ROOT, json=body, headers=headers).json()["id"])


def _push(owner: User, pipeline: str, secret: str, *numbers: int) -> None:
    chunks = [
        {"id": f"{secret}-{number}", "data": {"inputs": [{"value": secret}]}} for number in numbers
    ]
    owner.post(f"{ROOT}/{pipeline}/chunks", {"chunks": chunks})


def _chunks(owner: User, holder: Holder, ids: dict[str, str], secret: str) -> dict[str, Any]:
    """Leave a chunk delivered, one to be pulled, one held, which is returned, and one waiting."""
    pipeline = ids["record_pipeline"]
    _push(owner, pipeline, secret, 1, 2)
    for work in holder.claim(wait_s=1.0):
        assert holder.report(work, "success", result=outcome_of(work, secret)) == []
    answer = owner.ask("GET", f"{ROOT}/{pipeline}/chunkresults", params={"max": 1})
    assert secret in answer.text
    ids["delivery"] = answer.headers[DELIVERY]
    _push(owner, pipeline, secret, 3, 4)
    (held,) = holder.claim(limit=1, wait_s=1.0)
    chunks = owner.get(f"{ROOT}/{pipeline}/chunks")["chunks"]
    states = sorted(chunk["state"] for chunk in chunks)
    assert states == ["available", "delivered", "pending", "pending"], states
    assert len(chunks) == CHUNKS
    return held


def _workbook(owner: User, books: Holder, ids: dict[str, str], secret: str) -> dict[str, Any]:
    """Make a service of a workbook, and let a chunk of it be computed, which is returned."""
    uri = f"{secret}-books/{secret}-book"
    with tempfile.TemporaryDirectory() as directory:
        content = quote(Path(directory) / "quote.xlsx").read_bytes()
    cells = {"name": uri, "inputs": "age,amount", "outputs": "premium,note"}
    path = "/longshore/v1/services/workbooks"
    made = owner.ask("POST", path, params=cells, content=content, expect=(201,)).json()
    ids["book_version"] = made["id"]
    ids["book_pipeline"] = _create(owner, uri, secret)
    _push(owner, ids["book_pipeline"], secret, 1)
    (held,) = books.claim(limit=1, wait_s=1.0)
    ids["book_blob"] = held["payload"]["workbook"]["blob_id"]
    return held

"""Tasks for the server in the test: submit one, and read what became of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from longshore import ids
from longshore.wire.tasks import TaskFile, TaskModel, TaskParent, TaskPayload, TaskResult
from longshore.wire.worker import Claimed, Outcome, Report
from tests.unit.worker_server import WorkerServer

TASKS_QUEUE = 10
TOKEN = "lt_1_secret-of-the-attempt"


def submit_task(
    server: WorkerServer,
    worker: str,
    *,
    version: str = "1",
    task_id: str | None = None,
    timeout_s: float | None = None,
    **extra: Any,
) -> str:
    """Queue a task and return the id of its work; `extra` are other fields of TaskPayload."""
    payload = TaskPayload(
        task_id=task_id or ids.uuid(),
        process_id=ids.uuid(),
        worker_run_id=ids.uuid(),
        worker=worker,
        version=version,
        token=TOKEN,
        **extra,
    )
    claimed = Claimed(
        work_id=ids.new(ids.WORK),
        attempt=1,
        queue=TASKS_QUEUE,
        surface="corpus",
        payload=msgspec.Raw(msgspec.json.encode(payload)),
        lease_until_us=0,
        timeout_s=timeout_s,
    )
    with server.ledger.changed:
        server.ledger.queued.append(claimed)
        server.ledger.changed.notify_all()
    return claimed.work_id


def stored_file(server: WorkerServer, path: str, data: bytes) -> TaskFile:
    """Put a file on the server, as one that a task has left."""
    blob_id = ids.new(ids.BLOB)
    server.ledger.blobs[blob_id] = data
    sha256 = hashlib.sha256(data).hexdigest()
    return TaskFile(path=path, blob_id=blob_id, size_bytes=len(data), sha256=sha256)


def parent(server: WorkerServer, slug: str, **files: bytes) -> TaskParent:
    """Return a task before, with files by the name without their suffix .txt."""
    left = [stored_file(server, f"{name}.txt", data) for name, data in files.items()]
    return TaskParent(id=ids.uuid(), slug=slug, files=left)


def model(server: WorkerServer, data: bytes, content_type: str = "application/zstd") -> TaskModel:
    """Return a version of a model whose file has these bytes."""
    stored = stored_file(server, "model", data)
    return TaskModel(
        version_id=ids.uuid(),
        blob_id=stored.blob_id,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        content_type=content_type,
    )


def result(report: Report) -> TaskResult:
    return msgspec.json.decode(report.result, type=TaskResult)


def files(server: WorkerServer, report: Report) -> dict[str, bytes]:
    """Return the files that a task left, by path."""
    return {file.path: server.ledger.blobs[file.blob_id] for file in result(report).files}


def described(server: WorkerServer, work: str) -> dict[str, Any]:
    """Wait for a task of the worker "describe" and return what it was given."""
    report = server.report(work)
    assert report.outcome is Outcome.SUCCESS, report.error
    written = json.loads(files(server, report)["described.json"])
    assert isinstance(written, dict)
    return written

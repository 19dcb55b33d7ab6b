"""Two organisations on one server: all that the first one has, and the second one's way in."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection

from longshore.access import keys, organisations
from longshore.access.roles import Role
from longshore.storage import open_database
from tests.acceptance.api import OWNER, Holder, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.tenancy_corpus import Corpora, fill_corpora, look_at_corpora
from tests.acceptance.tenancy_records import Records, fill_records, look_at_records
from tests.acceptance.tenancy_scripts import Scripts, fill_scripts, look_at_scripts

OWNERS = "local"
STRANGERS = "other"
"""Names of the organisations, which are the tenants in paths of record pipelines."""
CANARY = f"canary-{secrets.token_hex(8)}"
APP = f"App {CANARY}"
BUCKET = CANARY
STORED = CANARY.encode() * 10
SETTINGS = {"LONGSHORE_LEASE_S": "3600", "LONGSHORE_ACCESS_CODE_S": "3600"}
"""A long lease, so that nothing moves by itself while the stranger tries."""
FRESH_S = 600.0
"""So long a world can be copied: addresses and pipelines that nobody uses end after their time."""


@dataclass
class World:
    """Everything that the first organisation has, and the second one's way in."""

    server: Server
    owner: User
    stranger: User
    holder: Holder
    held: dict[str, Any]
    ids: dict[str, str]
    open_run: str
    bucket_held: dict[str, Any]
    records: Records
    corpora: Corpora
    scripts: Scripts
    seen: dict[str, Any] = field(default_factory=dict)

    def look(self) -> dict[str, Any]:
        """Return what the owner sees; a stranger must not be able to change a word of it."""
        batch, run = self.ids["batch"], self.ids["run"]
        paths = [
            "/api/v2/batches",
            f"/api/v2/batches/{batch}/files",
            f"/api/v2/apps/runs/{run}",
            f"/api/v2/apps/runs/{run}/results",
            f"/api/v2/apps/runs/{self.open_run}",
            "/longshore/v1/apps/reviews",
            f"/longshore/v1/apps/reviews/{run}/{self.ids['document']}",
            "/api/v2/apps/deployments",
            f"/api/v2/jobs/{self.ids['job']}",
            f"/longshore/v1/works/{self.ids['work']}/events",
            f"/longshore/v1/works/{self.held['work_id']}/events",
            f"/longshore/v1/groups/{self.open_run}/works",
        ]
        found = {path: self.owner.get(path) for path in paths}
        for work in found[paths[-1]]["works"]:
            work.pop("lease_until")
        # It also says that no worker is online, a minute after the last one was heard.
        open_run = found[f"/api/v2/apps/runs/{self.open_run}"]
        open_run["msg"] = open_run["msg"].partition(";")[0]
        found["keys"] = [
            (key["id"], key["revoked"]) for key in self.owner.get("/longshore/v1/keys")["keys"]
        ]
        queues = self.owner.get("/longshore/v1/queues")["queues"]
        found["queues"] = [
            (queue["id"], queue["held"], queue["counts"])
            for queue in queues
            # Jobs of the server itself come and go.
            if queue["surface"] != "system"
        ]
        found |= look_at_records(self.owner, self.records, self.ids)
        found |= look_at_scripts(self.owner, self.ids)
        return found | self._look_at_buckets() | look_at_corpora(self.owner, self.ids)

    def _look_at_buckets(self) -> dict[str, Any]:
        paths = [
            "/buckets/status",
            "/buckets/status/pipelines",
            f"/buckets/settings/{BUCKET}",
            f"/buckets/artifacts/{self.ids['bucket_done']}",
            f"/buckets/artifacts/{self.ids['result']}",
            f"/buckets/actions/{self.ids['action']}",
            "/buckets/webhooks",
            "/results/status",
            *(
                f"/longshore/v1/works/{self.ids[name]}/events"
                for name in ("bucket_work", "bucket_held", "bucket_failed")
            ),
        ]
        found = {path: self.owner.get(path) for path in paths}
        shown = {"longshore": True, "id": True, "results": True, "products": True}
        for service, works in (("buckets", 4), ("results", 1)):
            view = {"query": {}, "projection": shown, "sort": {"id": 1}, "limit": 100}
            found[service] = self.owner.post(f"/{service}/view", view)
            assert len(found[service]) == works, found[service]
        return found


class Worlds:
    """Worlds for tests that change theirs: each is a copy of one that is built once in a while."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._built: list[tuple[World, float]] = []

    def open(self, harbour: Harbour) -> World:
        """Return a world of its own, on a server of its own."""
        if not self._built or time.monotonic() > self._built[-1][1] + FRESH_S:
            self._built.append((self._build(), time.monotonic()))
        world = self._built[-1][0]
        server = harbour.server(settings=SETTINGS)
        shutil.copytree(world.server.data, server.data)
        # What it has said so far is looked at, too.
        shutil.copy(world.server.log_path, server.log_path)
        server.start()
        return _moved(world, harbour, server)

    def _build(self) -> World:
        with Harbour(self._directory / f"world{len(self._built)}") as harbour:
            world = _build(harbour)
            assert world.server.stop() == 0
        return world


def _moved(world: World, harbour: Harbour, server: Server) -> World:
    """Return a world as it is on the server of a copy of its data."""
    made = replace(
        world,
        server=server,
        ids=dict(world.ids),
        owner=world.owner.at(server),
        stranger=world.stranger.at(server),
        holder=world.holder.at(server),
        records=replace(
            world.records,
            holder=world.records.holder.at(server),
            books=world.records.books.at(server),
        ),
        corpora=replace(world.corpora, holder=world.corpora.holder.at(server)),
        scripts=replace(world.scripts, holder=world.scripts.holder.at(server)),
    )
    harbour.clients += [made.owner, made.stranger, made.holder]
    harbour.clients += [made.records.holder, made.records.books, made.corpora.holder]
    harbour.clients.append(made.scripts.holder)
    made.seen = made.look()
    return made


def _build(harbour: Harbour) -> World:
    """Make the two organisations, and let the first one have one of everything."""
    server = harbour.server(settings=SETTINGS)
    server.start()
    server.stop()
    token = _second_key(server)
    server.start()
    owner, stranger = harbour.user(server), harbour.user(server, token)
    holder = harbour.holder(server, APP)
    run_id = owner.run_files(APP, {CANARY: CANARY.encode()})
    _finish(owner, holder, run_id)
    ids = _gather(owner, holder, run_id)
    open_run = owner.start_run(APP, int(ids["batch"]), settings={"tags": [CANARY]})
    held = holder.claim()[0]
    ids["blob"] = held["payload"]["file"]["blob_id"]
    owner.job_done(ids["job"])
    bucket_held = _fill_buckets(harbour, server, owner, ids)
    records = fill_records(harbour, server, owner, ids, CANARY)
    return World(
        server,
        owner,
        stranger,
        holder,
        held,
        ids,
        open_run,
        bucket_held,
        records,
        corpora=fill_corpora(harbour, server, owner, ids, CANARY),
        scripts=fill_scripts(harbour, server, owner, ids, CANARY),
    )


def check_silent(world: World, what: str, answer: httpx.Response, *sent: str) -> None:
    """Check that an answer holds nothing of the owner but what the stranger has `sent`."""
    told_back = answer.text
    for text in sent:
        told_back = told_back.replace(text, "").replace(json.dumps(text)[1:-1], "")
    assert CANARY not in told_back, f"{what} tells the stranger {answer.text[:500]}"
    assert CANARY not in str(answer.headers), what
    if answer.is_success:
        told = [
            kind
            for kind, value in world.ids.items()
            # Numbers and "1" are in any answer; the others are long and random.
            if len(value) > 8 and value not in sent and value in answer.text
        ]
        assert not told, f"{what} shows the stranger the {told} of the owner: {answer.text[:500]}"


def _second_key(server: Server) -> str:
    def make(connection: Connection) -> str:
        other = organisations.ensure(connection, STRANGERS)
        return keys.create(connection, other.id, name="stranger", role=Role.ADMIN)[1]

    opened = open_database(server.database)
    try:
        return opened.write_blocking(make)
    finally:
        opened.close()


def _finish(user: User, holder: Holder, run_id: str) -> None:
    while user.run(run_id)["status"] == "RUNNING":
        for work in holder.claim(wait_s=0.3):
            document = {"fields": [{"name": "secret", "value": CANARY}], "review": CANARY}
            result = {"documents": [document]}
            holder.report(work, "success", result=result)


def _gather(owner: User, holder: Holder, run_id: str) -> dict[str, str]:
    batch_id = owner.batch_of({CANARY: CANARY.encode()})
    node = owner.get(f"/api/v2/batches/{batch_id}/files")["nodes"][0]
    gone = owner.create_batch(CANARY)
    job = owner.ask("DELETE", f"/api/v2/batches/{gone}", expect=(202,)).json()["job_id"]
    owner.acknowledged.batches.pop(gone)
    upload = {"batch_id": batch_id, "filename": f"{CANARY}-big", "file_size": 5}
    session = owner.post("/api/v2/batches/multipart-upload", upload, expect=(201,))["session_id"]
    deployment = {"name": CANARY, "app_name": APP, "owner": OWNER}
    made = owner.ask("POST", "/api/v2/apps/deployments", json=deployment, expect=(200, 201)).json()
    return {
        "work": owner.works(run_id)[0]["id"],
        "run": run_id,
        "document": "0-0",
        "batch": str(batch_id),
        "job": job,
        "session": session,
        "deployment": made["id"],
        "key": owner.get("/longshore/v1/whoami")["key_id"],
        "queue": str(holder.queues[0]),
        "app": owner.get("/api/v2/apps")["apps"][0]["id"],
        "path": node["full_path"],
        "file": CANARY,
        "part": "1",
        "worker": holder.worker_id,
        "tenant": owner.get("/longshore/v1/whoami")["organisation_id"],
        "bucket": BUCKET,
        "days": "1",
    }


def _fill_buckets(
    harbour: Harbour, server: Server, owner: User, ids: dict[str, str]
) -> dict[str, Any]:
    """Let the owner have works of every kind in a bucket; return one that is held."""
    work = {
        "pipeline": BUCKET,
        "site": "local",
        "user": CANARY,
        "tags": [CANARY],
        "results": {"secret": CANARY},
        "timeout": 3600,
        "retries": 5,
    }
    path = "/buckets/work?return_ids=True"
    ids["bucket_done"] = owner.post(path, [work])[0]
    ids["artifact_blob"] = _finish_with_a_file(harbour, server)
    (ids["bucket_failed"],) = owner.post(path, [work])
    failed = owner.post("/buckets/work/withdraw", {"pipeline": BUCKET})
    pause = {"retry_pause_s": 3600.0}
    owner.ask("PUT", f"/buckets/settings/{BUCKET}", json=pause)
    owner.ask("PUT", "/buckets/work", json=[{**failed, "status": "failure"}])
    (ids["bucket_held"],) = owner.post(path, [work])
    held: dict[str, Any] = owner.post("/buckets/work/withdraw", {"pipeline": BUCKET})
    (ids["bucket_work"],) = owner.post(path, [work])
    ids["result"] = f"r-{CANARY}"
    done = {**work, "id": ids["result"], "status": "success", "products": [CANARY]}
    owner.post("/results/results", [done])
    hook = {"url": f"https://example.com/{CANARY}", "pipeline": BUCKET}
    made = owner.ask("POST", "/buckets/webhooks", json=hook, expect=(201,)).json()
    ids["webhook"] = made["id"]
    action = {"action": "retry", "ids": [ids["bucket_done"]]}
    ids["action"] = owner.post("/buckets/actions", action, expect=(202,))["id"]
    owner.job_done(ids["action"])
    return held


def _finish_with_a_file(harbour: Harbour, server: Server) -> str:
    """Do the bucket's first work as a worker that uploads what it made; return the file's id."""
    worker = harbour.holder(server, buckets=(BUCKET,), name=f"{CANARY}-worker")
    (claimed,) = worker.claim()
    blob = worker.ask("POST", "/longshore/v1/blobs", content=STORED, expect=(201,)).json()
    artifact = {
        "kind": "product",
        "path": f"/{CANARY}.h5",
        "blob_id": blob["blob_id"],
        "size_bytes": len(STORED),
        "sha256": hashlib.sha256(STORED).hexdigest(),
    }
    result = {"results": None, "products": [artifact["path"]], "artifacts": [artifact]}
    assert worker.report(claimed, "success", result=result) == []
    worker.leave()
    return str(blob["blob_id"])

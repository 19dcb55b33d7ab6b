"""X18: two organisations on one server; every route with every id of the other gives nothing."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from longshore.access import keys, organisations
from longshore.access.roles import Role
from longshore.storage import open_database
from tests.acceptance.api import OWNER, Holder, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.operations import Operation, guarded, operations

CANARY = f"canary-{secrets.token_hex(8)}"
APP = f"App {CANARY}"

KINDS = {
    # Parameter of a path -> what it names; a new parameter must be added here.
    "work_id": "work",
    "group_id": "run",
    "run_id": "run",
    "batch_id": "batch",
    "job_id": "job",
    "session_id": "session",
    "deployment_id": "deployment",
    "key_id": "key",
    "queue_id": "queue",
    "blob_id": "blob",
    "app_id": "app",
    "path": "path",
    "filename": "file",
    "file_name": "file",
    "name": "file",
    "part_num": "part",
    "part_number": "part",
}
ONLY_BESIDE_ANOTHER = {"file", "part"}
"""These name something only together with the parameter before them."""

BODIES: dict[str, Any] = {
    "hold": {"why": "because"},
    "sessions/{session_id}": {"action": "abort"},
    "deployments/{deployment_id}": {"name": "stolen"},
    "deployments/{deployment_id}/runs": {"batch_id": 1},
}


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
            "/api/v2/apps/deployments",
            f"/api/v2/jobs/{self.ids['job']}",
            f"/longshore/v1/works/{self.ids['work']}/events",
            f"/longshore/v1/works/{self.held['work_id']}/events",
            f"/longshore/v1/groups/{self.open_run}/works",
        ]
        found = {path: self.owner.get(path) for path in paths}
        for work in found[paths[-1]]["works"]:
            work.pop("lease_until")
        found["keys"] = [
            (key["id"], key["revoked"]) for key in self.owner.get("/longshore/v1/keys")["keys"]
        ]
        queues = self.owner.get("/longshore/v1/queues")["queues"]
        found["queues"] = [(queue["id"], queue["held"], queue["counts"]) for queue in queues]
        return found


def _second_key(server: Server) -> str:
    def make(connection: Connection) -> str:
        other = organisations.ensure(connection, "other")
        return keys.create(connection, other.id, name="stranger", role=Role.ADMIN)[1]

    opened = open_database(server.database)
    try:
        return opened.write_blocking(make)
    finally:
        opened.close()


def _finish(user: User, holder: Holder, run_id: str) -> None:
    while user.run(run_id)["status"] == "RUNNING":
        for work in holder.claim(wait_s=0.3):
            result = {"documents": [{"fields": [{"name": "secret", "value": CANARY}]}]}
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
    }


@pytest.fixture(scope="module")
def world(module_harbour: Harbour) -> World:
    harbour = module_harbour
    # A long lease, so that nothing moves by itself while the stranger tries.
    server = harbour.server(settings={"LONGSHORE_LEASE_S": "300"})
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
    made = World(server, owner, stranger, holder, held, ids, open_run)
    made.seen = made.look()
    return made


def _check_silent(world: World, what: str, answer: httpx.Response, *sent: str) -> None:
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
            if len(value) > 8 and value in answer.text
        ]
        assert not told, f"{what} shows the stranger the {told} of the owner: {answer.text[:500]}"


def _body(operation: Operation) -> dict[str, Any]:
    for ending, body in BODIES.items():
        if operation.path.endswith(ending):
            return {"json": body}
    return {"content": b"stolen"} if operation.method == "PUT" else {"json": {}}


def _ask(world: World, operation: Operation, values: dict[str, str]) -> httpx.Response:
    body = _body(operation) if operation.changes else {}
    return world.stranger.http.request(operation.method, operation.url(values), **body)


def test_an_id_of_another_organisation_names_nothing(world: World) -> None:
    asked = 0
    for operation in guarded(world.server):
        if not operation.parameters:
            continue
        natural = {name: world.ids[KINDS[name]] for name in operation.parameters}
        answer = _ask(world, operation, natural)
        assert answer.status_code == 404, f"{operation} -> {answer.status_code} {answer.text[:300]}"
        _check_silent(world, str(operation), answer, *world.ids.values())
        for kind, value in world.ids.items():
            for name in operation.parameters:
                number = len(value) <= 8 and kind != KINDS[name]
                if number or KINDS[name] in ONLY_BESIDE_ANOTHER:
                    # A small number may well name something of the stranger's own.
                    continue
                answer = _ask(world, operation, {**natural, name: value})
                what = f"{operation} with the {kind}"
                assert 400 <= answer.status_code < 500, f"{what} -> {answer.status_code}"
                _check_silent(world, what, answer, *world.ids.values())
                asked += 1
    assert asked > 300
    assert world.look() == world.seen


def test_no_listing_shows_what_belongs_to_another_organisation(world: World) -> None:
    document = httpx.get(f"{world.server.url}/openapi.json", trust_env=False).json()
    for operation in operations(world.server):
        if operation.changes or operation.parameters:
            continue
        described = document["paths"][operation.path][operation.method.lower()]
        queries = [
            parameter["name"]
            for parameter in described.get("parameters", [])
            if parameter["in"] == "query"
        ]
        attempts: list[dict[str, str]] = [{}]
        attempts += [{name: value} for name in queries for value in world.ids.values()]
        for params in attempts:
            answer = world.stranger.http.request(operation.method, operation.path, params=params)
            assert answer.status_code < 500, f"{operation} {params} -> {answer.text[:300]}"
            _check_silent(world, f"{operation} {params}", answer, *params.values())
    assert world.look() == world.seen


def test_counts_leave_out_what_belongs_to_another_organisation(world: World) -> None:
    for path in ("/longshore/v1/queues", "/longshore/v1/doctor", "/metrics"):
        answer = world.stranger.http.get(path)
        assert answer.status_code == 200, path
        _check_silent(world, path, answer)
    assert all(
        queue["surface"] == "system"
        for queue in world.stranger.get("/longshore/v1/queues")["queues"]
    )
    facts = world.stranger.get("/longshore/v1/doctor")["facts"]
    assert not any(name.startswith("apps.") for name in facts["works"]), facts["works"]


def test_a_request_that_names_things_of_another_organisation_is_refused(world: World) -> None:
    ids, client = world.ids, world.stranger.http
    app = {"app_id": ids["app"]}
    folder = ids["path"].rpartition("/")[0]
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/api/v2/apps/runs", {**app, "batch_id": ids["batch"]}),
        ("/api/v2/apps/runs", {"app_name": APP, "owner": OWNER, "batch_id": int(ids["batch"])}),
        ("/api/v2/apps/runs", {**app, "input_dir": folder}),
        ("/api/v2/apps/deployments", {"name": "mine", **app}),
        ("/api/v2/apps/deployments", {"name": "mine", "app_name": APP, "owner": OWNER}),
        (
            "/api/v2/batches/multipart-upload",
            {"batch_id": ids["batch"], "filename": "x", "file_size": 1},
        ),
    ]
    for path, body in requests:
        answer = client.post(path, json=body)
        assert answer.status_code == 404, f"{path} {body} -> {answer.status_code} {answer.text}"
        _check_silent(world, f"{path} {body}", answer, *world.ids.values(), APP)
    context = {"IB-Context": world.server.credentials["organisation_id"]}
    assert client.get("/api/v2/batches", headers=context).status_code == 401
    assert world.look() == world.seen


def test_a_run_of_ones_own_app_does_not_reach_the_files_of_another_organisation(
    world: World,
) -> None:
    key = json.loads(
        world.stranger.http.post(
            "/longshore/v1/keys", json={"name": "worker", "role": "worker"}
        ).text
    )["key"]
    client = httpx.Client(
        base_url=world.server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False
    )
    offer = {"name": "Own", "owner": "other", "version": "1.0.0"}
    registration = {"name": "w", "slots": 1, "incarnation": "x" * 16, "apps": [offer]}
    registered = client.post("/longshore/v1/worker/register", json=registration).json()
    folder = world.ids["path"].rpartition("/")[0]
    for source in ({"batch_id": world.ids["batch"]}, {"input_dir": folder}):
        run = {"app_name": "Own", "owner": "other", **source}
        answer = world.stranger.http.post("/api/v2/apps/runs", json=run)
        assert answer.status_code == 404, f"{source} -> {answer.status_code} {answer.text}"
        _check_silent(world, str(source), answer, *world.ids.values())

    mine, theirs = registered["worker_id"], world.ids["worker"]
    held = {"work_id": world.held["work_id"], "attempt": world.held["attempt"]}
    pair = [held["work_id"], held["attempt"]]
    line = {**held, "at_us": 1, "stream": "stdout", "text": "forged"}
    queue = {"queues": [int(world.ids["queue"])], "limit": 5}
    for worker_id in (mine, theirs):
        requests: dict[str, dict[str, Any]] = {
            "claim": queue,
            "renew": {"leases": [pair]},
            "report": {"reports": [{**held, "outcome": "success", "result": {"documents": []}}]},
            "logs": {"lines": [line]},
            "leave": {},
        }
        for verb, body in requests.items():
            what = f"{verb} as {'itself' if worker_id == mine else 'the other'}"
            answer = client.post(
                f"/longshore/v1/worker/{verb}", json={"worker_id": worker_id, **body}
            )
            _check_silent(world, what, answer)
            if worker_id == theirs:
                assert answer.status_code == 404, f"{what} -> {answer.status_code} {answer.text}"
            elif verb in ("renew", "report") and answer.is_success:
                assert [lost["work_id"] for lost in answer.json()["lost"]] == [held["work_id"]]
            elif verb == "claim":
                assert answer.status_code == 404 or not answer.json()["works"], what
    client.close()
    assert world.look() == world.seen
    logs = world.owner.get(f"/longshore/v1/works/{held['work_id']}/logs")["lines"]
    assert "forged" not in str(logs)
    assert not world.holder.renew(world.held), "the owner's lease is untouched"

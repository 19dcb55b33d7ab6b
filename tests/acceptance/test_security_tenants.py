"""X18: two organisations on one server; every route with every id of the other gives nothing."""

from __future__ import annotations

import json
import zlib
from typing import Any

import httpx
import pytest

from tests.acceptance.api import OWNER
from tests.acceptance.conftest import Harbour
from tests.acceptance.operations import Operation, guarded, operations
from tests.acceptance.tenancy import APP, OWNERS, STRANGERS, World, Worlds, check_silent
from tests.acceptance.tenancy_corpus import BODIES as CORPUS_BODIES
from tests.acceptance.tenancy_corpus import QUERIES, filled
from tests.acceptance.tenancy_scripts import BODIES as SCRIPTS_BODIES

ONLY_BESIDE_ANOTHER = {"file", "part", "document"}
"""These name something only together with the parameter before them."""

ANSWERS_NOTHING = {
    "/buckets/status/details/{pipeline}",
    "/buckets/audit/stale/{days}",
    "/{tenant}/api/v3/folders/{folder}/services/{service}/exists",
    "/coreauto/v1/keystore/{names}",
    "/coreauto/v1/rtstep/payload/actionid/{path}/{value}",
}
"""These count what is there, or say whether it is, and there is nothing."""

MAKES_ONES_OWN = {
    "PUT /longshore/v1/corpus/secrets/{name}",
    "PUT /longshore/v1/keystore/entries/{name}",
    "PUT /coreauto/v1/hosts/{name}",
}
"""These name what there need not be: each organisation has its own of any name."""

BODIES: dict[str, Any] = {
    "hold": {"why": "because"},
    "works/{work_id}/release": {"why": "because"},
    "works/{work_id}/retry": {"why": "because"},
    "sessions/{session_id}": {"action": "abort"},
    "deployments/{deployment_id}": {"name": "stolen"},
    "deployments/{deployment_id}/runs": {"batch_id": 1},
    "reviews/{run_id}/{document}/correct": {"version": 1, "class_name": "stolen"},
    "reviews/{run_id}/{document}/accept": {"version": 1, "class_name": "stolen"},
    "reviews/{run_id}/{document}/reopen": {"version": 1, "reason": "stolen"},
    "settings/{pipeline}": {"archive_after_s": 1.0},
    "batch/{batch_id}": {"batch_status": "cancelled"},
    "batch/{batch_id}/chunks": {"chunks": [{"id": "forged", "data": {"inputs": [{"value": 1}]}}]},
}


AUDIT = "/longshore/v1/audit"
ONE_IN = 4
"""So many of the ids that a parameter is not made for are left out but one, unless with --long."""


@pytest.fixture(scope="module")
def world(module_harbour: Harbour, worlds: Worlds) -> World:
    return worlds.open(module_harbour)


@pytest.fixture
def one_in(request: pytest.FixtureRequest) -> int:
    """How many there are of what only one is tried of."""
    return 1 if request.config.getoption("--long", default=False) else ONE_IN


def _drawn(one_in: int, *what: object) -> bool:
    """Return whether this is the one that is tried, which is the same in each run."""
    return zlib.crc32(str(what).encode()) % one_in == 0


def _body(world: World, operation: Operation) -> dict[str, Any]:
    bodies = BODIES
    if operation.is_of_corpora or operation.is_of_scripts:
        bodies = CORPUS_BODIES if operation.is_of_corpora else SCRIPTS_BODIES
    endings = [ending for ending in bodies if operation.path.endswith(ending)]
    if endings:
        return {"json": filled(bodies[max(endings, key=len)], world.ids)}
    return {"content": b"stolen"} if operation.method == "PUT" else {"json": {}}


def _ask(world: World, operation: Operation, values: dict[str, str]) -> httpx.Response:
    sent = _body(world, operation) if operation.takes_body else {}
    for ending, query in QUERIES.items():
        if operation.path.endswith(ending):
            sent["params"] = filled(query, world.ids)
    return world.stranger.http.request(operation.method, operation.url(values), **sent)


def test_an_id_of_another_organisation_names_nothing(world: World, one_in: int) -> None:
    asked = 0
    for operation in guarded(world.server):
        # The tenant is the stranger's own, so that what comes after it is looked for.
        names = [name for name in operation.parameters if name != "tenant"]
        if not names or str(operation) in MAKES_ONES_OWN:
            continue
        natural = {name: world.ids[operation.kinds[name]] for name in names}
        natural |= {"tenant": STRANGERS}
        answer = _ask(world, operation, natural)
        check_silent(world, str(operation), answer, *world.ids.values())
        if operation.path in ANSWERS_NOTHING:
            assert not count_in(answer), operation
        else:
            assert answer.status_code == 404, f"{operation} -> {answer.status_code} {answer.text}"
        for kind, value in world.ids.items():
            for name in names:
                number = len(value) <= 8 and kind != operation.kinds[name]
                if number or operation.kinds[name] in ONLY_BESIDE_ANOTHER:
                    # A small number may well name something of the stranger's own.
                    continue
                if kind != operation.kinds[name] and not _drawn(one_in, operation, name, kind):
                    continue
                answer = _ask(world, operation, {**natural, name: value})
                what = f"{operation} with the {kind}"
                if operation.path in ANSWERS_NOTHING and answer.is_success:
                    assert not count_in(answer), what
                else:
                    assert 400 <= answer.status_code < 500, f"{what} -> {answer.status_code}"
                check_silent(world, what, answer, *world.ids.values())
                asked += 1
    assert asked > 300
    assert world.look() == world.seen


def test_the_tenant_of_another_organisation_names_nothing(world: World) -> None:
    organisation_id = world.ids["tenant"]
    asked = 0
    for operation in guarded(world.server):
        if not operation.speaks_records:
            continue
        natural = {name: world.ids[kind] for name, kind in operation.kinds.items()}
        for tenant in (OWNERS, OWNERS.upper(), organisation_id, f" {organisation_id} "):
            what = f"{operation} of {tenant!r}"
            answer = _ask(world, operation, {**natural, "tenant": tenant})
            assert answer.status_code == 404, f"{what} -> {answer.status_code} {answer.text}"
            check_silent(world, what, answer, *world.ids.values())
            # Nor does it say whether there is such a tenant.
            nobody = "n" * len(tenant)
            missed = _ask(world, operation, {**natural, "tenant": nobody})
            assert missed.status_code == 404, what
            assert _words(answer, tenant) == _words(missed, nobody), what
            asked += 1
    assert asked > 60
    assert world.look() == world.seen


def _words(answer: httpx.Response, tenant: str) -> str:
    return str(answer.json()["detail"]).replace(repr(tenant), "TENANT")


def count_in(answer: httpx.Response) -> int:
    """Return what an answer counts: a number, or numbers by status, or whether there is one."""
    counted = answer.json()
    if isinstance(counted, dict) and "match" in counted:
        return len(counted["match"])
    if isinstance(counted, dict) and "response_data" in counted:
        return int(any(counted["response_data"].values()))
    return int(sum(counted.values())) if isinstance(counted, dict) else int(counted)


def test_no_listing_shows_what_belongs_to_another_organisation(world: World, one_in: int) -> None:
    document = httpx.get(f"{world.server.url}/openapi.json", trust_env=False).json()
    own_keys = {key["id"] for key in world.stranger.get("/longshore/v1/keys")["keys"]}
    for operation in operations(world.server):
        if operation.changes or set(operation.parameters) - {"tenant"}:
            continue
        described = document["paths"][operation.path][operation.method.lower()]
        queries = [
            parameter["name"]
            for parameter in described.get("parameters", [])
            if parameter["in"] == "query"
        ]
        attempts: list[dict[str, str]] = [{}]
        attempts += [
            {name: value}
            for name in queries
            for kind, value in world.ids.items()
            if _drawn(one_in, operation, name, kind)
        ]
        for params in attempts:
            body = {"json": {}} if operation.takes_body else {}
            answer = world.stranger.http.request(
                operation.method, operation.url({"tenant": STRANGERS}), params=params, **body
            )
            assert answer.status_code < 500, f"{operation} {params} -> {answer.text[:300]}"
            if operation.path == AUDIT:
                # What the stranger has asked for is told to it, and to nobody else.
                entries = answer.json()["entries"] if answer.is_success else []
                assert {entry["key_id"] for entry in entries} <= own_keys, answer.text[:500]
                continue
            check_silent(world, f"{operation} {params}", answer, *params.values())
    assert world.look() == world.seen


def test_counts_leave_out_what_belongs_to_another_organisation(world: World) -> None:
    for path in ("/longshore/v1/queues", "/longshore/v1/doctor", "/metrics"):
        answer = world.stranger.http.get(path)
        assert answer.status_code == 200, path
        check_silent(world, path, answer)
    assert all(
        queue["surface"] == "system"
        for queue in world.stranger.get("/longshore/v1/queues")["queues"]
    )
    facts = world.stranger.get("/longshore/v1/doctor")["facts"]
    theirs = ("apps.", "buckets.", "pipelines.", "corpus.", "activities.", "scripts.")
    assert not any(name.startswith(theirs) for name in facts["works"]), facts["works"]


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
        check_silent(world, f"{path} {body}", answer, *world.ids.values(), APP)
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
        check_silent(world, str(source), answer, *world.ids.values())

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
            check_silent(world, what, answer)
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

"""X18 for scripts: bodies, names, tokens and workers that name what another organisation has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.api import Patient
from tests.acceptance.conftest import Harbour
from tests.acceptance.scripts import API, Dispatcher, program, swap, workflow
from tests.acceptance.tenancy import CANARY, OWNERS, STRANGERS, World, Worlds, check_silent
from tests.acceptance.tenancy_scripts import DATE, ENTRIES

UNKNOWN = 987_654
ROLES: dict[str, set[str]] = {
    "viewer": {"see"},
    "operator": {"see", "operate", "event", "flag"},
    "developer": {"see", "operate", "event", "flag", "define", "read secrets", "keep secrets"},
    # A worker's key is that of all steps it runs, which send events; secrets it never reads.
    "worker": {"see", "event", "flag"},
    "ingress": {"event", "flag", "status", "read secrets"},
    "admin": {"see", "operate", "event", "flag", "define", "read secrets", "keep secrets"},
}
ATTEMPTS: list[tuple[str, str, str, Any]] = [
    ("see", "GET", f"{API}/runs", None),
    ("see", "GET", f"{API}/workflows", None),
    ("see", "GET", f"{API}/hosts", None),
    ("see", "GET", f"{API}/flag", None),
    ("see", "GET", f"{API}/rtevent/{UNKNOWN}", None),
    ("status", "GET", f"{API}/rtevent/list", None),
    ("status", "GET", f"{API}/rtevent/status/{UNKNOWN}", None),
    ("operate", "POST", f"{API}/workflows/none/runs", {}),
    ("operate", "POST", f"{API}/runs/{UNKNOWN}/hold", {}),
    ("operate", "POST", f"{API}/runs/{UNKNOWN}/cancel", {"reason": "a test"}),
    ("operate", "POST", f"{API}/hosts/none/throttle", {"throttle": 1}),
    ("operate", "DELETE", f"{API}/flag?name=none&date={DATE}", None),
    ("define", "POST", f"{API}/workflows", {"text": ""}),
    ("define", "POST", f"{API}/workflows/none/retire", {}),
    ("event", "POST", f"{API}/rtevent", {"eventName": "none", "payload": None}),
    ("flag", "POST", f"{API}/flag", {"name": "a role", "date": DATE}),
    ("read secrets", "GET", f"{API}/keystore/none", None),
    ("keep secrets", "GET", ENTRIES, None),
    ("keep secrets", "PUT", f"{ENTRIES}/role", {"value": "a secret"}),
    ("never", "POST", f"{API}/rtstep/payload", {"actionId": 1, "stepname": "a", "payload": 1}),
    ("never", "POST", f"{API}/rtstep/once", {"key": "a"}),
]


@pytest.fixture(scope="module")
def world(module_harbour: Harbour, worlds: Worlds) -> World:
    return worlds.open(module_harbour)


@pytest.fixture(autouse=True)
def nothing_changes(world: World) -> Iterator[None]:
    """Whatever the stranger tries, the owner sees what was there before."""
    yield
    assert world.look() == world.seen


@pytest.fixture
def stranger(world: World, harbour: Harbour) -> Dispatcher:
    """The stranger, with a host and a worker's key of its own."""
    key = world.stranger.http.headers["authorization"].removeprefix("Bearer ")
    made = Dispatcher(world.server, key=key)
    harbour.clients.append(made)
    made.host("own")
    return made


def _hands(world: World, harbour: Harbour, host: str) -> Any:
    """Return a worker of the stranger's that serves a host of this name."""
    body = {"name": "worker", "role": "worker"}
    key = world.stranger.ask("POST", "/longshore/v1/keys", json=body, expect=(201,)).json()["key"]
    return harbour.holder(world.server, host=host, name="stranger", key=key)


def test_an_event_of_another_organisation_is_none(world: World, stranger: Dispatcher) -> None:
    name = world.ids["event"]
    body = {"eventName": name, "payload": None, "idempotencyKey": CANARY}
    answer = stranger.http.post(f"{API}/rtevent", json=body)
    assert answer.status_code == 404, answer.text
    check_silent(world, "the event", answer, name)
    unknown = "x" * len(name)
    missed = stranger.http.post(f"{API}/rtevent", json={**body, "eventName": unknown})
    assert answer.json()["detail"] == missed.json()["detail"].replace(unknown, name)
    near = stranger.http.post(f"{API}/rtevent", json={**body, "eventName": name[:-1]})
    assert near.status_code == 404
    check_silent(world, "a near name", near, name[:-1])


def test_names_are_each_organisations_own(
    world: World, stranger: Dispatcher, harbour: Harbour
) -> None:
    """Workflow, event, key, host, flag, entry: the same names are others' things."""
    ids = world.ids
    hands = _hands(world, harbour, ids["host"])
    stranger.secret(ids["entry"], "own value")
    step = {"command": ["true"], "host": ids["host"], "keystore": [ids["entry"]]}
    definition = workflow(ids["workflow"], {ids["step"]: step})
    definition["triggers"]["events"][0]["name"] = ids["event"]
    assert stranger.apply(definition)["version"] == 1
    run_id = stranger.event(ids["event"], "own payload", key=CANARY)
    assert str(run_id) not in (ids["script_run"], ids["open_script_run"])
    (held,) = hands.claim(wait_s=5.0)
    assert held["payload"]["environment_name"] == STRANGERS
    own = program(world.server, held["payload"]["code"])
    harbour.clients.append(own)
    assert own.http.get(f"{API}/rtevent/{run_id}").json()["payload"] == "own payload"
    assert own.http.get(f"{API}/keystore/{ids['entry']}").json() == {ids["entry"]: "own value"}
    for path in (f"/rtevent/{ids['script_run']}", f"/rtevent/status/{ids['open_script_run']}"):
        assert own.http.get(f"{API}{path}").status_code == 404, path
    guard = own.ask("POST", f"{API}/rtstep/once", json={"key": ids["guard"]}).json()
    assert guard == {"state": "new", "result": None}
    flag = {"name": ids["flag"], "systemName": CANARY, "sourceSystemName": CANARY, "date": DATE}
    assert stranger.post(f"{API}/flag", flag)["created"] is True
    stranger.ask("DELETE", f"{API}/flag", params=flag)
    assert hands.report(held, "success", result={"exit_code": 0}) == []
    assert stranger.finish(run_id)["status"] == "finished"
    stranger.ask("DELETE", f"{ENTRIES}/{ids['entry']}", expect=(200, 204))
    stranger.ask("DELETE", f"{API}/runs/{run_id}", expect=(200, 202, 204))


def test_an_environment_is_the_organisation_of_the_key(world: World) -> None:
    run = world.ids["script_run"]
    for client, own in ((world.owner, OWNERS), (world.stranger, STRANGERS)):
        for name in (OWNERS, STRANGERS, "nobody", OWNERS.upper(), STRANGERS.upper()):
            answer = client.http.get(f"{API}/rtevent/list", headers={"Environment": name})
            assert answer.status_code == (200 if name.lower() == own else 404), name
    # A header does not lead into another organisation, nor tell that there is one.
    words = set()
    for name in (OWNERS, "nobody"):
        answer = world.stranger.http.get(f"{API}/rtevent/{run}", headers={"Environment": name})
        assert answer.status_code == 404
        words.add(answer.json()["detail"].replace(repr(name), "NAME"))
    assert len(words) == 1, words


def test_a_workflow_follows_no_workflow_of_another_organisation(
    world: World, stranger: Dispatcher
) -> None:
    definition = workflow("follower", {"one": {"command": ["true"], "host": "own"}})
    definition["triggers"] = {"workflows": [{"name": world.ids["workflow"], "on": "ended"}]}
    answer = stranger.http.post(f"{API}/workflows", json={"text": json.dumps(definition)})
    check_silent(world, "following", answer, world.ids["workflow"])
    assert all(run["workflow"] != "follower" for run in stranger.get(f"{API}/runs")["runs"])


def test_a_host_of_another_organisation_is_unknown_to_a_definition(
    harbour: Harbour, worlds: Worlds
) -> None:
    # In a world in which the stranger has no host of that name yet.
    world = worlds.open(harbour)
    told = []
    for host in (world.ids["host"], "x" * len(world.ids["host"])):
        step = {"command": ["true"], "host": host}
        definition = workflow("elsewhere", {"one": step})
        answer = world.stranger.http.post(f"{API}/workflows", json={"text": json.dumps(definition)})
        assert answer.status_code == 400, answer.text
        check_silent(world, "the host", answer, host)
        told.append(answer.json()["detail"].replace(host, "HOST"))
    assert told[0] == told[1]


def test_a_worker_claims_renews_and_reports_no_step_of_another_organisation(
    world: World, harbour: Harbour
) -> None:
    held = world.scripts.held
    hands = _hands(world, harbour, world.ids["host"])
    assert set(hands.queues).isdisjoint(world.scripts.holder.queues)
    assert hands.claim() == []
    lease = [[held["work_id"], held["attempt"]]]
    report = {"work_id": held["work_id"], "attempt": held["attempt"], "outcome": "success"}
    line = {"work_id": held["work_id"], "attempt": 1, "at_us": 1, "stream": "stdout", "text": "x"}
    code = {"work_id": held["work_id"], "attempt": held["attempt"]}
    for worker_id in (hands.worker_id, world.scripts.holder.worker_id):
        requests: list[tuple[str, dict[str, Any]]] = [
            ("worker/claim", {"queues": world.scripts.holder.queues, "limit": 5}),
            ("worker/renew", {"leases": lease}),
            ("worker/report", {"reports": [{**report, "result": {"exit_code": 0}}]}),
            ("worker/logs", {"lines": [line]}),
            ("scripts/code", code),
        ]
        for path, body in requests:
            sent = {"worker_id": worker_id, **body}
            answer = hands.http.post(f"/longshore/v1/{path}", json=sent)
            what = f"{path} -> {answer.status_code} {answer.text}"
            check_silent(world, what, answer, held["work_id"])
            assert "ac_" not in answer.text, what
            if path in ("worker/renew", "worker/report") and answer.is_success:
                assert [lost["work_id"] for lost in answer.json()["lost"]] == [held["work_id"]]
            elif path != "worker/logs":
                assert answer.status_code in (404, 409), what
    assert world.scripts.holder.renew(held) == []
    logs = world.owner.get(f"/longshore/v1/works/{held['work_id']}/logs")["lines"]
    assert logs == []


def test_a_code_is_no_use_in_another_environment_nor_a_token_once_it_is_over(
    world: World, harbour: Harbour
) -> None:
    refused = swap(world.server, world.scripts.code, STRANGERS)
    assert refused.status == 401
    assert CANARY.encode() not in refused.body
    over = Patient(world.server.url, world.scripts.spent)
    harbour.clients.append(over)
    assert over.http.get(f"{API}/rtevent/{world.ids['script_run']}").status_code == 401


@pytest.mark.parametrize("role", ROLES)
def test_each_role_reaches_as_far_as_it_says_in_scripts(world: World, role: str) -> None:
    body = {"name": f"a {role}", "role": role}
    key = world.stranger.ask("POST", "/longshore/v1/keys", json=body, expect=(201,)).json()["key"]
    may = ROLES[role] | ({"status"} if "see" in ROLES[role] else set())
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=world.server.url, headers=headers, trust_env=False) as client:
        for what, method, path, sent in ATTEMPTS:
            status = client.request(method, path, json=sent).status_code
            assert (status == 403) == (what not in may), f"{role} {method} {path} -> {status}"


def test_a_key_for_programs_outside_reaches_nothing_of_the_other_surfaces(world: World) -> None:
    body = {"name": "outside", "role": "ingress"}
    key = world.owner.ask("POST", "/longshore/v1/keys", json=body, expect=(201,)).json()["key"]
    client = Patient(world.server.url, key)
    for path in ("/api/v2/batches", "/buckets/status", "/api/v1/corpus/", "/longshore/v1/queues"):
        assert client.http.get(path).status_code == 403, path
    entry = client.http.get(f"{API}/keystore/{world.ids['entry']}")
    assert entry.json() == {world.ids["entry"]: CANARY}, "it is marked for programs outside"
    client.close()
    key_id = world.owner.get("/longshore/v1/keys")["keys"]
    (made,) = [each["id"] for each in key_id if each["name"] == "outside"]
    world.owner.ask("DELETE", f"/longshore/v1/keys/{made}", expect=(200, 204))
    world.seen = world.look()

"""Tokens of tasks: a program reaches its own process, as long as its attempt runs, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.api import Holder, Patient
from tests.acceptance.conftest import Harbour
from tests.acceptance.operations import guarded
from tests.acceptance.tenancy import CANARY, World, Worlds, check_silent
from tests.acceptance.tenancy_corpus import API, NATIVE, OFFER, program

WORD = {"state": "started"}
TEXT = {"text": "forged", "confidence": 0.5}
FILE = {"path": "forged", "content_type": "text/plain", "size": 1}


@pytest.fixture
def world(harbour: Harbour, worlds: Worlds) -> World:
    return worlds.open(harbour)


@pytest.fixture
def task(world: World, harbour: Harbour) -> Patient:
    """The program of the owner's task."""
    return program(harbour, world.server, world.corpora.token)


def _other_task(world: World, harbour: Harbour, *, stranger: bool) -> tuple[Holder, dict[str, Any]]:
    """Let a process of another worker run, of the stranger or of the owner; return its claim."""
    user = world.stranger if stranger else world.owner
    key = None
    corpus = world.ids["corpus"]
    element = world.ids["element"]
    if stranger:
        body: dict[str, Any] = {"name": "worker", "role": "worker"}
        made = user.ask("POST", "/longshore/v1/keys", json=body, expect=(201,)).json()
        key = made["key"]
        body = {"name": "own", "types": [{"slug": "page"}]}
        corpus = user.ask("POST", f"{API}/corpus/", json=body, expect=(201,)).json()["id"]
        body = {"type": "page", "name": "own", "corpus": corpus}
        element = user.post(f"{API}/elements/create/", body, expect=(201,))["id"]
    holder = harbour.holder(
        world.server, elements_workers=[{**OFFER, "slug": "another"}], name="another", key=key
    )
    body = {"corpus": corpus, "elements": [element], "workers": [{"worker": "another"}]}
    process = user.post(f"{API}/process/", body, expect=(201,))["id"]
    user.post(f"{API}/process/{process}/start/")
    (held,) = holder.claim(wait_s=1.0)
    return holder, held


def _attempts(task: dict[str, Any], element: str) -> list[tuple[str, str, Any]]:
    """Return what a program does for a process: its words, claims, results and files."""
    run, named = task["worker_run_id"], {"worker_run_id": task["worker_run_id"]}
    held = {"element_id": element, "attempt": 1}
    return [
        ("PUT", f"{API}/workers/versions/{run}/activity/", {**WORD, "element_id": element}),
        ("POST", f"{NATIVE}/activities/claim", {**named, "limit": 1}),
        ("POST", f"{NATIVE}/activities/renew", {**named, "held": [[element, 1]]}),
        ("POST", f"{NATIVE}/activities/report", {**named, "reports": [{**held, **WORD}]}),
        ("POST", f"{API}/element/{element}/transcription/", {**TEXT, **named}),
        ("POST", f"{API}/element/{element}/embedding/", {"value": [1.0], **named}),
        ("POST", f"{API}/task/{task['task_id']}/artifacts/", FILE),
    ]


@pytest.mark.parametrize("stranger", [False, True], ids=["another process", "another organisation"])
def test_a_token_does_nothing_for_another_process(
    world: World, harbour: Harbour, task: Patient, stranger: bool
) -> None:
    _, held = _other_task(world, harbour, stranger=stranger)
    payload = held["payload"]
    element = payload["elements"][0]["id"]
    other = program(harbour, world.server, payload["token"])
    seen = world.look()
    attempts = [
        (task, _attempts(payload, element)),
        (other, _attempts(world.corpora.held["payload"], world.ids["element"])),
    ]
    for client, sent in attempts:
        for method, path, body in sent:
            if path.endswith("/report"):
                body["reports"][0]["state"] = "processed"
            answer = client.http.request(method, path, json=body)
            what = f"{method} {path} -> {answer.status_code} {answer.text}"
            expected = (400, 404) if stranger else (400, 403)
            assert answer.status_code in expected, what
            if client is other and stranger:
                check_silent(world, what, answer, *world.ids.values())
    assert world.look() == seen


def test_a_token_reaches_its_own_process_and_the_secrets(
    world: World, harbour: Harbour, task: Patient
) -> None:
    ids = world.ids
    for path in (
        f"{API}/process/workers/{ids['worker_run']}/",
        f"{API}/workers/runs/{ids['worker_run']}/configuration/",
        f"{API}/task/{ids['task']}/artifacts/",
        f"{API}/element/{ids['element']}/",
        f"{API}/modelversion/{ids['model_version']}/",
    ):
        assert task.http.get(path).status_code == 200, path
    answer = task.http.get(f"{API}/secret/{ids['secret']}")
    assert answer.json()["content"] == CANARY
    assert answer.headers["cache-control"] == "no-store"
    # It reads what it asks for by name; the names are not told, and it changes none of them.
    assert task.http.get(f"{NATIVE}/secrets").status_code == 403
    path = f"{NATIVE}/secrets/{ids['secret']}"
    assert task.http.put(path, json={"content": "x"}).status_code == 403
    assert task.http.delete(path).status_code == 403
    _, held = _other_task(world, harbour, stranger=True)
    other = program(harbour, world.server, held["payload"]["token"])
    assert other.http.get(f"{API}/secret/{ids['secret']}").status_code == 404


def test_a_token_is_good_for_nothing_but_corpora(world: World, task: Patient) -> None:
    asked = 0
    for operation in guarded(world.server):
        if operation.is_of_corpora:
            continue
        real = {name: world.ids[kind] for name, kind in operation.kinds.items()}
        body = {"json": {}} if operation.takes_body else {}
        answer = task.http.request(operation.method, operation.url(real), **body)
        assert answer.status_code == 403, f"{operation} -> {answer.status_code} {answer.text}"
        asked += 1
    assert asked > 80
    offer = {"name": "w", "slots": 1, "incarnation": "x" * 16, "workers": []}
    claim = {"worker_id": world.corpora.holder.worker_id, "limit": 9}
    for verb, body in (
        ("register", offer),
        ("claim", {**claim, "queues": world.corpora.holder.queues}),
        ("leave", {"worker_id": world.corpora.holder.worker_id}),
    ):
        answer = task.http.post(f"/longshore/v1/worker/{verb}", json=body)
        assert answer.status_code == 403, f"{verb} -> {answer.status_code} {answer.text}"
    assert world.look() == world.seen


def test_a_token_manages_no_processes(world: World, task: Patient) -> None:
    process = f"{API}/process/{world.ids['process']}/"
    body = {"corpus": world.ids["corpus"], "element_type": "page", "workers": []}
    for method, path, sent in (
        ("POST", f"{API}/process/", body),
        *(("POST", f"{process}{verb}/", None) for verb in ("start", "stop", "retry")),
        ("DELETE", process, None),
        ("DELETE", f"{API}/corpus/{world.ids['corpus']}/", None),
        ("POST", f"{API}/workers/", {**OFFER, "slug": "forged"}),
    ):
        answer = task.http.request(method, path, json=sent)
        assert answer.status_code == 403, f"{method} {path} -> {answer.status_code} {answer.text}"
    assert world.look() == world.seen


@pytest.mark.parametrize("outcome", ["success", "failure", "handed_back"])
def test_a_token_ends_with_its_attempt(
    world: World, task: Patient, outcome: str, harbour: Harbour
) -> None:
    holder, held = world.corpora.holder, world.corpora.held
    path = f"{API}/process/workers/{world.ids['worker_run']}/"
    assert task.http.get(path).status_code == 200
    more = {"result": {"exit_code": 0, "files": []}} if outcome == "success" else {}
    assert holder.report(held, outcome, **more) == []
    for method, address, body in (
        ("GET", path, None),
        ("GET", f"{API}/secret/{world.ids['secret']}", None),
        *_attempts(held["payload"], world.ids["element"]),
    ):
        answer = task.http.request(method, address, json=body)
        assert answer.status_code == 401, f"{method} {address} -> {answer.status_code}"
    if outcome != "handed_back":
        return
    (again,) = holder.claim(wait_s=10.0)
    assert again["attempt"] > held["attempt"]
    assert again["payload"]["token"] != world.corpora.token
    assert task.http.get(path).status_code == 401, "the token of the attempt before stays dead"
    fresh = program(harbour, world.server, again["payload"]["token"])
    assert fresh.http.get(path).status_code == 200


@pytest.mark.parametrize("part", ["secret", "id", "kind"])
def test_a_token_that_is_nearly_one_is_none(world: World, harbour: Harbour, part: str) -> None:
    token = world.corpora.token
    kind, token_id, secret = token.split("_", 2)
    wrong = {
        "secret": f"{kind}_{token_id}_{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}",
        "id": f"{kind}_{'0' * 26}_{secret}",
        "kind": f"ls_{token_id}_{secret}",
    }[part]
    for form in ("Ponos", "Bearer", "Token"):
        headers = {"Authorization": f"{form} {wrong}"}
        answer = program(harbour, world.server, wrong).http.get(f"{API}/corpus/", headers=headers)
        assert answer.status_code == 401, f"{form} -> {answer.status_code}"

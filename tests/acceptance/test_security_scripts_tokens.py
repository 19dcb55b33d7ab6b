"""X16 and X21: an access code gives one token, and the token reaches the step's own run only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance import raw
from tests.acceptance.api import Holder, Patient
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.acceptance.operations import guarded
from tests.acceptance.scripts import API, Dispatcher, program, swap, workflow
from tests.conftest import KINDS, PostgreSQLServer

USES = 100
HOST = "alpha"
LISTED, UNLISTED = "listed", "unlisted"
SECRETS = {LISTED: "what the step may read", UNLISTED: "what it may not"}
STEPS = {
    "first": {"command": ["true"], "host": HOST, "keystore": [LISTED]},
    "second": {"command": ["true"], "host": HOST, "depends_on": ["first"]},
}


FOR_STEPS = {
    "POST /coreauto/v1/rtevent",
    "GET /coreauto/v1/rtevent/list",
    "GET /coreauto/v1/rtevent/status/{actionId}",
    "GET /coreauto/v1/rtevent/{actionId}",
    "POST /coreauto/v1/rtstep/payload",
    "GET /coreauto/v1/rtstep/payload/actionid/{path}/{value}",
    "GET /coreauto/v1/rtstep/payload/{actionId}/{stepname}",
    "POST /coreauto/v1/rtstep/once",
    "POST /coreauto/v1/rtstep/once/done",
    "POST /coreauto/v1/flag",
    "GET /coreauto/v1/keystore/{names}",
}
"""What a step's token is good for; written down here once more, so that it grows by nothing unseen."""


@dataclass
class Stage:
    """A server with a workflow, and the hands of a worker of its host."""

    harbour: Harbour
    server: Server
    user: Dispatcher
    hands: Holder

    def held(self, payload: Any = None) -> dict[str, Any]:
        """Start a run and return the claim of its first step."""
        run_id = self.user.event("trial", payload)
        for work in self.hands.claim(wait_s=5.0):
            if work["payload"]["run_id"] == run_id:
                return work
            self.hands.report(work, "handed_back")
        raise AssertionError(f"run {run_id} has no step to claim")

    def program(self, held: dict[str, Any]) -> Patient:
        made = program(self.server, held["payload"]["code"])
        self.harbour.clients.append(made)
        return made

    def end(self, held: dict[str, Any], outcome: str = "success") -> None:
        result = {"result": {"exit_code": 0}} if outcome == "success" else {}
        assert self.hands.report(held, outcome, **result) == []


def _stage(harbour: Harbour, server: Server) -> Stage:
    server.start()
    user = Dispatcher(server)
    harbour.clients.append(user)
    hands = harbour.holder(server, host=HOST, name="hands")
    for name, value in SECRETS.items():
        user.secret(name, value)
    user.apply(workflow("trial", STEPS))
    return Stage(harbour, server, user, hands)


@pytest.fixture(scope="module")
def stage(module_harbour: Harbour) -> Stage:
    return _stage(module_harbour, module_harbour.server(settings={"LONGSHORE_LEASE_S": "300"}))


@pytest.fixture(params=KINDS)
def either(request: pytest.FixtureRequest, harbour: Harbour) -> Iterator[Stage]:
    """A stage on either database."""
    settings = {"LONGSHORE_LEASE_S": "300"}
    if request.param == "sqlite":
        yield _stage(harbour, harbour.server(settings=settings))
        return
    postgresql: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    database = postgresql.new_database()
    yield _stage(harbour, harbour.server(settings=settings, database=database))
    harbour.close()
    postgresql.drop(database)


def _refused(answer: raw.Answer) -> str:
    assert answer.status == 401, answer.body
    return str(answer.json()["detail"])


def test_a_hundred_uses_of_one_code_at_once_give_one_token(either: Stage) -> None:
    held = either.held()
    code = held["payload"]["code"]
    barrier = threading.Barrier(USES)

    def use(_number: int) -> raw.Answer:
        barrier.wait(30.0)
        return swap(either.server, code)

    with ThreadPoolExecutor(USES) as pool:
        answers = list(pool.map(use, range(USES)))
    given = [answer.json()["token"] for answer in answers if answer.status == 200]
    assert len(given) == 1
    assert {_refused(answer) for answer in answers if answer.status != 200} == {
        _refused(swap(either.server, "ac_" + "A" * 43))
    }
    client = Patient(either.server.url, given[0])
    assert client.http.get(f"{API}/rtevent/{held['payload']['run_id']}").status_code == 200
    client.close()


def test_a_code_that_cannot_be_used_is_refused_in_one_wording(stage: Stage) -> None:
    held = stage.held()
    code = held["payload"]["code"]
    told = {
        "nearly": swap(stage.server, code[:-1] + ("A" if code[-1] != "A" else "B")),
        "shorter": swap(stage.server, code[:-1]),
        "empty": swap(stage.server, ""),
        "another environment": swap(stage.server, code, "other"),
        "no key": swap(stage.server, f"ls_{'0' * 26}_{'A' * 43}"),
    }
    # None of them has used it up.
    assert swap(stage.server, code, "LOCAL").status == 200
    told["used"] = swap(stage.server, code)
    ended = stage.held()
    stage.end(ended, "failure")
    told["over"] = swap(stage.server, ended["payload"]["code"])
    assert len({_refused(answer) for answer in told.values()}) == 1, told


def test_a_code_ends_with_its_time(harbour: Harbour) -> None:
    settings = {"LONGSHORE_LEASE_S": "300", "LONGSHORE_ACCESS_CODE_S": "1"}
    stage = _stage(harbour, harbour.server(settings=settings))
    held = stage.held()
    begun, over = held["payload"]["code"], threading.Event()
    over.wait(1.2)
    assert _refused(swap(stage.server, begun))
    body = {"worker_id": stage.hands.worker_id, "work_id": held["work_id"], "attempt": 1}
    again = stage.hands.ask("POST", "/longshore/v1/scripts/code", json=body).json()["code"]
    assert swap(stage.server, again).status == 200


def test_only_the_worker_that_holds_a_step_gets_a_fresh_code_for_it(stage: Stage) -> None:
    held = stage.held()
    body = {"worker_id": stage.hands.worker_id, "work_id": held["work_id"], "attempt": 1}
    other = stage.harbour.holder(stage.server, host="another", name="another")
    path = "/longshore/v1/scripts/code"
    for client, wrong in (
        (other, {**body, "worker_id": other.worker_id}),
        (stage.hands, {**body, "attempt": 2}),
        (stage.hands, {**body, "work_id": "wk_" + "0" * 26}),
    ):
        answer = client.http.post(path, json=wrong)
        assert answer.status_code in (404, 409), f"{wrong} -> {answer.status_code} {answer.text}"
        assert "ac_" not in answer.text
    step = stage.program(held)
    assert step.http.post(path, json=body).status_code == 403, "nor does its own program"


def test_a_step_reads_its_own_run_and_no_other(stage: Stage) -> None:
    theirs = stage.held({"whose": "theirs"})
    other = stage.program(theirs)
    stored = {"actionId": str(theirs["payload"]["run_id"]), "stepname": "first", "payload": "mine"}
    other.ask("POST", f"{API}/rtstep/payload", json=stored)
    held = stage.held({"whose": "own"})
    own_id, their_id = held["payload"]["run_id"], theirs["payload"]["run_id"]
    step = stage.program(held)
    assert step.http.get(f"{API}/rtevent/{own_id}").json()["payload"] == {"whose": "own"}
    for path in (
        f"/rtevent/{their_id}",
        f"/rtevent/status/{their_id}",
        f"/rtstep/payload/{their_id}/first",
    ):
        unknown = path.replace(str(their_id), "999999")
        answer, missed = step.http.get(f"{API}{path}"), step.http.get(f"{API}{unknown}")
        assert answer.status_code == missed.status_code == 404, f"{path} -> {answer.text}"
        words = answer.json()["detail"].replace(str(their_id), "999999")
        assert words == missed.json()["detail"], "it is not told that there is such a run"
    for run_id, name, expected in (
        (their_id, "first", {403, 404}),
        (their_id, "second", {403, 404}),
        (own_id, "second", {403}),
    ):
        body = {"actionId": run_id, "stepname": name, "payload": "forged"}
        answer = step.http.post(f"{API}/rtstep/payload", json=body)
        assert answer.status_code in expected, f"{run_id} {name} -> {answer.text}"
    assert stage.user.payload(their_id, "first") == "mine"


def test_a_step_reads_the_entries_that_its_definition_lists_and_no_other(stage: Stage) -> None:
    held = stage.held()
    step = stage.program(held)
    both = step.http.get(f"{API}/keystore/{LISTED},{UNLISTED}")
    assert both.json() == {LISTED: SECRETS[LISTED]}
    absent = step.http.get(f"{API}/keystore/never")
    forbidden = step.http.get(f"{API}/keystore/{UNLISTED}")
    assert (forbidden.status_code, forbidden.text) == (absent.status_code, absent.text)
    stage.end(held)
    (second,) = stage.hands.claim(wait_s=5.0)
    answer = stage.program(second).http.get(f"{API}/keystore/{LISTED}")
    assert SECRETS[LISTED] not in answer.text, "the second step lists none"


def test_a_token_is_good_for_what_steps_do_and_for_nothing_else(stage: Stage) -> None:
    held = stage.held()
    step = stage.program(held)
    ids = {"run_id": str(held["payload"]["run_id"]), "work_id": held["work_id"], "name": "trial"}
    reached = set()
    for operation in guarded(stage.server):
        body = {"json": {}} if operation.takes_body else {}
        answer = step.http.request(operation.method, operation.url(ids), **body)
        if answer.status_code != 403:
            assert answer.status_code in (200, 400, 404), f"{operation} -> {answer.text}"
            reached.add(str(operation))
    assert reached == FOR_STEPS
    claim = {"worker_id": stage.hands.worker_id, "queues": stage.hands.queues, "limit": 9}
    lease = {"worker_id": stage.hands.worker_id, "leases": [[held["work_id"], 1]]}
    for verb, sent in (("claim", claim), ("renew", lease), ("leave", claim)):
        answer = step.http.post(f"/longshore/v1/worker/{verb}", json=sent)
        assert answer.status_code == 403, f"{verb} -> {answer.status_code} {answer.text}"


@pytest.mark.parametrize("outcome", ["success", "failure", "handed_back"])
def test_a_token_ends_with_its_attempt(stage: Stage, outcome: str) -> None:
    held = stage.held("an event")
    run_id = held["payload"]["run_id"]
    step = stage.program(held)
    body = {"actionId": run_id, "stepname": "first", "payload": "in time"}
    step.ask("POST", f"{API}/rtstep/payload", json=body)
    stage.end(held, outcome)
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/rtevent/{run_id}", None),
        ("GET", f"/keystore/{LISTED}", None),
        ("POST", "/rtstep/payload", {**body, "payload": "too late"}),
        ("POST", "/rtstep/once", {"key": "too late"}),
        ("POST", "/rtevent", {"eventName": "trial", "payload": None}),
        ("POST", "/flag", {"name": "late", "date": "2026-11-21"}),
    ]
    for method, path, sent in requests:
        answer = step.http.request(method, f"{API}{path}", json=sent)
        assert answer.status_code == 401, f"{method} {path} -> {answer.status_code} {answer.text}"
    assert stage.user.payload(run_id, "first") == "in time"


@pytest.mark.parametrize("part", ["secret", "id", "kind"])
def test_a_token_that_is_nearly_one_is_none(stage: Stage, part: str) -> None:
    token = str(swap(stage.server, stage.held()["payload"]["code"]).json()["token"])
    kind, token_id, secret = token.split("_", 2)
    wrong = {
        "secret": f"{kind}_{token_id}_{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}",
        "id": f"{kind}_{'0' * 26}_{secret}",
        "kind": f"ls_{token_id}_{secret}",
    }[part]
    right = raw.ask(stage.server, "GET", f"{API}/rtevent/list", key=token)
    assert right.status == 200, right.body
    assert raw.ask(stage.server, "GET", f"{API}/rtevent/list", key=wrong).status == 401


def test_neither_codes_nor_tokens_are_kept_or_written_into_a_log(stage: Stage) -> None:
    code = stage.held()["payload"]["code"]
    token = str(swap(stage.server, code).json()["token"])
    kept = b"".join(path.read_bytes() for path in stage.server.data.glob("longshore.db*"))
    for text in (code, token, token.split("_", 2)[2], code.removeprefix("ac_")):
        assert text.encode() not in kept
        assert text not in stage.server.log
    assert json.dumps(SECRETS[LISTED]).encode() not in kept


def test_a_step_waits_for_its_answers_no_longer_than_its_attempt(harbour: Harbour) -> None:
    """A worker that is cut off loses its step; the token goes with the lease."""
    stage = _stage(harbour, harbour.server(settings={"LONGSHORE_LEASE_S": "1.5"}))
    held = stage.held()
    step = stage.program(held)
    path = f"{API}/rtevent/{held['payload']['run_id']}"
    assert step.http.get(path).status_code == 200
    eventually(lambda: step.http.get(path).status_code == 401, 20.0, "its lease is over")

"""One-time access codes: one use, one attempt, a short time, and one answer to all else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, select

from longshore import limits
from longshore.access import Role, tokens
from longshore.access.organisations import ensure
from longshore.access.tables import work_tokens
from longshore.clock import ManualClock
from longshore.engine.works import Outcome
from longshore.errors import Unauthenticated
from longshore.settings import Settings
from longshore.storage import Database
from longshore.surfaces.scripts import codes
from longshore.surfaces.scripts.tables import scripts_codes
from tests.surfaces import collector_rig as rig
from tests.surfaces.collector_rig import Running
from tests.unit.serving import Served, bearer, serving

TTL_S = 60.0


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


@pytest.fixture
def held(served: Served, database: Database) -> Running:
    return rig.running(database, served.organisation.id)


def code_of(database: Database, held: Running, ttl_s: float = TTL_S) -> str:
    return database.write_blocking(
        codes.create, held.organisation_id, held.work_id, held.attempt, ttl_s
    )


async def swapped(served: Served, code: object, environment: str | None = None) -> httpx.Response:
    """Send a code as a step's Init does: without a key."""
    headers = {} if environment is None else {"Environment": environment}
    headers["Authorization"] = ""
    return await rig.send(served, "POST", "/auth/apicode", headers=headers, body={"apiCode": code})


async def test_a_code_is_swapped_for_a_token_that_opens_the_steps_own_run(
    served: Served, database: Database, held: Running
) -> None:
    answer = await swapped(served, code_of(database, held), environment="Local")
    assert answer.status_code == 200
    token = answer.json()["token"]
    assert token.startswith("lt_")
    own = await rig.send(served, "GET", f"/rtevent/{held.run_id}", headers=bearer(token))
    assert own.status_code == 200
    elsewhere = await served.client.get("/longshore/v1/queues", headers=bearer(token))
    assert elsewhere.status_code == 403


async def test_a_hundred_uses_at_once_give_one_token(
    served: Served, database: Database, held: Running
) -> None:
    code = code_of(database, held)
    answers = await asyncio.gather(*[swapped(served, code) for _ in range(100)])
    found = rig.statuses(answers)
    assert (found.count(200), found.count(401)) == (1, 99)
    assert len({answer.json()["detail"] for answer in answers if answer.status_code == 401}) == 1
    assert rig.rows(database, work_tokens) == [1]
    winner = next(answer for answer in answers if answer.status_code == 200)
    own = await rig.send(
        served, "GET", f"/rtevent/{held.run_id}", headers=bearer(winner.json()["token"])
    )
    assert own.status_code == 200


def test_a_hundred_threads_get_one_token(database: Database) -> None:
    organisation = database.write_blocking(ensure, "local")
    held = rig.running(database, organisation.id)
    code = code_of(database, held)
    gate = threading.Barrier(100)
    made: list[str] = []
    refusals: list[str] = []

    def use() -> None:
        gate.wait()
        try:
            made.append(database.write_blocking(codes.swap, code))
        except Unauthenticated as error:
            refusals.append(error.message)

    threads = [threading.Thread(target=use) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(made), len(refusals), set(refusals)) == (1, 99, {codes.REFUSAL})


def test_no_token_is_left_of_an_attempt_that_ends_while_its_code_is_used(
    database: Database,
) -> None:
    organisation = database.write_blocking(ensure, "local")

    def over(connection: Connection, held: Running) -> None:
        rig.end(connection, held)
        tokens.forget(connection, [held.work_id])
        codes.forget(connection, [held.work_id])

    for number in range(10):
        held = rig.running(database, organisation.id, f"step{number}")
        code = code_of(database, held)
        gate = threading.Barrier(2)

        def use(code: str = code, gate: threading.Barrier = gate) -> None:
            gate.wait()
            with suppress(Unauthenticated):
                database.write_blocking(codes.swap, code)

        thread = threading.Thread(target=use)
        thread.start()
        gate.wait()
        database.write_blocking(over, held)
        thread.join(30)
        assert rig.rows(database, work_tokens, scripts_codes) == [0, 0]


async def test_codes_that_cannot_be_used_are_refused_in_the_same_words_and_write_nothing(
    served: Served, database: Database, held: Running, clock: ManualClock
) -> None:
    other, _ = served.other_organisation()
    foreign = rig.running(database, other.id)
    ended = rig.running(database, served.organisation.id, "Extract")
    of_ended = code_of(database, ended)
    database.write_blocking(rig.end, ended, Outcome.FAILURE)
    next_attempt = database.write_blocking(rig.again, ended)
    used = code_of(database, rig.running(database, served.organisation.id, "Other"))
    assert (await swapped(served, used)).status_code == 200
    good, void = code_of(database, held), "ac_" + "A" * 43
    replaced = code_of(database, next_attempt)
    code_of(database, next_attempt)
    before = rig.rows(database, work_tokens, scripts_codes)
    tried = [
        await swapped(served, code, environment=environment)
        for code, environment in (
            (of_ended, None),
            (used, None),
            (replaced, None),
            (void, None),
            ("", None),
            ("ac_", None),
            ("x" * 10_000, None),
            ("ac_" + "é" * 43, None),
            (good + "\n", None),
            ("ls_" + "0" * 26 + "_" + "A" * 43, None),
            (code_of(database, foreign), "local"),
            (good, "other"),
            (good, "nowhere"),
            (served.first.token, "other"),
        )
    ]
    clock.advance(TTL_S)
    tried.append(await swapped(served, good))
    assert set(rig.statuses(tried)) == {401}
    assert {answer.json()["detail"] for answer in tried} == {codes.REFUSAL}
    # The foreign code is the only one that was made meanwhile; no code was used up.
    assert rig.rows(database, work_tokens, scripts_codes) == [before[0], before[1] + 1]
    clock.advance(-1)
    assert (await swapped(served, good, environment="LOCAL")).status_code == 200


async def test_an_attempt_that_ends_takes_its_code_and_its_token_along(
    served: Served, database: Database, held: Running
) -> None:
    token = (await swapped(served, code_of(database, held))).json()["token"]
    later = code_of(database, held)
    database.write_blocking(rig.end, held)
    assert (await swapped(served, later)).status_code == 401
    stored = await rig.send(
        served,
        "POST",
        "/rtstep/payload",
        headers=bearer(token),
        body={"actionId": held.run_id, "stepname": "load", "payload": 1},
    )
    assert stored.status_code == 401


async def test_a_body_that_is_no_code_is_a_bad_request(served: Served) -> None:
    for code in (None, 5, ["ac_"]):
        assert (await swapped(served, code)).status_code == 400
    assert (await rig.send(served, "POST", "/auth/apicode", body={})).status_code == 400


async def test_an_api_key_is_its_own_token(served: Served) -> None:
    key = served.token(Role.INGRESS)
    answer = await swapped(served, key, environment="local")
    assert (answer.status_code, answer.json()) == (200, {"token": key})
    listed = await rig.send(served, "GET", "/rtstep/payload/1/load", headers=bearer(key))
    assert listed.status_code == 403


async def test_only_hashes_of_codes_are_kept_and_a_pass_removes_the_expired(
    database: Database, held: Running, clock: ManualClock
) -> None:
    code = code_of(database, held)

    def stored() -> list[object]:
        return [
            value
            for row in database.read_blocking(lambda c: c.execute(select(scripts_codes)).all())
            for value in row
        ]

    assert stored()
    assert not any(code in str(value) or code[3:] in str(value) for value in stored())
    assert database.write_blocking(codes.sweep) == 0
    clock.advance(TTL_S)
    assert database.write_blocking(codes.sweep) == 1
    assert stored() == []


async def test_a_worker_gets_fresh_codes_for_what_it_holds_only(
    served: Served, database: Database, held: Running
) -> None:
    worker = served.token(Role.WORKER)
    _, foreign = served.other_organisation()
    first = code_of(database, held)

    async def ask(key: str = worker, **changes: object) -> httpx.Response:
        body = {"worker_id": held.worker_id, "work_id": held.work_id, "attempt": held.attempt}
        return await served.client.post(
            "/longshore/v1/scripts/code", json={**body, **changes}, headers=bearer(key)
        )

    fresh = await ask()
    assert fresh.status_code == 200
    assert fresh.json()["expires_s"] == limits.ACCESS_CODE_S
    assert (await swapped(served, first)).status_code == 401
    assert (await swapped(served, fresh.json()["code"])).status_code == 200
    another = rig.running(database, served.organisation.id, "Another")
    refused = [
        await ask(attempt=2),
        await ask(work_id="wk_" + "0" * 26),
        await ask(worker_id=another.worker_id),
    ]
    assert rig.statuses(refused) == [409, 409, 409]
    assert (await ask(worker_id="wr_" + "0" * 26)).status_code == 404
    assert (await ask(foreign)).status_code == 404
    assert (await ask(served.token(Role.INGRESS))).status_code == 403
    assert (await ask(rig.token(database, held)["Authorization"][7:])).status_code == 403


def test_a_code_lives_as_long_as_the_limits_say_unless_a_setting_says_otherwise() -> None:
    assert Settings().access_code_s == limits.ACCESS_CODE_S

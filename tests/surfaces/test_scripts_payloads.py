"""Payloads of steps: who stores and reads which, which attempt counts, and finding actions by them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import Connection, select

from longshore import limits
from longshore.access import Role
from longshore.engine.works import Outcome
from longshore.storage import Database
from longshore.surfaces.scripts.tables import scripts_payload_values, scripts_payloads
from tests.surfaces import collector_rig as rig
from tests.surfaces.collector_rig import Running
from tests.unit.serving import Served, bearer, serving


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


@pytest.fixture
def held(served: Served, database: Database) -> Running:
    return rig.running(database, served.organisation.id, payload={"order": 7})


@pytest.fixture
def token(database: Database, held: Running) -> dict[str, str]:
    return rig.token(database, held)


async def put(
    served: Served, headers: dict[str, str], held: Running, payload: Any, **changes: Any
) -> httpx.Response:
    body = {"actionId": str(held.run_id), "stepname": held.name.lower(), "payload": payload}
    return await rig.send(
        served, "POST", "/rtstep/payload", headers=headers, body={**body, **changes}
    )


async def get(
    served: Served, run_id: object, step: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    path = f"/rtstep/payload/{run_id}/{quote(step, safe='')}"
    return await rig.send(served, "GET", path, headers=headers)


async def test_any_json_value_is_stored_and_read_as_it_was(
    served: Served, held: Running, token: dict[str, str]
) -> None:
    values: list[Any] = [
        None, [], 0, -1.5, 2**70, "", "ünïcode ☃ \n", False,
        {"a": [1, {"b": None}]}, [[[[1]]]], {"": {"": ""}},
    ]  # fmt: skip
    for payload in values:
        assert (await put(served, token, held, payload)).status_code == 200
        answer = await get(served, held.run_id, "LOAD", token)
        assert answer.status_code == 200
        assert answer.json() == {"actionId": held.run_id, "payload": payload}


async def test_ids_are_numbers_or_their_digits_and_names_are_in_any_case(
    served: Served, held: Running, token: dict[str, str]
) -> None:
    for run_id in (held.run_id, str(held.run_id)):
        for name in ("load", "Load", "LOAD"):
            answer = await put(served, token, held, name, actionId=run_id, stepname=name)
            assert answer.status_code == 200, answer.text
            assert (await get(served, run_id, name, token)).json()["payload"] == name
    for wrong in (True, 1.5, None, [1]):
        assert (await put(served, token, held, 1, actionId=wrong)).status_code == 400
    for odd in ("", "x", "-1", "1e3", "9" * 30, "²"):
        assert (await put(served, token, held, 1, actionId=odd)).status_code == 404
        if odd:
            assert (await get(served, quote(odd), "load", token)).status_code == 404


async def test_a_later_payload_replaces_the_first_of_the_attempt(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    await put(served, token, held, {"count": 1})
    await put(served, token, held, {"other": 2})
    assert (await get(served, held.run_id, "load")).json()["payload"] == {"other": 2}
    assert rig.rows(database, scripts_payloads, scripts_payload_values) == [1, 1]


async def test_the_latest_success_counts_and_else_the_latest_attempt(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    async def current() -> Any:
        return (await get(served, held.run_id, "load")).json()["payload"]

    await put(served, token, held, "failed at first")
    database.write_blocking(rig.end, held, Outcome.FAILURE)
    assert await current() == "failed at first"
    second = database.write_blocking(rig.again, held)
    await put(served, rig.token(database, second), second, "second")
    assert await current() == "second"
    database.write_blocking(rig.end, second, Outcome.SUCCESS)
    rerun = database.write_blocking(rig.begin, held.step_id)
    await put(served, rig.token(database, rerun), rerun, "rerun")
    assert await current() == "second"
    database.write_blocking(rig.end, rerun, Outcome.FAILURE)
    assert await current() == "second"
    last = database.write_blocking(rig.again, rerun)
    await put(served, rig.token(database, last), last, "last")
    database.write_blocking(rig.end, last, Outcome.SUCCESS)
    assert await current() == "last"
    assert rig.rows(database, scripts_payloads) == [4]


async def test_nothing_is_stored_for_an_attempt_that_is_over(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    # The server remembers whom the token stands for, and must look again.
    assert (await put(served, token, held, "in time")).status_code == 200
    database.write_blocking(rig.end, held, Outcome.FAILURE)
    late = await put(served, token, held, "late")
    assert late.status_code == 401
    second = database.write_blocking(rig.again, held)
    assert (await put(served, token, held, "later")).status_code == 401
    assert (await get(served, held.run_id, "load", token)).status_code == 401
    assert (await get(served, held.run_id, "load")).json()["payload"] == "in time"
    assert (await put(served, rig.token(database, second), second, "new")).status_code == 200


async def test_a_step_stores_for_itself_and_reads_its_own_run_only(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    elsewhere = rig.running(database, served.organisation.id, payload="secret")
    other, key = served.other_organisation()
    foreign = rig.running(database, other.id, payload="secret")

    def beside(connection: Connection) -> Running:
        step_id = rig.step(connection, held.organisation_id, held.run_id, "Extract")
        return rig.begin(connection, step_id)

    extract = database.write_blocking(beside)
    for each in (elsewhere, foreign, extract):
        await put(served, rig.token(database, each), each, "theirs")
    assert (await get(served, held.run_id, "extract", token)).json()["payload"] == "theirs"
    stored = await put(served, token, held, 1, stepname="extract")
    assert stored.status_code == 403
    refused = []
    for each in (elsewhere, foreign):
        refused.append(await put(served, token, each, 1))
        refused.append(await get(served, each.run_id, "load", token))
        refused.append(await rig.send(served, "GET", f"/rtevent/{each.run_id}", headers=token))
        status = f"/rtevent/status/{each.run_id}"
        refused.append(await rig.send(served, "GET", status, headers=token))
    refused.append(await get(served, held.run_id, "load", bearer(key)))
    refused.append(await rig.send(served, "GET", f"/rtevent/{held.run_id}", headers=bearer(key)))
    assert set(rig.statuses(refused)) == {404}
    nothing = (await get(served, 10**15, "load")).json()["detail"]
    for answer, each in zip(refused[:8], [elsewhere] * 4 + [foreign] * 4, strict=True):
        assert answer.json()["detail"] == nothing.replace(str(10**15), str(each.run_id))
    own = await rig.send(served, "GET", f"/rtevent/{held.run_id}", headers=token)
    assert own.json()["payload"] == {"order": 7}


async def test_only_a_step_stores_payloads(served: Served, held: Running) -> None:
    for role in (Role.ADMIN, Role.WORKER, Role.OPERATOR, Role.VIEWER, Role.INGRESS):
        answer = await put(served, bearer(served.token(role)), held, 1)
        assert answer.status_code == 403, role
    assert (await put(served, {"Authorization": ""}, held, 1)).status_code == 401


async def test_what_is_not_there_is_said_with_the_near_name(
    served: Served, held: Running, token: dict[str, str]
) -> None:
    absent = await get(served, held.run_id, "lod", token)
    assert absent.status_code == 404
    assert "Did you mean 'Load'?" in absent.json()["detail"]
    empty = await get(served, held.run_id, "load", token)
    assert empty.status_code == 404
    assert "stored no payload" in empty.json()["detail"]


async def test_bodies_that_are_no_json_or_too_large_change_nothing(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    place = f'{{"actionId": {held.run_id}, "stepname": "load", "payload": '
    deep = "[" * 40 + "]" * 40
    for text, status in (
        ("no json", 400),
        (place, 400),
        (place + "NaN}", 400),
        (place + "1e999}", 400),
        (place + '{"a": 1, "a": 2}}', 400),
        (place + r'"\u0000"}', 400),
        (place + r'"\ud800"}', 400),
        (place + deep + "}", 413),
        (place + json.dumps("x" * limits.STEP_PAYLOAD_BYTES) + "}", 413),
        (place + '1, "paylod": 2}', 400),
        (place.replace(', "payload": ', "}"), 400),
        ("[]", 400),
        ("", 400),
    ):
        answer = await served.client.post(
            "/coreauto/v1/rtstep/payload", content=text.encode(), headers=token
        )
        assert answer.status_code == status, text[:80]
    assert rig.rows(database, scripts_payloads) == [0]
    largest = "x" * (limits.STEP_PAYLOAD_BYTES - 2)
    assert (await put(served, token, held, largest)).status_code == 200
    # Sent as escapes it has three times as many bytes, and is as large.
    escaped = "é" * (limits.STEP_PAYLOAD_BYTES // 2 - 1)
    assert (await put(served, token, held, escaped)).status_code == 200
    assert (await put(served, token, held, escaped + "é")).status_code == 413


async def test_a_matrix_gives_the_list_of_its_instances(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    def matrix(connection: Connection) -> list[Running]:
        organisation_id, run_id = held.organisation_id, held.run_id
        parent = rig.step(connection, organisation_id, run_id, "Fetch", kind="matrix")
        return [
            rig.begin(
                connection,
                rig.step(
                    connection,
                    organisation_id,
                    run_id,
                    f"Fetch[{name}]",
                    parent_id=parent,
                    position=position,
                ),
            )
            for position, name in ((3, "eu,1"), (1, "a/b ?"), (2, "Ü"))
        ]

    made = database.write_blocking(matrix)
    assert (await get(served, held.run_id, "fetch", token)).status_code == 404
    for each in made[:2]:
        answer = await put(served, rig.token(database, each), each, each.name)
        assert answer.status_code == 200, answer.text
        alone = await get(served, held.run_id, each.name.lower(), token)
        assert alone.json()["payload"] == each.name
    listed = await get(served, held.run_id, "FETCH", token)
    assert listed.json()["payload"] == ["Fetch[a/b ?]", None, "Fetch[eu,1]"]


async def search(
    served: Served, path: str, value: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    address = f"/rtstep/payload/actionid/{quote(path, safe=',')}/{quote(value, safe='')}"
    answer = await rig.send(served, "GET", address, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_actions_are_found_by_values_in_payloads(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    payload = {
        "order": {"id": 17, "name": "a/b ?, c d%2F"},
        "lines": [{"sku": "x"}, {"sku": "y"}, {"sku": "x"}],
        "paid": True,
        "note": None,
        "total": 1.5,
        "odd/na me?": "1",
        "a,b": "comma",
        "long": "x" * 300,
        "empty": "",
    }
    await put(served, token, held, payload)
    for path, value in (
        ("order,id", "17"),
        ("order,name", "a/b ?, c d%2F"),
        ("lines,sku", "x"),
        ("lines,sku", "y"),
        ("paid", "true"),
        ("note", "null"),
        ("total", "1.5"),
        ("odd/na me?", "1"),
        ("a,b", "comma"),
        ("empty", ""),
    ):
        found = await search(served, path, value)
        assert found["actionId"] == held.run_id, (path, value)
        assert [(each["stepname"], each["status"]) for each in found["match"]] == [
            ("Load", "running")
        ]
    for path, value in (("order,id", "18"), ("Order,id", "17"), ("order", "17"), ("long", "x")):
        assert await search(served, path, value) == {"actionId": None, "match": []}
    # Some clients do not encode what stands in a path.
    plain = await rig.send(served, "GET", "/rtstep/payload/actionid/order,name/a/b%20%3F, c d%252F")
    assert plain.json()["actionId"] == held.run_id


async def test_the_newest_action_comes_first_and_steps_find_those_of_their_workflow(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    later = rig.running(database, served.organisation.id)
    other_workflow = rig.running(database, served.organisation.id, of="other")
    other, key = served.other_organisation()
    foreign = rig.running(database, other.id)
    for each in (held, later, other_workflow, foreign):
        await put(served, rig.token(database, each), each, {"id": 5})
    token = rig.token(database, held)

    async def found(headers: dict[str, str] | None = None) -> list[int]:
        return [each["actionId"] for each in (await search(served, "id", "5", headers))["match"]]

    assert await found() == [other_workflow.run_id, later.run_id, held.run_id]
    assert await found(token) == [later.run_id, held.run_id]
    assert await found(bearer(key)) == [foreign.run_id]
    ingress = await rig.send(
        served,
        "GET",
        "/rtstep/payload/actionid/id/5",
        headers=bearer(served.token(Role.INGRESS)),
    )
    assert ingress.status_code == 403


async def test_only_so_many_values_of_a_payload_can_be_searched_by(
    served: Served, database: Database, held: Running, token: dict[str, str]
) -> None:
    await put(served, token, held, {"ids": list(range(limits.STEP_PAYLOAD_VALUES + 50))})
    assert rig.rows(database, scripts_payload_values) == [limits.STEP_PAYLOAD_VALUES]
    kept = database.read_blocking(
        lambda connection: connection.scalars(select(scripts_payload_values.c.value)).all()
    )
    assert set(kept) == {str(number) for number in range(limits.STEP_PAYLOAD_VALUES)}

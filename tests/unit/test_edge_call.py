"""Who calls, in one transaction with the audit entry, and answers given only once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission, Role, audit, keys, workspaces
from longshore.access.tables import workspaces as workspaces_table
from longshore.clock import ManualClock
from longshore.edge.authentication import Authenticator
from longshore.edge.body import json_object
from longshore.edge.call import Call, allow
from longshore.edge.paging import paging
from longshore.errors import Conflict, InvalidRequest, Unauthenticated
from longshore.storage import Database
from tests.unit.serving import Served, bearer, serving

Operator = Annotated[Call, Depends(allow(Permission.OPERATE))]


def make_workspace(connection: Connection, organisation_id: str, name: str) -> Any:
    made = workspaces.ensure(connection, organisation_id, name)
    if name == "refused":
        raise Conflict("No workspace may be called that.")
    return made


async def make_room(request: Request, call: Operator) -> Response:
    wish = await json_object(request)
    return await call.change(
        "workspaces.create",
        make_workspace,
        call.principal.organisation_id,
        wish["name"],
        target=lambda made: made.id,
        render=lambda made: {"id": made.id, "name": made.name},
        status=201,
        headers=lambda made: {"Location": f"/{made.id}"},
        detail={"name": wish["name"]},
    )


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        made.app.post("/longshore/v1/rooms")(make_room)
        yield made


def rooms(served: Served) -> list[str]:
    def read(connection: Connection) -> list[str]:
        return list(connection.scalars(select(workspaces_table.c.name)))

    return served.database.read_blocking(read)


def entries(served: Served) -> list[audit.Entry]:
    return served.database.read_blocking(audit.listing, served.organisation.id)


async def make(served: Served, name: str, **headers: str) -> Any:
    return await served.client.post("/longshore/v1/rooms", json={"name": name}, headers=headers)


async def test_a_change_is_audited_in_its_own_transaction(served: Served) -> None:
    answer = await make(served, "blue")
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/{made['id']}"
    [entry] = entries(served)
    assert (entry.action, entry.target) == ("workspaces.create", made["id"])
    assert entry.detail == {"name": "blue"}
    assert entry.request_id == answer.headers["x-request-id"]
    assert (await make(served, "refused")).status_code == 409
    assert len(entries(served)) == 1
    assert "refused" not in rooms(served)


async def test_the_same_key_and_request_gets_the_same_answer(served: Served) -> None:
    first = await make(served, "blue", **{"Idempotency-Key": "one"})
    again = await make(served, "blue", **{"Idempotency-Key": "one"})
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(entries(served)) == 1


async def test_the_same_key_with_another_request_is_a_conflict(served: Served) -> None:
    await make(served, "blue", **{"Idempotency-Key": "one"})
    other = await make(served, "green", **{"Idempotency-Key": "one"})
    assert other.status_code == 409
    assert other.json()["code"] == "idempotency_conflict"
    assert "green" not in rooms(served)


async def test_a_failed_request_may_be_repeated_under_its_key(served: Served) -> None:
    assert (await make(served, "refused", **{"Idempotency-Key": "one"})).status_code == 409
    assert (await make(served, "blue", **{"Idempotency-Key": "one"})).status_code == 201


async def test_another_api_key_does_not_get_the_answer(served: Served) -> None:
    await make(served, "blue", **{"Idempotency-Key": "one"})
    other = bearer(served.token(Role.OPERATOR))
    answer = await make(served, "blue", **{"Idempotency-Key": "one"}, **other)
    assert "idempotency-replayed" not in answer.headers
    assert len(entries(served)) == 2


async def test_of_many_at_once_one_takes_effect(served: Served) -> None:
    answers = await asyncio.gather(
        *[make(served, "blue", **{"Idempotency-Key": "one"}) for _ in range(12)]
    )
    assert {answer.status_code for answer in answers} == {201}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(entries(served)) == 1


@pytest.mark.parametrize(
    ("key", "status"),
    [("x" * limits.IDEMPOTENCY_KEY_CHARACTERS, 201), ("x" * 256, 413), (" ", 400)],
)
async def test_idempotency_keys_have_a_form(served: Served, key: str, status: int) -> None:
    assert (await make(served, "blue", **{"Idempotency-Key": key})).status_code == status


@pytest.mark.parametrize(
    "form",
    [
        lambda token: {"Authorization": f"Bearer {token}"},
        lambda token: {"Authorization": f"bearer  {token}"},
        lambda token: {"Authorization": f"Token {token}"},
        lambda token: {"x-access-token": token},
        lambda token: {"x-synthetic-key": token},
        lambda token: {"x-api-key": token},
    ],
)
async def test_a_key_works_in_every_header_form(served: Served, form: Any) -> None:
    del served.client.headers["Authorization"]
    answer = await served.client.get(
        "/longshore/v1/whoami", headers=form(served.token(Role.VIEWER))
    )
    assert answer.status_code == 200
    assert answer.json()["role"] == "viewer"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic bHM6bHM="},
        {"Authorization": "Bearer wrong"},
        {"x-api-key": ""},
    ],
)
async def test_without_a_good_key_the_answer_is_401(
    served: Served, headers: dict[str, str]
) -> None:
    del served.client.headers["Authorization"]
    answer = await served.client.get("/longshore/v1/whoami", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"


async def test_the_context_names_the_organisation_or_the_key(served: Served) -> None:
    who = (await served.client.get("/longshore/v1/whoami")).json()
    for good in ("local", "LOCAL", who["organisation_id"], who["key_id"], "", "  "):
        answer = await served.client.get("/longshore/v1/whoami", headers={"IB-Context": good})
        assert answer.status_code == 200, good
    served.other_organisation()
    for bad in ("other", "nobody", who["key_id"][:-1]):
        answer = await served.client.get("/longshore/v1/whoami", headers={"IB-Context": bad})
        assert answer.status_code == 401, bad


async def test_a_role_that_does_not_reach_gets_403(served: Served) -> None:
    answer = await make(served, "blue", **bearer(served.token(Role.VIEWER)))
    assert answer.status_code == 403
    assert answer.json()["details"] == {"role": "viewer", "permission": "operate"}
    assert "blue" not in rooms(served)


async def test_a_revoked_key_is_refused_at_once_although_it_was_remembered(served: Served) -> None:
    token = served.token(Role.OPERATOR)
    who = (await served.client.get("/longshore/v1/whoami", headers=bearer(token))).json()
    answer = await served.client.delete(f"/longshore/v1/keys/{who['key_id']}")
    assert answer.status_code == 200
    after = await served.client.get("/longshore/v1/whoami", headers=bearer(token))
    assert after.status_code == 401


async def test_another_server_hears_of_a_revocation(served: Served) -> None:
    token = served.token(Role.OPERATOR)
    other = Authenticator(served.database)
    key_id = (await other.principal(token)).key_id
    await served.client.delete(f"/longshore/v1/keys/{key_id}")
    deadline = asyncio.get_running_loop().time() + 4
    while other._remembered:
        assert asyncio.get_running_loop().time() < deadline, "longer than it is remembered"
        await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await other.principal(token)
    other.close()


async def test_a_remembered_key_still_expires(served: Served, clock: ManualClock) -> None:
    token = served.token(Role.OPERATOR, lifetime_s=60)
    authenticator = Authenticator(served.database)
    await authenticator.principal(token)
    clock.advance(61)
    with pytest.raises(Unauthenticated):
        await authenticator.principal(token)
    authenticator.close()


async def test_a_remembered_key_costs_no_look_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = served.token(Role.OPERATOR)
    authenticator = Authenticator(served.database)
    first = await authenticator.principal(token)

    def fail(*_: Any) -> None:
        raise AssertionError("looked up again")

    monkeypatch.setattr(keys, "identify", fail)
    assert await authenticator.principal(token) == first
    authenticator.close()


def test_pages_are_capped() -> None:
    assert paging(None, None).offset == 0
    assert paging(10**9, 5).limit == limits.PAGE_ROWS
    assert paging(0, 5).limit == 0
    for limit, offset in ((-1, 0), (1, -1), (1, 2**63)):
        with pytest.raises(InvalidRequest):
            paging(limit, offset)

"""Flags: set by programs, waited for by steps and workflows, listed and taken back by people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.access import Role
from longshore.access.tables import audit
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.scripts.tables import scripts_flags
from tests.surfaces import collector_rig as rig
from tests.surfaces.scripts_rig import Scripts, scripts_of
from tests.unit.serving import bearer

DAY = "2025-01-31"
NIGHTLY = """
workflow: nightly
triggers:
  events: [{name: start, parallel: 10}]
  flags:
    - - {name: delivered, system_name: warehouse, source_system_name: shop}
      - {name: closed}
steps:
  load:
    script: load.py
    host: host1
    flags: [{name: approved}]
"""


@pytest.fixture
async def scripts(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Scripts]:
    async with scripts_of(database, tmp_path, clock) as made:
        await made.serve("host1")
        await made.call("POST", "/workflows", body={"text": NIGHTLY})
        yield made


def flag(name: str = "delivered", date: str = DAY, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "systemName": "warehouse",
        "sourceSystemName": "shop",
        "date": date,
        **more,
    }


async def put(
    scripts: Scripts, body: dict[str, Any], headers: dict[str, str] | None = None
) -> httpx.Response:
    return await rig.send(scripts.served, "POST", "/flag", headers=headers, body=body)


async def listed(scripts: Scripts, **query: Any) -> list[tuple[str, str]]:
    found = await scripts.call("GET", "/flag", params=query)
    return [(each["name"], each["date"]) for each in found["flags"]]


async def test_setting_a_flag_twice_is_setting_it_once(
    scripts: Scripts, clock: ManualClock
) -> None:
    first = (await put(scripts, flag())).json()
    assert first == {
        **flag(), "status": "set", "created": True, "setAt": "2023-11-14T22:13:20.000Z",
        "setBy": first["setBy"],
    }  # fmt: skip
    clock.advance(60)
    again = await put(scripts, flag(), bearer(scripts.served.token(Role.INGRESS)))
    assert (again.status_code, again.json()) == (200, {**first, "created": False})
    at_once = await asyncio.gather(*[put(scripts, flag("other")) for _ in range(10)])
    assert sum(answer.json()["created"] for answer in at_once) == 1
    assert rig.rows(scripts.database, scripts_flags) == [2]


async def test_names_differ_by_each_of_their_parts_and_by_case(scripts: Scripts) -> None:
    for body in (
        flag(),
        flag("Delivered"),
        flag(systemName="mart"),
        flag(sourceSystemName="till"),
        flag(date="2025-02-01"),
        {"name": "delivered", "date": DAY},
    ):
        assert (await put(scripts, body)).json()["created"] is True
    assert rig.rows(scripts.database, scripts_flags) == [6]
    assert await listed(scripts, date=DAY, systemName="") == [("delivered", DAY)]
    assert await listed(scripts, name="Delivered") == [("Delivered", DAY)]
    assert await listed(scripts, sourceSystemName="till") == [("delivered", DAY)]
    assert (await listed(scripts))[0] == ("delivered", "2025-02-01")
    assert len(await listed(scripts, limit=2, offset=5)) == 1


async def test_what_is_no_flag_is_refused(scripts: Scripts) -> None:
    for body, expected in (
        (flag(date="2025-02-30"), 400),
        (flag(date="20250131"), 400),
        (flag(date="31.01.2025"), 400),
        (flag(date=""), 400),
        (flag(date="2025-01-31T00:00"), 400),
        (flag(""), 400),
        (flag(" "), 400),
        (flag("a\nb"), 400),
        (flag("x" * 129), 413),
        (flag(systemName="x" * 129), 413),
        (flag(sourceSystemName=5), 400),
        (flag(system="typo"), 400),
        ({"name": "delivered"}, 400),
    ):
        assert (await put(scripts, body)).status_code == expected, body
    assert (await scripts.client.get("/coreauto/v1/flag?date=today")).status_code == 400
    assert rig.rows(scripts.database, scripts_flags) == [0]


async def test_a_step_that_waits_for_a_flag_becomes_ready_when_it_is_set(
    scripts: Scripts,
) -> None:
    sent = await rig.send(
        scripts.served, "POST", "/rtevent", body={"eventName": "start", "payload": None}
    )
    assert sent.status_code == 201
    assert await scripts.claim("host1") == []
    approved = {"name": "approved", "date": "2023-11-13"}
    await put(scripts, approved)
    assert await scripts.claim("host1") == []
    await put(scripts, {**approved, "date": "2023-11-14"})
    (held,) = await scripts.claim("host1")
    assert held.payload.run_id == sent.json()["actionId"]


async def test_the_last_flag_of_a_list_starts_the_workflow_for_its_date(scripts: Scripts) -> None:
    await put(scripts, flag())
    await put(scripts, {"name": "closed", "date": "2025-02-01"})
    assert (await scripts.call("GET", "/runs"))["runs"] == []
    for _ in range(2):
        await put(scripts, {"name": "closed", "date": DAY})
    (run,) = (await scripts.call("GET", "/runs"))["runs"]
    assert (run["trigger"], run["business_date"]) == ("flag", DAY)


async def test_a_step_may_set_flags(scripts: Scripts) -> None:
    await put(scripts, {"name": "approved", "date": "2023-11-14"})
    await rig.send(scripts.served, "POST", "/rtevent", body={"eventName": "start"})
    (held,) = await scripts.claim("host1")
    answer = await put(scripts, flag(), await scripts.token(held))
    assert answer.status_code == 200
    assert answer.json()["setBy"] == "step load of run 1"


async def test_operators_take_flags_back_and_nobody_else_does(scripts: Scripts) -> None:
    await put(scripts, flag())
    query = {**flag(), "reason": "sent too early"}
    for role in (Role.VIEWER, Role.INGRESS, Role.WORKER):
        headers = bearer(scripts.served.token(role))
        refused = await scripts.client.delete("/coreauto/v1/flag", params=query, headers=headers)
        assert refused.status_code == 403, role
    other = bearer(scripts.served.other_organisation()[1])
    foreign = await scripts.client.delete("/coreauto/v1/flag", params=query, headers=other)
    assert foreign.status_code == 404
    assert (await scripts.call("GET", "/flag", headers=other)) == {"flags": []}
    operator = bearer(scripts.served.token(Role.OPERATOR))
    cleared = await scripts.call("DELETE", "/flag", params=query, headers=operator)
    assert (cleared["status"], cleared["name"]) == ("cleared", "delivered")
    again = await scripts.client.delete("/coreauto/v1/flag", params=query)
    assert again.status_code == 404
    assert "is not set for 2025-01-31" in again.json()["detail"]
    actions = scripts.database.read_blocking(
        lambda connection: connection.execute(
            audit.select().where(audit.c.action.like("flags.%")).order_by(audit.c.id)
        ).all()
    )
    assert [row.action for row in actions] == ["flags.set", "flags.clear"]
    assert "sent too early" in actions[1].detail

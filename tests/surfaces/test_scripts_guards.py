"""What a workflow does once: who may do it, what is told to the others, and what a death leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.access import Role
from longshore.engine.works import Outcome
from longshore.storage import Database
from longshore.surfaces.scripts import guards
from longshore.surfaces.scripts.tables import scripts_guards
from tests.surfaces import collector_rig as rig
from tests.surfaces.collector_rig import Running
from tests.unit.serving import Served, bearer, serving

NEW = {"state": "new", "result": None}
BUSY = {"state": "busy", "result": None}


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


@pytest.fixture
def first(served: Served, database: Database) -> Running:
    return rig.running(database, served.organisation.id)


@pytest.fixture
def second(served: Served, database: Database) -> Running:
    """A step of another run of the same workflow."""
    return rig.running(database, served.organisation.id)


async def ask(served: Served, database: Database, held: Running, key: str = "mail 17") -> Any:
    return (await once(served, rig.token(database, held), key)).json()


async def once(served: Served, headers: dict[str, str], key: Any) -> httpx.Response:
    return await rig.send(served, "POST", "/rtstep/once", headers=headers, body={"key": key})


async def done(
    served: Served, headers: dict[str, str], result: Any = None, key: str = "mail 17"
) -> httpx.Response:
    body = {"key": key, "result": result}
    return await rig.send(served, "POST", "/rtstep/once/done", headers=headers, body=body)


async def test_what_is_done_is_told_with_its_result_to_all_later_runs(
    served: Served, database: Database, first: Running, second: Running
) -> None:
    result = {"message": "☃", "big": 2**70, "none": None}
    assert await ask(served, database, first) == NEW
    assert await ask(served, database, second) == BUSY
    assert (await done(served, rig.token(database, first), result)).status_code == 200
    assert await ask(served, database, second) == {"state": "done", "result": result}
    assert await ask(served, database, first) == {"state": "done", "result": result}
    database.write_blocking(rig.end, first)
    assert await ask(served, database, second) == {"state": "done", "result": result}
    assert await ask(served, database, second, "mail 18") == NEW


async def test_of_many_who_ask_at_once_one_may_do_it(served: Served, database: Database) -> None:
    many = [rig.running(database, served.organisation.id) for _ in range(20)]
    tokens = [rig.token(database, each) for each in many]
    answers = await asyncio.gather(*[once(served, token, "mail 17") for token in tokens])
    states = [answer.json()["state"] for answer in answers]
    assert (states.count("new"), states.count("busy")) == (1, 19)
    assert rig.rows(database, scripts_guards) == [1]


async def test_the_attempt_that_has_begun_may_ask_again(
    served: Served, database: Database, first: Running
) -> None:
    assert await ask(served, database, first) == NEW
    assert await ask(served, database, first) == NEW


async def test_what_an_attempt_had_begun_when_it_ended_is_new_for_the_next(
    served: Served, database: Database, first: Running, second: Running
) -> None:
    assert await ask(served, database, first) == NEW
    token = rig.token(database, first)
    database.write_blocking(rig.end, first, Outcome.FAILURE)
    assert await ask(served, database, second) == NEW
    retried = database.write_blocking(rig.again, first)
    assert await ask(served, database, retried) == BUSY
    late = await done(served, token, "late")
    assert late.status_code == 401
    refused = await done(served, rig.token(database, retried), "not its own")
    assert refused.status_code == 409
    assert (await done(served, rig.token(database, second), "done")).status_code == 200
    assert await ask(served, database, retried) == {"state": "done", "result": "done"}


async def test_only_who_has_begun_can_end_it_and_twice_is_once(
    served: Served, database: Database, first: Running, second: Running
) -> None:
    token = rig.token(database, first)
    assert (await done(served, token)).status_code == 409
    assert await ask(served, database, second) == NEW
    assert (await done(served, token)).status_code == 409
    for result in (1, 2):
        assert (await done(served, rig.token(database, second), result)).status_code == 200
    assert await ask(served, database, first) == {"state": "done", "result": 1}


async def test_keys_belong_to_a_workflow_of_an_organisation(
    served: Served, database: Database, first: Running
) -> None:
    other, _ = served.other_organisation()
    assert await ask(served, database, first) == NEW
    elsewhere = rig.running(database, served.organisation.id, of="weekly")
    assert await ask(served, database, elsewhere) == NEW
    assert await ask(served, database, rig.running(database, other.id)) == NEW


async def test_keys_and_results_that_cannot_be_kept_are_refused(
    served: Served, database: Database, first: Running
) -> None:
    token = rig.token(database, first)
    for key in ("", " ", "x" * (guards.KEY_CHARACTERS + 1), "a\nb", 5, None):
        assert (await once(served, token, key)).status_code == 400, key
    assert rig.rows(database, scripts_guards) == [0]
    longest = "é" * guards.KEY_CHARACTERS
    assert (await once(served, token, longest)).json() == NEW
    large = "x" * (limits.GUARD_RESULT_BYTES - 2)
    assert (await done(served, token, large + "x", longest)).status_code == 413
    assert (await once(served, token, longest)).json() == NEW
    assert (await done(served, token, large, longest)).status_code == 200


async def test_only_steps_have_guards(served: Served) -> None:
    for role in (Role.ADMIN, Role.WORKER, Role.INGRESS):
        headers = bearer(served.token(role))
        assert (await once(served, headers, "mail 17")).status_code == 403, role
        assert (await done(served, headers)).status_code == 403, role

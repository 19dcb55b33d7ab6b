"""What steps, programs outside and people read from the keystore by the contract's address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from longshore import limits
from longshore.access import Role, audit
from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs, runs_of
from tests.surfaces.scripts_rig import Held
from tests.unit.serving import bearer


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


async def put(runs: Runs, name: str, value: str, *, ingress: bool = False, **query: str) -> None:
    answer = await runs.scripts.client.put(
        f"/longshore/v1/keystore/entries/{quote(name, safe='')}",
        json={"value": value, "ingress": ingress},
        params=query,
    )
    assert answer.status_code == 200, answer.text


async def read(
    runs: Runs, names: str, headers: dict[str, str] | None = None, expect: int = 200
) -> Any:
    return await runs.scripts.call("GET", f"/keystore/{names}", headers=headers, expect=expect)


async def step(runs: Runs, *listed: str, name: str = "daily") -> tuple[Held, dict[str, str]]:
    """Start a step that lists these names; return it, and the headers with its token."""
    runs.start(runs.define(name, {"load": {"keystore": list(listed)}}))
    [held] = await runs.scripts.claim("host1")
    return held, await runs.scripts.token(held)


def reads(runs: Runs) -> list[audit.Entry]:
    organisation_id = runs.scripts.served.organisation.id
    found = runs.scripts.database.read_blocking(audit.listing, organisation_id)
    return [entry for entry in found if entry.action == "keystore.read"]


async def test_a_step_reads_what_its_definition_lists_and_nothing_else(runs: Runs) -> None:
    await put(runs, "db_host", "db.example")
    await put(runs, "db_password", "correct horse")
    await put(runs, "payroll", "not for loading")
    held, token = await step(runs, "db_host", "db_password", "absent")
    found = await read(runs, "db_host,db_password,payroll,absent,never", token)
    assert found == {"db_host": "db.example", "db_password": "correct horse"}
    [entry] = reads(runs)
    assert entry.detail == {
        "read": {"db_host": 1, "db_password": 1},
        "not_read": ["absent", "never", "payroll"],
        "run": held.payload.run_id,
        "step": "load",
        "workflow": "daily",
    }
    assert entry.key_name == f"attempt 1 of {held.work_id}"
    assert "correct horse" not in repr(entry)


async def test_what_is_forbidden_and_what_is_absent_look_alike(runs: Runs) -> None:
    await put(runs, "payroll", "not for loading")
    _, token = await step(runs, "db_host")
    assert await read(runs, "payroll", token) == await read(runs, "none", token) == {}


async def test_blanks_do_not_count_and_names_are_percent_encoded(runs: Runs) -> None:
    await put(runs, "a.b-c_d", "one!")
    await put(runs, "second", "two!")
    _, token = await step(runs, "a.b-c_d", "second")
    for names in (
        "a.b-c_d,second",
        "%20a.b-c_d%20%2C%20second",
        "a.b-c_d%2Csecond,",
        ",second,a.b-c_d",
    ):
        assert await read(runs, names, token) == {"a.b-c_d": "one!", "second": "two!"}
    assert await read(runs, "SECOND", token) == {}


async def test_an_entry_of_the_workflow_hides_one_of_the_organisation(runs: Runs) -> None:
    await put(runs, "token", "of all")
    await put(runs, "token", "of daily", workflow="Daily")
    await put(runs, "token", "of others", workflow="other")
    _, token = await step(runs, "token", name="DAILY")
    assert await read(runs, "token", token) == {"token": "of daily"}
    await runs.scripts.call("GET", "/keystore/token", headers=token)
    assert await read(runs, "token") == {"token": "of all"}


async def test_entries_of_corpora_and_apps_are_not_for_steps(runs: Runs) -> None:
    await put(runs, "one", "of the corpus", scope="corpus")
    await put(runs, "two", "of apps", scope="apps")
    _, token = await step(runs, "one", "two")
    assert await read(runs, "one,two", token) == {}


async def test_a_run_is_pinned_to_the_list_it_began_with(runs: Runs) -> None:
    await put(runs, "old", "an old one")
    await put(runs, "new", "a new one")
    workflow = runs.define("daily", {"load": {"keystore": ["old"]}})
    runs.start(workflow)
    [held] = await runs.scripts.claim("host1")
    runs.define_again(workflow, "daily", {"load": {"keystore": ["new"]}})
    token = await runs.scripts.token(held)
    assert await read(runs, "old,new", token) == {"old": "an old one"}


async def test_a_new_value_is_read_by_a_step_that_runs_already(runs: Runs) -> None:
    await put(runs, "token", "first")
    _, token = await step(runs, "token")
    assert await read(runs, "token", token) == {"token": "first"}
    await put(runs, "token", "second")
    assert await read(runs, "token", token) == {"token": "second"}


async def test_a_step_that_has_ended_reads_nothing(runs: Runs) -> None:
    await put(runs, "token", "value")
    held, token = await step(runs, "token")
    assert await runs.scripts.report("host1", held) == []
    await read(runs, "token", token, expect=401)
    assert reads(runs) == []


async def test_a_step_of_another_organisation_reads_its_own(runs: Runs) -> None:
    await put(runs, "token", "ours")
    _, other = runs.scripts.served.other_organisation()
    headers = bearer(other)
    await runs.scripts.call(
        "PUT",
        "/longshore/v1/keystore/entries/token",
        body={"value": "theirs"},
        headers=headers,
    )
    assert await read(runs, "token", headers) == {"token": "theirs"}
    _, token = await step(runs, "token")
    assert await read(runs, "token", token) == {"token": "ours"}
    await read(runs, "token", {**token, "Environment": "other"}, expect=404)
    assert await read(runs, "token", {**token, "Environment": "LOCAL"}) == {"token": "ours"}


async def test_keys_of_ingress_read_what_is_marked_for_them(runs: Runs) -> None:
    await put(runs, "queue", "for the bridge", ingress=True)
    await put(runs, "db_password", "not for it")
    headers = bearer(runs.scripts.served.token(Role.INGRESS))
    assert await read(runs, "queue,db_password", headers) == {"queue": "for the bridge"}


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.VIEWER, 403),
        (Role.OPERATOR, 403),
        (Role.WORKER, 403),
        (Role.DEVELOPER, 200),
        (Role.ADMIN, 200),
    ],
)
async def test_developers_read_and_others_do_not(runs: Runs, role: Role, status: int) -> None:
    await put(runs, "token", "a value")
    headers = bearer(runs.scripts.served.token(role))
    answer = await read(runs, "token", headers, expect=status)
    assert ("a value" in json.dumps(answer)) == (status == 200)


async def test_too_many_names_and_none_are_refused(runs: Runs) -> None:
    names = ",".join(f"n{number}" for number in range(limits.KEYSTORE_KEYS_PER_READ + 1))
    await read(runs, names, expect=413)
    await read(runs, "%20,", expect=400)
    assert reads(runs) == []


async def test_answers_are_not_to_be_kept(runs: Runs) -> None:
    await put(runs, "token", "a value")
    answer = await runs.scripts.client.get("/coreauto/v1/keystore/token")
    assert answer.headers["cache-control"] == "no-store"

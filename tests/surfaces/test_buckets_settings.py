from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.access import Role
from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.results_rig import DAY_S, PIPELINE, Harbour, harbour

PATH = f"/buckets/settings/{PIPELINE}"


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(database, clock, tmp_path) as made:
        await made.deposit()
        yield made


async def test_a_bucket_has_settings_from_the_start(rig: Harbour) -> None:
    assert await rig.call("GET", PATH) == {
        "archive_after_s": DAY_S,
        "results_retention_s": None,
        "retry_pause_s": 30.0,
        "concurrency_max": None,
    }


async def test_what_is_given_changes_and_the_rest_stays(rig: Harbour) -> None:
    first = await rig.configure(results_retention_s=10, concurrency_max=3)
    second = await rig.configure(archive_after_s=None)
    third = await rig.configure(retry_pause_s=0.5, concurrency_max=None)

    assert first["archive_after_s"] == DAY_S
    assert (second["archive_after_s"], second["results_retention_s"]) == (None, 10.0)
    assert second["concurrency_max"] == 3
    assert third == await rig.call("GET", PATH)
    assert third == {
        "archive_after_s": None,
        "results_retention_s": 10.0,
        "retry_pause_s": 0.5,
        "concurrency_max": None,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("archive_after_s", -1),
        ("archive_after_s", "1"),
        ("archive_after_s", True),
        ("results_retention_s", 1e12),
        ("results_retention_s", []),
        ("retry_pause_s", None),
        ("retry_pause_s", -0.1),
        ("concurrency_max", 0),
        ("concurrency_max", 1.5),
        ("concurrency_max", True),
        ("concurrency_max", 2**40),
        ("retention_s", 5),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    rig: Harbour, name: str, value: Any
) -> None:
    before = await rig.call("GET", PATH)

    good = {"results_retention_s": 99} if name != "results_retention_s" else {"archive_after_s": 9}
    refused = await rig.call("PUT", PATH, {**good, name: value}, 400)

    assert name in refused["detail"]
    assert await rig.call("GET", PATH) == before


async def test_a_limit_on_what_runs_holds_at_once(rig: Harbour) -> None:
    await rig.deposit(3)
    await rig.configure(concurrency_max=2)

    wanted = {"pipeline": {"$in": [PIPELINE]}}
    held = await rig.call("POST", "/buckets/work/withdraw", wanted, limit=4)

    assert len(held) == 2


async def test_a_failed_work_waits_as_long_as_its_bucket_says(rig: Harbour) -> None:
    await rig.configure(retry_pause_s=1_000_000)
    (one,) = await rig.finished("failure", retries=3, priority=5)

    (told,) = await rig.bucket({"id": one}, projection={"longshore": 1})
    assert told["longshore"]["retry_us"] >= rig.clock.now_us() + 500_000 * 1_000_000


async def test_a_bucket_that_is_not_there_has_no_settings(rig: Harbour) -> None:
    missing = await rig.call("GET", "/buckets/settings/nope", None, 404)
    await rig.call("PUT", "/buckets/settings/nope", {"archive_after_s": 1}, 404)

    assert "nope" in missing["detail"]
    async with rig.as_role(rig.served.other_organisation()[1]) as other:
        assert (await other.get(PATH)).status_code == 404


async def test_a_change_of_settings_is_in_the_audit_log_and_needs_a_developer(rig: Harbour) -> None:
    await rig.configure(archive_after_s=60)

    log = await rig.call("GET", "/longshore/v1/audit")
    text = str(log)
    assert "buckets.configure" in text
    assert "archive_after_s" in text
    for role, status in ((Role.OPERATOR, 403), (Role.WORKER, 403), (Role.DEVELOPER, 200)):
        async with rig.as_role(rig.served.token(role)) as client:
            assert (await client.put(PATH, json={"archive_after_s": 1})).status_code == status
            assert (await client.get(PATH)).status_code == 200

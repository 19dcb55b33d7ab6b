from __future__ import annotations

from typing import Any

import pytest

from longshore.clock import ManualClock
from tests.surfaces.apps_rig import APP, OWNER, Platform

ROOT = "/api/v2/apps/deployments"
DAY_S = 86_400


async def deployed(apps: Platform, **more: Any) -> dict[str, Any]:
    body = {"name": "Receipts of today", "app_name": APP, "owner": OWNER, **more}
    answer = await apps.client.post(ROOT, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def run_of(apps: Platform, deployment_id: str, **more: Any) -> dict[str, Any]:
    batch_id = await apps.batch("a.jpg")
    answer = await apps.client.post(
        f"{ROOT}/{deployment_id}/runs", json={"batch_id": str(batch_id), **more}
    )
    assert answer.status_code == 202, answer.text
    run: dict[str, Any] = answer.json()
    return run


async def test_a_deployment_is_made_listed_changed_and_deleted(apps: Platform) -> None:
    made = await deployed(apps, version="1.0.0", retention={"after_s": 60, "delete_logs": False})

    assert await apps.get(f"/apps/deployments/{made['id']}") == made
    assert (await apps.get("/apps/deployments"))["deployments"] == [made]
    assert made["retention"] == {
        "after_s": 60.0,
        "delete_db_data": True,
        "delete_input": True,
        "delete_output": True,
        "delete_logs": False,
    }
    changed = await apps.client.patch(
        f"{ROOT}/{made['id']}", json={"name": "New name", "version": None, "retention": None}
    )
    assert changed.json() == {**made, "name": "New name", "version": None, "retention": None}
    assert (await apps.client.delete(f"{ROOT}/{made['id']}")).status_code == 204
    await apps.get(f"/apps/deployments/{made['id']}", 404)
    assert (await apps.get("/apps/deployments"))["deployments"] == []
    gone = await apps.client.post(f"{ROOT}/{made['id']}/runs", json={"batch_id": 1})
    assert gone.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 400),
        ({"app_name": "Nothing"}, 404),
        ({"version": "9"}, 404),
        ({"retention": {"after_s": -1}}, 400),
        ({"retention": {"after_s": "soon"}}, 400),
        ({"retention": {"after_days": 3}}, 400),
        ({"output_dir": "nowhere"}, 400),
        ({"output_workspace": "a/b"}, 400),
        ({"settings": {"keys": {"secret": {"a": "b"}}}}, 400),
        ({"unknown": 1}, 400),
    ],
)
async def test_a_deployment_that_cannot_work_is_refused(
    apps: Platform, body: dict[str, object], status: int
) -> None:
    answer = await apps.client.post(
        ROOT, json={"name": "n", "app_name": APP, "owner": OWNER, **body}
    )
    made = await deployed(apps)
    change = {name: value for name, value in body.items() if name != "app_name"}
    changed = await apps.client.patch(f"{ROOT}/{made['id']}", json=change)

    assert answer.status_code == status
    assert changed.status_code == (status if change else 200)
    assert (await apps.get("/apps/deployments"))["deployments"] == [made]


async def test_a_run_of_a_deployment_takes_its_settings_unless_it_names_its_own(
    apps: Platform,
) -> None:
    apps.offer("2.0.0")
    made = await deployed(
        apps,
        version="1.0.0",
        output_workspace="Output",
        settings={"keys": {"custom": {"a": 1, "b": 2}}, "tags": ["daily"]},
    )

    plain = await run_of(apps, made["id"])
    own = await run_of(
        apps,
        made["id"],
        version="2.0.0",
        output_workspace="Other",
        settings={"keys": {"custom": {"b": 3}}},
    )
    apps.work()

    assert plain["status"] == "RUNNING"
    assert (plain["version"], plain["output_workspace"]) == ("1.0.0", "Output")
    assert (own["version"], own["output_workspace"]) == ("2.0.0", "Other")
    assert plain["deployment_id"] == own["deployment_id"] == made["id"]
    assert [payload.keys for payload in apps.seen] == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]
    listed = (await apps.get("/apps/runs", deployment_id=made["id"]))["runs"]
    assert len(listed) == 2


async def test_an_upstream_integration_is_refused_with_the_reason(apps: Platform) -> None:
    made = await deployed(apps)

    answer = await apps.client.post(
        f"{ROOT}/{made['id']}/runs", json={"manual_upstream_integration": True}
    )

    assert answer.status_code == 400
    assert "upstream" in answer.json()["message"]


async def test_retention_deletes_the_runs_of_a_deployment_by_itself(
    apps: Platform, clock: ManualClock
) -> None:
    made = await deployed(apps, retention={"after_s": 2 * DAY_S})
    run_id = (await run_of(apps, made["id"]))["id"]
    other = await apps.finished()
    apps.work()
    await apps.jobs()
    started_s = clock.now_us() // 10**6
    clock.advance(2 * DAY_S - 1)
    assert apps.sweep()["runs"] == 0

    clock.advance(1)

    assert apps.sweep()["runs"] == 1
    assert apps.sweep()["runs"] == 0
    await apps.jobs()
    await apps.get(f"/apps/runs/{run_id}", 404)
    left = (await apps.get("/apps/runs", from_timestamp=started_s))["runs"]
    assert [run["id"] for run in left] == [other]
    # The other run keeps its batch file and its results.
    assert (await apps.leftovers())[0] == 2


async def test_retention_deletes_only_the_parts_that_it_names(
    apps: Platform, clock: ManualClock
) -> None:
    made = await deployed(
        apps, retention={"after_s": 60, "delete_db_data": False, "delete_output": False}
    )
    run = await run_of(apps, made["id"])
    apps.work()
    await apps.jobs()
    clock.advance(60)

    assert apps.sweep()["runs"] == 1
    assert apps.sweep()["runs"] == 0
    await apps.jobs()

    assert (await apps.get(f"/apps/runs/{run['id']}"))["status"] == "COMPLETE"
    await apps.get(f"/batches/{run['batch_id']}", 404)
    answer = await apps.client.get(f"/api/v2/files/{run['output_dir']}/results.json")
    assert answer.status_code == 200


async def test_retention_waits_for_a_batch_that_another_run_uses(
    apps: Platform, clock: ManualClock
) -> None:
    made = await deployed(apps, retention={"after_s": 0})
    run = await run_of(apps, made["id"])
    apps.work()
    await apps.jobs()
    await apps.start(batch_id=run["batch_id"])

    assert apps.sweep()["runs"] == 0
    assert (await apps.get(f"/apps/runs/{run['id']}"))["status"] == "COMPLETE"
    apps.work()
    await apps.jobs()
    assert apps.sweep()["runs"] == 1


async def test_retention_goes_on_after_the_deployment_is_deleted(
    apps: Platform, clock: ManualClock
) -> None:
    made = await deployed(apps, retention={"after_s": 60})
    run = await run_of(apps, made["id"])
    apps.work()
    await apps.jobs()
    await apps.client.delete(f"{ROOT}/{made['id']}")
    assert apps.sweep()["deployments"] == 0
    clock.advance(61)

    assert apps.sweep() == {
        "runs": 1,
        "uploads": 0,
        "reviews": 0,
        "finishers": 0,
        "deployments": 1,
        "deletions": 0,
    }
    await apps.get(f"/apps/runs/{run['id']}", 404)


async def test_records_of_deletions_go_when_their_jobs_are_forgotten(
    apps: Platform, clock: ManualClock
) -> None:
    batch_id = await apps.batch("a")
    await apps.client.delete(f"/api/v2/batches/{batch_id}")
    await apps.jobs()
    clock.advance(8 * DAY_S - 10)
    assert apps.sweep()["deletions"] == 0

    clock.advance(20)

    assert apps.sweep()["deletions"] == 1
    assert (await apps.client.delete(f"/api/v2/batches/{batch_id}")).status_code == 404

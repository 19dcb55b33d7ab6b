"""Secrets of apps: who makes and lists them, what runs may name, and what their workers are handed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore import limits
from longshore.access import Role, audit, keystore
from longshore.access.keystore_tables import keystore_entries
from longshore.clock import ManualClock
from longshore.engine import works
from longshore.engine.works import Ending, Outcome
from longshore.storage import Database
from longshore.surfaces.apps import secrets
from tests.surfaces.apps_rig import APP, OWNER, Platform, platform
from tests.unit.serving import bearer

PATH = "/api/v2/aihub/secrets"
VALUE = "correct horse battery"


@pytest.fixture
async def apps(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform(database, clock, tmp_path) as made:
        made.offer("1.0.0")
        yield made


async def call(apps: Platform, method: str, expect: int = 200, **body: Any) -> Any:
    role = body.pop("role", Role.ADMIN)
    parameters = body.pop("params", None)
    answer = await apps.client.request(
        method,
        PATH,
        json=body or None,
        params=parameters,
        headers=bearer(apps.served.token(role)),
    )
    assert answer.status_code == expect, answer.text
    return answer.json()


async def make(apps: Platform, alias: str = "ocr-token", **more: Any) -> None:
    body = {"value": VALUE, "allowed_workspaces_type": "ALL", **more}
    await call(apps, "POST", alias=alias, **body)


async def handed(apps: Platform) -> list[dict[str, Any]]:
    """Claim what waits as a worker does over HTTP; return the payloads."""
    registered = await apps.client.post(
        "/longshore/v1/worker/register",
        json={
            "name": "w",
            "slots": 9,
            "incarnation": "i",
            "apps": [{"name": APP, "owner": OWNER, "version": "1.0.0"}],
        },
    )
    body = {**registered.json(), "limit": 9}
    claimed = await apps.client.post(
        "/longshore/v1/worker/claim",
        json={name: body[name] for name in ("worker_id", "queues", "limit")},
    )
    assert claimed.status_code == 200, claimed.text
    return [work["payload"] for work in claimed.json()["works"]]


async def test_a_secret_is_made_listed_changed_and_deleted_and_its_value_never_told(
    apps: Platform,
) -> None:
    told = [
        await call(
            apps,
            "POST",
            alias="ocr-token",
            value=VALUE,
            allowed_workspaces_type="SOME",
            allowed_workspaces=["Personal"],
            description="of the OCR service",
        )
    ]
    told.append(await call(apps, "GET"))
    [listed] = told[-1]["secrets"]
    assert listed["alias"] == "ocr-token"
    assert listed["allowed_workspaces_type"] == "SOME"
    assert listed["allowed_workspaces"] == ["personal"]
    assert listed["org"] == "local"
    assert isinstance(listed["created_at"], int)
    told.append(await call(apps, "PATCH", alias="ocr-token", value="another one"))
    told.append(await call(apps, "PATCH", alias="ocr-token", allowed_workspaces_type="NONE"))
    [listed] = (await call(apps, "GET"))["secrets"]
    assert (listed["allowed_workspaces_type"], listed["allowed_workspaces"]) == ("NONE", [])
    assert listed["description"] == "of the OCR service"
    told.append(await call(apps, "DELETE", alias="ocr-token"))
    await call(apps, "DELETE", 404, alias="ocr-token")
    await call(apps, "PATCH", 404, alias="ocr-token", value="x")
    assert (await call(apps, "GET"))["secrets"] == []
    assert VALUE not in json.dumps(told)
    assert "another one" not in json.dumps(told)


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"value": "x", "allowed_workspaces_type": "ALL"}, 400, "alias"),
        ({"alias": "a", "allowed_workspaces_type": "ALL"}, 400, "value"),
        ({"alias": "a", "value": "", "allowed_workspaces_type": "ALL"}, 400, "no value"),
        ({"alias": "a", "value": "x", "allowed_workspaces_type": "FEW"}, 400, "SOME"),
        ({"alias": "a", "value": "x", "allowed_workspaces_type": "SOME"}, 400, "names none"),
        (
            {
                "alias": "a",
                "value": "x",
                "allowed_workspaces_type": "ALL",
                "allowed_workspaces": ["personal"],
            },
            400,
            "cannot be given",
        ),
        (
            {
                "alias": "a",
                "value": "x",
                "allowed_workspaces_type": "SOME",
                "allowed_workspaces": ["Nowhere"],
            },
            404,
            "no workspace",
        ),
        ({"alias": "../a", "value": "x", "allowed_workspaces_type": "ALL"}, 400, "cannot be"),
        ({"alias": "taken", "value": "x", "allowed_workspaces_type": "ALL"}, 409, "already"),
    ],
)
async def test_what_cannot_be_a_secret_is_refused(
    apps: Platform, body: dict[str, Any], status: int, why: str
) -> None:
    await make(apps, "taken")
    answer = await call(apps, "POST", status, **body)
    assert why in answer["message"]
    assert [secret["alias"] for secret in (await call(apps, "GET"))["secrets"]] == ["taken"]


async def test_only_admins_write_and_others_list_what_a_workspace_may_use(apps: Platform) -> None:
    await make(apps, "for-all")
    await make(apps, "for-none", allowed_workspaces_type="NONE")
    for role in (Role.DEVELOPER, Role.OPERATOR, Role.VIEWER):
        await call(
            apps, "POST", 403, alias="x", value="y", allowed_workspaces_type="ALL", role=role
        )
        await call(apps, "PATCH", 403, alias="for-all", value="y", role=role)
        await call(apps, "DELETE", 403, alias="for-all", role=role)
        await call(apps, "GET", 400, role=role)
        found = await call(apps, "GET", params={"workspace": "personal"}, role=role)
        assert [secret["alias"] for secret in found["secrets"]] == ["for-all"]
    one = await call(apps, "GET", params={"alias": "for-none"})
    assert [secret["alias"] for secret in one["secrets"]] == ["for-none"]


async def test_another_organisation_has_secrets_of_its_own(apps: Platform) -> None:
    await make(apps)
    _, other = apps.served.other_organisation()
    headers = bearer(other)
    assert (await apps.client.get(PATH, headers=headers)).json() == {"secrets": []}
    gone = await apps.client.request("DELETE", PATH, json={"alias": "ocr-token"}, headers=headers)
    assert gone.status_code == 404


async def test_a_worker_is_handed_the_values_and_nothing_else_has_them(apps: Platform) -> None:
    await make(apps)
    run = await apps.start(
        batch_id=await apps.batch("a.jpg"),
        settings={"keys": {"secret": {"token": "ocr-token"}, "custom": {"n": 1}}},
    )
    [payload] = await handed(apps)
    assert payload["secrets"] == {"token": VALUE}
    assert payload["keys"] == {"n": 1}
    shown = await apps.get(f"/apps/runs/{run['id']}")
    assert VALUE not in json.dumps(shown)
    entries = apps.database.read_blocking(audit.listing, apps.organisation_id)
    [read] = [entry for entry in entries if entry.action == "keystore.read"]
    assert read.key_name.startswith("worker ")
    assert read.detail is not None
    assert (read.detail["run"], read.detail["read"]) == (run["id"], {"ocr-token": 1})
    assert VALUE not in repr(entries)


async def test_a_run_without_secrets_reads_nothing(apps: Platform) -> None:
    await make(apps)
    await apps.start(batch_id=await apps.batch("a.jpg"))
    [payload] = await handed(apps)
    assert payload["secrets"] == {}
    entries = apps.database.read_blocking(audit.listing, apps.organisation_id)
    assert not [entry for entry in entries if entry.action == "keystore.read"]


async def test_a_run_of_another_workspace_may_not_use_it(apps: Platform) -> None:
    await make(apps, allowed_workspaces_type="SOME", allowed_workspaces=["personal"])
    settings = {"keys": {"secret": {"token": "ocr-token"}}}
    body = {
        "app_name": APP,
        "owner": OWNER,
        "batch_id": await apps.batch("a.jpg"),
        "output_workspace": "Elsewhere",
        "settings": settings,
    }
    answer = await apps.client.post("/api/v2/apps/runs", json=body)
    assert answer.status_code == 400
    assert "Elsewhere" in answer.json()["message"]


async def test_a_secret_that_went_meanwhile_is_said_to_the_worker(apps: Platform) -> None:
    await make(apps)
    await apps.start(
        batch_id=await apps.batch("a.jpg"), settings={"keys": {"secret": {"t": "ocr-token"}}}
    )
    await call(apps, "DELETE", alias="ocr-token")
    [payload] = await handed(apps)
    assert payload["secrets"] == {}
    assert "'ocr-token'" in payload["secrets_error"]


async def test_without_the_master_key_a_file_fails_and_others_are_still_claimed(
    apps: Platform, tmp_path: Path
) -> None:
    await make(apps)
    await apps.start(
        batch_id=await apps.batch("a.jpg"), settings={"keys": {"secret": {"t": "ocr-token"}}}
    )
    await apps.start(batch_id=await apps.batch("b.jpg"))
    (tmp_path / "secret.key").unlink()
    payloads = await handed(apps)
    assert len(payloads) == 2
    [failed] = [payload for payload in payloads if payload["secrets_error"]]
    assert "secret.key" in failed["secrets_error"]


async def test_a_run_names_other_secrets_than_its_deployment(apps: Platform) -> None:
    await make(apps, "one")
    await make(apps, "two", value="of two!")
    made = await apps.client.post(
        "/api/v2/apps/deployments",
        json={
            "name": "nightly",
            "app_name": APP,
            "owner": OWNER,
            "settings": {"keys": {"secret": {"a": "one", "b": "one"}}},
        },
    )
    assert made.status_code == 201, made.text
    answer = await apps.client.post(
        f"/api/v2/apps/deployments/{made.json()['id']}/runs",
        json={
            "batch_id": await apps.batch("a.jpg"),
            "settings": {"keys": {"secret": {"b": "two"}}},
        },
    )
    assert answer.status_code == 202, answer.text
    [payload] = await handed(apps)
    assert payload["secrets"] == {"a": VALUE, "b": "of two!"}


def kept(apps: Platform) -> list[str]:
    def look(connection: Any) -> list[str]:
        return list(connection.execute(keystore_entries.select()).scalars())

    return apps.database.read_blocking(look)


async def test_passwords_of_pdfs_are_sealed_handed_over_and_forgotten_at_the_end(
    apps: Platform,
) -> None:
    passwords = {"a.pdf": "open-sesame", "b": "second-password"}
    run = await apps.start(
        batch_id=await apps.batch("a.pdf", "b.pdf", "c.pdf"),
        settings={"runtime_config": {"instabase": {"pdf": {"passwords": passwords, "x": 1}}}},
    )
    assert len(kept(apps)) == 2
    listed = await apps.client.get("/longshore/v1/keystore/entries")
    assert listed.json() == {"entries": []}
    leases = apps.claim()
    assert len(leases) == 3
    for secret in passwords.values():
        assert secret not in repr([lease.payload for lease in leases])
    await _requeue(apps, leases)
    payloads = await handed(apps)
    assert [payload["password"] for payload in payloads] == ["open-sesame", "second-password", None]
    await apps.client.post(f"/api/v2/apps/runs/{run['id']}/cancel")
    reader = keystore.Reader(apps.organisation_id, "t", "t")
    assert apps.database.write_blocking(
        keystore.read, reader, [f"{run['id']}/password-1"], scopes=[keystore.of_run(run["id"])]
    )


async def _requeue(apps: Platform, leases: list[Any]) -> None:

    endings = [
        Ending(lease.id, lease.attempt, Outcome.HANDED_BACK, result=None) for lease in leases
    ]
    assert not apps.database.write_blocking(works.finish, endings, holder="wr_test")


async def test_passwords_go_with_the_end_of_the_run(apps: Platform) -> None:
    await apps.finished(
        "a.pdf",
        settings={"runtime_config": {"instabase": {"pdf": {"passwords": {"a.pdf": "sesame"}}}}},
    )
    assert kept(apps) == []


@pytest.mark.parametrize(
    ("passwords", "why"),
    [
        ({"none.pdf": "x"}, "no file of that name"),
        ({"a.pdf": 7}, "must be an object"),
        ({"a.pdf": ""}, "must be an object"),
        (["a.pdf"], "must be an object"),
    ],
)
async def test_passwords_that_cannot_be_used_are_refused(
    apps: Platform, passwords: Any, why: str
) -> None:
    body = {
        "app_name": APP,
        "owner": OWNER,
        "batch_id": await apps.batch("a.pdf"),
        "settings": {"runtime_config": {"instabase": {"pdf": {"passwords": passwords}}}},
    }
    answer = await apps.client.post("/api/v2/apps/runs", json=body)
    assert answer.status_code == 400, answer.text
    assert why in answer.json()["message"]
    assert kept(apps) == []
    del body["batch_id"]
    made = await apps.client.post(
        "/api/v2/apps/deployments",
        json={
            **body,
            "name": "d",
            "settings": {
                "runtime_config": {"instabase": {"pdf": {"passwords": {"a.pdf": "sesame"}}}}
            },
        },
    )
    assert made.status_code == 400
    assert "belongs to the files of one run" in made.json()["message"]


def with_passwords(batch_id: int, passwords: dict[str, str]) -> dict[str, Any]:
    return {
        "app_name": APP,
        "owner": OWNER,
        "batch_id": batch_id,
        "settings": {"runtime_config": {"instabase": {"pdf": {"passwords": passwords}}}},
    }


async def test_a_password_that_no_pdf_can_have_is_refused(apps: Platform) -> None:
    batch_id = await apps.batch("a.pdf")
    for password, status in (("x" * 257, 413), ("x" * 256, 200)):
        body = with_passwords(batch_id, {"a.pdf": password})
        answer = await apps.client.post("/api/v2/apps/runs", json=body)
        assert answer.status_code == status, answer.text
        if status == 413:
            assert "'a.pdf' has 257 characters" in answer.json()["message"]
            assert kept(apps) == []


async def test_runs_that_have_not_ended_have_so_many_passwords_and_then_others_wait(
    apps: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RUN_PASSWORDS", 3)
    body = with_passwords(await apps.batch("a.pdf", "b.pdf"), {"a.pdf": "sesame", "b": "second"})
    first = await apps.client.post("/api/v2/apps/runs", json=body)
    assert first.status_code == 200, first.text
    refused = await apps.client.post("/api/v2/apps/runs", json=body)
    assert refused.status_code == 413
    assert "cancel runs that are not needed" in refused.json()["message"]
    assert len(kept(apps)) == 2
    # Secrets of other kinds do not count.
    await make(apps)
    without = with_passwords(body["batch_id"], {})
    assert (await apps.client.post("/api/v2/apps/runs", json=without)).status_code == 200
    # As it is done when a run has ended.
    apps.database.write_blocking(secrets.forget, apps.organisation_id, first.json()["id"])
    assert len(kept(apps)) == 1
    again = await apps.client.post("/api/v2/apps/runs", json=body)
    assert again.status_code == 200, again.text

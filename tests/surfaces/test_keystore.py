"""The keystore over HTTP: entries, versions, scopes, and who may do what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.access import Role, audit, keystore, keystore_rotation
from longshore.access.keystore_master import install
from longshore.settings import Settings
from longshore.storage import Database
from tests.storage.waiting import until
from tests.unit.serving import Served, bearer, serving

ENTRIES = "/longshore/v1/keystore/entries"
KEYS = "/longshore/v1/keystore/keys"
VALUE = "correct horse battery"


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as found:
        yield found


async def put(served: Served, name: str, value: str = VALUE, **more: Any) -> httpx.Response:
    query = more.pop("query", {})
    return await served.client.put(f"{ENTRIES}/{name}", json={"value": value, **more}, params=query)


def value_of(served: Served, name: str, scope: str = keystore.ORGANISATION) -> str | None:
    reader = keystore.Reader(served.organisation.id, "test", "test")
    found = served.database.write_blocking(keystore.read, reader, [name], scopes=[scope])
    return found.get(name)


async def test_an_entry_is_set_shown_listed_and_removed_and_its_value_never_told(
    served: Served,
) -> None:
    told = [await put(served, "db_password", description="of the warehouse", ingress=True)]
    told.append(await put(served, "db_password", "second value"))
    told.append(await served.client.get(ENTRIES))
    told.append(await served.client.get(f"{ENTRIES}/db_password"))
    assert [answer.status_code for answer in told] == [200] * 4
    shown = told[-1].json()
    assert (shown["version"], shown["ingress"]) == (2, True)
    assert shown["description"] == "of the warehouse"
    assert [version["version"] for version in shown["versions"]] == [2, 1]
    assert told[-2].json()["entries"][0]["name"] == "db_password"
    assert value_of(served, "db_password") == "second value"
    gone = await served.client.delete(f"{ENTRIES}/db_password")
    assert gone.status_code == 204
    assert value_of(served, "db_password") is None
    for answer in told:
        assert VALUE not in answer.text
        assert "second value" not in answer.text
    again = await served.client.delete(f"{ENTRIES}/db_password")
    assert again.status_code == 404
    assert "longshore keystore list" in again.json()["detail"]


async def test_the_same_name_in_each_scope_is_an_entry_of_its_own(served: Served) -> None:
    scopes: list[dict[str, str]] = [
        {},
        {"workflow": "Daily"},
        {"scope": "corpus"},
        {"scope": "apps"},
    ]
    for number, query in enumerate(scopes):
        answer = await put(served, "token", f"value {number}", query=query)
        assert answer.status_code == 200, answer.text
    assert value_of(served, "token") == "value 0"
    assert value_of(served, "token", keystore.of_workflow("DAILY")) == "value 1"
    listed = (await served.client.get(ENTRIES)).json()["entries"]
    assert sorted(entry["scope"] for entry in listed) == [
        "apps",
        "corpus",
        "organisation",
        "workflow",
    ]
    one = (await served.client.get(ENTRIES, params={"workflow": "daily"})).json()["entries"]
    assert [entry["workflow"] for entry in one] == ["daily"]
    refused = await served.client.get(ENTRIES, params={"workflow": "daily", "scope": "apps"})
    assert refused.status_code == 400


async def test_so_many_versions_are_kept_and_older_ones_go(served: Served) -> None:
    for number in range(limits.KEYSTORE_VERSIONS + 3):
        await put(served, "token", f"value {number}")
    shown = (await served.client.get(f"{ENTRIES}/token")).json()
    assert shown["version"] == limits.KEYSTORE_VERSIONS + 3
    assert [each["version"] for each in shown["versions"]] == list(
        range(limits.KEYSTORE_VERSIONS + 3, 3, -1)
    )


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.VIEWER, 403),
        (Role.OPERATOR, 403),
        (Role.WORKER, 403),
        (Role.INGRESS, 403),
        (Role.DEVELOPER, 200),
        (Role.ADMIN, 200),
    ],
)
async def test_developers_set_entries_and_only_admins_those_of_apps(
    served: Served, role: Role, status: int
) -> None:
    headers = bearer(served.token(role))
    body = {"value": VALUE}
    answer = await served.client.put(f"{ENTRIES}/a", json=body, headers=headers)
    assert answer.status_code == status
    assert (await served.client.get(ENTRIES, headers=headers)).status_code == status
    of_apps = await served.client.put(
        f"{ENTRIES}/a", json=body, headers=headers, params={"scope": "apps"}
    )
    assert of_apps.status_code == (200 if role is Role.ADMIN else 403)
    rotated = await served.client.post(f"{KEYS}/rotate", headers=headers)
    assert rotated.status_code == (200 if role is Role.ADMIN else 403)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("token", {"value": ""}, 400),
        ("token", {"value": 1}, 400),
        ("token", {}, 400),
        ("token", {"value": "x", "valu": "y"}, 400),
        ("token", {"value": "x" * (limits.SECRET_BYTES + 1)}, 413),
        ("a%2F..%2Fb", {"value": "x"}, 400),
        ("%20a", {"value": "x"}, 400),
        ("x" * 256, {"value": "x"}, 413),
        ("a,b", {"value": "x"}, 400),
        ("a%2Fb", {"value": "x"}, 400),
        ("schl%C3%BCssel", {"value": "x"}, 400),
    ],
)
async def test_what_cannot_be_an_entry_is_refused_and_changes_nothing(
    served: Served, name: str, body: dict[str, Any], status: int
) -> None:
    answer = await served.client.put(f"{ENTRIES}/{name}", json=body)
    assert answer.status_code in (status, 404), answer.text
    assert (await served.client.get(ENTRIES)).json() == {"entries": []}


async def test_another_organisation_sees_and_changes_nothing_of_it(served: Served) -> None:
    await put(served, "token")
    _, other = served.other_organisation()
    headers = bearer(other)
    assert (await served.client.get(ENTRIES, headers=headers)).json() == {"entries": []}
    for method in ("GET", "DELETE"):
        answer = await served.client.request(method, f"{ENTRIES}/token", headers=headers)
        assert answer.status_code == 404
    await served.client.put(f"{ENTRIES}/token", json={"value": "theirs"}, headers=headers)
    assert value_of(served, "token") == VALUE


async def test_the_audit_log_has_each_change_and_each_read_and_no_value(served: Served) -> None:
    await put(served, "token")
    await put(served, "token", "another value")
    reader = keystore.Reader(served.organisation.id, "ky_1", "who reads", "rq_1", {"run": 7})
    served.database.write_blocking(
        keystore.read, reader, ["token", "none"], scopes=[keystore.ORGANISATION]
    )
    await served.client.delete(f"{ENTRIES}/token")
    entries = served.database.read_blocking(audit.listing, served.organisation.id)
    actions = [entry.action for entry in entries if entry.action.startswith("keystore.")]
    assert actions == ["keystore.remove", "keystore.read", "keystore.set", "keystore.set"]
    [read] = [entry for entry in entries if entry.action == "keystore.read"]
    assert read.detail == {"read": {"token": 2}, "not_read": ["none"], "run": 7}
    assert (read.key_id, read.key_name, read.request_id) == ("ky_1", "who reads", "rq_1")
    told = json.dumps([repr(entry) for entry in entries])
    assert VALUE not in told
    assert "another value" not in told


async def test_an_organisation_that_lost_its_key_removes_its_entries_and_begins_anew(
    served: Served, tmp_path: Path
) -> None:
    await put(served, "token")
    (tmp_path / "secret.key").write_bytes(b"k" * 32)
    (tmp_path / "secret.key").chmod(0o600)
    refused = await put(served, "other")
    assert refused.status_code == 500
    assert "another key" in refused.json()["detail"]
    assert (await served.client.delete(f"{ENTRIES}/token")).status_code == 204
    assert (await put(served, "token", "anew")).status_code == 200
    assert value_of(served, "token") == "anew"


async def test_a_new_data_key_seals_everything_in_the_background(
    database: Database, tmp_path: Path
) -> None:
    async with serving(database, tmp_path, background=True) as served:
        for number in range(5):
            await put(served, f"name{number}", f"value {number}")
        begun = await served.client.post(f"{KEYS}/rotate", json={})
        assert begun.json()["data_key"] == 2

        def resealed() -> bool:
            found = served.database.read_blocking(
                keystore_rotation.data_keys, served.organisation.id
            )
            return [key.number for key in found] == [2]

        await asyncio.to_thread(until, resealed)
        found = await asyncio.to_thread(value_of, served, "name3")
        assert found == "value 3"


async def test_a_master_key_that_the_settings_give_is_not_changed_by_the_server(
    served: Served, tmp_path: Path
) -> None:
    await put(served, "token")
    served.context.keyring = install(
        served.database, Settings(data=tmp_path, secret_key_file=tmp_path / "secret.key")
    )
    before = (tmp_path / "secret.key").read_bytes()
    refused = await served.client.post(f"{KEYS}/rotate", json={"master": True})
    assert refused.status_code == 409
    assert "Put a new key before the old one" in refused.json()["detail"]
    assert (tmp_path / "secret.key").read_bytes() == before
    both = f"{'ab' * 32}\n{before.hex()}\n"
    (tmp_path / "secret.key").write_text(both, "ascii")
    changed = await served.client.post(f"{KEYS}/rotate", json={"master": True})
    assert changed.json()["data_keys"] == 1
    (tmp_path / "secret.key").write_text("ab" * 32, "ascii")
    assert value_of(served, "token") == VALUE


@pytest.mark.parametrize("path", [f"{ENTRIES}/token", f"{KEYS}/rotate"])
async def test_an_idempotency_key_is_refused_since_answers_would_be_kept(
    served: Served, path: str
) -> None:
    method = "PUT" if path.startswith(ENTRIES) else "POST"
    answer = await served.client.request(
        method, path, json={"value": VALUE}, headers={"Idempotency-Key": "one"}
    )
    assert answer.status_code == 400
    assert "no Idempotency-Key" in answer.json()["detail"]

"""Secrets: sealed, read by workers only, and shown nowhere."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from longshore import limits
from longshore.access import Role, audit
from longshore.access.keystore_master import KEY_FILE, Keyring
from longshore.access.keystore_tables import keystore_versions
from longshore.access.vault import Vault
from longshore.clock import ManualClock
from longshore.errors import ConfigurationError, CorruptData
from longshore.settings import Settings
from longshore.storage import Database
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.corpus_tasks_rig import bearer, end_task, run_task

NATIVE = "/longshore/v1/corpus/secrets"
VALUE = "correct horse battery"


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


async def put(corpora: Corpora, name: str, value: str = VALUE) -> None:
    await corpora.call("PUT", f"{NATIVE}/{name}", body={"content": value})


async def test_a_secret_is_read_by_its_name_with_slashes(corpora: Corpora) -> None:
    await put(corpora, "services%2Focr.json", '{"user": "me"}')
    found = await corpora.call("GET", "/secret/services%2Focr.json")
    assert found == {"name": "services/ocr.json", "content": '{"user": "me"}'}


async def test_a_secret_that_is_set_again_has_the_new_value(corpora: Corpora) -> None:
    await put(corpora, "token", "old")
    await put(corpora, "token", "new")
    assert (await corpora.call("GET", "/secret/token"))["content"] == "new"
    assert len((await corpora.call("GET", NATIVE))["secrets"]) == 1


async def test_listings_and_the_audit_log_do_not_have_the_value(
    corpora: Corpora, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await put(corpora, "token")
    await corpora.call("GET", "/secret/token")
    listed = await corpora.call("GET", NATIVE)
    assert [secret["name"] for secret in listed["secrets"]] == ["token"]
    entries = corpora.database.read_blocking(audit.listing, corpora.served.organisation.id)
    actions = [(entry.action, entry.target) for entry in entries]
    assert ("keystore.set", "token") in actions
    assert ("keystore.read", "token") in actions
    told = json.dumps(listed) + repr(entries) + caplog.text
    assert VALUE not in told


async def test_the_database_holds_no_secret_in_clear(corpora: Corpora, tmp_path: Path) -> None:
    await put(corpora, "token")

    def sealed(connection: object) -> bytes:
        return bytes(connection.execute(select(keystore_versions.c.sealed)).scalar_one())  # type: ignore[attr-defined]

    kept = corpora.database.read_blocking(sealed)
    assert VALUE.encode() not in kept
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.VIEWER, 403),
        (Role.OPERATOR, 403),
        (Role.WORKER, 200),
        (Role.DEVELOPER, 200),
        (Role.ADMIN, 200),
    ],
)
async def test_workers_and_developers_read_secrets_and_viewers_do_not(
    corpora: Corpora, role: Role, status: int
) -> None:
    await put(corpora, "token")
    headers = bearer(corpora.served.token(role))
    answer = await corpora.call("GET", "/secret/token", expect=status, headers=headers)
    assert (VALUE in json.dumps(answer)) == (status == 200)


async def test_a_task_reads_secrets_until_it_ends(corpora: Corpora) -> None:
    await put(corpora, "token")
    task = run_task(corpora, corpora.corpus())
    found = await corpora.call("GET", "/secret/token", headers=task.headers)
    assert found["content"] == VALUE
    await end_task(corpora, task)
    await corpora.call("GET", "/secret/token", headers=task.headers, expect=401)


async def test_only_developers_set_list_and_remove(corpora: Corpora) -> None:
    await put(corpora, "token")
    for role in (Role.VIEWER, Role.OPERATOR, Role.WORKER):
        headers = bearer(corpora.served.token(role))
        body = {"content": "x"}
        await corpora.call("PUT", f"{NATIVE}/token", body=body, headers=headers, expect=403)
        await corpora.call("GET", NATIVE, headers=headers, expect=403)
        await corpora.call("DELETE", f"{NATIVE}/token", headers=headers, expect=403)
    assert (await corpora.call("GET", "/secret/token"))["content"] == VALUE


async def test_a_removed_secret_is_gone(corpora: Corpora) -> None:
    await put(corpora, "token")
    await corpora.call("DELETE", f"{NATIVE}/token", expect=204)
    await corpora.call("GET", "/secret/token", expect=404)
    await corpora.call("DELETE", f"{NATIVE}/token", expect=404)


async def test_another_organisation_has_secrets_of_its_own(corpora: Corpora) -> None:
    await put(corpora, "token")
    _, other = corpora.served.other_organisation()
    await corpora.call("GET", "/secret/token", headers=bearer(other), expect=404)
    await corpora.call("DELETE", f"{NATIVE}/token", headers=bearer(other), expect=404)
    body = {"content": "theirs"}
    await corpora.call("PUT", f"{NATIVE}/token", body=body, headers=bearer(other))
    assert (await corpora.call("GET", "/secret/token"))["content"] == VALUE


@pytest.mark.parametrize(
    "name", ["a%2F..%2Fb", "..", "a%2F", "%20a", "a%5Cb", "a%0Ab", "a%25b", "x" * 256]
)
async def test_a_name_that_could_leave_a_directory_is_refused(corpora: Corpora, name: str) -> None:
    answer = await corpora.client.put(f"{NATIVE}/{name}", json={"content": "x"})
    assert answer.status_code in (400, 404, 413), answer.text
    assert (await corpora.call("GET", NATIVE))["secrets"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"content": ""}, 400),
        ({"content": 1}, 400),
        ({}, 400),
        ({"content": "x", "name": "y"}, 400),
        ({"content": "x" * (limits.SECRET_BYTES + 1)}, 413),
    ],
)
async def test_a_value_that_cannot_be_one_is_refused(
    corpora: Corpora, body: object, status: int
) -> None:
    await corpora.call("PUT", f"{NATIVE}/token", body=body, expect=status)
    assert (await corpora.call("GET", NATIVE))["secrets"] == []


async def test_without_its_key_a_secret_is_not_opened(corpora: Corpora, tmp_path: Path) -> None:
    await put(corpora, "token")
    (tmp_path / KEY_FILE).unlink()
    answer = await corpora.call("GET", "/secret/token", expect=500)
    assert "put the file back" in answer["detail"]
    (tmp_path / KEY_FILE).write_bytes(b"k" * 32)
    (tmp_path / KEY_FILE).chmod(0o600)
    answer = await corpora.call("GET", "/secret/token", expect=500)
    assert "another key" in answer["detail"]


def test_a_sealed_value_opens_at_its_place_only() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal(b"value", "secret", "one", "name")
    assert vault.open(sealed, "secret", "one", "name") == b"value"
    assert sealed != vault.seal(b"value", "secret", "one", "name")
    with pytest.raises(CorruptData):
        vault.open(sealed, "secret", "two", "name")
    with pytest.raises(CorruptData):
        vault.open(sealed, "secret", "onen", "ame")
    with pytest.raises(CorruptData):
        vault.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "secret", "one", "name")
    with pytest.raises(CorruptData):
        vault.open(b"", "secret", "one", "name")
    with pytest.raises(ConfigurationError, match="another key"):
        Vault(b"j" * 32).open(sealed, "secret", "one", "name")


def test_a_key_file_of_others_or_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keyring = Keyring(Settings(data=tmp_path, secret_key_file=path))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        keyring.masters()
    path.write_bytes(b"k" * 31)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        keyring.masters()
    path.write_bytes(b"k" * 32)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keyring.masters()
    path.chmod(0o600)
    assert keyring.masters().open(Vault(b"k" * 32).seal(b"v", "x"), "x") == b"v"

"""Keys, roles, organisations, the audit log and kept answers, on both databases."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from longshore import limits
from longshore.access import Permission, Principal, Role, answers, audit, keys, workspaces
from longshore.access.answers import Answer
from longshore.access.first import first_start
from longshore.access.organisations import ensure, listing
from longshore.access.roles import PERMISSIONS
from longshore.clock import ManualClock
from longshore.errors import (
    Conflict,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
)
from longshore.storage import Database


@pytest.fixture
def organisation_id(database: Database) -> str:
    return database.write_blocking(ensure, "local").id


def make(database: Database, organisation_id: str, role: Role = Role.ADMIN, **more: Any) -> str:
    return database.write_blocking(keys.create, organisation_id, name="test", role=role, **more)[1]


def principal_of(database: Database, token: str) -> Principal:
    return database.read_blocking(keys.authenticate, token)


def test_a_key_opens_its_organisation(database: Database, organisation_id: str) -> None:
    principal = principal_of(database, make(database, organisation_id, Role.DEVELOPER))
    assert principal.organisation_id == organisation_id
    assert principal.organisation_name == "local"
    assert principal.role is Role.DEVELOPER
    assert principal.workspace_id is None


def test_a_key_of_a_workspace_makes_the_workspace(database: Database, organisation_id: str) -> None:
    first = principal_of(database, make(database, organisation_id, workspace="Sales"))
    again = principal_of(database, make(database, organisation_id, workspace="sales"))
    assert first.workspace_name == "Sales"
    assert again.workspace_id == first.workspace_id


def test_the_secret_is_not_in_the_database(database: Database, organisation_id: str) -> None:
    # Underscores may be in the secret, too.
    secret = make(database, organisation_id).split("_", 2)[2]

    def dump(connection: Any) -> str:
        return str(connection.exec_driver_sql("SELECT * FROM api_keys").all())

    assert secret not in database.read_blocking(dump)


def altered(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


@pytest.mark.parametrize(
    "spoil",
    [
        altered,
        lambda _token: "",
        lambda _token: "nonsense",
        lambda token: token[:-1],
        lambda token: f"{token}x",
        lambda token: f" {token}",
        lambda token: token.upper(),
        lambda token: f"{token[:5]}é{token[6:]}",
        lambda token: "ls_" + "0" * 26 + token[29:],
        lambda token: token[:30] + "\0" + token[31:],
    ],
)
def test_a_spoiled_token_is_refused(database: Database, organisation_id: str, spoil: Any) -> None:
    token = make(database, organisation_id)
    principal_of(database, token)
    with pytest.raises(Unauthenticated):
        principal_of(database, spoil(token))


def test_a_secret_does_not_open_another_key(database: Database, organisation_id: str) -> None:
    first, second = make(database, organisation_id), make(database, organisation_id)
    with pytest.raises(Unauthenticated):
        principal_of(database, first[:30] + second[30:])


def test_known_and_unknown_ids_take_the_same_path(
    database: Database, organisation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make(database, organisation_id)
    compared: list[tuple[int, int]] = []
    statements: list[int] = []

    def spy(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", spy)

    def attempt(connection: Any, candidate: str) -> None:
        executed = 0
        execute = connection.execute

        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal executed
            executed += 1
            return execute(*args, **kwargs)

        monkeypatch.setattr(connection, "execute", counting)
        monkeypatch.setattr(connection, "scalar", lambda query: counting(query).scalar())
        try:
            with pytest.raises(Unauthenticated):
                keys.authenticate(connection, candidate)
        finally:
            statements.append(executed)

    unknown = f"ls_{'0' * 26}_{token[30:]}"
    database.read_blocking(attempt, altered(token))
    database.read_blocking(attempt, unknown)
    assert compared == [(64, 64), (64, 64)]
    assert statements == [1, 1]


def test_an_expired_key_is_refused(
    database: Database, organisation_id: str, clock: ManualClock
) -> None:
    token = make(database, organisation_id, lifetime_s=60)
    clock.advance(59)
    principal_of(database, token)
    clock.advance(1)
    with pytest.raises(Unauthenticated):
        principal_of(database, token)


def test_a_revoked_key_is_refused_and_revoking_it_again_changes_nothing(
    database: Database, organisation_id: str, clock: ManualClock
) -> None:
    make(database, organisation_id)
    token = make(database, organisation_id, Role.OPERATOR)
    key_id = principal_of(database, token).key_id
    revoked = database.write_blocking(keys.revoke, organisation_id, key_id)
    clock.advance(10)
    assert database.write_blocking(keys.revoke, organisation_id, key_id) == revoked
    with pytest.raises(Unauthenticated):
        principal_of(database, token)


def test_the_last_admin_key_cannot_be_revoked(database: Database, organisation_id: str) -> None:
    token = make(database, organisation_id)
    make(database, organisation_id, lifetime_s=60)
    make(database, organisation_id, workspace="elsewhere")
    key_id = principal_of(database, token).key_id
    with pytest.raises(Conflict, match="last admin key"):
        database.write_blocking(keys.revoke, organisation_id, key_id)
    make(database, organisation_id)
    assert database.write_blocking(keys.revoke, organisation_id, key_id).revoked_us is not None


def test_keys_of_another_organisation_do_not_exist(
    database: Database, organisation_id: str
) -> None:
    make(database, organisation_id)
    other = database.write_blocking(ensure, "other").id
    key_id = principal_of(database, make(database, other, Role.VIEWER)).key_id
    with pytest.raises(NotFound):
        database.write_blocking(keys.revoke, organisation_id, key_id)
    assert key_id not in {key.id for key in database.read_blocking(keys.listing, organisation_id)}


def test_use_is_written_down_once_a_minute(
    database: Database, organisation_id: str, clock: ManualClock
) -> None:
    token = make(database, organisation_id)
    key = database.read_blocking(keys.identify, token)[1]
    assert keys.needs_touch(key, clock.now_us())
    assert database.write_blocking(keys.touch, key.id)
    clock.advance(59)
    assert not database.write_blocking(keys.touch, key.id)
    assert not keys.needs_touch(database.read_blocking(keys.identify, token)[1], clock.now_us())
    clock.advance(1)
    assert database.write_blocking(keys.touch, key.id)


@pytest.mark.parametrize(
    ("name", "error"),
    [("", InvalidRequest), ("  ", InvalidRequest), ("a\nb", InvalidRequest), ("x" * 256, TooLarge)],
)
def test_unusable_names_are_refused(
    database: Database, organisation_id: str, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        database.write_blocking(keys.create, organisation_id, name=name, role=Role.VIEWER)
    assert database.read_blocking(keys.listing, organisation_id) == []


@pytest.mark.parametrize("lifetime_s", [0, -1, 0.5, 1e12, float("nan"), float("inf")])
def test_unusable_lifetimes_are_refused(
    database: Database, organisation_id: str, lifetime_s: float
) -> None:
    with pytest.raises(InvalidRequest):
        make(database, organisation_id, lifetime_s=lifetime_s)


def test_the_first_start_makes_an_organisation_and_two_keys(database: Database) -> None:
    first = database.write_blocking(first_start)
    assert first.made
    assert principal_of(database, first.token).role is Role.ADMIN
    assert principal_of(database, first.worker_token).role is Role.WORKER
    rooms = database.read_blocking(workspaces.listing, first.organisation.id)
    assert [room.name for room in rooms] == ["personal"]
    assert first.token not in repr(first)


def test_later_starts_keep_working_keys_and_replace_others(database: Database) -> None:
    first = database.write_blocking(first_start)
    again = database.write_blocking(first_start, first.token, first.worker_token)
    assert (again.token, again.worker_token, again.made) == (first.token, first.worker_token, False)
    replaced = database.write_blocking(first_start, first.token, "lost")
    assert replaced.made
    assert replaced.token == first.token
    assert principal_of(database, replaced.worker_token).role is Role.WORKER
    assert len(database.read_blocking(listing)) == 1


def test_organisations_and_workspaces_are_found_in_any_case(database: Database) -> None:
    one = database.write_blocking(ensure, "Straße")
    assert database.write_blocking(ensure, "STRASSE") == one
    room = database.write_blocking(workspaces.ensure, one.id, "Übung")
    assert database.read_blocking(workspaces.named, one.id, "übung") == room
    with pytest.raises(NotFound, match="Übung"):
        database.read_blocking(workspaces.named, one.id, "other")


def test_roles_permit_what_they_say() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert PERMISSIONS[Role.ADMIN] == set(Permission)
    worker = Principal("ky", "name", "og", "local", None, None, Role.WORKER)
    worker.require(Permission.WORK)
    with pytest.raises(PermissionDenied, match="operator, developer, admin"):
        worker.require(Permission.OPERATE)


def test_the_audit_log_is_read_newest_first_in_pages(
    database: Database, organisation_id: str
) -> None:
    token = make(database, organisation_id)
    principal = principal_of(database, token)
    for number in range(5):
        database.write_blocking(
            audit.record,
            principal,
            action="runs.delete",
            target=f"rn_{number}",
            detail={"number": number},
            request_id="rq",
        )
    page = database.read_blocking(audit.listing, organisation_id, limit=2)
    assert [entry.target for entry in page] == ["rn_4", "rn_3"]
    rest = database.read_blocking(audit.listing, organisation_id, before=page[-1].id)
    assert [entry.target for entry in rest] == ["rn_2", "rn_1", "rn_0"]
    assert rest[0].detail == {"number": 2}
    assert rest[0].key_id == principal.key_id
    found = database.read_blocking(audit.listing, organisation_id, target="rn_1")
    assert [entry.target for entry in found] == ["rn_1"]
    other = database.write_blocking(ensure, "other").id
    assert database.read_blocking(audit.listing, other) == []


def test_an_answer_is_kept_for_its_key_and_request(database: Database, clock: ManualClock) -> None:
    answer = Answer(201, {"Location": "/x"}, b'{"id":1}')

    def first(connection: Any) -> None:
        assert answers.begin(connection, "ky_1", "once", "print") is None
        answers.keep(connection, "ky_1", "once", answer)

    database.write_blocking(first)
    assert database.write_blocking(answers.begin, "ky_1", "once", "print") == answer
    with pytest.raises(IdempotencyConflict):
        database.write_blocking(answers.begin, "ky_1", "once", "other print")
    assert database.write_blocking(answers.begin, "ky_2", "once", "other print") is None
    clock.advance(limits.IDEMPOTENCY_S + 1)
    assert database.write_blocking(answers.expire) == 2
    assert database.write_blocking(answers.begin, "ky_1", "once", "other print") is None


def test_an_answer_that_is_too_old_does_not_count(database: Database, clock: ManualClock) -> None:
    assert database.write_blocking(answers.begin, "ky_1", "once", "print") is None
    clock.advance(limits.IDEMPOTENCY_S + 1)
    assert database.write_blocking(answers.begin, "ky_1", "once", "other") is None


def test_a_failed_effect_keeps_no_answer(database: Database) -> None:
    def fails(connection: Any) -> None:
        answers.begin(connection, "ky_1", "once", "print")
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        database.write_blocking(fails)
    assert database.write_blocking(answers.begin, "ky_1", "once", "print") is None

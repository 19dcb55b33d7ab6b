"""API keys: `ls_<public id>_<secret>`.

The public id finds the row; the secret is compared by its SHA-256 in constant time. A token
with an unknown id takes the same path with a digest that nothing hashes to, so that the time
of an answer does not tell which ids exist.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, insert, literal, or_, select, update

from longshore import ids
from longshore.access import workspaces
from longshore.access.names import checked_name
from longshore.access.roles import Principal, Role
from longshore.access.tables import api_keys, organisations
from longshore.access.tables import workspaces as rooms
from longshore.clock import SECOND_US, to_us
from longshore.errors import Conflict, InvalidRequest, NotFound, Unauthenticated
from longshore.storage import notify, now_us

PREFIX: Final = "ls"
TOKEN: Final = re.compile(r"ls_([0-9a-v]{26})_([0-9A-Za-z_-]{43})")
TOUCH_US: Final = 60 * SECOND_US
"""`last_used_us` is written at most this often, so that reading does not become writing."""

_DUMMY_DIGEST: Final = "0" * 64
_REFUSAL: Final = (
    "The API key is wrong, expired or revoked. Check LONGSHORE_KEY or the header that carries "
    "the key; `longshore key create` makes a new one."
)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it may be shown; the secret is not kept anywhere."""

    id: str
    name: str
    role: Role
    workspace_id: str | None
    workspace_name: str | None
    created_us: int
    expires_us: int | None
    revoked_us: int | None
    last_used_us: int | None


def topic(key_id: str) -> str:
    """Return the topic that tells servers to forget what they remember of a key."""
    return f"key:{key_id}"


def create(
    connection: Connection,
    organisation_id: str,
    *,
    name: str,
    role: Role,
    workspace: str | None = None,
    lifetime_s: float | None = None,
) -> tuple[Key, str]:
    """Make a key and return it with its token, which cannot be shown again.

    A `workspace` (by name, made if there is none) keeps the key inside it.

    Raises:
        InvalidRequest: the name or the lifetime cannot be used.
    """
    name = checked_name(name, "key")
    if lifetime_s is not None and not 1 <= lifetime_s <= 100 * 365 * 86_400:
        raise InvalidRequest(
            f"A key cannot live for {lifetime_s} seconds. Give a lifetime of one second to a "
            "hundred years, or none for a key that does not expire."
        )
    room = workspaces.ensure(connection, organisation_id, workspace) if workspace else None
    now = now_us(connection)
    key = Key(
        id=ids.new(ids.KEY),
        name=name,
        role=role,
        workspace_id=room.id if room else None,
        workspace_name=room.name if room else None,
        created_us=now,
        expires_us=None if lifetime_s is None else now + to_us(lifetime_s),
        revoked_us=None,
        last_used_us=None,
    )
    secret = ids.secret()
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            organisation_id=organisation_id,
            workspace_id=key.workspace_id,
            name=key.name,
            role=str(role),
            digest=_digest(secret),
            created_us=now,
            expires_us=key.expires_us,
        )
    )
    return key, f"{PREFIX}_{key.id.removeprefix(f'{ids.KEY}_')}_{secret}"


def authenticate(connection: Connection, token: str) -> Principal:
    """Return whom the token stands for.

    Raises:
        Unauthenticated: the token is malformed, unknown, wrong, expired or revoked; the message
            does not say which.
    """
    return identify(connection, token)[0]


def identify(connection: Connection, token: str) -> tuple[Principal, Key]:
    """Do what `authenticate` does and return the key as well."""
    match = TOKEN.fullmatch(token)
    if match is None:
        raise Unauthenticated(_REFUSAL)
    key_id = f"{ids.KEY}_{match[1]}"
    # One row comes back in any case, so that an unknown id costs what a known one costs.
    stored = connection.scalar(
        select(api_keys.c.digest)
        .where(api_keys.c.id == key_id)
        .union_all(select(literal(_DUMMY_DIGEST)))
        .limit(1)
    )
    if not hmac.compare_digest(_digest(match[2]), str(stored)):
        raise Unauthenticated(_REFUSAL)
    return _valid(connection, key_id)


def principal(connection: Connection, key_id: str) -> Principal:
    """Return whom a key stands for, for who has shown elsewhere that it is theirs.

    Raises:
        Unauthenticated: it is unknown, expired or revoked.
    """
    return _valid(connection, key_id)[0]


def needs_touch(key: Key, now: int) -> bool:
    """Return whether the use of a key at time `now` (microseconds) is to be written down."""
    return key.last_used_us is None or now - key.last_used_us >= TOUCH_US


def touch(connection: Connection, key_id: str) -> bool:
    """Write down that the key was used now, at most once a minute; return whether it was."""
    now = now_us(connection)
    touched = connection.execute(
        update(api_keys)
        .where(
            api_keys.c.id == key_id,
            or_(api_keys.c.last_used_us.is_(None), api_keys.c.last_used_us <= now - TOUCH_US),
        )
        .values(last_used_us=now)
    )
    return touched.rowcount == 1


def listing(connection: Connection, organisation_id: str) -> list[Key]:
    """Return all keys of an organisation, revoked ones too, oldest first."""
    rows = connection.execute(
        _keys().where(api_keys.c.organisation_id == organisation_id).order_by(api_keys.c.id)
    )
    return [_key(row) for row in rows]


def get(connection: Connection, organisation_id: str, key_id: str) -> Key:
    """Return a key of the organisation or raise NotFound."""
    row = connection.execute(
        _keys().where(api_keys.c.organisation_id == organisation_id, api_keys.c.id == key_id)
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no key {key_id[:80]!r} in this organisation. `longshore key list` shows "
            "the keys and their ids."
        )
    return _key(row)


def revoke(connection: Connection, organisation_id: str, key_id: str) -> Key:
    """End a key at once, on every server; a second time changes nothing.

    Raises:
        NotFound: the organisation has no such key.
        Conflict: it is the last key that can make new ones.
    """
    key = get(connection, organisation_id, key_id)
    if key.revoked_us is not None:
        return key
    if key.role is Role.ADMIN and _other_admins(connection, organisation_id, key_id) == 0:
        raise Conflict(
            f"{key.name!r} is the last admin key without an expiry; without it nobody could make "
            "another. Create a new admin key first, then revoke this one.",
            details={"key_id": key_id},
        )
    connection.execute(
        update(api_keys).where(api_keys.c.id == key_id).values(revoked_us=now_us(connection))
    )
    notify(connection, topic(key_id))
    return get(connection, organisation_id, key_id)


def _valid(connection: Connection, key_id: str) -> tuple[Principal, Key]:
    row = connection.execute(_keys().where(api_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise Unauthenticated(_REFUSAL)
    key = _key(row)
    expired = key.expires_us is not None and key.expires_us <= now_us(connection)
    if expired or key.revoked_us is not None:
        raise Unauthenticated(_REFUSAL)
    principal = Principal(
        key_id=key.id,
        key_name=key.name,
        organisation_id=row.organisation_id,
        organisation_name=row.organisation_name,
        workspace_id=key.workspace_id,
        workspace_name=key.workspace_name,
        role=key.role,
    )
    return principal, key


def _other_admins(connection: Connection, organisation_id: str, key_id: str) -> int:
    count = connection.scalar(
        select(func.count()).where(
            api_keys.c.organisation_id == organisation_id,
            api_keys.c.role == str(Role.ADMIN),
            api_keys.c.workspace_id.is_(None),
            api_keys.c.revoked_us.is_(None),
            api_keys.c.expires_us.is_(None),
            api_keys.c.id != key_id,
        )
    )
    return count or 0


def _keys() -> Select[Any]:
    """Select keys with the names of their organisation and workspace."""
    return select(
        api_keys, organisations.c.name.label("organisation_name"), rooms.c.name.label("room_name")
    ).select_from(
        api_keys.join(organisations, organisations.c.id == api_keys.c.organisation_id).outerjoin(
            rooms, rooms.c.id == api_keys.c.workspace_id
        )
    )


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        workspace_id=row.workspace_id,
        workspace_name=row.room_name,
        created_us=row.created_us,
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
        last_used_us=row.last_used_us,
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()

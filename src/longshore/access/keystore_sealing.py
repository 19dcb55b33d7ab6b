"""Sealing values with the data key of their organisation, which the master key wraps."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from longshore.access.keystore_master import Masters, keyring_of
from longshore.access.keystore_tables import keystore_entries, keystore_keys, keystore_versions
from longshore.access.vault import KEY_BYTES, Vault
from longshore.storage import now_us


class Opener:
    """Opens values of an organisation; each data key is unwrapped once."""

    def __init__(self, masters: Masters) -> None:
        """Know no data key yet."""
        self._masters = masters
        self._vaults: dict[tuple[str, int], Vault] = {}

    def open(self, row: Row[Any]) -> str:
        """Return the value of a row of `values_query`; raises as `Vault.open`."""
        known = (row.organisation_id, row.data_key)
        if known not in self._vaults:
            key = self._masters.open(bytes(row.wrapped), *key_place(*known))
            self._vaults[known] = Vault(key)
        place = value_place(row.organisation_id, row.scope, row.name, row.version)
        return self._vaults[known].open(bytes(row.sealed), *place).decode()


def opener_of(connection: Connection) -> Opener:
    """Return what opens the values that are read over a connection."""
    return Opener(keyring_of(connection).masters())


def values_query() -> Any:
    """Select values with what it takes to open them; the caller adds which."""
    return (
        select(
            keystore_entries.c.organisation_id,
            keystore_entries.c.scope,
            keystore_entries.c.name,
            keystore_entries.c.ingress,
            keystore_versions.c.entry_id,
            keystore_versions.c.version,
            keystore_versions.c.data_key,
            keystore_versions.c.sealed,
            keystore_keys.c.wrapped,
        )
        .join(keystore_versions, keystore_versions.c.entry_id == keystore_entries.c.id)
        .join(
            keystore_keys,
            (keystore_keys.c.organisation_id == keystore_versions.c.organisation_id)
            & (keystore_keys.c.number == keystore_versions.c.data_key),
        )
    )


def seal(
    connection: Connection, organisation_id: str, scope: str, name: str, version: int, value: str
) -> tuple[int, bytes]:
    """Return a value sealed with the organisation's data key, and the key's number."""
    number, vault = current_key(connection, organisation_id)
    return number, vault.seal(value.encode(), *value_place(organisation_id, scope, name, version))


def current_key(connection: Connection, organisation_id: str) -> tuple[int, Vault]:
    """Return the data key that new values are sealed with, made if there is none.

    The row stays locked until the transaction ends, so that the key cannot go meanwhile.
    """
    row = _locked_key(connection, organisation_id)
    if row is None:
        _first_key(connection, organisation_id)
        row = _locked_key(connection, organisation_id)
    assert row is not None
    masters = keyring_of(connection).masters()
    return row.number, Vault(
        masters.open(bytes(row.wrapped), *key_place(organisation_id, row.number))
    )


def new_key(connection: Connection, organisation_id: str, number: int) -> dict[str, Any]:
    """Return the row of a new data key."""
    # A master key is made only for the first data key of all: any other means that it was lost.
    first = connection.scalar(select(keystore_keys.c.number).limit(1)) is None
    current = keyring_of(connection).masters(make=first).current
    key = secrets.token_bytes(KEY_BYTES)
    return {
        "organisation_id": organisation_id,
        "number": number,
        "wrapped": current.seal(key, *key_place(organisation_id, number)),
        "master": current.mark,
        "created_us": now_us(connection),
    }


def key_place(organisation_id: str, number: int) -> tuple[str, ...]:
    """Return what a data key is bound to."""
    return ("data key", organisation_id, str(number))


def value_place(organisation_id: str, scope: str, name: str, version: int) -> tuple[str, ...]:
    """Return what a value is bound to."""
    return ("value", organisation_id, scope, name, str(version))


def _locked_key(connection: Connection, organisation_id: str) -> Row[Any] | None:
    current = (
        select(keystore_keys)
        .where(
            keystore_keys.c.organisation_id == organisation_id, keystore_keys.c.retired_us.is_(None)
        )
        .with_for_update(read=True)
    )
    # Whoever waited for a rotation to commit sees only the old row, which is not current any more;
    # a second look sees the new one.
    found = connection.execute(current).one_or_none()
    return found if found is not None else connection.execute(current).one_or_none()


def _first_key(connection: Connection, organisation_id: str) -> None:
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        make(keystore_keys)
        .values(**new_key(connection, organisation_id, 1))
        .on_conflict_do_nothing()
    )


def opened(connection: Connection, rows: Iterable[Row[Any]]) -> list[tuple[Row[Any], str]]:
    """Return rows of `values_query` with their values."""
    rows = list(rows)
    if not rows:
        return []
    opener = opener_of(connection)
    return [(row, opener.open(row)) for row in rows]


def insert_version(
    connection: Connection, entry: Row[Any], version: int, value: str, *, actor: str
) -> None:
    """Write a version of an entry."""
    number, sealed = seal(
        connection, entry.organisation_id, entry.scope, entry.name, version, value
    )
    connection.execute(
        insert(keystore_versions).values(
            entry_id=entry.id,
            version=version,
            organisation_id=entry.organisation_id,
            data_key=number,
            sealed=sealed,
            created_us=now_us(connection),
            created_by=actor,
        )
    )

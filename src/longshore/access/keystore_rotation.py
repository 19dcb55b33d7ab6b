"""Changing keys while values are read: data keys of an organisation, and the master key.

Each value names the data key that sealed it, and each data key the master key that wrapped it. So
old and new lie side by side, and a transaction changes a few of them at a time. Whatever moment a
rotation stops at, everything can be read, and the next step goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from longshore.access import keystore_sealing as sealing
from longshore.access.keystore_master import Masters, keyring_of
from longshore.access.keystore_tables import keystore_keys, keystore_versions
from longshore.errors import NotFound
from longshore.storage import now_us

STEP: Final = 100
"""So many values or keys are sealed anew in one transaction."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """What may be told of a data key.

    Attributes:
        master: mark of the master key that wrapped it.
        values: how many values are sealed with it.
    """

    number: int
    master: str
    created_us: int
    retired_us: int | None
    values: int


def data_keys(connection: Connection, organisation_id: str) -> list[DataKey]:
    """Return an organisation's data keys, newest first."""
    counts = (
        select(func.count())
        .where(
            keystore_versions.c.organisation_id == keystore_keys.c.organisation_id,
            keystore_versions.c.data_key == keystore_keys.c.number,
        )
        .scalar_subquery()
    )
    rows = connection.execute(
        select(keystore_keys, counts.label("sealed_values"))
        .where(keystore_keys.c.organisation_id == organisation_id)
        .order_by(keystore_keys.c.number.desc())
    )
    return [
        DataKey(row.number, row.master, row.created_us, row.retired_us, row.sealed_values)
        for row in rows
    ]


def begin(connection: Connection, organisation_id: str) -> int:
    """Give an organisation a new data key, which seals from now on; return its number.

    Raises:
        NotFound: it has no secrets, and so no key.
    """
    row = connection.execute(
        select(keystore_keys)
        .where(
            keystore_keys.c.organisation_id == organisation_id, keystore_keys.c.retired_us.is_(None)
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There are no secrets yet, and so no data key to be changed.")
    connection.execute(
        update(keystore_keys)
        .where(
            keystore_keys.c.organisation_id == organisation_id,
            keystore_keys.c.number == row.number,
        )
        .values(retired_us=now_us(connection))
    )
    number: int = row.number + 1
    connection.execute(
        insert(keystore_keys).values(**sealing.new_key(connection, organisation_id, number))
    )
    return number


def reseal(connection: Connection, organisation_id: str, *, limit: int = STEP) -> int:
    """Seal up to `limit` values with the newest data key; return how many.

    Once there are none left, keys that seal nothing go, and it returns 0.
    """
    number, vault = sealing.current_key(connection, organisation_id)
    found = connection.execute(
        sealing.values_query()
        .where(
            keystore_versions.c.organisation_id == organisation_id,
            keystore_versions.c.data_key < number,
        )
        .order_by(keystore_versions.c.entry_id, keystore_versions.c.version)
        .limit(limit)
        .with_for_update(of=keystore_versions)
    )
    opened = sealing.opened(connection, found)
    for row, value in opened:
        place = sealing.value_place(organisation_id, row.scope, row.name, row.version)
        connection.execute(
            update(keystore_versions)
            .where(
                keystore_versions.c.entry_id == row.entry_id,
                keystore_versions.c.version == row.version,
            )
            .values(data_key=number, sealed=vault.seal(value.encode(), *place))
        )
    if not opened:
        _drop_unused(connection, organisation_id)
    return len(opened)


def rewrap(connection: Connection, *, limit: int = STEP) -> int:
    """Wrap up to `limit` data keys, of all organisations, with the first master key.

    Returns how many; once it is 0, no other master key is needed any more.
    """
    masters = keyring_of(connection).masters()
    rows = connection.execute(
        select(keystore_keys)
        .where(keystore_keys.c.master != masters.current.mark)
        .order_by(keystore_keys.c.organisation_id, keystore_keys.c.number)
        .limit(limit)
        .with_for_update()
    ).all()
    for row in rows:
        place = sealing.key_place(row.organisation_id, row.number)
        key = masters.open(bytes(row.wrapped), *place)
        connection.execute(
            update(keystore_keys)
            .where(
                keystore_keys.c.organisation_id == row.organisation_id,
                keystore_keys.c.number == row.number,
            )
            .values(wrapped=masters.current.seal(key, *place), master=masters.current.mark)
        )
    return len(rows)


def any_keys(connection: Connection) -> bool:
    """Return whether any organisation has a data key."""
    return connection.scalar(select(keystore_keys.c.number).limit(1)) is not None


def behind(connection: Connection, masters: Masters) -> int:
    """Return how many data keys are not wrapped by the first master key."""
    return (
        connection.scalar(
            select(func.count()).where(keystore_keys.c.master != masters.current.mark)
        )
        or 0
    )


def _drop_unused(connection: Connection, organisation_id: str) -> None:
    used = select(keystore_versions.c.data_key).where(
        keystore_versions.c.organisation_id == organisation_id
    )
    connection.execute(
        delete(keystore_keys).where(
            keystore_keys.c.organisation_id == organisation_id,
            keystore_keys.c.retired_us.is_not(None),
            keystore_keys.c.number.not_in(used),
        )
    )

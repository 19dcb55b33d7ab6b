"""Secrets by name: what workers need and nobody is shown, such as passwords of other services.

A value is sealed before it comes here (`longshore.access.vault`), so that it is in no statement,
log or back-up of the database. The caller seals it for `place`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.access.tables import secrets
from longshore.clock import iso
from longshore.errors import InvalidRequest, NotFound, TooLarge
from longshore.storage import now_us


@dataclass(frozen=True, slots=True)
class Secret:
    """What may be told of a secret."""

    name: str
    created_us: int
    updated_us: int

    def shown(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "name": self.name,
            "created": iso(self.created_us),
            "updated": iso(self.updated_us),
        }


def place(organisation_id: str, name: str) -> tuple[str, str, str]:
    """Return what a value is bound to when it is sealed."""
    return ("secret", organisation_id, name)


def checked_name(name: str) -> str:
    """Return the name of a secret if it may be one; it may have parts with `/` in between.

    Workers look for a file of that name, too, so that it must stay inside of a directory.

    Raises:
        InvalidRequest: it is empty, not printable, or would leave a directory.
        TooLarge: it has more than `limits.NAME_CHARACTERS`.
    """
    if len(name) > limits.NAME_CHARACTERS:
        raise TooLarge(
            f"The name of the secret has {len(name)} characters and may have "
            f"{limits.NAME_CHARACTERS}. Shorten it."
        )
    parts = name.split("/")
    if not name.isprintable() or name != name.strip() or "\\" in name or "%" in name:
        raise InvalidRequest(
            f"{name[:80]!a} cannot be the name of a secret. Use printable characters without "
            "backslash, percent sign and blanks at the ends."
        )
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(
            f"{name[:80]!a} cannot be the name of a secret: it is empty, or a part of it is empty, "
            "'.' or '..'. Write it as name or folder/name."
        )
    return name


def checked_value(value: str) -> bytes:
    """Return the value of a secret in UTF-8 if it may be one.

    Raises:
        InvalidRequest: it is empty.
        TooLarge: it has more than `limits.SECRET_BYTES`.
    """
    encoded = value.encode()
    if not encoded:
        raise InvalidRequest("The secret has no value. Send it as `content`, a text.")
    if len(encoded) > limits.SECRET_BYTES:
        raise TooLarge(
            f"The secret has {len(encoded)} bytes and may have {limits.SECRET_BYTES}. Keep large "
            "files elsewhere, and the key to them here."
        )
    return encoded


def store(connection: Connection, organisation_id: str, name: str, sealed: bytes) -> Secret:
    """Set a secret, whether it is there or not.

    Raises:
        TooLarge: the organisation has `limits.SECRETS` of them.
    """
    at_us = now_us(connection)
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        insert(secrets)
        .values(
            organisation_id=organisation_id,
            name=name,
            sealed=sealed,
            created_us=at_us,
            updated_us=at_us,
        )
        .on_conflict_do_update(
            index_elements=["organisation_id", "name"],
            set_={"sealed": sealed, "updated_us": at_us},
        )
    )
    count = connection.scalar(
        select(func.count())
        .select_from(secrets)
        .where(secrets.c.organisation_id == organisation_id)
    )
    if count is not None and count > limits.SECRETS:
        raise TooLarge(
            f"There are {limits.SECRETS} secrets, which is the most that there can be. Remove one "
            "that is not needed any more."
        )
    row = connection.execute(
        select(secrets.c.name, secrets.c.created_us, secrets.c.updated_us).where(
            secrets.c.organisation_id == organisation_id, secrets.c.name == name
        )
    ).one()
    return Secret(row.name, row.created_us, row.updated_us)


def sealed_value(connection: Connection, organisation_id: str, name: str) -> bytes:
    """Return the sealed value of a secret.

    Raises:
        NotFound: there is none of that name.
    """
    sealed = connection.scalar(
        select(secrets.c.sealed).where(
            secrets.c.organisation_id == organisation_id, secrets.c.name == name
        )
    )
    if sealed is None:
        raise _missing(name)
    return bytes(sealed)


def listing(connection: Connection, organisation_id: str) -> list[Secret]:
    """Return the organisation's secrets by name; never their values."""
    rows = connection.execute(
        select(secrets.c.name, secrets.c.created_us, secrets.c.updated_us)
        .where(secrets.c.organisation_id == organisation_id)
        .order_by(secrets.c.name)
    )
    return [Secret(row.name, row.created_us, row.updated_us) for row in rows]


def remove(connection: Connection, organisation_id: str, name: str) -> None:
    """Remove a secret.

    Raises:
        NotFound: there is none of that name.
    """
    gone = connection.execute(
        delete(secrets).where(secrets.c.organisation_id == organisation_id, secrets.c.name == name)
    ).rowcount
    if not gone:
        raise _missing(name)


def _missing(name: str) -> NotFound:
    return NotFound(
        f"There is no secret {name[:80]!a}. Set it with `longshore secret set`, or check its name."
    )

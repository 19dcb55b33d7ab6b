"""Secrets of the corpus: entries of the keystore that worker programs read by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from longshore.access import keystore
from longshore.access.keystore import Entry, Reader
from longshore.clock import iso
from longshore.errors import NotFound


def shown(entry: Entry) -> dict[str, Any]:
    """Return a secret as it is sent, without its value."""
    return {
        "name": entry.name,
        "created": iso(entry.created_us),
        "updated": iso(entry.updated_us),
    }


def value(connection: Connection, reader: Reader, name: str) -> str:
    """Return the value of a secret, or "" where there is none; the audit log has both."""
    return keystore.read(connection, reader, [name], scopes=[keystore.CORPUS]).get(name, "")


def store(
    connection: Connection, organisation_id: str, name: str, content: str, *, actor: str
) -> Entry:
    """Set a secret, whether it is there or not; raises as `keystore.put`."""
    return keystore.put(
        connection, organisation_id, name, content, scope=keystore.CORPUS, actor=actor
    )


def listing(connection: Connection, organisation_id: str) -> list[Entry]:
    """Return the organisation's secrets by name; never their values."""
    return keystore.listing(connection, organisation_id, scope=keystore.CORPUS)


def remove(connection: Connection, organisation_id: str, name: str) -> None:
    """Remove a secret; NotFound if there is none of that name."""
    keystore.remove(connection, organisation_id, name, scope=keystore.CORPUS)


def missing(name: str) -> NotFound:
    """Return what to raise for a secret that is not there."""
    return NotFound(
        f"There is no secret {name[:80]!a}. Set it with `longshore keystore set --corpus`, or "
        "check its name."
    )

"""Secrets that webhooks are signed with: made, changed without a gap, and kept for organisations.

They lie in the database as they are, for a signature cannot be made from a digest of its secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from longshore.access.tables import webhook_secrets
from longshore.clock import to_us
from longshore.errors import InvalidRequest
from longshore.limits import PAUSE_MAX_S
from longshore.storage import now_us
from longshore.wire.webhooks import new_secret


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, and when it ends: in microseconds, or None for when the next one is made."""

    secret: str
    until_us: int | None = None

    def __repr__(self) -> str:
        """Tell nothing of it, wherever it may be printed."""
        return f"Secret(until_us={self.until_us})"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the messages to a receiver are signed with, newest first; one or two of them."""

    entries: tuple[Secret, ...]

    @classmethod
    def fresh(cls) -> Secrets:
        """Return a secret that was just made."""
        return cls((Secret(new_secret()),))

    @classmethod
    def load(cls, text: str) -> Secrets:
        """Read what `text` wrote."""
        return cls(tuple(Secret(**entry) for entry in json.loads(text)))

    def text(self) -> str:
        """Return them as JSON, for the database."""
        return json.dumps(
            [{"secret": one.secret, "until_us": one.until_us} for one in self.entries]
        )

    @property
    def newest(self) -> str:
        """The one that a receiver should have."""
        return self.entries[0].secret

    def valid(self, at_us: int) -> list[str]:
        """Return those to sign with, newest first."""
        return [one.secret for one in self.entries if one.until_us is None or one.until_us > at_us]

    def rotated(self, at_us: int, keep_s: float | None) -> Secrets:
        """Return them with a new one in front, and the one before for so long beside it.

        Args:
            at_us: the time of the change.
            keep_s: how long messages are signed with the one before, too; None until the next
                change. Still older ones end at once.

        Raises:
            InvalidRequest: `keep_s` is out of range.
        """
        if keep_s is not None and not 0 <= keep_s <= PAUSE_MAX_S:
            raise InvalidRequest(
                f"keep_s is {keep_s:g}; give the seconds that the old secret stays valid, 0 or "
                "more, or null to keep it until the next change."
            )
        until_us = None if keep_s is None else at_us + to_us(keep_s)
        before = () if until_us == at_us else (Secret(self.newest, until_us),)
        return Secrets((Secret(new_secret()), *before))


def find_of_organisation(connection: Connection, organisation_id: str) -> Secrets | None:
    """Return an organisation's secrets, or None if none was made yet."""
    text = connection.execute(
        select(webhook_secrets.c.secrets).where(
            webhook_secrets.c.organisation_id == organisation_id
        )
    ).scalar()
    return None if text is None else Secrets.load(text)


def of_organisation(connection: Connection, organisation_id: str) -> Secrets:
    """Return an organisation's secrets, made if there are none."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        insert(webhook_secrets)
        .values(
            organisation_id=organisation_id,
            secrets=Secrets.fresh().text(),
            changed_us=now_us(connection),
        )
        .on_conflict_do_nothing()
    )
    found = find_of_organisation(connection, organisation_id)
    assert found is not None
    return found


def rotate_of_organisation(
    connection: Connection, organisation_id: str, *, keep_s: float | None
) -> Secrets:
    """Give an organisation a new secret; see `Secrets.rotated`."""
    of_organisation(connection, organisation_id)
    held = connection.execute(
        # Two changes at the same instant must not both start from the same secret.
        select(webhook_secrets.c.secrets)
        .where(webhook_secrets.c.organisation_id == organisation_id)
        .with_for_update()
    ).scalar_one()
    at_us = now_us(connection)
    changed = Secrets.load(held).rotated(at_us, keep_s)
    connection.execute(
        webhook_secrets.update()
        .where(webhook_secrets.c.organisation_id == organisation_id)
        .values(secrets=changed.text(), changed_us=at_us)
    )
    return changed

"""Sessions of the dashboard: begun with a one-time code or an API key, and bound to that key.

A person who is signed in is the key: its role, its organisation and its name in the audit log.
When the key is revoked or expires, its sessions are over.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from longshore import ids
from longshore.access import keys
from longshore.access.roles import Principal
from longshore.access.session_tables import sessions, sign_in_codes
from longshore.clock import SECOND_US
from longshore.errors import Unauthenticated
from longshore.storage import now_us

CODE_S: Final = 600
"""How long a one-time code works."""
SESSION_S: Final = 7 * 86_400
"""How long a person stays signed in."""
# Digits and capitals without those that look like others (I, L, O, U), as people type them.
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HALF: Final = 4
_LOOKALIKES: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_WRONG_CODE: Final = (
    "The code is wrong, too old or used already: each works once, for ten minutes. "
    "`longshore dashboard` prints a new link."
)
_NO_SESSION: Final = "You are not signed in, or no longer. Sign in again."


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was just begun; the token goes into the browser's cookie."""

    principal: Principal
    token: str = field(repr=False)


def make_code(connection: Connection, key_id: str, organisation_id: str) -> str:
    """Return a new code, such as "7K4Q-9XW2", that signs in once as the key."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(2 * _HALF))
    now = now_us(connection)
    connection.execute(
        insert(sign_in_codes).values(
            digest=_digest(letters),
            organisation_id=organisation_id,
            key_id=key_id,
            created_us=now,
            expires_us=now + CODE_S * SECOND_US,
        )
    )
    return f"{letters[:_HALF]}-{letters[_HALF:]}"


def redeem(connection: Connection, code: str) -> Session:
    """Begin a session with a one-time code; of many that try at once, one succeeds.

    Raises:
        Unauthenticated: the code is wrong, used or too old, or its key is no longer valid.
    """
    letters = code.strip().upper().replace("-", "").replace(" ", "").translate(_LOOKALIKES)
    now = now_us(connection)
    row = connection.execute(
        update(sign_in_codes)
        .where(
            sign_in_codes.c.digest == _digest(letters),
            sign_in_codes.c.used_us.is_(None),
            sign_in_codes.c.expires_us > now,
        )
        .values(used_us=now)
        .returning(sign_in_codes.c.key_id)
    ).one_or_none()
    if row is None:
        raise Unauthenticated(_WRONG_CODE)
    return _begin(connection, keys.principal(connection, row.key_id))


def begin(connection: Connection, token: str) -> Session:
    """Begin a session with an API key.

    Raises:
        Unauthenticated: the key is wrong, expired or revoked.
    """
    return _begin(connection, keys.authenticate(connection, token.strip()))


def identify(connection: Connection, token: str) -> Principal:
    """Return whom the token of a cookie stands for.

    Raises:
        Unauthenticated: the session is unknown, over, or its key is no longer valid.
    """
    key_id = connection.scalar(
        select(sessions.c.key_id).where(
            sessions.c.digest == _digest(token), sessions.c.expires_us > now_us(connection)
        )
    )
    if key_id is None:
        raise Unauthenticated(_NO_SESSION)
    return keys.principal(connection, key_id)


def end(connection: Connection, token: str) -> None:
    """Sign out; harmless when the session is over already."""
    connection.execute(delete(sessions).where(sessions.c.digest == _digest(token)))


def expire(connection: Connection) -> int:
    """Forget codes and sessions that are past their time; return how many."""
    now = now_us(connection)
    gone = 0
    for table in (sign_in_codes, sessions):
        gone += connection.execute(delete(table).where(table.c.expires_us <= now)).rowcount
    return gone


def _begin(connection: Connection, principal: Principal) -> Session:
    token = ids.secret()
    now = now_us(connection)
    connection.execute(
        insert(sessions).values(
            digest=_digest(token),
            organisation_id=principal.organisation_id,
            key_id=principal.key_id,
            created_us=now,
            expires_us=now + SESSION_S * SECOND_US,
        )
    )
    return Session(principal, token)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()

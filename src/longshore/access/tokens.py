"""Tokens of attempts: what a program may call the server with while a worker runs it.

`lt_<id>_<secret>`, one for each attempt. It ends with the attempt; whether that still runs is the
engine's to say, so the one who asks here looks there as well.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, insert, literal, select

from longshore import ids
from longshore.access import keys
from longshore.access.roles import Principal, Role
from longshore.access.tables import organisations, work_tokens
from longshore.errors import Unauthenticated
from longshore.storage import notify, now_us

TOKEN: Final = re.compile(r"lt_([0-9a-v]{26})_([0-9A-Za-z_-]{43})")
REFUSAL: Final = (
    "The token is wrong, or the attempt that it was made for is over. A program gets its token "
    "from the worker that starts it; use an API key elsewhere."
)
_KIND: Final = "lt"
_DUMMY_DIGEST: Final = "0" * 64


def create(
    connection: Connection, organisation_id: str, work_id: str, attempt: int, *, surface: str
) -> str:
    """Make the token of an attempt, which opens the routes of `surface` only, and return it.

    Those of earlier attempts are forgotten.
    """
    forget(connection, [work_id])
    token_id, secret = ids.new(_KIND), ids.secret()
    connection.execute(
        insert(work_tokens).values(
            id=token_id,
            organisation_id=organisation_id,
            work_id=work_id,
            attempt=attempt,
            surface=surface,
            digest=_digest(secret),
            created_us=now_us(connection),
        )
    )
    return f"{token_id}_{secret}"


def forget(connection: Connection, work_ids: Sequence[str]) -> None:
    """End the tokens of works at once, on every server."""
    ended = connection.execute(
        delete(work_tokens).where(work_tokens.c.work_id.in_(work_ids)).returning(work_tokens.c.id)
    )
    for token_id in ended.scalars():
        notify(connection, keys.topic(token_id))


def identify(connection: Connection, token: str) -> Principal:
    """Return whom a token stands for; its `work` is the attempt that must still run.

    Raises:
        Unauthenticated: the token is malformed, unknown or wrong; the message does not say which.
    """
    match = TOKEN.fullmatch(token)
    if match is None:
        raise Unauthenticated(REFUSAL)
    token_id = f"{_KIND}_{match[1]}"
    # One row comes back in any case, as for API keys.
    stored = connection.scalar(
        select(work_tokens.c.digest)
        .where(work_tokens.c.id == token_id)
        .union_all(select(literal(_DUMMY_DIGEST)))
        .limit(1)
    )
    if not hmac.compare_digest(_digest(match[2]), str(stored)):
        raise Unauthenticated(REFUSAL)
    row = connection.execute(
        select(work_tokens, organisations.c.name)
        .join(organisations, organisations.c.id == work_tokens.c.organisation_id)
        .where(work_tokens.c.id == token_id)
    ).one()
    return Principal(
        key_id=token_id,
        key_name=f"attempt {row.attempt} of {row.work_id}",
        organisation_id=row.organisation_id,
        organisation_name=row.name,
        workspace_id=None,
        workspace_name=None,
        role=Role.WORKER,
        work=(row.work_id, row.attempt),
        surface=row.surface,
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()

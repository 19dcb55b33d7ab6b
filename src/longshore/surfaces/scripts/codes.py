"""One-time access codes (CA_ACCESS_CODE): a step swaps its code for the token of its attempt.

`ac_` and 256 random bits. Only hashes are kept, a code is good for one attempt of one step, once
and for a short time. Long-lived programs outside use an API key in its place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from longshore import ids
from longshore.access import keys, tokens
from longshore.access.tables import organisations
from longshore.clock import to_us
from longshore.errors import Unauthenticated
from longshore.storage import mark, now_us
from longshore.surfaces.scripts import SURFACE, callers
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import scripts_codes

SWAPPED: Final = "code_swapped"
"""Marks a transaction in which a code was used up."""
CODE: Final = re.compile(r"ac_[0-9A-Za-z_-]{43}")
REFUSAL: Final = (
    "The access code is wrong, used up or expired, or it belongs to another environment or to an "
    "attempt that is over. A step gets its code from the worker that starts it, for one Init; "
    "programs outside use an API key with the role ingress as their code."
)
"""What every refusal says, so that it tells nothing of what is known here."""


def create(
    connection: Connection, organisation_id: str, work_id: str, attempt: int, ttl_s: float
) -> str:
    """Make the access code of an attempt, valid for `ttl_s` seconds, and return it.

    Codes that the work had before are void.
    """
    forget(connection, [work_id])
    code = f"ac_{ids.secret()}"
    now = now_us(connection)
    connection.execute(
        insert(scripts_codes).values(
            digest=_digest(code),
            organisation_id=organisation_id,
            work_id=work_id,
            attempt=attempt,
            created_us=now,
            expires_us=now + to_us(ttl_s),
        )
    )
    return code


def check(connection: Connection, code: str, *, environment: str | None = None) -> None:
    """Raise Unauthenticated where `swap` would, without writing.

    Whoever tries codes at random is to cost the server no write.
    """
    _usable(connection, code, environment, lock=False)


def swap(connection: Connection, code: str, *, environment: str | None = None) -> str:
    """Use a code up and return the token of its attempt.

    `environment`, where given, must name the organisation.

    Raises:
        Unauthenticated: the code cannot be used, in the same words whatever the cause.
    """
    digest, organisation_id, work_id, attempt = _usable(connection, code, environment, lock=True)
    now = now_us(connection)
    used = connection.execute(
        update(scripts_codes)
        .where(
            scripts_codes.c.digest == digest,
            scripts_codes.c.used_us.is_(None),
            scripts_codes.c.expires_us > now,
        )
        .values(used_us=now)
        .returning(scripts_codes.c.digest)
    )
    # Of those who come at once, one finds the code unused.
    if used.scalar() is None:
        raise Unauthenticated(REFUSAL)
    mark(connection, SWAPPED)
    return tokens.create(connection, organisation_id, work_id, attempt, surface=SURFACE)


def check_key(connection: Connection, key: str, *, environment: str | None = None) -> None:
    """Raise Unauthenticated unless `key` is an API key that may stand in for a code."""
    try:
        principal = keys.authenticate(connection, key)
    except Unauthenticated:
        raise Unauthenticated(REFUSAL) from None
    if environment is not None and fold(environment) != fold(principal.organisation_name):
        raise Unauthenticated(REFUSAL)


def forget(connection: Connection, work_ids: Sequence[str]) -> None:
    """Void the codes of works, whose attempts are over."""
    connection.execute(delete(scripts_codes).where(scripts_codes.c.work_id.in_(work_ids)))


def sweep(connection: Connection, *, limit: int = 1_000) -> int:
    """Remove codes whose time is over; return how many. A regular pass."""
    expired = (
        select(scripts_codes.c.digest)
        .where(scripts_codes.c.expires_us <= now_us(connection))
        .order_by(scripts_codes.c.expires_us)
        .limit(limit)
    )
    return connection.execute(
        delete(scripts_codes).where(scripts_codes.c.digest.in_(expired.scalar_subquery()))
    ).rowcount


def _usable(
    connection: Connection, code: str, environment: str | None, *, lock: bool
) -> tuple[str, str, str, int]:
    """Return digest, organisation, work and attempt of a code that could be used now."""
    if CODE.fullmatch(code) is None:
        raise Unauthenticated(REFUSAL)
    digest = _digest(code)
    row = connection.execute(
        select(scripts_codes, organisations.c.folded)
        .join(organisations, organisations.c.id == scripts_codes.c.organisation_id)
        .where(scripts_codes.c.digest == digest)
    ).one_or_none()
    if (
        row is None
        or row.used_us is not None
        or row.expires_us <= now_us(connection)
        or (environment is not None and fold(environment) != row.folded)
        or not callers.runs(connection, row.organisation_id, row.work_id, row.attempt, lock=lock)
    ):
        raise Unauthenticated(REFUSAL)
    return digest, row.organisation_id, row.work_id, row.attempt


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("ascii")).hexdigest()

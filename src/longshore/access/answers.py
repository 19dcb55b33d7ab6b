"""Answers kept for idempotency keys, each written in the transaction of its effect.

A request that is sent again with the same `Idempotency-Key` gets the answer of the first one
and changes nothing. Keys belong to the API key that sent them, so that nobody can fetch an
answer given to someone else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.access.tables import answers
from longshore.clock import to_us
from longshore.errors import IdempotencyConflict
from longshore.storage import now_us


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def begin(
    connection: Connection, key_id: str, idempotency_key: str, fingerprint: str
) -> Answer | None:
    """Take the idempotency key for this transaction, or return the answer that it has.

    Two requests at the same instant are put in order by the primary key: the second waits for
    the first to commit and then finds its answer.

    Raises:
        IdempotencyConflict: the key was used before for a request with another fingerprint.
    """
    now = now_us(connection)
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        delete(answers).where(
            answers.c.key_id == key_id,
            answers.c.idempotency_key == idempotency_key,
            answers.c.created_us < now - to_us(limits.IDEMPOTENCY_S),
        )
    )
    taken = connection.execute(
        insert(answers)
        .values(
            key_id=key_id,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            status=0,
            headers="{}",
            body=b"",
            created_us=now,
        )
        .on_conflict_do_nothing()
        .returning(answers.c.status)
    ).one_or_none()
    if taken is not None:
        return None
    row = connection.execute(
        select(answers).where(
            answers.c.key_id == key_id, answers.c.idempotency_key == idempotency_key
        )
    ).one()
    if row.fingerprint != fingerprint:
        raise IdempotencyConflict(
            f"The Idempotency-Key {idempotency_key[:80]!r} was used before for a different "
            "request. Use a new one for each request, and the same one only to repeat it.",
            details={"idempotency_key": idempotency_key},
        )
    return Answer(row.status, json.loads(row.headers), row.body)


def keep(connection: Connection, key_id: str, idempotency_key: str, answer: Answer) -> None:
    """Store the answer of the request that `begin` let through."""
    connection.execute(
        update(answers)
        .where(answers.c.key_id == key_id, answers.c.idempotency_key == idempotency_key)
        .values(status=answer.status, headers=json.dumps(answer.headers), body=answer.body)
    )


def expire(connection: Connection, limit: int = 1_000) -> int:
    """Delete up to `limit` answers that are too old to be asked for; return how many went."""
    old = (
        select(answers.c.key_id, answers.c.idempotency_key)
        .where(answers.c.created_us < now_us(connection) - to_us(limits.IDEMPOTENCY_S))
        .limit(limit)
    )
    rows = connection.execute(old).all()
    for row in rows:
        connection.execute(
            delete(answers).where(
                answers.c.key_id == row.key_id, answers.c.idempotency_key == row.idempotency_key
            )
        )
    return len(rows)

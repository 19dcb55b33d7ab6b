"""Telling a deposit that is sent again because its answer was lost from one that is meant.

The published client sends a deposit again for 30 seconds when it gets no answer, and nothing in
the request says so: a work that is deposited twice on purpose is byte for byte the same. What
tells them apart is whether the first answer arrived. So each deposit leaves a note in its own
transaction, which is taken away once the answer was read: the client asks again on the same
connection, or closes it in good order. A request that finds a note of the same key and bytes is
a retry, and gets the ids of the note.

A twin can still arise where the connection tells us nothing: a network that swallows the answer
in silence, so that the connection looks open when the client, having waited in vain, sends the
works again on another; and a proxy in front of us that reads the answer and then fails.

A client that sends an Idempotency-Key (our SDK does) needs none of this.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Delete, Select, Text, bindparam, delete, select

from longshore.clock import to_us
from longshore.errors import LongshoreError
from longshore.storage import Database, now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.buckets.tables import bucket_deposits

RETRY_S: Final = 120.0
"""How long a note counts: the client tries for 30 s, and waits up to 60 s for each answer."""
YOUNGEST_S: Final = 0.1
"""The client pauses at least so long before it tries again; what comes sooner is meant."""
TIDY_S: Final = 0.05
"""How long notes that are not needed any more are gathered before they are deleted."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Note:
    """One deposit as it arrived.

    Attributes:
        digest: of the key and the bytes; the same for a retry.
        name: of the note that this request leaves, unique among those of the digest.
        retry: whether it may be a retry of another one. It is not while the client of an earlier
            one with the same digest is still connected to us: that one is not given up.
    """

    digest: str
    name: str
    retry: bool


def digest_of(key_id: str, *parts: bytes) -> str:
    """Return what a deposit and its retries have in common."""
    found = hashlib.sha256(key_id.encode())
    for part in parts:
        found.update(b"\n%d\n" % len(part))
        found.update(part)
    return found.hexdigest()


def known(connection: Connection, notes: Sequence[Note]) -> dict[str, tuple[str, list[str]]]:
    """Return the notes that `notes` are retries of: name and ids, by the name of the retry."""
    asking = [note for note in notes if note.retry]
    if not asking:
        return {}
    at_us = now_us(connection)
    dialect = connection.dialect.name
    rows = connection.execute(
        _noted(dialect),
        {
            "oldest_us": at_us - to_us(RETRY_S),
            "youngest_us": at_us - to_us(YOUNGEST_S),
            **given_parameters(dialect, [(note.digest,) for note in asking], 1),
        },
    )
    by_digest = {row.digest: (row.digest, json.loads(row.ids)) for row in rows}
    return {note.name: by_digest[note.digest] for note in asking if note.digest in by_digest}


def keep(connection: Connection, notes: Sequence[tuple[Note, list[str]]]) -> None:
    """Leave notes of deposits, in their transaction."""
    at_us = now_us(connection)
    rows = [(note.name, at_us, json.dumps(ids)) for note, ids in notes]
    insert_rows(connection, bucket_deposits, ("digest", "at_us", "ids"), rows, replace_on="digest")


def expire(connection: Connection) -> dict[str, int]:
    """Delete the notes that are too old to matter; a pass of the server."""
    before_us = now_us(connection) - to_us(RETRY_S)
    gone = connection.execute(delete(bucket_deposits).where(bucket_deposits.c.at_us <= before_us))
    return {"notes": gone.rowcount}


class Answers:
    """Which deposits are being answered by this server, and which notes can go."""

    def __init__(self, database: Database) -> None:
        """Take notes away from `database`."""
        self._database = database
        self._open: dict[str, int] = {}
        self._numbers = itertools.count(1)
        # What was delivered, until its note is gone for good: the same bytes again are meant.
        self._delivered: set[str] = set()
        self._tidying: asyncio.Task[None] | None = None

    def begin(self, digest: str) -> Note:
        """Note that a deposit has arrived; `end` must follow."""
        count = self._open.get(digest, 0)
        self._open[digest] = count + 1
        if count == 0:
            return Note(digest, digest, retry=digest not in self._delivered)
        # The same bytes are being deposited at this moment by a client that waits for its answer.
        return Note(digest, f"{digest}.{next(self._numbers)}", retry=False)

    def abandoned(self, note: Note) -> None:
        """Note that the client of a deposit has gone without its answer."""
        self._close(note)

    def delivered(self, note: Note, names: Collection[str]) -> None:
        """Note that the answer is out, so that the notes `names` can go."""
        self._close(note)
        self._delivered.update(names)
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy(), name="notes of deposits")

    async def _tidy(self) -> None:
        while self._delivered:
            await asyncio.sleep(TIDY_S)
            names = sorted(self._delivered)
            try:
                await self._database.write(_remove, names)
            except LongshoreError as error:
                # They expire by themselves. A server that starts meanwhile takes the same bytes
                # for a retry.
                _log.warning("notes of deposits were not deleted: %s", error)
            self._delivered.difference_update(names)

    def _close(self, note: Note) -> None:
        count = self._open.get(note.digest, 0) - 1
        if count > 0:
            self._open[note.digest] = count
        else:
            self._open.pop(note.digest, None)


def _remove(connection: Connection, names: Sequence[str]) -> None:
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(name,) for name in names], 1)
    connection.execute(_removal(dialect), given)


# One statement for any number of notes: these run hundreds of times a second.


@cache
def _noted(dialect: str) -> Select[Any]:
    given = given_rows(dialect, digest=Text)
    return (
        select(bucket_deposits)
        .join(given, given.c.digest == bucket_deposits.c.digest)
        .where(
            bucket_deposits.c.at_us > bindparam("oldest_us", type_=BigInteger),
            bucket_deposits.c.at_us <= bindparam("youngest_us", type_=BigInteger),
        )
    )


@cache
def _removal(dialect: str) -> Delete:
    given = given_rows(dialect, digest=Text)
    return delete(bucket_deposits).where(bucket_deposits.c.digest.in_(select(given.c.digest)))

"""Multipart uploads: a large file in parts, put together when all have arrived.

A session is open until it is committed or aborted, or until it lay idle for
`limits.UPLOAD_SESSION_S`. Parts are numbered from 1; each has exactly the part size but for the
last. Sending a part again replaces it, and a commit that is sent again is accepted, because
clients repeat a request whose answer was lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from longshore import ids, limits
from longshore.access import Principal
from longshore.clock import to_us
from longshore.edge.files import StoredFile
from longshore.engine import artifacts
from longshore.errors import Conflict, InvalidRequest, NotFound, TooLarge
from longshore.storage import now_us
from longshore.surfaces.apps import batches, files, naming
from longshore.surfaces.apps.files import Gone
from longshore.surfaces.apps.tables import upload_parts, upload_sessions
from longshore.wire import apps as wire


@dataclass(frozen=True, slots=True)
class Session:
    """A multipart upload."""

    id: str
    organisation_id: str
    batch_id: int
    name: str
    size_bytes: int
    part_bytes: int
    state: str
    committed_parts: str | None

    @property
    def parts(self) -> int:
        """How many parts the file has."""
        return -(-self.size_bytes // self.part_bytes)

    def part_size(self, number: int) -> int:
        """Return the size of a part, in bytes."""
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)


@dataclass(frozen=True, slots=True)
class Part:
    """A stored part."""

    part_number: int
    id: str
    blob_id: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that may go ahead: the parts in their order, or None when it was done before."""

    session: Session
    parts: list[Part] | None


_COLUMNS = [upload_sessions.c[name] for name in Session.__dataclass_fields__]
_PART_COLUMNS = [upload_parts.c[name] for name in Part.__dataclass_fields__]


def create(
    connection: Connection, principal: Principal, request: wire.UploadRequest
) -> wire.UploadSession:
    """Open a session for one file of a batch.

    Raises:
        NotFound, Conflict: see `batches.usable`.
        InvalidRequest: the name may not be one, or the size is 0 or less.
        TooLarge: the size is beyond `limits.MULTIPART_FILE_BYTES`.
    """
    batch = batches.usable(connection, principal, request.batch_id)
    name = naming.checked_file_name(request.filename)
    naming.checked_path(batch.path(name))
    batches.refuse_empty(max(request.file_size, 0), name)
    if request.file_size > limits.MULTIPART_FILE_BYTES:
        raise TooLarge(
            f"The file has {request.file_size} bytes and may have {limits.MULTIPART_FILE_BYTES}. "
            "Split it.",
            details={"limit_bytes": limits.MULTIPART_FILE_BYTES},
        )
    at_us = now_us(connection)
    session_id = ids.new(ids.SESSION)
    connection.execute(
        insert(upload_sessions).values(
            id=session_id,
            organisation_id=batch.organisation_id,
            batch_id=batch.id,
            name=name,
            size_bytes=request.file_size,
            part_bytes=limits.PART_BYTES,
            state="open",
            created_us=at_us,
            touched_us=at_us,
        )
    )
    return wire.UploadSession(session_id=session_id, part_size=limits.PART_BYTES)


def expected_size(
    connection: Connection, principal: Principal, session_id: str, number: int
) -> int:
    """Return the size that a part must have, in bytes.

    Raises:
        NotFound: there is no such session.
        Conflict: it is not open any more.
        InvalidRequest: the file has no part of that number.
    """
    session = _open(connection, principal, session_id)
    if not 1 <= number <= session.parts:
        raise InvalidRequest(
            f"There is no part {number}: a file of {session.size_bytes} bytes has the parts 1 to "
            f"{session.parts} of {session.part_bytes} bytes."
        )
    return session.part_size(number)


def add_part(
    connection: Connection,
    principal: Principal,
    session_id: str,
    number: int,
    stored: StoredFile,
) -> wire.UploadPart:
    """Add received bytes as a part; the same part again replaces the first.

    Raises:
        NotFound, Conflict: see `expected_size`.
        InvalidRequest: the part has not the size that it must have.
    """
    _touch(connection, session_id)
    size = expected_size(connection, principal, session_id, number)
    if stored.size_bytes != size:
        raise InvalidRequest(
            f"Part {number} has {stored.size_bytes} bytes and must have {size}. Send each part "
            "with exactly part_size bytes, and the rest in the last one."
        )
    before = _parts(connection, session_id, number)
    if before and before[0].sha256 == stored.sha256:
        # The same bytes once more: the first part stays, and its id with it.
        return wire.UploadPart(part_id=before[0].id, part_num=number)
    artifacts.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    if before:
        _drop_parts(connection, session_id, before)
    part_id = ids.new(ids.PART)
    connection.execute(
        insert(upload_parts).values(
            session_id=session_id,
            part_number=number,
            id=part_id,
            blob_id=stored.blob_id,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
        )
    )
    return wire.UploadPart(part_id=part_id, part_num=number)


def check_commit(
    connection: Connection,
    principal: Principal,
    session_id: str,
    named: Sequence[wire.CommittedPart],
) -> Commit:
    """Return the parts to be put together, in order.

    Raises:
        NotFound: there is no such session.
        Conflict: it was aborted, or committed with other parts.
        InvalidRequest: parts are missing, out of order or not the ones that were stored.
    """
    session = _require(connection, principal, session_id)
    if session.state == "committed" and session.committed_parts == _names(named):
        return Commit(session, None)
    session = _open(connection, principal, session_id)
    numbers = [part.part_num for part in named]
    if numbers != list(range(1, session.parts + 1)):
        raise InvalidRequest(
            f"The commit names the parts {numbers[:10]}; it must name 1 to {session.parts} in "
            "order, each once. Send what is missing, then commit again."
        )
    stored = {part.part_number: part for part in _parts(connection, session_id)}
    for part in named:
        present = stored.get(part.part_num)
        if present is None or present.id != part.part_id:
            why = "was not received" if present is None else "has another part_id"
            raise InvalidRequest(
                f"Part {part.part_num} {why}. Send the part again and commit with the part_id of "
                "its answer."
            )
    return Commit(session, [stored[number] for number in numbers])


def commit(
    connection: Connection,
    principal: Principal,
    session_id: str,
    named: Sequence[wire.CommittedPart],
    whole: StoredFile,
) -> str:
    """Make the file that was put together from the parts one of the batch; return its path.

    Raises:
        NotFound, Conflict, InvalidRequest: see `check_commit` and `batches.add_file`.
    """
    _touch(connection, session_id)
    checked = check_commit(connection, principal, session_id, named)
    session = checked.session
    batch = batches.require(connection, principal, session.batch_id)
    if checked.parts is None:
        # A repeat of this commit was quicker; its file is the same.
        return batch.path(session.name)
    path = batches.add_file(connection, principal, session.batch_id, session.name, whole)
    _close(connection, session_id, "committed", _names(named))
    return path


def abort(connection: Connection, principal: Principal, session_id: str) -> None:
    """Throw everything away that was sent; doing so again is fine.

    Raises:
        NotFound: there is no such session.
        Conflict: it was committed.
    """
    session = _require(connection, principal, session_id)
    if session.state != "aborted":
        _open(connection, principal, session_id)
        _close(connection, session_id, "aborted", None)


def expire(connection: Connection, *, limit: int = 100) -> int:
    """Delete sessions that lay idle for too long, with their parts; return how many."""
    old_us = now_us(connection) - to_us(limits.UPLOAD_SESSION_S)
    old = connection.execute(
        select(upload_sessions.c.id).where(upload_sessions.c.touched_us < old_us).limit(limit)
    ).scalars()
    return sum(_forget(connection, session_id).rows > 0 for session_id in list(old))


def forget_some_of_batch(connection: Connection, batch_id: int, *, limit: int = 10) -> Gone:
    """Delete up to `limit` sessions of a batch with their parts; repeat until no row is gone."""
    found = connection.execute(
        select(upload_sessions.c.id).where(upload_sessions.c.batch_id == batch_id).limit(limit)
    ).scalars()
    return sum((_forget(connection, session_id) for session_id in list(found)), Gone())


def _require(connection: Connection, principal: Principal, session_id: str) -> Session:
    row = connection.execute(
        select(*_COLUMNS).where(
            upload_sessions.c.id == session_id,
            upload_sessions.c.organisation_id == principal.organisation_id,
        )
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no upload session {session_id[:80]!a}. It may have expired after lying "
            f"idle for {limits.UPLOAD_SESSION_S / 3600:.0f} hours; create a new one."
        )
    batches.require(connection, principal, row.batch_id)
    return _session(row)


def _open(connection: Connection, principal: Principal, session_id: str) -> Session:
    session = _require(connection, principal, session_id)
    if session.state != "open":
        raise Conflict(
            f"The upload session was {session.state}, so nothing can be added to it or done with "
            "it. Create a new one."
        )
    return session


def _parts(connection: Connection, session_id: str, number: int | None = None) -> list[Part]:
    query = select(*_PART_COLUMNS).where(upload_parts.c.session_id == session_id)
    if number is not None:
        query = query.where(upload_parts.c.part_number == number)
    return [Part(**row._asdict()) for row in connection.execute(query)]


def _names(parts: Sequence[wire.CommittedPart]) -> str:
    return json.dumps([part.part_id for part in parts])


def _touch(connection: Connection, session_id: str) -> None:
    # First in a transaction: the row's lock puts parts and commits of one session in order.
    connection.execute(
        update(upload_sessions)
        .where(upload_sessions.c.id == session_id)
        .values(touched_us=now_us(connection))
    )


def _close(
    connection: Connection, session_id: str, state: str, committed_parts: str | None
) -> None:
    _drop_parts(connection, session_id, _parts(connection, session_id))
    connection.execute(
        update(upload_sessions)
        .where(upload_sessions.c.id == session_id)
        .values(state=state, committed_parts=committed_parts, touched_us=now_us(connection))
    )


def _drop_parts(connection: Connection, session_id: str, parts: Sequence[Part]) -> Gone:
    connection.execute(
        delete(upload_parts).where(
            upload_parts.c.session_id == session_id,
            upload_parts.c.part_number.in_([part.part_number for part in parts]),
        )
    )
    return Gone(len(parts)) + files.release(connection, [part.blob_id for part in parts])


def _forget(connection: Connection, session_id: str) -> Gone:
    gone = _drop_parts(connection, session_id, _parts(connection, session_id))
    connection.execute(delete(upload_sessions).where(upload_sessions.c.id == session_id))
    return gone + Gone(rows=1)


def _session(row: Row[Any]) -> Session:
    return Session(**row._asdict())

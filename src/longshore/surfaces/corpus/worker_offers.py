"""Entering workers and their versions: what `longshore worker` offers, and what people enter.

Elements that a version has processed are not processed by it again, so a version does not change
what it does: once a process has used it, another configuration needs another version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.engine import queues
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import (
    corpus_worker_runs,
    corpus_worker_versions,
    corpus_workers,
)
from longshore.surfaces.corpus.workers import SURFACE, Version, get, of_row, selection
from longshore.wire.tasks import WorkerConfiguration, WorkerOffer

BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TEXT_CHARACTERS: Final = 1_000
_NOTHING: Final = WorkerConfiguration()


def offer(connection: Connection, organisation_id: str, offers: Sequence[WorkerOffer]) -> list[int]:
    """Enter the versions that somebody can run; return the queue of each one's tasks, in order.

    Raises:
        InvalidRequest: a slug, version or configuration cannot be one, or a process has used the
            version with another configuration.
    """
    return [enter(connection, organisation_id, each).queue_id for each in offers]


def enter(connection: Connection, organisation_id: str, offered: WorkerOffer) -> Version:
    """Make a worker and a version of it, or change what is said of those there are.

    An offer without a configuration leaves the one that is known: the command of a published
    worker says nothing of its own.

    Raises:
        InvalidRequest: see `offer`.
    """
    _check(offered)
    worker_id = _ensure_worker(connection, organisation_id, offered)
    wanted = (
        corpus_worker_versions.c.worker_id == worker_id,
        corpus_worker_versions.c.version == offered.version,
    )
    found = connection.execute(selection().where(*wanted)).one_or_none()
    if found is None:
        values = {
            "id": ids.uuid(),
            "worker_id": worker_id,
            "organisation_id": organisation_id,
            "version": offered.version,
            "kind": offered.kind,
            "configuration": msgspec.json.encode(offered.configuration).decode(),
            "queue_id": _ensure_queue(connection, organisation_id, offered),
            "created_us": now_us(connection),
        }
        _insert(connection, corpus_worker_versions, values)
        found = connection.execute(selection().where(*wanted)).one()
    _revise(connection, of_row(found), offered)
    return get(connection, organisation_id, found.id)


def _check(offered: WorkerOffer) -> None:
    for field in ("slug", "version"):
        given = getattr(offered, field)
        if _NAME.fullmatch(given) is None:
            raise refusal(
                f"{field}: {given[:80]!a} has not 1 to 100 letters (a-z, A-Z), digits, '.', '_' and "
                "'-', the first of them a letter or a digit.",
                field,
            )
    for field in ("name", "type"):
        if len(getattr(offered, field)) > limits.NAME_CHARACTERS:
            raise refusal(f"{field}: it may have {limits.NAME_CHARACTERS} characters.", field)
    if not 1 <= offered.attempts_max <= limits.ATTEMPTS:
        raise refusal(
            f"attempts_max: it is {offered.attempts_max}; give 1 to {limits.ATTEMPTS}.",
            "attempts_max",
        )
    if len(msgspec.json.encode(offered.configuration)) > limits.WORKER_CONFIGURATION_BYTES:
        raise refusal(
            f"configuration: it may have {limits.WORKER_CONFIGURATION_BYTES} bytes as JSON.",
            "configuration",
        )


def _revise(connection: Connection, known: Version, offered: WorkerOffer) -> None:
    """Take over what an offer says anew of a version."""
    # The command of a published worker has no name of its own, and its type is a guess.
    fields = ["name", "description", *(["type"] if offered.name or offered.description else [])]
    changes = {
        field: text
        for field in fields
        if (text := getattr(offered, field)[:_TEXT_CHARACTERS]) and text != getattr(known, field)
    }
    if changes:
        chosen = corpus_workers.c.id == known.worker_id
        connection.execute(update(corpus_workers).where(chosen).values(changes))
    if offered.configuration not in (_NOTHING, known.configuration):
        used = select(corpus_worker_runs.c.id).where(
            corpus_worker_runs.c.worker_version_id == known.id
        )
        if connection.execute(used.limit(1)).first() is not None:
            raise InvalidRequest(
                f"Worker {known.slug} {known.version} was used by a process with another "
                "configuration than it is offered with now. Give it a new version, so that it is "
                "known which elements were processed with which."
            )
        connection.execute(
            update(corpus_worker_versions)
            .where(corpus_worker_versions.c.id == known.id)
            .values(configuration=msgspec.json.encode(offered.configuration).decode())
        )
    queue = queues.get(connection, known.queue_id)
    if queue.attempts_max != offered.attempts_max:
        queues.configure(connection, queue.id, attempts_max=offered.attempts_max)


def _ensure_worker(connection: Connection, organisation_id: str, offered: WorkerOffer) -> str:
    query = select(corpus_workers.c.id).where(
        corpus_workers.c.organisation_id == organisation_id, corpus_workers.c.slug == offered.slug
    )
    found = connection.scalar(query)
    if found is None:
        values = {
            "id": ids.uuid(),
            "organisation_id": organisation_id,
            "slug": offered.slug,
            "name": offered.name or offered.slug,
            "type": offered.type,
            "description": offered.description[:_TEXT_CHARACTERS],
            "created_us": now_us(connection),
        }
        _insert(connection, corpus_workers, values)
        found = connection.scalar(query)
    return str(found)


def _ensure_queue(connection: Connection, organisation_id: str, offered: WorkerOffer) -> int:
    return queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SURFACE,
        name=f"{offered.slug}/{offered.version}",
        attempts_max=offered.attempts_max,
        backoff_s=BACKOFF_S,
        backoff_max_s=BACKOFF_MAX_S,
        # What an attempt that was lost still holds is handed back, and its token ends.
        notices=True,
        successes_told=False,
    )


def _insert(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Insert a row, unless another server has entered the same meanwhile."""
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(table).values(values))

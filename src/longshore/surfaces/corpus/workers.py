"""Workers and their versions, as `longshore worker` offers them or people enter them.

Elements that a version has processed are not processed by it again, so a version does not change
what it does: once a process has used it, another configuration needs another version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.clock import iso
from longshore.engine import queues
from longshore.engine import workers as online
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import (
    corpus_worker_runs,
    corpus_worker_versions,
    corpus_workers,
)
from longshore.wire.tasks import WorkerConfiguration, WorkerOffer

SURFACE: Final = "corpus"
"""Surface of the queues in which tasks wait for `longshore worker`."""
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TEXT_CHARACTERS: Final = 1_000
_LISTED: Final = 10
_NOTHING: Final = WorkerConfiguration()


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a worker, with what is known of the worker."""

    id: str
    worker_id: str
    organisation_id: str
    version: str
    kind: str
    configuration: WorkerConfiguration
    queue_id: int
    created_us: int
    slug: str
    name: str
    type: str
    description: str

    @property
    def title(self) -> str:
        """How people are told of it."""
        return f"{self.name} {self.version}"


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
    found = connection.execute(_selection().where(*wanted)).one_or_none()
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
        found = connection.execute(_selection().where(*wanted)).one()
    _revise(connection, _version(found), offered)
    return get(connection, organisation_id, found.id)


def get(connection: Connection, organisation_id: str, version_id: str) -> Version:
    """Return a version of a worker.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(version_id)
    row = None
    if given is not None:
        query = _selection().where(
            corpus_worker_versions.c.id == given,
            corpus_worker_versions.c.organisation_id == organisation_id,
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no version of a worker {version_id[:80]}.")
    return _version(row)


def get_many(connection: Connection, version_ids: Sequence[str]) -> dict[str, Version]:
    """Return versions by id, for ids that are known to be right."""
    rows = connection.execute(
        _selection().where(corpus_worker_versions.c.id.in_(list(version_ids)))
    )
    return {row.id: _version(row) for row in rows}


def of_queue(connection: Connection, queue_id: int) -> Version:
    """Return the version whose tasks wait in a queue."""
    query = _selection().where(corpus_worker_versions.c.queue_id == queue_id)
    return _version(connection.execute(query).one())


def named(
    connection: Connection,
    organisation_id: str,
    slug: str,
    version: str | None,
    *attr: str | int,
) -> Version:
    """Return the version that a body names: the one that was entered last, unless it says which.

    Raises:
        InvalidRequest: there is no such worker or version; the message lists those there are.
    """
    rows = connection.execute(
        _selection()
        .where(
            corpus_workers.c.organisation_id == organisation_id,
            (corpus_workers.c.slug == slug) | (corpus_workers.c.id == uuid_of(slug)),
        )
        .order_by(corpus_worker_versions.c.created_us, corpus_worker_versions.c.id)
    ).all()
    if not rows:
        known = _slugs(connection, organisation_id)
        raise refusal(
            f"There is no worker {slug[:80]!a}. {known} Start `longshore worker` with the file that "
            "has it, or enter it first.",
            *attr,
            "worker",
            code="does_not_exist",
        )
    if version is None:
        return _version(rows[-1])
    for row in rows:
        if version in (row.version, row.id):
            return _version(row)
    versions = ", ".join(row.version for row in rows[-_LISTED:])
    raise refusal(
        f"Worker {rows[0].slug} has no version {version[:80]!a}; it has {versions}.",
        *attr,
        "version",
        code="does_not_exist",
    )


def worker(connection: Connection, organisation_id: str, worker_id: str) -> Row[Any]:
    """Return a worker's row.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(worker_id)
    row = None
    if given is not None:
        query = select(corpus_workers).where(
            corpus_workers.c.id == given, corpus_workers.c.organisation_id == organisation_id
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no worker {worker_id[:80]}.")
    return row


def listing(
    connection: Connection, organisation_id: str, name: str | None, page: Page
) -> dict[str, Any]:
    """Return a page of the organisation's workers by slug.

    Raises:
        NotFound: there is no such page.
    """
    query = select(corpus_workers).where(corpus_workers.c.organisation_id == organisation_id)
    if name:
        text = name.casefold()
        query = query.where(
            func.lower(corpus_workers.c.name).contains(text, autoescape=True)
            | func.lower(corpus_workers.c.slug).contains(text, autoescape=True)
        )
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = connection.execute(
        query.order_by(corpus_workers.c.slug).offset(page.offset).limit(page.size)
    )
    return page.answer([show_worker(row) for row in rows], count)


def versions(
    connection: Connection, organisation_id: str, worker_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the versions of a worker, the newest first.

    Raises:
        NotFound: there is no such worker or page.
    """
    found = worker(connection, organisation_id, worker_id)
    of_it = corpus_worker_versions.c.worker_id == found.id
    count = connection.scalar(select(func.count()).select_from(corpus_worker_versions).where(of_it))
    rows = connection.execute(
        _selection()
        .where(of_it)
        .order_by(corpus_worker_versions.c.created_us.desc(), corpus_worker_versions.c.id.desc())
        .offset(page.offset)
        .limit(page.size)
    ).all()
    return page.answer([show(connection, _version(row)) for row in rows], count or 0)


def show_worker(row: Row[Any]) -> dict[str, Any]:
    """Return a worker as it is sent."""
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.name,
        "type": row.type,
        "description": row.description,
    }


def show(connection: Connection, version: Version) -> dict[str, Any]:
    """Return a version as it is sent, with how many workers serve it now."""
    return {**told(version), "online": online.online(connection, version.queue_id)}


def told(version: Version) -> dict[str, Any]:
    """Return what is told of a version wherever it is used."""
    return {
        "id": version.id,
        "version": version.version,
        "kind": version.kind,
        "state": "available",
        "configuration": msgspec.to_builtins(version.configuration),
        "gpu_usage": "disabled",
        "model_usage": "supported",
        "docker_image_iid": None,
        "created": iso(version.created_us),
        "worker": {
            "id": version.worker_id,
            "slug": version.slug,
            "name": version.name,
            "type": version.type,
            "description": version.description,
        },
    }


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


def _slugs(connection: Connection, organisation_id: str) -> str:
    query = (
        select(corpus_workers.c.slug)
        .where(corpus_workers.c.organisation_id == organisation_id)
        .order_by(corpus_workers.c.slug)
        .limit(_LISTED)
    )
    slugs = list(connection.execute(query).scalars())
    return f"Known are {', '.join(slugs)}." if slugs else "None is known so far."


def _selection() -> Any:
    return select(
        corpus_worker_versions,
        corpus_workers.c.slug,
        corpus_workers.c.name,
        corpus_workers.c.type,
        corpus_workers.c.description,
    ).join(corpus_workers, corpus_workers.c.id == corpus_worker_versions.c.worker_id)


def _version(row: Row[Any]) -> Version:
    configuration = msgspec.json.decode(row.configuration, type=WorkerConfiguration)
    return Version(**{**row._asdict(), "configuration": configuration})

"""Workers and their versions, as they were entered (`worker_offers`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, select

from longshore.clock import iso
from longshore.engine import workers as online
from longshore.errors import NotFound
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import (
    corpus_worker_versions,
    corpus_workers,
)
from longshore.wire.tasks import WorkerConfiguration

SURFACE: Final = "corpus"
"""Surface of the queues in which tasks wait for `longshore worker`."""
_LISTED: Final = 10


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


def get(connection: Connection, organisation_id: str, version_id: str) -> Version:
    """Return a version of a worker.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(version_id)
    row = None
    if given is not None:
        query = selection().where(
            corpus_worker_versions.c.id == given,
            corpus_worker_versions.c.organisation_id == organisation_id,
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no version of a worker {version_id[:80]}.")
    return of_row(row)


def get_many(connection: Connection, version_ids: Sequence[str]) -> dict[str, Version]:
    """Return versions by id, for ids that are known to be right."""
    rows = connection.execute(selection().where(corpus_worker_versions.c.id.in_(list(version_ids))))
    return {row.id: of_row(row) for row in rows}


def of_queue(connection: Connection, queue_id: int) -> Version:
    """Return the version whose tasks wait in a queue."""
    query = selection().where(corpus_worker_versions.c.queue_id == queue_id)
    return of_row(connection.execute(query).one())


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
        selection()
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
        return of_row(rows[-1])
    for row in rows:
        if version in (row.version, row.id):
            return of_row(row)
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
        selection()
        .where(of_it)
        .order_by(corpus_worker_versions.c.created_us.desc(), corpus_worker_versions.c.id.desc())
        .offset(page.offset)
        .limit(page.size)
    ).all()
    return page.answer([show(connection, of_row(row)) for row in rows], count or 0)


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


def _slugs(connection: Connection, organisation_id: str) -> str:
    query = (
        select(corpus_workers.c.slug)
        .where(corpus_workers.c.organisation_id == organisation_id)
        .order_by(corpus_workers.c.slug)
        .limit(_LISTED)
    )
    slugs = list(connection.execute(query).scalars())
    return f"Known are {', '.join(slugs)}." if slugs else "None is known so far."


def selection() -> Any:
    """Return the query for versions; see `of_row`."""
    return select(
        corpus_worker_versions,
        corpus_workers.c.slug,
        corpus_workers.c.name,
        corpus_workers.c.type,
        corpus_workers.c.description,
    ).join(corpus_workers, corpus_workers.c.id == corpus_worker_versions.c.worker_id)


def of_row(row: Row[Any]) -> Version:
    """Return a version from its row."""
    configuration = msgspec.json.decode(row.configuration, type=WorkerConfiguration)
    return Version(**{**row._asdict(), "configuration": configuration})

"""Settings of a bucket: when its works move to the results, how long those stay, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.access import Principal
from longshore.engine import queues
from longshore.engine.queues import Queue
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.tables import bucket_settings

_DEFAULTS: Final = {
    "archive_after_s": limits.BUCKET_ARCHIVE_AFTER_S,
    "results_retention_s": None,
}
_KEPT: Final = tuple(_DEFAULTS)
"""Settings that lie in `bucket_settings`; the others are those of the queue."""
_CONCURRENCY_MOST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Settings:
    """How a bucket is kept; lengths in seconds.

    Attributes:
        archive_after_s: how long a finished work stays in the bucket; None for ever.
        results_retention_s: how long a result stays in the results store; None for ever.
        retry_pause_s: pause before the second attempt, doubled for each further one.
        concurrency_max: most works of the bucket that run at once; None for no limit.
    """

    archive_after_s: float | None
    results_retention_s: float | None
    retry_pause_s: float
    concurrency_max: int | None


def get(connection: Connection, principal: Principal, pipeline: str) -> Settings:
    """Return the settings of a bucket.

    Raises:
        NotFound: the organisation has no such bucket.
    """
    return _of(connection, _bucket(connection, principal.organisation_id, pipeline))


def put(
    connection: Connection, principal: Principal, pipeline: str, changes: Mapping[str, Any]
) -> Settings:
    """Change those settings of a bucket that are given, and return all of them.

    Raises:
        InvalidRequest: a setting is unknown, of the wrong kind or out of range; nothing changed.
        NotFound: the organisation has no such bucket.
    """
    accepted = {name: _checked(name, value) for name, value in changes.items()}
    queue = _bucket(connection, principal.organisation_id, pipeline)
    kept = {name: accepted[name] for name in _KEPT if name in accepted}
    if kept:
        _keep(connection, queue.id, kept)
    if "concurrency_max" in accepted:
        queues.configure(connection, queue.id, concurrency_max=accepted["concurrency_max"])
    if "retry_pause_s" in accepted:
        pause_s = accepted["retry_pause_s"]
        queues.configure(
            connection,
            queue.id,
            backoff_s=pause_s,
            # The doubled pauses would otherwise end below the first one.
            backoff_max_s=max(queue.backoff_max_s, pause_s),
            expired_pause_s=pause_s,
        )
    return get(connection, principal, pipeline)


def _keep(connection: Connection, queue_id: int, kept: Mapping[str, float | None]) -> None:
    """Write those settings that are given, whoever else is writing others."""
    values = {**_DEFAULTS, **kept, "queue_id": queue_id}
    new = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(
        new.insert(bucket_settings)
        .values(values)
        .on_conflict_do_update(index_elements=[bucket_settings.c.queue_id], set_=dict(kept))
    )


def _bucket(connection: Connection, organisation_id: str, pipeline: str) -> Queue:
    found = queues.find(connection, organisation_id, SURFACE, pipeline)
    if found is None:
        raise NotFound(
            f"There is no bucket {pipeline[:130]!a}; the first deposit of a work makes it. "
            "GET /buckets/status/pipelines lists those that are there."
        )
    return found


def _of(connection: Connection, queue: Queue) -> Settings:
    row = connection.execute(
        select(*(bucket_settings.c[name] for name in _KEPT)).where(
            bucket_settings.c.queue_id == queue.id
        )
    ).one_or_none()
    return Settings(
        **(_DEFAULTS if row is None else row._asdict()),
        retry_pause_s=queue.backoff_s,
        concurrency_max=queue.concurrency_max,
    )


def _checked(name: str, value: Any) -> Any:
    """Return the value of a setting, or raise InvalidRequest."""
    if name not in Settings.__dataclass_fields__:
        known = ", ".join(Settings.__dataclass_fields__)
        raise InvalidRequest(f"{name[:80]!a} is not a setting of a bucket. Known: {known}.")
    if name == "concurrency_max":
        if value is None or (type(value) is int and 1 <= value <= _CONCURRENCY_MOST):
            return value
        raise InvalidRequest(
            f"concurrency_max is {str(value)[:80]}; give a whole number from 1, or null for no "
            "limit. To let nothing run, hold the queue."
        )
    if value is None and name != "retry_pause_s":
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= limits.PAUSE_MAX_S
    ):
        null = "" if name == "retry_pause_s" else ", or null for ever"
        raise InvalidRequest(
            f"{name} is {str(value)[:80]}; give 0 to {limits.PAUSE_MAX_S:.0f} seconds{null}."
        )
    return float(value)

"""Which pages of the dashboard are timed: those of the menu, details, filters and further pages."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlalchemy import Connection, Select, func, select

from longshore.access import Principal, Role
from longshore.dashboard.navigation import sections
from longshore.storage import metadata

_ANYBODY: Final = Principal("", "", "", "", None, None, Role.ADMIN)
FILTERS: Final = (
    "state:failure", "state:queued", "state:success surface:buckets", "surface:apps",
    "queue:demo*", "queue:local-007", "reason:timed_out since:2d", "attempt:>1", "-state:success",
)  # fmt: skip
_DETAILS: Final = (
    ("app_runs", "id", "/ui/runs/{}"),
    ("pipelines", "id", "/ui/pipelines/{}"),
    ("corpora", "id", "/ui/corpora/{}"),
    ("corpus_elements", "id", "/ui/elements/{}"),
    ("corpus_processes", "id", "/ui/processes/{}"),
    ("scripts_runs", "id", "/ui/workflow-runs/{}"),
    ("scripts_workflows", "folded", "/ui/workflows/{}"),
    ("workers", "id", "/ui/workers/{}"),
)  # fmt: skip


def addresses(connection: Connection) -> list[str]:
    """Return the addresses of the pages to time."""
    menu = [entry.path for section in sections(_ANYBODY) for entry in section.entries]
    overview = [f"/?window={window}" for window in ("15m", "6h", "24h", "7d", "90d")]
    overview.append("/?window=24h&surface=buckets")
    works = [f"/ui/works?{urlencode({'q': text})}" for text in FILTERS]
    return [
        *menu,
        *overview,
        *works,
        *_works(connection),
        *_details(connection),
        *_buckets(connection),
    ]


def _works(connection: Connection) -> list[str]:
    """Return the addresses of the oldest and the newest work."""
    works, queues = metadata.tables["works"], metadata.tables["queues"]
    own = (
        select(works.c.id)
        .join(queues, queues.c.id == works.c.queue_id)
        .where(queues.c.organisation_id.in_(_organisation()))
    )
    ends = (works.c.id.asc(), works.c.id.desc())
    found = [connection.execute(own.order_by(end).limit(1)).scalar() for end in ends]
    return [f"/ui/works/{work_id}" for work_id in found]


def _organisation() -> Select[tuple[str]]:
    organisations = metadata.tables["organisations"]
    return select(organisations.c.id).where(organisations.c.folded == "local")


def _details(connection: Connection) -> list[str]:
    found = []
    for name, key, address in _DETAILS:
        column = metadata.tables[name].c[key]
        for direction in (column.asc(), column.desc()):
            value = connection.execute(select(column).order_by(direction).limit(1)).scalar()
            if value is not None and address.format(value) not in found:
                found.append(address.format(value))
    return found


def _buckets(connection: Connection) -> list[str]:
    """Return the addresses of the fullest bucket, and of queues."""
    queues, counts = metadata.tables["queues"], metadata.tables["works"]
    many: Any = func.count()
    rows = connection.execute(
        select(queues.c.name)
        .join(counts, counts.c.queue_id == queues.c.id)
        .where(
            queues.c.surface == "buckets",
            queues.c.organisation_id.in_(_organisation()),
            counts.c.finished_us.is_not(None),
        )
        .group_by(queues.c.name)
        .order_by(many.desc())
        .limit(1)
    )
    found = ["/ui/queues?name=demo-dock"]
    for name in rows.scalars():
        found += [f"/ui/buckets/{quote(name, safe='')}", f"/ui/queues?name={quote(name)}"]
    return found

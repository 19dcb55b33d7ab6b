"""Which request a work came with, so that its attempts appear in the trace of that request.

Rows are written only for works of requests that are recorded, and go with their works.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, Text, select

from longshore.engine.tables import traces
from longshore.storage.bulk import given_parameters, given_rows, insert_rows


class Trace(Struct, frozen=True):
    """Where a work came from.

    Attributes:
        traceparent: the span of the request that submitted it, as W3C Trace Context writes it.
        shared: whether the request submitted others as well, so that attempts are only linked to it.
    """

    traceparent: str
    shared: bool


def keep(connection: Connection, traceparent: str, work_ids: Sequence[str]) -> None:
    """Note that new works came with the request of `traceparent`."""
    shared = len(work_ids) > 1
    insert_rows(
        connection,
        traces,
        ("work_id",),
        [(work_id,) for work_id in work_ids],
        same={"traceparent": traceparent, "shared": shared},
    )


def of(connection: Connection, work_ids: Sequence[str]) -> dict[str, Trace]:
    """Return what is known of the works; most have none."""
    if not work_ids:
        return {}
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(work_id,) for work_id in work_ids], 1)
    rows = connection.execute(_query(dialect), given)
    return {work_id: Trace(traceparent, shared) for work_id, traceparent, shared in rows}


@cache
def _query(dialect: str) -> Select[Any]:
    given = given_rows(dialect, work_id=Text)
    return select(traces.c.work_id, traces.c.traceparent, traces.c.shared).join(
        given, given.c.work_id == traces.c.work_id
    )

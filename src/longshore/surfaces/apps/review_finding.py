"""Which reviews a filter means, asked for so that what is not meant is not looked through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, and_, select

from longshore.access import Principal
from longshore.errors import InvalidRequest
from longshore.surfaces.apps.review_tables import reviews
from longshore.wire.reviews import ReviewState

_EVERY: Final = 2**31


@dataclass(frozen=True, slots=True)
class Filter:
    """Which reviews to list; all that is given must hold."""

    state: str | None = None
    """None for all that wait: `needs_review` and `in_review`."""
    run_id: str | None = None
    app_name: str | None = None
    workspace: str | None = None


def source(principal: Principal, wanted: Filter, now: int) -> FromClause:
    """Return where to look for the reviews of a filter: among all, or those somebody looks at."""
    if wanted.state != ReviewState.IN_REVIEW:
        return reviews
    some = select(reviews).where(
        reviews.c.organisation_id == principal.organisation_id, reviews.c.lease_us > now
    )
    # The limit keeps other conditions from being looked up in an index of what waits.
    return some.limit(_EVERY).subquery("leased")


def chosen(
    principal: Principal, wanted: Filter, now: int, columns: Any
) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter on columns of reviews, and what the key reaches.

    Raises:
        InvalidRequest: the state is none that is listed.
    """
    found: list[ColumnElement[bool]] = [columns.organisation_id == principal.organisation_id]
    leased = and_(columns.lease_us.is_not(None), columns.lease_us > now)
    match wanted.state:
        case None:
            found.append(columns.state == "open")
        case ReviewState.NEEDS_REVIEW:
            found += [columns.state == "open", ~leased]
        case ReviewState.IN_REVIEW:
            found += [columns.state == "open", leased]
        case ReviewState.ACCEPTED:
            found.append(columns.state == "accepted")
        case other:
            raise InvalidRequest(
                f"state is {other[:80]!a}; it must be needs_review, in_review or accepted."
            )
    if wanted.run_id is not None:
        found.append(columns.run_id == wanted.run_id)
    for column, value in (
        (columns.app_name, wanted.app_name),
        (columns.workspace, wanted.workspace),
        (columns.workspace, principal.workspace_name),
    ):
        if value is not None:
            # A run is found by its own index: behind one that is as long, SQLite would look
            # through all that waits in the workspace. An expression is in no index.
            kept = column if wanted.run_id is None else column.concat("")
            found.append(kept == value)
    return found

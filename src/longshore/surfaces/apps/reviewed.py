"""What reviewers made of documents, laid over what the app returned.

The stored result stays as it is. Whoever reads results gets the latest correction of each field in
its place, and with the details of a review the original value beside it and who changed what.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from longshore.clock import SECOND_US
from longshore.storage import now_us
from longshore.surfaces.apps.review_tables import review_changes, reviews
from longshore.wire.results import Edit, Modification

SHOWN_CHARACTERS: Final = 200
"""So much of a value is told in the history of the published protocol."""


class State(StrEnum):
    """Where the review of a document stands."""

    NONE = "none"
    """Nobody has to look at it."""
    NEEDS_REVIEW = "needs_review"
    """It waits for a person."""
    IN_REVIEW = "in_review"
    """A person looks at it; it is left to them for some minutes after what they did last."""
    ACCEPTED = "accepted"
    """A person has looked at it."""


class Kind(StrEnum):
    """What a reviewer did."""

    FIELD = "field"
    CLASS = "class"
    ACCEPT = "accept"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a reviewer did; `field` is the index of a field in its document."""

    kind: Kind
    field: int | None
    previous: str | None
    value: str | None
    reason: str | None
    actor: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A document's review: its row, and all that was changed, the first change first."""

    id: int
    state: State
    version: int
    reasons: tuple[str, ...]
    reviewer: str | None
    reviewer_id: str | None
    lease_us: int | None
    accepted_by: str | None
    accepted_us: int | None
    changes: tuple[Change, ...] = ()
    values: Mapping[int, str | None] = field(default_factory=dict)
    """The latest correction of each field."""

    @property
    def classes(self) -> list[Change]:
        """What became of the document's class."""
        return [change for change in self.changes if change.kind is Kind.CLASS]

    def class_name(self, original: str | None) -> str | None:
        """Return the class that counts."""
        classes = self.classes
        return classes[-1].value if classes else original

    def of_field(self, index: int) -> list[Change]:
        """Return the corrections of a field."""
        return [change for change in self.changes if change.field == index]


def of_files(
    connection: Connection, run_id: str, positions: Collection[int]
) -> dict[int, dict[int, Reviewed]]:
    """Return the reviews of documents, by position of the file and index of the document."""
    rows = connection.execute(
        select(reviews).where(reviews.c.run_id == run_id, reviews.c.position.in_(positions))
    ).all()
    changes = _changes(connection, [row.id for row in rows])
    now = now_us(connection)
    found: dict[int, dict[int, Reviewed]] = {}
    for row in rows:
        made = _reviewed(row, changes.get(row.id, ()), now)
        found.setdefault(row.position, {})[row.document] = made
    return found


def of_document(
    connection: Connection, run_id: str, position: int, document: int
) -> Reviewed | None:
    """Return the review of one document, or None where nobody ever had to look at it."""
    return of_files(connection, run_id, [position]).get(position, {}).get(document)


def state_of(row: Row[Any], now: int) -> State:
    """Return where the review of a row stands."""
    if row.state == "accepted":
        return State.ACCEPTED
    leased = row.lease_us is not None and row.lease_us > now
    return State.IN_REVIEW if leased else State.NEEDS_REVIEW


def history(changes: Collection[Change]) -> list[Edit]:
    """Return changes of a field or class as the protocol tells of them."""
    return [
        Edit(
            timestamp=_timestamp(change.at_us),
            user_id=change.actor,
            modifications=[Modification(message=_message(change))],
        )
        for change in changes
    ]


def _reviewed(row: Row[Any], changes: tuple[Change, ...], now: int) -> Reviewed:
    return Reviewed(
        id=row.id,
        state=state_of(row, now),
        version=row.version,
        reasons=tuple(json.loads(row.reasons)),
        reviewer=row.reviewer,
        reviewer_id=row.reviewer_id,
        lease_us=row.lease_us,
        accepted_by=row.accepted_by,
        accepted_us=row.accepted_us,
        changes=changes,
        values={change.field: change.value for change in changes if change.field is not None},
    )


def _changes(connection: Connection, review_ids: list[int]) -> dict[int, tuple[Change, ...]]:
    if not review_ids:
        return {}
    rows = connection.execute(
        select(review_changes)
        .where(review_changes.c.review_id.in_(review_ids))
        .order_by(review_changes.c.review_id, review_changes.c.id)
    )
    found: dict[int, tuple[Change, ...]] = {}
    for row in rows:
        change = Change(
            Kind(row.kind), row.field, row.previous, row.value, row.reason, row.actor, row.at_us
        )
        found[row.review_id] = (*found.get(row.review_id, ()), change)
    return found


def _message(change: Change) -> str:
    what = "Class" if change.kind is Kind.CLASS else "Value"
    told = f"{what} changed from {_quoted(change.previous)} to {_quoted(change.value)}"
    return f"{told}: {change.reason}" if change.reason else told


def _quoted(value: str | None) -> str:
    if value is None:
        return "nothing"
    cut = value[:SHOWN_CHARACTERS]
    return f'"{cut}{"…" if len(cut) < len(value) else ""}"'


def _timestamp(at_us: int) -> str:
    # The form of the protocol's own examples.
    return datetime.fromtimestamp(at_us // SECOND_US, tz=UTC).strftime("%m/%d/%Y %H:%M:%S")

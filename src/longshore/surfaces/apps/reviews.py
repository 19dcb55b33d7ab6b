"""Which documents of runs need a person: their queue, one document whole, and their end.

A document needs a review when a rule of its app failed, a field could not be read, a confidence is
below what the app wants (`review_below`), or the app says so. Its review begins with the end of
the run. Neither the run nor its webhook waits for it. What reviewers do is in `review_acting`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from longshore.access import Principal
from longshore.clock import iso
from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import results, review_finding, reviewed, runs
from longshore.surfaces.apps.results import FileOutcome, RunFile
from longshore.surfaces.apps.review_finding import Filter
from longshore.surfaces.apps.review_tables import review_changes, reviews
from longshore.surfaces.apps.reviewed import Reviewed
from longshore.surfaces.apps.runs import Run
from longshore.surfaces.apps.tables import app_runs
from longshore.wire import reviews as wire
from longshore.wire.payloads import AppDocument, AppField
from longshore.wire.reviews import ReviewState

PASS_RUNS: Final = 20
"""Most runs of before there were reviews that one pass takes."""
_PLACE: Final = re.compile(r"(0|[1-9][0-9]{0,5})-(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Needed:
    """A document that needs a person, and why."""

    position: int
    file_name: str
    document: int
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class Place:
    """A document as its app returned it, and where it is."""

    run: Run
    file: RunFile
    index: int
    document: AppDocument
    below: float | None

    @property
    def name(self) -> str:
        """What the document is called within its run."""
        return place_name(self.file.position, self.index)


def place_name(position: int, index: int) -> str:
    """Return what a document is called within its run."""
    return f"{position}-{index}"


def needed(file: RunFile, became: FileOutcome) -> Iterator[Needed]:
    """Yield the documents of a file that need a person."""
    for index, reasons in results.to_review(became).items():
        yield Needed(file.position, file.name, index, reasons)


def begin_all(connection: Connection, run: Run, some: Sequence[Needed]) -> None:
    """Let the reviews of a run begin that has ended."""
    now = now_us(connection)
    rows = [
        {
            "organisation_id": run.organisation_id,
            "run_id": run.id,
            "position": need.position,
            "document": need.document,
            "workspace": run.output_workspace,
            "app_name": run.app_name,
            "file_name": need.file_name,
            "state": "open",
            "reasons": json.dumps(need.reasons),
            "version": 1,
            "created_us": now,
            "updated_us": now,
        }
        for need in some
    ]
    if rows:
        connection.execute(insert(reviews), rows)


def begin_missing(connection: Connection) -> int:
    """Let the reviews of runs begin that ended before there were any; return how many runs."""
    without = ~exists().where(reviews.c.run_id == app_runs.c.id)
    found = connection.execute(
        select(app_runs.c.id).where(app_runs.c.documents_to_review > 0, without).limit(PASS_RUNS)
    ).scalars()
    count = 0
    for run_id in list(found):
        run = runs.get(connection, run_id)
        if run is None:
            continue
        became = results.outcomes(connection, runs.files_of(connection, run_id))
        some = [need for file, each in became for need in needed(file, each)]
        begin_all(connection, run, some)
        connection.execute(
            update(app_runs).where(app_runs.c.id == run_id).values(documents_to_review=len(some))
        )
        count += 1
    return count


def forget(connection: Connection, run_id: str) -> int:
    """Delete the reviews of a run; return how many rows are gone."""
    chosen = select(reviews.c.id).where(reviews.c.run_id == run_id)
    gone = connection.execute(
        delete(review_changes).where(review_changes.c.review_id.in_(chosen))
    ).rowcount
    return gone + connection.execute(delete(reviews).where(reviews.c.run_id == run_id)).rowcount


def listing(
    connection: Connection, principal: Principal, wanted: Filter, *, after: int = 0, limit: int
) -> wire.ReviewList:
    """Return documents that need a person, or did, those that wait longest first.

    Raises:
        InvalidRequest: the state is none that is listed.
    """
    now = now_us(connection)
    some = review_finding.source(principal, wanted, now)
    chosen = [*review_finding.chosen(principal, wanted, now, some.c), some.c.id > after]
    query = select(some).where(*chosen).order_by(some.c.id).limit(limit + 1)
    rows = connection.execute(query).all()
    more = len(rows) > limit
    shown = [_shown(row, now) for row in rows[:limit]]
    return wire.ReviewList(reviews=shown, next=rows[limit - 1].id if more else None)


def waiting(connection: Connection, principal: Principal, *, most: int) -> int:
    """Return how many documents wait for a person, counted up to `most`."""
    chosen = review_finding.chosen(principal, Filter(), now_us(connection), reviews.c)
    some = select(reviews.c.id).where(*chosen).limit(most).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def next_waiting(
    connection: Connection,
    principal: Principal,
    *,
    run_id: str | None = None,
    after: tuple[str, str] | None = None,
) -> tuple[str, str] | None:
    """Return run and name of a document that waits and that nobody else looks at.

    Args:
        connection: the transaction.
        principal: who would review it.
        run_id: only of this run.
        after: run and name of a document; those behind it come first.
    """
    now = now_us(connection)
    free = or_(
        reviews.c.lease_us.is_(None),
        reviews.c.lease_us <= now,
        reviews.c.reviewer_id == principal.key_id,
    )
    wanted = Filter(run_id=run_id)
    chosen = [*review_finding.chosen(principal, wanted, now, reviews.c), free]
    begin = 0
    if after is not None:
        position, index = parse_name(after[1])
        here = and_(
            reviews.c.run_id == after[0],
            reviews.c.position == position,
            reviews.c.document == index,
        )
        begin = connection.execute(select(reviews.c.id).where(here)).scalar() or 0
        chosen.append(reviews.c.id != begin)
    query = select(reviews).order_by(reviews.c.id).limit(1)
    for further in ([reviews.c.id > begin], []):
        row = connection.execute(query.where(*chosen, *further)).one_or_none()
        if row is not None:
            return row.run_id, place_name(row.position, row.document)
    return None


def parse_name(name: str) -> tuple[int, int]:
    """Return position of the file and index of the document.

    Raises:
        NotFound: no document is called so.
    """
    found = _PLACE.fullmatch(name)
    if found is None:
        raise _missing(name)
    return int(found[1]), int(found[2])


def find_place(
    connection: Connection, principal: Principal, run_id: str, name: str, *, lock: bool = False
) -> Place:
    """Return a document of a run that the key reaches.

    With `lock`, nobody else reviews or deletes the run before this transaction ends.

    Raises:
        NotFound: there is no such run, or no such document in it.
    """
    run = runs.require(connection, principal, run_id, lock=lock)
    position, index = parse_name(name)
    some = runs.files_of(connection, run_id, offset=position, limit=1)
    if not some or some[0].position != position:
        raise _missing(name)
    file, became = results.outcomes(connection, some)[0]
    if became.result is None or index >= len(became.result.documents):
        raise _missing(name)
    return Place(run, file, index, became.result.documents[index], became.result.review_below)


def get(
    connection: Connection, principal: Principal, run_id: str, name: str
) -> wire.ReviewedDocument:
    """Return a document with its fields and all that reviewers did.

    Raises:
        NotFound: there is no such run, or no such document in it.
    """
    return shown(connection, find_place(connection, principal, run_id, name))


def shown(connection: Connection, place: Place) -> wire.ReviewedDocument:
    """Return a document as clients see it."""
    run, document = place.run, place.document
    review = reviewed.of_document(connection, run.id, place.file.position, place.index)
    return wire.ReviewedDocument(
        run_id=run.id,
        document=place.name,
        file_name=place.file.name,
        app_name=run.app_name,
        workspace=run.output_workspace,
        work_id=place.file.work_id,
        class_name=review.class_name(document.class_name) if review else document.class_name,
        original_class_name=document.class_name,
        class_confidence=document.class_confidence,
        fields=[
            _field(field, index, review, place.below) for index, field in enumerate(document.fields)
        ],
        pages=[
            wire.ReviewPage(number=page.number, width=page.width, height=page.height)
            for page in document.pages
        ],
        history=[_change(change) for change in review.changes] if review else [],
        **_standing(review, place),
    )


def _standing(review: Reviewed | None, place: Place) -> dict[str, Any]:
    if review is None:
        reasons = results.reasons_of(place.document, place.below)
        state = ReviewState.NEEDS_REVIEW if reasons else ReviewState.NONE
        return {"state": state, "version": 0, "reasons": reasons}
    return {
        "state": ReviewState(review.state),
        "version": review.version,
        "reasons": list(review.reasons),
        "reviewer": review.reviewer,
        "lease_until": iso(review.lease_us),
        "accepted_by": review.accepted_by,
        "accepted_at": iso(review.accepted_us),
    }


def _shown(row: Row[Any], now: int) -> wire.Review:
    return wire.Review(
        run_id=row.run_id,
        document=place_name(row.position, row.document),
        file_name=row.file_name,
        app_name=row.app_name,
        workspace=row.workspace,
        state=ReviewState(reviewed.state_of(row, now)),
        version=row.version,
        reasons=json.loads(row.reasons),
        reviewer=row.reviewer,
        lease_until=iso(row.lease_us),
        accepted_by=row.accepted_by,
        accepted_at=iso(row.accepted_us),
        created_at=iso(row.created_us),
    )


def _field(
    field: AppField, index: int, review: Reviewed | None, below: float | None
) -> wire.ReviewField:
    corrected = review is not None and index in review.values
    box = None
    if field.box is not None:
        left, top, right, bottom = field.box
        box = wire.ReviewBox(page=field.page or 0, left=left, top=top, right=right, bottom=bottom)
    return wire.ReviewField(
        index=index,
        name=field.name,
        value=review.values[index] if review and corrected else field.value,
        original=field.value,
        corrected=corrected,
        type=field.type,
        confidence=field.confidence,
        ocr_confidence=field.ocr_confidence,
        doubtful=bool(results.reasons_of(AppDocument(fields=[field]), below)),
        error=field.error,
        alerts=list(field.alerts),
        box=box,
    )


def _change(change: reviewed.Change) -> wire.ReviewChange:
    return wire.ReviewChange(
        kind=change.kind,
        field=change.field,
        previous=change.previous,
        value=change.value,
        reason=change.reason,
        by=change.actor,
        at=str(iso(change.at_us)),
    )


def _missing(name: str) -> NotFound:
    return NotFound(
        f"The run has no document {name[:80]!a}. Documents are named by the index of their file "
        "and their index in it, from 0, such as 3-0; list the reviews, or read the results."
    )

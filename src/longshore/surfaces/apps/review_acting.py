"""What a reviewer does with a document: take it, correct it, accept it, open it again.

Whoever changes a document names the version that they saw, so that of two people one is told. A
document that somebody has taken, or changed last, is left to them for some minutes. What the app
returned is never altered. All of this locks the run's row, so that a deletion comes before or after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from longshore import limits
from longshore.access import Principal
from longshore.clock import iso, to_us
from longshore.errors import Conflict, InvalidRequest, NotFound, TooLarge
from longshore.storage import now_us
from longshore.surfaces.apps import reviewed, reviews
from longshore.surfaces.apps.review_tables import review_changes
from longshore.surfaces.apps.review_tables import reviews as table
from longshore.surfaces.apps.reviewed import Kind, Reviewed, State
from longshore.surfaces.apps.reviews import Place
from longshore.surfaces.apps.tables import app_runs
from longshore.wire.reviews import CorrectionRequest, ReopenRequest, ReviewedDocument


def begin(connection: Connection, principal: Principal, run_id: str, name: str) -> ReviewedDocument:
    """Take a document, so that nobody else changes it for some minutes; again to go on.

    Raises:
        NotFound: there is no such run, or no such document in it.
        Conflict: it waits for nobody, or somebody else has it.
    """
    place = _place(connection, principal, run_id, name)
    review = _open(connection, principal, place)
    _keep(connection, principal, review)
    return reviews.shown(connection, place)


def release(
    connection: Connection, principal: Principal, run_id: str, name: str
) -> ReviewedDocument:
    """Put a document back that one has taken; others may take it at once.

    Raises:
        NotFound: there is no such run, or no such document in it.
        Conflict: somebody else has it.
    """
    place = _place(connection, principal, run_id, name)
    review = _open(connection, principal, place)
    connection.execute(update(table).where(table.c.id == review.id).values(lease_us=None))
    return reviews.shown(connection, place)


def correct(
    connection: Connection,
    principal: Principal,
    run_id: str,
    name: str,
    wish: CorrectionRequest,
) -> ReviewedDocument:
    """Give fields of a document, or its class, another value.

    Raises:
        NotFound: there is no such run, no such document in it, or no such field in that.
        Conflict: it waits for nobody, somebody else has it, or it was changed meanwhile.
        InvalidRequest: a field is named ambiguously or twice, or nothing is to be corrected.
        TooLarge: reviewers have changed the document too often.
    """
    if not wish.corrections and wish.class_name is None:
        raise InvalidRequest("There is nothing to correct. Send corrections, or class_name.")
    place = _place(connection, principal, run_id, name)
    review = _open(connection, principal, place, wish.version)
    if _correct(connection, principal, place, review, wish):
        _step(connection, review, version=review.version + 1)
    _keep(connection, principal, review)
    return reviews.shown(connection, place)


def accept(
    connection: Connection,
    principal: Principal,
    run_id: str,
    name: str,
    wish: CorrectionRequest,
) -> ReviewedDocument:
    """Correct what is to be corrected, and close the review: the values count.

    Raises:
        NotFound, Conflict, InvalidRequest, TooLarge: as `correct` does.
    """
    place = _place(connection, principal, run_id, name)
    review = _open(connection, principal, place, wish.version)
    _correct(connection, principal, place, review, wish)
    _note(connection, principal, review, Kind.ACCEPT, reason=wish.reason)
    _step(
        connection,
        review,
        state="accepted",
        version=review.version + 1,
        reviewer_id=principal.key_id,
        reviewer=principal.key_name,
        lease_us=None,
        accepted_by=principal.key_name,
        accepted_us=now_us(connection),
    )
    _count(connection, run_id, -1)
    return reviews.shown(connection, place)


def reopen(
    connection: Connection, principal: Principal, run_id: str, name: str, wish: ReopenRequest
) -> ReviewedDocument:
    """Let a document need a review again, or one that never did.

    Raises:
        NotFound: there is no such run, or no such document in it.
        Conflict: it waits for a review already, or it was changed meanwhile.
    """
    place = _place(connection, principal, run_id, name)
    review = reviewed.of_document(connection, run_id, place.file.position, place.index)
    version = 0 if review is None else review.version
    if version != wish.version:
        raise _stale(place, wish.version, version)
    if review is not None and review.accepted_us is None:
        raise Conflict(
            f"Document {place.name} of run {run_id} waits for a review already. Correct or accept "
            "it."
        )
    why = [f"{principal.key_name} opened it again: {wish.reason}"]
    if review is None:
        need = reviews.Needed(place.file.position, place.file.name, place.index, why)
        reviews.begin_all(connection, place.run, [need])
        review = reviewed.of_document(connection, run_id, place.file.position, place.index)
        if review is None:
            raise _stale(place, wish.version, version)
    else:
        _step(
            connection,
            review,
            state="open",
            version=review.version + 1,
            accepted_by=None,
            accepted_us=None,
            lease_us=None,
        )
    _note(connection, principal, review, Kind.REOPEN, reason=wish.reason)
    _count(connection, run_id, 1)
    return reviews.shown(connection, place)


def _place(connection: Connection, principal: Principal, run_id: str, name: str) -> Place:
    place = reviews.find_place(connection, principal, run_id, name, lock=True)
    if place.run.running:
        raise Conflict(
            f"Run {run_id} is not finished. Review its documents when it has ended.",
            details={"status": place.run.status},
        )
    return place


def _open(
    connection: Connection, principal: Principal, place: Place, version: int | None = None
) -> Reviewed:
    """Return the review of a document that waits for one and that nobody else has."""
    review = reviewed.of_document(connection, place.run.id, place.file.position, place.index)
    present = 0 if review is None else review.version
    if version is not None and version != present:
        raise _stale(place, version, present)
    if review is None or review.accepted_us is not None:
        accepted = "needs no review" if review is None else f"was accepted by {review.accepted_by}"
        raise Conflict(
            f"Document {place.name} of run {place.run.id} {accepted}. To change it all the same, "
            "reopen it with a reason."
        )
    if review.state is State.IN_REVIEW and review.reviewer_id != principal.key_id:
        raise Conflict(
            f"{review.reviewer} reviews document {place.name} of run {place.run.id} until "
            f"{iso(review.lease_us)}. Take another one, or wait until then.",
            details={"reviewer": review.reviewer, "lease_until": iso(review.lease_us)},
        )
    return review


def _correct(
    connection: Connection,
    principal: Principal,
    place: Place,
    review: Reviewed,
    wish: CorrectionRequest,
) -> int:
    """Note the corrections that change something; return how many they are."""
    wanted = _by_index(place, wish)
    _refuse_too_many(connection, review, len(wanted) + 2)
    made = 0
    for index, value in wanted.items():
        previous = review.values.get(index, place.document.fields[index].value)
        if value != previous:
            made += 1
            _note(
                connection,
                principal,
                review,
                Kind.FIELD,
                field=index,
                previous=previous,
                value=value,
                reason=wish.reason,
            )
    previous = review.class_name(place.document.class_name)
    if wish.class_name is not None and wish.class_name != previous:
        made += 1
        _note(
            connection,
            principal,
            review,
            Kind.CLASS,
            previous=previous,
            value=wish.class_name,
            reason=wish.reason,
        )
    return made


def _by_index(place: Place, wish: CorrectionRequest) -> Mapping[int, str | None]:
    """Return the corrections by the index of their field; all of them, or an error."""
    fields = place.document.fields
    found: dict[int, str | None] = {}
    for correction in wish.corrections:
        named = [
            index
            for index, field in enumerate(fields)
            if correction.field == (index if isinstance(correction.field, int) else field.name)
        ]
        if not named:
            raise NotFound(
                f"Document {place.name} has no field {str(correction.field)[:80]!a}. It has "
                f"{', '.join(field.name[:40] for field in fields[:20]) or 'none'}."
            )
        if len(named) > 1:
            raise InvalidRequest(
                f"{len(named)} fields of document {place.name} are called "
                f"{str(correction.field)[:80]!a}. Give the index: one of "
                f"{', '.join(map(str, named))}."
            )
        if named[0] in found:
            raise InvalidRequest(
                f"The field {str(correction.field)[:80]!a} is corrected twice. Send it once."
            )
        found[named[0]] = correction.value
    return found


def _refuse_too_many(connection: Connection, review: Reviewed, more: int) -> None:
    count = connection.execute(
        select(func.count()).where(review_changes.c.review_id == review.id)
    ).scalar_one()
    if count + more > limits.REVIEW_CHANGES:
        raise TooLarge(
            f"The document was changed {count} times; it may be {limits.REVIEW_CHANGES} times.",
            details={"limit": limits.REVIEW_CHANGES},
        )


def _note(
    connection: Connection, principal: Principal, review: Reviewed, kind: Kind, **values: Any
) -> None:
    connection.execute(
        insert(review_changes).values(
            review_id=review.id,
            kind=kind,
            actor=principal.key_name,
            at_us=now_us(connection),
            **values,
        )
    )


def _step(connection: Connection, review: Reviewed, **values: Any) -> None:
    done = connection.execute(
        update(table)
        .where(table.c.id == review.id, table.c.version == review.version)
        .values(updated_us=now_us(connection), **values)
    ).rowcount
    if not done:
        raise Conflict("The document was changed meanwhile. Look at it again, then repeat this.")


def _keep(connection: Connection, principal: Principal, review: Reviewed) -> None:
    """Leave a document to the reviewer for some minutes from now."""
    connection.execute(
        update(table)
        .where(table.c.id == review.id)
        .values(
            reviewer_id=principal.key_id,
            reviewer=principal.key_name,
            lease_us=now_us(connection) + to_us(limits.REVIEW_LEASE_S),
        )
    )


def _count(connection: Connection, run_id: str, more: int) -> None:
    """Keep the number of documents that wait, which listings of runs show."""
    waiting = func.coalesce(app_runs.c.documents_to_review, 0)
    connection.execute(
        update(app_runs).where(app_runs.c.id == run_id).values(documents_to_review=waiting + more)
    )


def _stale(place: Place, version: int, present: int) -> Conflict:
    return Conflict(
        f"Document {place.name} of run {place.run.id} was changed since you saw it: it is at "
        f"version {present}, and you saw {version}. Look at it again, then repeat your change.",
        details={"version": present},
    )

"""Classifications: into which class of its corpus an element falls, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus import scope
from longshore.surfaces.corpus.scope import BY_HAND, Target
from longshore.surfaces.corpus.tables import corpus_classes, corpus_classifications

DUPLICATE: Final = "The fields element, worker_run, ml_class must make a unique set."
"""What the published clients look for, to go on where a classification is there already."""
Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]
_COLUMNS: Final = ("id", "class_id", "confidence", "high_confidence")


class NewClassification(msgspec.Struct, frozen=True):
    """Body of CreateClassification. What a person says is sure unless it has a confidence."""

    element: str
    ml_class: str
    worker_run_id: str | None = None
    confidence: Confidence | None = None
    high_confidence: bool | None = None


class OneOfMany(msgspec.Struct, frozen=True):
    ml_class: str
    confidence: Confidence | None = None
    high_confidence: bool | None = None


class NewClassifications(msgspec.Struct, frozen=True):
    """Body of CreateClassifications."""

    parent: str
    classifications: Annotated[
        list[OneOfMany], msgspec.Meta(min_length=1, max_length=limits.RESULTS_PER_CALL)
    ]
    worker_run_id: str | None = None


def create(
    connection: Connection, principal: Principal, given: NewClassification
) -> dict[str, Any]:
    """Put an element into a class and return the classification.

    Raises:
        InvalidRequest: the element, the class or the worker run does not exist; the class is of
            another corpus; the worker run gives no confidence, or has put the element into that
            class before.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    target = scope.named_element(connection, principal.organisation_id, given.element, "element")
    one = OneOfMany(given.ml_class, given.confidence, given.high_confidence)
    made = _create(connection, target, run_id, [one], ())[0]
    return {**made, "element": target.id, "worker_run_id": run_id or None}


def create_many(
    connection: Connection, principal: Principal, given: NewClassifications
) -> dict[str, Any]:
    """Put an element into several classes, all or none of them; return them in order.

    What the worker run has said before with the same confidence is not stored again.

    Raises:
        InvalidRequest: as `create`, or a class is given twice.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    target = scope.named_element(connection, principal.organisation_id, given.parent, "parent")
    made = _create(connection, target, run_id, given.classifications, ("classifications",))
    return {"parent": target.id, "worker_run_id": run_id or None, "classifications": made}


def _create(
    connection: Connection,
    target: Target,
    run_id: str,
    given: Sequence[OneOfMany],
    place: tuple[str, ...],
) -> list[dict[str, Any]]:
    wanted = _checked(connection, target, run_id, given, place)
    state = "validated" if run_id == BY_HAND else "pending"
    stored, new = [], []
    for each in wanted:
        row = (each.known or ids.uuid(), each.class_id, each.confidence, each.high_confidence)
        stored.append(row)
        if each.known is None:
            new.append(row)
    same = {
        "element_id": target.id,
        "worker_run_id": run_id,
        "state": state,
        "created_us": now_us(connection),
    }
    insert_rows(connection, corpus_classifications, _COLUMNS, new, same=same)
    return [
        {
            "id": made,
            "ml_class": class_id,
            "confidence": confidence,
            "high_confidence": high,
            "state": state,
        }
        for made, class_id, confidence, high in stored
    ]


class _Wanted(NamedTuple):
    """A classification that can be stored; `known` is its id where it is stored already."""

    class_id: str
    confidence: float
    high_confidence: bool
    known: str | None


def _checked(
    connection: Connection,
    target: Target,
    run_id: str,
    given: Sequence[OneOfMany],
    place: tuple[str, ...],
) -> list[_Wanted]:
    classes = _classes(connection, target, given)
    stored = corpus_classifications.c
    # Whoever classifies the element waits for the end of this transaction: it is locked.
    found = connection.execute(
        select(stored.id, stored.class_id, stored.confidence, stored.high_confidence).where(
            stored.element_id == target.id, stored.worker_run_id == run_id
        )
    )
    said = {row.class_id: row for row in found}
    wanted: list[_Wanted] = []
    given_before: set[str] = set()
    for index, each in enumerate(given):
        attr: tuple[str | int, ...] = (*place, index) if place else ()
        class_id = scope.uuid_of(each.ml_class)
        if class_id is None or class_id not in classes:
            raise scope.unknown("class of the element's corpus", each.ml_class, *attr, "ml_class")
        if each.confidence is None and run_id != BY_HAND:
            raise scope.refusal(
                "confidence: a worker run has to say how sure it is, from 0 to 1.",
                *attr,
                "confidence",
                code="required",
            )
        if class_id in given_before:
            raise _duplicate()
        given_before.add(class_id)
        confidence = 1.0 if each.confidence is None else each.confidence
        high = bool(each.high_confidence)
        before = said.get(class_id)
        if before is not None:
            again = (before.confidence, before.high_confidence) == (confidence, high)
            if not (place and again and run_id != BY_HAND):
                raise _duplicate()
        wanted.append(_Wanted(class_id, confidence, high, before.id if before else None))
    return wanted


def _classes(connection: Connection, target: Target, given: Sequence[OneOfMany]) -> set[str]:
    query = select(corpus_classes.c.id).where(corpus_classes.c.corpus_id == target.corpus_id)
    if len(given) <= scope.FEW:
        named = {scope.uuid_of(each.ml_class) for each in given}
        query = query.where(corpus_classes.c.id.in_(named))
    return set(connection.scalars(query))


def _duplicate() -> InvalidRequest:
    return scope.refusal(DUPLICATE, code="unique", also={"non_field_errors": [DUPLICATE]})

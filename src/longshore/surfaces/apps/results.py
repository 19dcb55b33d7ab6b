"""From what workers reported to the results that the protocol shows.

A file's work, its output and the four detail flags go in, and a `ResultFile` comes out in which
only the asked-for keys are set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from longshore.engine import works
from longshore.engine.states import TRANSITIONS, Reason, State
from longshore.engine.works import Output, Work
from longshore.surfaces.apps import reviewed
from longshore.surfaces.apps.naming import field_name
from longshore.surfaces.apps.reviewed import Reviewed
from longshore.surfaces.apps.reviewed import State as ReviewState
from longshore.wire.payloads import AppDocument, AppField, AppResult
from longshore.wire.results import (
    Alert,
    ClassificationConfidence,
    Confidence,
    Coordinates,
    DocumentValidations,
    FieldValidations,
    PageLayout,
    ResultDocument,
    ResultField,
    ResultFile,
)

ERROR: Final = "ERROR"
"""Value of a field that could not be read (protocol §3.2)."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What to show beyond the values: the four flags of the request."""

    confidence: bool = False
    source: bool = False
    review: bool = False
    validation: bool = False


_NO_REVIEWS: Final[Mapping[int, Reviewed]] = {}
_REASONS: Final = 20
"""So many reasons for a review are told."""
_REASON_CHARACTERS: Final = 300
EVERYTHING: Final = Detail(confidence=True, source=True, review=True, validation=True)


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file of a run."""

    position: int
    name: str
    path: str
    blob_id: str
    work_id: str
    pdf_path: str | None


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of a file: a result, or why there is none."""

    result: AppResult | None = None
    error: str | None = None
    cancelled: bool = False


def outcomes(connection: Connection, some: Sequence[RunFile]) -> list[tuple[RunFile, FileOutcome]]:
    """Return files of a run with what became of each."""
    work_ids = [file.work_id for file in some]
    known = works.get_many(connection, work_ids)
    outputs = works.outputs(connection, work_ids)
    return [(file, outcome(known.get(file.work_id), outputs.get(file.work_id))) for file in some]


def outcome(work: Work | None, output: Output | None) -> FileOutcome:
    """Return what a file's work led to."""
    if work is None:
        return FileOutcome(error="The record of this file's work was deleted.")
    if work.state is State.SUCCESS and output is not None and output.result is not None:
        try:
            return FileOutcome(result=msgspec.json.decode(output.result, type=AppResult))
        except msgspec.DecodeError as error:
            return FileOutcome(
                error=f"The worker's result does not have the form of a result: {error}."
            )
    if work.state is State.CANCELLED:
        return FileOutcome(error="Cancelled before it was done.", cancelled=True)
    if not work.final:
        return FileOutcome(error="Not done yet.")
    return FileOutcome(error=_failure(work, output))


def _failure(work: Work, output: Output | None) -> str:
    told = json.loads(output.error) if output is not None and output.error is not None else {}
    text = str(told.get("message") or TRANSITIONS[Reason(work.reason)].meaning)
    kind = told.get("type")
    text = f"{kind}: {text}" if kind else text
    return f"{text} (after {work.attempt} attempts)" if work.attempt > 1 else text


def shape(
    file: RunFile,
    found: FileOutcome,
    detail: Detail,
    reviews: Mapping[int, Reviewed] = _NO_REVIEWS,
) -> ResultFile:
    """Return the results of one file, with the keys that the flags ask for.

    Args:
        file: the file.
        found: what became of it.
        detail: the flags.
        reviews: what reviewers made of its documents, by their index.
    """
    shown: dict[str, Any] = {
        "original_file_name": file.name,
        "input_file_path": file.path,
        "work_id": file.work_id,
    }
    if found.result is None:
        return ResultFile(**shown, documents=[_error_document(found)], error_msg=found.error)
    documents = [
        _document(document, file, detail, reviews.get(index), below=found.result.review_below)
        for index, document in enumerate(found.result.documents)
    ]
    return ResultFile(**shown, documents=documents)


def to_review(found: FileOutcome) -> dict[int, list[str]]:
    """Return which documents of a file a person should look at, and why."""
    if found.result is None:
        return {}
    told = {
        index: reasons_of(document, found.result.review_below)
        for index, document in enumerate(found.result.documents)
    }
    return {index: reasons for index, reasons in told.items() if reasons}


def reasons_of(document: AppDocument, below: float | None) -> list[str]:
    """Return why a person should look at a document; an empty list where nobody has to.

    Args:
        document: as the app returned it.
        below: the least confidence that the app is content with.
    """
    reasons = [document.review] if document.review else []
    for field in document.fields:
        if field.error:
            reasons.append(f"{field.name} could not be read: {field.error}")
        reasons.extend(f"{field.name}: {alert}" for alert in field.alerts)
        if not (field.error or field.alerts or _valid(field)):
            reasons.append(f"{field.name} is not valid")
        for what, sure in (
            ("the app", field.confidence),
            ("the text recognition", field.ocr_confidence),
        ):
            if not field.error and below is not None and sure is not None and sure < below:
                reasons.append(f"{field.name}: {what} is {sure:.0%} sure, below {below:.0%}")
    return [reason[:_REASON_CHARACTERS] for reason in reasons[:_REASONS]]


def _error_document(found: FileOutcome) -> ResultDocument:
    # The published client drops a file's error_msg, but not a field's.
    field = ResultField(field_name="error", value=ERROR, type=ERROR, error_msg=found.error)
    return ResultDocument(fields=[field], class_name=None, page_numbers=[])


def _document(
    document: AppDocument,
    file: RunFile,
    detail: Detail,
    review: Reviewed | None,
    *,
    below: float | None,
) -> ResultDocument:
    pages = {page.number for page in document.pages}
    pages |= {field.page for field in document.fields if field.page is not None}
    shown: dict[str, Any] = {
        "fields": [
            _field(field, detail, index, review) for index, field in enumerate(document.fields)
        ],
        "class_name": review.class_name(document.class_name) if review else document.class_name,
        "page_numbers": [number + 1 for number in sorted(pages)],
    }
    if detail.review:
        shown |= _review(review, needed=bool(reasons_of(document, below)))
    if detail.source:
        shown |= _sources(document, file)
    if detail.confidence:
        shown["classification_confidence"] = ClassificationConfidence(
            model=document.class_confidence
        )
    if detail.validation:
        shown["validations"] = DocumentValidations(
            final_result_pass=all(
                _settled(field, index, review) for index, field in enumerate(document.fields)
            )
        )
    return ResultDocument(**shown)


def _review(review: Reviewed | None, *, needed: bool) -> dict[str, Any]:
    if review is None:
        state = ReviewState.NEEDS_REVIEW if needed else ReviewState.NONE
        return {
            "review_completed": not needed,
            "class_edit_history": [],
            "review_state": str(state),
        }
    return {
        "review_completed": review.accepted_us is not None,
        "class_edit_history": reviewed.history(review.classes),
        "review_state": str(review.state),
        "reviewed_by": review.accepted_by,
    }


def _sources(document: AppDocument, file: RunFile) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "page_layouts": [
            PageLayout(page_number=page.number, width=page.width, height=page.height)
            for page in document.pages
        ],
    }
    if file.pdf_path is not None:
        shown |= {
            "post_processed_paths": [file.pdf_path],
            "post_processed_pdf_path": file.pdf_path,
        }
    return shown


def _field(field: AppField, detail: Detail, index: int, review: Reviewed | None) -> ResultField:
    corrected = review is not None and index in review.values
    original = ERROR if field.error and field.value is None else field.value
    shown: dict[str, Any] = {
        "field_name": field_name(field.name),
        "value": review.values[index] if review and corrected else original,
        "type": field.type,
        "error_msg": None if corrected else field.error,
    }
    if detail.source:
        shown["source_coordinates"] = _coordinates(field)
    if detail.review:
        shown["edit_history"] = reviewed.history(review.of_field(index)) if review else []
        if corrected:
            shown |= {"corrected": True, "original_value": original}
    if detail.confidence:
        shown["confidence"] = Confidence(model=field.confidence, ocr=field.ocr_confidence)
    if detail.validation:
        shown["validations"] = FieldValidations(
            valid=_settled(field, index, review),
            alerts=[
                Alert(alert_level="FAILURE", msg=alert, blocked=False, type="lambda_code")
                for alert in field.alerts
            ],
        )
    return ResultField(**shown)


def _coordinates(field: AppField) -> list[Coordinates]:
    if field.box is None:
        return []
    left, top, right, bottom = field.box
    return [
        Coordinates(
            top_x=left, top_y=top, bottom_x=right, bottom_y=bottom, page_number=field.page or 0
        )
    ]


def _valid(field: AppField) -> bool:
    return field.valid if field.valid is not None else not (field.alerts or field.error)


def _settled(field: AppField, index: int, review: Reviewed | None) -> bool:
    """Return whether a field passed its rules, or a person has judged it."""
    judged = review is not None and (review.accepted_us is not None or index in review.values)
    return judged or _valid(field)

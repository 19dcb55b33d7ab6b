"""From what workers reported to the results that the protocol shows.

A file's work, its output and the four detail flags go in, and a `ResultFile` comes out in which
only the asked-for keys are set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from longshore.engine import works
from longshore.engine.states import TRANSITIONS, Reason, State
from longshore.engine.works import Output, Work
from longshore.surfaces.apps.naming import field_name
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
from longshore.wire.worker import AppDocument, AppField, AppResult

ERROR: Final = "ERROR"
"""Value of a field that could not be read (protocol §3.2)."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What to show beyond the values: the four flags of the request."""

    confidence: bool = False
    source: bool = False
    review: bool = False
    validation: bool = False


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


def shape(file: RunFile, found: FileOutcome, detail: Detail) -> ResultFile:
    """Return the results of one file, with the keys that the flags ask for."""
    shown: dict[str, Any] = {
        "original_file_name": file.name,
        "input_file_path": file.path,
        "work_id": file.work_id,
    }
    if found.result is None:
        return ResultFile(**shown, documents=[_error_document(found)], error_msg=found.error)
    documents = [_document(document, file, detail) for document in found.result.documents]
    return ResultFile(**shown, documents=documents)


def to_review(found: FileOutcome) -> int:
    """Return how many documents of a file have something that a person should look at."""
    if found.result is None:
        return 0
    return sum(_needs_review(document.fields) for document in found.result.documents)


def _error_document(found: FileOutcome) -> ResultDocument:
    # The published client drops a file's error_msg, but not a field's.
    field = ResultField(field_name="error", value=ERROR, type=ERROR, error_msg=found.error)
    return ResultDocument(fields=[field], class_name=None, page_numbers=[])


def _document(document: AppDocument, file: RunFile, detail: Detail) -> ResultDocument:
    pages = {page.number for page in document.pages}
    pages |= {field.page for field in document.fields if field.page is not None}
    shown: dict[str, Any] = {
        "fields": [_field(field, detail) for field in document.fields],
        "class_name": document.class_name,
        "page_numbers": [number + 1 for number in sorted(pages)],
    }
    if detail.review:
        shown |= {
            "review_completed": not _needs_review(document.fields),
            "class_edit_history": [],
        }
    if detail.source:
        shown |= _sources(document, file)
    if detail.confidence:
        shown["classification_confidence"] = ClassificationConfidence(
            model=document.class_confidence
        )
    if detail.validation:
        shown["validations"] = DocumentValidations(
            final_result_pass=all(_valid(field) for field in document.fields)
        )
    return ResultDocument(**shown)


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


def _field(field: AppField, detail: Detail) -> ResultField:
    shown: dict[str, Any] = {
        "field_name": field_name(field.name),
        "value": ERROR if field.error and field.value is None else field.value,
        "type": field.type,
        "error_msg": field.error,
    }
    if detail.source:
        shown["source_coordinates"] = _coordinates(field)
    if detail.review:
        shown["edit_history"] = []
    if detail.confidence:
        shown["confidence"] = Confidence(model=field.confidence, ocr=field.ocr_confidence)
    if detail.validation:
        shown["validations"] = FieldValidations(
            valid=_valid(field),
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


def _needs_review(fields: Iterable[AppField]) -> bool:
    return any(field.alerts or field.error or not _valid(field) for field in fields)

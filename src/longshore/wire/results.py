"""The results of an app run: GET /v2/apps/runs/{run_id}/results.

The shape is the AI Hub protocol's. `files`, `documents` and `fields` are always lists and every
`value` is a string or null, because the published client and the programs written for it count
on that. What a flag of the request did not ask for is left out of the answer (not null).
`page_numbers` count from 1; `page_number` in layouts and coordinates counts from 0.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr

from longshore.wire.apps import RunStatus


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Modification(_Answer):
    """One change that a reviewer made."""

    message: StrictStr


class Edit(_Answer):
    """One edit by a reviewer."""

    timestamp: StrictStr
    user_id: StrictStr
    modifications: list[Modification] = []


class Coordinates(_Answer):
    """Where on a page a value was read, in the units of the page's layout."""

    top_x: float
    top_y: float
    bottom_x: float
    bottom_y: float
    page_number: StrictInt
    """From 0."""


class Confidence(_Answer):
    """How sure the app is, 0 to 1; null where it does not say."""

    model: float | None = None
    """Of the extraction or classification."""
    ocr: float | None = None
    """Of the text recognition."""


class ClassificationConfidence(_Answer):
    """How sure the app is of a document's class, 0 to 1."""

    model: float | None = None


class Alert(_Answer):
    """What a validation rule found."""

    alert_level: StrictStr = "FAILURE"
    msg: StrictStr
    blocked: StrictBool = False
    type: StrictStr = "lambda_code"


class FieldValidations(_Answer):
    """Whether a field passed its rules."""

    valid: StrictBool
    alerts: list[Alert] = []


class DocumentValidations(_Answer):
    """Whether all fields of a document passed."""

    final_result_pass: StrictBool


class ResultField(_Answer):
    """One field of a document."""

    field_name: StrictStr
    """Made an identifier: "due date" is due_date, "secret_id" is secret__id."""
    value: StrictStr | None = None
    type: StrictStr = "TEXT"
    error_msg: StrictStr | None = None
    source_coordinates: list[Coordinates] = []
    """With include_source_info."""
    edit_history: list[Edit] = []
    """With include_review_results."""
    confidence: Confidence | None = None
    """With include_confidence_scores."""
    validations: FieldValidations | None = None
    """With include_validation_results."""
    corrected: StrictBool = False
    """(Longshore) With include_review_results: whether a reviewer gave the value."""
    original_value: StrictStr | None = None
    """(Longshore) With include_review_results, of a corrected field: what the app had read."""


class PageLayout(_Answer):
    """Size of a page."""

    page_number: StrictInt
    """From 0."""
    width: float
    height: float


class ResultDocument(_Answer):
    """One document found in a file."""

    fields: list[ResultField]
    class_name: StrictStr | None = None
    page_numbers: list[StrictInt] = []
    """From 1."""
    review_completed: StrictBool = True
    """With include_review_results: false while the document waits for a person."""
    class_edit_history: list[Edit] = []
    review_state: StrictStr = "none"
    """(Longshore) With include_review_results: `none`, `needs_review`, `in_review`, `accepted`."""
    reviewed_by: StrictStr | None = None
    """(Longshore) With include_review_results: who accepted it."""
    page_layouts: list[PageLayout] = []
    """With include_source_info, as the two paths."""
    post_processed_paths: list[StrictStr] = []
    post_processed_pdf_path: StrictStr | None = None
    classification_confidence: ClassificationConfidence | None = None
    validations: DocumentValidations | None = None


class ResultFile(_Answer):
    """The results of one file of the run."""

    original_file_name: StrictStr
    input_file_path: StrictStr
    documents: list[ResultDocument]
    error_msg: StrictStr | None = None
    """(Longshore) Why this file has no results. For clients that drop this key the same text
    is the `error_msg` of a single field named "error" with the value "ERROR"."""
    work_id: StrictStr | None = None
    """(Longshore) The engine's id of the file's work, for `longshore why` and `longshore logs`."""


class ResultKeys(_Answer):
    """The run's custom keys; names of secrets are never echoed."""

    custom: dict[str, Any] = {}


class CaseInfo(_Answer):
    """Fields that span the files of a run; Longshore's apps have none."""

    fields: list[dict[str, Any]] = []


class Results(_Answer):
    """One page of results; go on with `file_offset += len(files)` while `has_more`."""

    id: StrictStr
    status: RunStatus
    message: StrictStr | None = None
    start_timestamp: StrictInt | None = None
    finish_timestamp: StrictInt | None = None
    batch_id: StrictStr | None = None
    """A string here, a number on a run: the protocol's own inconsistency."""
    files: list[ResultFile]
    keys: ResultKeys = ResultKeys()
    case_info: CaseInfo = CaseInfo()
    review_completed: StrictBool = True
    has_more: StrictBool

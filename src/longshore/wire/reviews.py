"""What clients and the server say to each other about reviews, under /longshore/v1/apps/reviews.

A document of a run is named by the run's id and a place, such as `3-0`: the first document of the
fourth file. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from longshore import limits


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character NUL, which no database keeps")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Reason = Annotated[Text, Field(max_length=limits.REVIEW_REASON_CHARACTERS)]


class ReviewState(StrEnum):
    """Where the review of a document stands."""

    NONE = "none"
    """Nobody has to look at it."""
    NEEDS_REVIEW = "needs_review"
    """It waits for a person."""
    IN_REVIEW = "in_review"
    """A person looks at it, and others are kept from changing it meanwhile."""
    ACCEPTED = "accepted"
    """A person has looked at it, and its values count."""


class Review(_Answer):
    """A document that needs a person, or did."""

    run_id: str
    document: str
    """Which document of the run: index of the file, hyphen, index of the document in it."""
    file_name: str
    app_name: str
    workspace: str
    state: ReviewState
    version: int
    """What the next change must name, so that nobody overwrites what they have not seen."""
    reasons: list[str]
    """Why a person should look at it."""
    reviewer: str | None = None
    """Who looks at it now, or did last."""
    lease_until: str | None = None
    accepted_by: str | None = None
    accepted_at: str | None = None
    created_at: str | None = None


class ReviewList(_Answer):
    """One page of documents, those that wait longest first."""

    reviews: list[Review]
    next: int | None = None
    """What the next page is asked for with, as `after`; null on the last one."""


class ReviewChange(_Answer):
    """One thing that a reviewer did."""

    kind: str
    """`field`, `class`, `accept` or `reopen`."""
    field: int | None = None
    """Index of the field in the document."""
    previous: str | None = None
    value: str | None = None
    reason: str | None = None
    by: str
    at: str


class ReviewBox(_Answer):
    """Where on a page a value was read, in the units of the page."""

    page: int
    """From 0."""
    left: float
    top: float
    right: float
    bottom: float


class ReviewField(_Answer):
    """One field of a document."""

    index: int
    name: str
    """As the app calls it; results show it as an identifier."""
    value: str | None
    """What counts: the latest correction, or what the app read."""
    original: str | None
    """What the app read."""
    corrected: bool
    type: str
    confidence: float | None = None
    ocr_confidence: float | None = None
    doubtful: bool = False
    """Whether a person should look at it."""
    error: str | None = None
    alerts: list[str] = []
    box: ReviewBox | None = None


class ReviewPage(_Answer):
    """A page of the file, in the units of the boxes."""

    number: int
    """From 0."""
    width: float
    height: float


class ReviewedDocument(Review):
    """A document with its fields and all that reviewers did."""

    work_id: str
    class_name: str | None = None
    original_class_name: str | None = None
    class_confidence: float | None = None
    fields: list[ReviewField]
    pages: list[ReviewPage]
    history: list[ReviewChange]


class Correction(_Request):
    """A new value of a field."""

    field: int | str
    """Index of the field, or its name where only one field of the document has it."""
    value: Annotated[Text, Field(max_length=limits.REVIEW_VALUE_CHARACTERS)] | None
    """null for: there is nothing."""


class CorrectionRequest(_Request):
    """POST .../correct."""

    version: int
    """The version that the reviewer saw."""
    corrections: Annotated[list[Correction], Field(max_length=limits.REVIEW_CHANGES)] = []
    class_name: Annotated[Text, Field(min_length=1, max_length=limits.NAME_CHARACTERS)] | None = (
        None
    )
    """The right class of the document; left out where it is right."""
    reason: Reason | None = None

    def audited(self) -> dict[str, Any]:
        """Return what the audit log keeps of it: which fields, and why, but no values."""
        kept: dict[str, Any] = {"fields": [each.field for each in self.corrections][:50]}
        if self.class_name is not None:
            kept["class_name"] = self.class_name
        if self.reason:
            kept["reason"] = self.reason
        return kept


class ReopenRequest(_Request):
    """POST .../reopen."""

    version: int
    """The version that the reviewer saw; 0 for a document that never needed a review."""
    reason: Annotated[Text, Field(min_length=1, max_length=limits.REVIEW_REASON_CHARACTERS)]

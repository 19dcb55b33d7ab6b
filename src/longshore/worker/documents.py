"""What an app is given and what it gives back: `InputFile`, `Document`, `Field`, `Page`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the page, the origin at its top left."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of a run, as an app sees it.

    Attributes:
        name: the name that the user gave the file.
        path: a local copy, present while the app runs; its name is not the user's.
        size_bytes: size of the file in bytes.
        keys: the custom keys of the run (any JSON values).
        secrets: the secrets of the run, by what its settings call them; masked in what is printed
            and returned.
        password: what the file is opened with, where the run has a password for it.
    """

    name: str
    path: Path
    size_bytes: int
    keys: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    password: str | None = field(default=None, repr=False)

    def read_bytes(self) -> bytes:
        """Return the whole file."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a document and its size in the units of the boxes.

    Attributes:
        number: index of the page in the file, from 0.
        width: width in pixels.
        height: height in pixels.
    """

    number: int
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Field:
    """One value that an app read from a document.

    Attributes:
        name: name of the field; the server makes it an identifier ("due date" -> due_date).
        value: what was read, as text; None when nothing was found.
        confidence: how sure the extraction is, 0 to 1, or None.
        ocr_confidence: how sure the text recognition is, 0 to 1, or None.
        page: index of the page that the value was read from, from 0, or None.
        box: where on that page, in pixels, or None.
        type: kind of the value, such as TEXT, DATE, AMOUNT or TABLE.
        error: why this one field could not be read, or None.
        alerts: what validation rules found; a field with alerts needs a person's review.
    """

    name: str
    value: str | None = None
    confidence: float | None = None
    ocr_confidence: float | None = None
    page: int | None = None
    box: Box | None = None
    type: str = "TEXT"
    error: str | None = None
    alerts: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse values that no reader of the results could use.

        Raises:
            TypeError: `value` is neither text nor None.
            ValueError: a confidence is outside 0 to 1, or a box has no area or is not finite.
        """
        if self.value is not None and not isinstance(self.value, str):
            raise TypeError(
                f"Field {self.name!r}: value must be text or None, not "
                f"{type(self.value).__name__}. Convert it with str() or format it yourself."
            )
        for label, number in (
            ("confidence", self.confidence),
            ("ocr_confidence", self.ocr_confidence),
        ):
            if number is not None and not 0.0 <= number <= 1.0:
                raise ValueError(
                    f"Field {self.name!r}: {label} is {number}; it must lie in 0 to 1."
                )
        if self.box is not None:
            left, top, right, bottom = self.box
            if not all(math.isfinite(edge) for edge in self.box) or right < left or bottom < top:
                raise ValueError(
                    f"Field {self.name!r}: box {self.box} must be left, top, right, bottom with "
                    "left <= right and top <= bottom."
                )


@dataclass(frozen=True, slots=True)
class Document:
    """One document found in a file; a file may hold several.

    Attributes:
        fields: what was read, in the order in which results show it.
        class_name: kind of document, or None when the app does not classify.
        class_confidence: how sure the classification is, 0 to 1, or None.
        pages: the pages that the document covers.
        review: why a person should look at it whatever its fields say, or None.
    """

    fields: Sequence[Field]
    class_name: str | None = None
    class_confidence: float | None = None
    pages: Sequence[Page] = ()
    review: str | None = None

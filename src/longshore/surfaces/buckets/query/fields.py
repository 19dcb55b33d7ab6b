"""Where the documents are, and which of their names live in SQL columns instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement


@dataclass(frozen=True, slots=True)
class Column:
    """A top-level name whose value is kept in SQL; NULL stands for null.

    Attributes:
        expression: a column, or what is computed from columns.
        kind: "text", or "number" for whole numbers and floats.
    """

    expression: ColumnElement[Any]
    kind: Literal["text", "number"]


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What a filter is about; best made once, since translations are kept for each of them.

    Attributes:
        document: a text with the document, a JSON object.
        columns: names that lie over those of the document, by name.
    """

    document: ColumnElement[str]
    columns: Mapping[str, Column] = field(default_factory=dict)

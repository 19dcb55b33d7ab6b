"""Comparing texts the same way on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func


def begins_with(column: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
    """Return the condition that a text begins with `beginning`, to the letter.

    LIKE would not do: SQLite's takes `a` for `A`. No index is used, nor was one before, so this is
    for tables that stay small or that another condition narrows down.
    """
    return func.substr(column, 1, len(beginning)) == beginning

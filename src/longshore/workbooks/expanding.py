"""Names that stand for constants, formulas or whole tables, written out in the formulas that use them.

The library knows names of cells and of LAMBDAs only.
"""

from __future__ import annotations

import re
from typing import Final

from openpyxl.formula import Tokenizer
from openpyxl.formula.tokenizer import Token, TokenizerError
from openpyxl.utils import get_column_letter

from longshore import limits
from longshore.workbooks.formulas import Area, split_sheet
from longshore.workbooks.reading import Book, target

_DEPTH: Final = 20
_ABSOLUTE: Final = re.compile(r"\$[A-Z]{1,3}\$\d+(?::\$[A-Z]{1,3}\$\d+)?", re.IGNORECASE)


def expanded(book: Book, formula: str) -> str | None:
    """Return a formula with such names written out; None where one cannot be.

    A name whose formula has relative references means other cells in each cell that uses it, and
    one that needs itself means nothing.
    """
    text = _expanded(book, formula, 0, inside=False)
    return None if text is None or len(text) > limits.FORMULA_CHARACTERS else text


def _expanded(book: Book, formula: str, depth: int, *, inside: bool) -> str | None:
    if depth > _DEPTH:
        return None
    try:
        tokens = Tokenizer(formula).items
    except (TokenizerError, IndexError):
        return None
    parts: list[str] = []
    for token in tokens:
        part: str | None = token.value
        if token.type == Token.OPERAND and token.subtype == Token.RANGE:
            part = _operand(book, token.value, depth, inside=inside)
        if part is None:
            return None
        parts.append(part)
    return "=" + "".join(parts)


def _operand(book: Book, text: str, depth: int, *, inside: bool) -> str | None:
    on, rest = split_sheet(text)
    name = text.casefold()
    if name in book.bodies:
        return _spelled(book.bodies[name])
    meaning = book.names.get(name)
    if meaning is None:
        # Within the formula of a name, only what is fixed means the same everywhere.
        fixed = on is not None and _ABSOLUTE.fullmatch(rest) is not None
        return None if inside and not fixed and "[" not in text else text
    if target(book, meaning) is not None:
        return text
    inner = _expanded(book, f"={meaning.removeprefix('=')}", depth + 1, inside=True)
    return None if inner is None else f"({inner.removeprefix('=')})"


def _spelled(area: Area) -> str:
    sheet = area.sheet.replace("'", "''")
    first = f"${get_column_letter(area.column1)}${area.row1}"
    return f"'{sheet}'!{first}:${get_column_letter(area.column2)}${area.row2}"

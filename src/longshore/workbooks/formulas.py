"""What a formula refers to: cells, names, tables, functions, and other files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from openpyxl.formula import Tokenizer
from openpyxl.formula.tokenizer import Token, TokenizerError
from openpyxl.utils.cell import column_index_from_string

from longshore import limits
from longshore.errors import InvalidRequest
from longshore.workbooks.arguments import of_arrays

ROWS: Final = 1_048_576
COLUMNS: Final = 16_384
# What these refer to is known only when they are computed.
DYNAMIC: Final = frozenset({"INDIRECT", "OFFSET"})
VOLATILE: Final = frozenset(
    {"NOW", "TODAY", "RAND", "RANDBETWEEN", "RANDARRAY", "INDIRECT", "OFFSET", "CELL", "INFO"}
)
# They ask where a cell is and never what is in it, so that naming the own cell is no circle.
_PLACES: Final = frozenset({"ROW", "ROWS", "COLUMN", "COLUMNS", "SHEET", "SHEETS", "AREAS"})
_PREFIX: Final = re.compile(r"^(?:_xlfn\.|_xlws\.|_xludf\.|@)+", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"^_xlp[mo]\.", re.IGNORECASE)
_CELLS: Final = re.compile(
    r"\$?(?P<c1>[A-Z]{1,3})\$?(?P<r1>\d{1,7})(?::\$?(?P<c2>[A-Z]{1,3})\$?(?P<r2>\d{1,7}))?",
    re.IGNORECASE,
)
_WHOLE_COLUMNS: Final = re.compile(r"\$?([A-Z]{1,3}):\$?([A-Z]{1,3})", re.IGNORECASE)
_WHOLE_ROWS: Final = re.compile(r"\$?(\d{1,7}):\$?(\d{1,7})")
_EXTERNAL: Final = re.compile(r"\[[^\]]*\]")
_TABLE: Final = re.compile(r"(?P<name>[^\[\]!]*)\[.*\]#?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells; rows and columns from 1, both ends included."""

    sheet: str
    row1: int
    column1: int
    row2: int
    column2: int

    @property
    def cells(self) -> int:
        """How many cells it has."""
        return (self.row2 - self.row1 + 1) * (self.column2 - self.column1 + 1)


@dataclass(slots=True)
class Uses:
    """What a formula uses.

    Attributes:
        functions: canonical names, such as "XLOOKUP".
        names: defined names, and tables of which a part is used, folded.
        external: references into other files, as written.
        dynamic: whether it may use more than can be read from its text.
        ranges: ranges with a function at an end, such as `A1:INDEX(`.
        arrays: functions that are given arrays and would pass over them without an error.
    """

    functions: set[str] = field(default_factory=set)
    areas: set[Area] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    dynamic: bool = False
    ranges: set[str] = field(default_factory=set)
    arrays: set[str] = field(default_factory=set)


def uses(formula: str, sheet: str) -> Uses:
    """Return what a formula (with its equals sign) in a cell of `sheet` uses.

    Raises:
        InvalidRequest: it is longer or nested deeper than a formula may be.
    """
    if len(formula) > limits.FORMULA_CHARACTERS:
        raise InvalidRequest(
            f"its formula has {len(formula)} characters and may have {limits.FORMULA_CHARACTERS}"
        )
    found = Uses()
    try:
        tokens = Tokenizer(formula).items
    except (TokenizerError, IndexError):
        # The library may understand it all the same; what it uses stays unknown.
        found.dynamic = True
        return found
    _check_depth(tokens)
    found.arrays = of_arrays(tokens)
    places: list[bool] = []
    for token in tokens:
        if token.subtype == Token.OPEN:
            places.append(token.type == Token.FUNC and _function(found, token.value))
        elif token.subtype == Token.CLOSE and places:
            places.pop()
        elif token.type == Token.OPERAND and token.subtype == Token.RANGE:
            _operand(found, token.value, sheet, place=bool(places) and places[-1])
    return found


def area_of(text: str, sheet: str) -> Area | None:
    """Return the rectangle that a reference such as `$A$1:B2` names on a sheet, or None."""
    text = text.replace(" ", "")
    if match := _CELLS.fullmatch(text):
        column, row = column_index_from_string(match["c1"].upper()), int(match["r1"])
        column2 = column_index_from_string(match["c2"].upper()) if match["c2"] else column
        rows = sorted((row, int(match["r2"]) if match["r2"] else row))
        columns = sorted((column, column2))
    elif match := _WHOLE_COLUMNS.fullmatch(text):
        rows = [1, ROWS]
        columns = sorted(column_index_from_string(each.upper()) for each in match.groups())
    elif match := _WHOLE_ROWS.fullmatch(text):
        rows, columns = sorted(int(each) for each in match.groups()), [1, COLUMNS]
    else:
        return None
    if not (rows[0] >= 1 and rows[1] <= ROWS and columns[1] <= COLUMNS):
        return None
    return Area(sheet, rows[0], columns[0], rows[1], columns[1])


def split_sheet(text: str) -> tuple[str | None, str]:
    """Return the sheet, unquoted, and the rest of a reference such as `'My sheet'!A1`."""
    sheet, mark, rest = text.rpartition("!")
    if not mark:
        return None, text
    if sheet.startswith("'") and sheet.endswith("'"):
        sheet = sheet[1:-1].replace("''", "'")
    return sheet, rest


def function_name(text: str) -> str:
    """Return the name of a function without the prefixes that files give to newer ones."""
    return _PREFIX.sub("", text).upper()


def _function(found: Uses, opening: str) -> bool:
    """Enter the function that a token opens; return whether it asks only for places."""
    text = opening.removesuffix("(")
    if ":" in text:
        found.ranges.add(opening)
        text = text.rpartition(":")[2]
    if _PARAMETER.match(text):
        return False
    name = function_name(text)
    found.functions.add(name)
    found.dynamic |= name in DYNAMIC
    return name in _PLACES


def _operand(found: Uses, text: str, sheet: str, *, place: bool) -> None:
    text = text.lstrip("@")
    if _PARAMETER.match(text) or not text:
        return
    on, rest = split_sheet(text)
    if on is not None and _EXTERNAL.search(on):
        found.external.add(text)
        return
    if on is not None and ":" in on:
        # Several sheets at once.
        found.dynamic = True
        return
    area = area_of(rest, on or sheet)
    if area is not None:
        if not place:
            found.areas.add(area)
    elif (match := _TABLE.fullmatch(rest)) and match["name"]:
        found.names.add(match["name"].casefold())
    elif ":" in rest or "[" in rest or rest.endswith("#"):
        found.dynamic = True
    elif not rest.startswith("#"):
        found.names.add(rest.casefold())


def _check_depth(tokens: list[Token]) -> None:
    depth = prefixes = 0
    for token in tokens:
        depth += {Token.OPEN: 1, Token.CLOSE: -1}.get(token.subtype, 0)
        prefixes = prefixes + 1 if token.type == Token.OP_PRE else 0
        if max(depth, prefixes) > limits.FORMULA_DEPTH:
            raise InvalidRequest(f"its formula is nested deeper than {limits.FORMULA_DEPTH} levels")

"""Reading a workbook: its formulas, values, defined names and tables."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import CALENDAR_WINDOWS_1900
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.formula import ArrayFormula, DataTableFormula
from openpyxl.worksheet.worksheet import Worksheet

from longshore.errors import InvalidRequest
from longshore.workbooks.formulas import Area, Uses, area_of, split_sheet, uses

Place = tuple[str, int, int]
"""Sheet, row and column, from 1."""

# What openpyxl raises for files that are not of the form it expects.
_UNREADABLE: Final = (
    ParseError, InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError,
    AttributeError, IndexError, OverflowError, RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, with what it uses."""

    text: str
    uses: Uses
    array: bool


@dataclass(slots=True)
class Book:
    """What is in a workbook.

    Attributes:
        sheets: titles in their order; sheets that are charts are left out.
        formulas: by place.
        names: text that each defined name stands for, by the folded name.
        tables: place of each table, by the folded name.
        bodies: the same without rows of headings and totals.
    """

    sheets: list[str]
    formulas: dict[Place, Formula] = field(default_factory=dict)
    values: dict[Place, Any] = field(default_factory=dict)
    formats: dict[Place, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Area] = field(default_factory=dict)
    bodies: dict[str, Area] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Book:
    """Read a workbook whose archive was checked.

    Raises:
        InvalidRequest: it cannot be read, or has formulas that nothing here can compute.
    """
    try:
        # Opened here, since openpyxl leaves it open when it fails.
        with path.open("rb") as file, warnings.catch_warnings():
            # What is lost in reading (pictures, validations) plays no part in a calculation.
            warnings.simplefilter("ignore")
            opened = openpyxl.load_workbook(file, keep_links=False, rich_text=False)
    except _UNREADABLE as error:
        raise InvalidRequest(
            f"The workbook cannot be read ({type(error).__name__}: {str(error)[:100]}). Save it "
            "again with a spreadsheet program."
        ) from error
    if opened.epoch != CALENDAR_WINDOWS_1900:
        raise InvalidRequest(
            "The workbook counts dates from 1904, so that its dates would be four years off. "
            "Switch that off (Options > Advanced > Use 1904 date system) and check its dates."
        )
    book = Book([sheet.title for sheet in opened.worksheets])
    for sheet in opened.worksheets:
        _read_sheet(book, sheet)
    _read_names(book, opened)
    return book


def shown(place: Place) -> str:
    """Return a place as people write it, such as `Sheet1!B2`."""
    sheet, row, column = place
    quoted = sheet if sheet.isidentifier() else "'" + sheet.replace("'", "''") + "'"
    return f"{quoted}!{get_column_letter(column)}{row}"


def target(book: Book, text: str) -> Area | None:
    """Return the cells that the text of a defined name stands for, or None where it is no range."""
    on, rest = split_sheet(text.removeprefix("="))
    if on is None:
        return None
    sheet = {title.casefold(): title for title in book.sheets}.get(on.casefold())
    return None if sheet is None else area_of(rest, sheet)


def _read_sheet(book: Book, sheet: Worksheet) -> None:
    problems: list[str] = []
    for cell in _cells(sheet):
        place = (sheet.title, cell.row, cell.column)
        value = cell.value
        if isinstance(value, DataTableFormula):
            problems.append(f"{shown(place)} belongs to a data table (what-if analysis)")
            continue
        array = isinstance(value, ArrayFormula)
        if isinstance(value, ArrayFormula):
            value = value.text or ""
        if array or cell.data_type == "f":
            text = str(value)
            text = text if text.startswith("=") else f"={text}"
            try:
                book.formulas[place] = Formula(text, uses(text, sheet.title), array)
            except InvalidRequest as error:
                problems.append(f"{shown(place)}: {error.message}")
        else:
            book.values[place] = value
        book.formats[place] = cell.number_format
    if problems:
        raise InvalidRequest(
            f"The workbook has cells that cannot be computed: {'; '.join(problems[:10])}. Replace "
            "them by ordinary formulas."
        )
    for table in sheet.tables.values():
        area = area_of(table.ref, sheet.title)
        if area is not None:
            name = table.displayName.casefold()
            headings = 1 if table.headerRowCount is None else table.headerRowCount
            book.tables[name] = area
            book.bodies[name] = replace(
                area, row1=area.row1 + headings, row2=area.row2 - (table.totalsRowCount or 0)
            )


def _cells(sheet: Worksheet) -> Iterator[Cell]:
    for row in sheet.iter_rows():
        for cell in row:
            if not isinstance(cell, MergedCell) and cell.value is not None:
                yield cell


def _read_names(book: Book, opened: openpyxl.Workbook) -> None:
    # A name of the whole workbook hides one of a sheet, and two sheets' names hide each other.
    for sheet in opened.worksheets:
        for name, defined in sheet.defined_names.items():
            _enter(book, name, defined.attr_text or "")
    for name, defined in opened.defined_names.items():
        _enter(book, name, defined.attr_text or "")


def _enter(book: Book, name: str, text: str) -> None:
    folded = name.casefold()
    if folded.startswith("_xlnm."):
        return
    book.names[folded] = text
    book.spelled[folded] = name

"""The formula library (IronCalc) behind a few calls: values in, recalculation, values out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import ironcalc

from longshore.errors import InvalidRequest
from longshore.workbooks.reading import Place

Value = str | float | bool | None
UNREADABLE: Final = "#ERROR!"
"""What the library shows for a formula that it cannot read."""
UNFINISHED: Final = "#N/IMPL!"
"""What it shows for a use of a function that it does not know how to compute."""
_NOT_THERE: Final = ("#NAME?", UNFINISHED)
_NAMED_LOCALE: Final = ("en", "UTC", "en")
_ARGUMENTS: Final = ("", "1", "1,1", "1,1,1")
# They are read by the library itself and not as functions, or only with arguments of their own.
_SYNTAX: Final = frozenset({"LET", "LAMBDA", "ANCHORARRAY"})


class Failed(Exception):
    """The library broke at a formula; the workbook has to be opened again."""


class Error(str):
    """A value that is an error, such as `#DIV/0!`."""

    __slots__ = ()


class Sheets:
    """A workbook that is open in the library; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open a workbook that was checked.

        Raises:
            InvalidRequest: the library cannot read it.
        """
        try:
            with _guarded():
                self._model = ironcalc.load_from_xlsx(str(path), *_NAMED_LOCALE)
        except (ironcalc.WorkbookError, Failed) as error:
            raise InvalidRequest(
                f"The formula library cannot read the workbook ({str(error)[:200]}). Save it "
                "again with a spreadsheet program, as Excel Workbook (.xlsx)."
            ) from error
        properties = self._model.get_worksheets_properties()
        self._numbers = {each["name"].casefold(): at for at, each in enumerate(properties)}

    def put(self, place: Place, value: Value) -> None:
        """Set the value of a cell; text is never read as a formula, number or date."""
        sheet, row, column = self._at(place)
        with _guarded():
            if value is None:
                self._model.clear_cell_contents(sheet, row, column)
            elif isinstance(value, bool):
                self._model.update_cell_with_bool(sheet, row, column, value)
            elif isinstance(value, str):
                self._model.update_cell_with_text(sheet, row, column, value)
            else:
                self._model.update_cell_with_number(sheet, row, column, value)

    def write(self, place: Place, formula: str) -> None:
        """Set the formula of a cell."""
        sheet, row, column = self._at(place)
        with _guarded():
            self._model.update_cell_with_formula(sheet, row, column, formula)

    def evaluate(self) -> None:
        """Compute all formulas again.

        Raises:
            Failed: the library broke.
        """
        with _guarded():
            self._model.evaluate()

    def get(self, place: Place) -> Value:
        """Return the value of a cell: an Error where it is one, None where there is nothing."""
        sheet, row, column = self._at(place)
        with _guarded():
            value = self._model.get_cell_value(sheet, row, column)
            kind = self._model.get_cell_type(sheet, row, column)
        if kind == ironcalc.CellType.ErrorValue:
            return Error(value)
        if value is None or isinstance(value, str | bool):
            return value
        return float(value)

    def clear(self, sheet: str) -> None:
        """Remove everything from a sheet."""
        number = self._numbers[sheet.casefold()]
        with _guarded():
            row1, row2, column1, column2 = self._model.get_sheet_dimensions(number)
            self._model.range_clear_all(number, row1, column1, row2, column2)

    def _at(self, place: Place) -> tuple[int, int, int]:
        return self._numbers[place[0].casefold()], place[1], place[2]


_known: dict[str, bool] = {}
_asking = threading.Lock()


def unsupported(functions: Sequence[str]) -> list[str]:
    """Return those of the functions that the library does not have, in order of the alphabet."""
    with _asking:
        for name in functions:
            if name not in _known:
                _known[name] = name in _SYNTAX or _is_known(name)
        return sorted({name for name in functions if not _known[name]})


def _is_known(name: str) -> bool:
    # A function is missing if it is so whatever its arguments; otherwise they were the matter.
    for arguments in _ARGUMENTS:
        model = ironcalc.create("probe", *_NAMED_LOCALE)
        try:
            with _guarded():
                model.set_user_input(0, 1, 1, f"={name}({arguments})")
                model.evaluate()
                value = model.get_cell_value(0, 1, 1)
        except Failed:
            return True
        if value not in _NOT_THERE:
            return True
    return False


@contextmanager
def _guarded() -> Iterator[None]:
    """Turn a panic of the library, which is no Exception, into an error."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise Failed(f"The formula library failed: {str(error)[:200]}.") from error

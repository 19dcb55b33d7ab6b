"""The plan of a service: which cells its inputs and outputs are, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge
from longshore.workbooks.reading import Book, Place, shown, target
from longshore.workbooks.values import Kind, default_of, kind_of

_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Input:
    """A cell that a record sets.

    Attributes:
        default: its value in the workbook; None where the cell is empty, so that each record
            must have one.
    """

    name: str
    place: Place
    kind: Kind
    default: Any

    @property
    def required(self) -> bool:
        """Whether each record must have it."""
        return self.default is None


@dataclass(frozen=True, slots=True)
class Output:
    """A cell whose value is returned."""

    name: str
    place: Place
    kind: Kind


@dataclass(frozen=True, slots=True)
class Plan:
    """Inputs and outputs of a service."""

    inputs: list[Input]
    outputs: list[Output]


def plan(book: Book, inputs: Sequence[str], outputs: Sequence[str]) -> Plan:
    """Find the cells of inputs and outputs by their defined names.

    Raises:
        InvalidRequest: a name is unknown, stands for several cells, or is given twice, or an
            input has a formula; all such problems are in the message.
        TooLarge: there are too many names.
    """
    if not inputs or not outputs:
        missing = "inputs" if not inputs else "outputs"
        raise InvalidRequest(
            f"A service needs at least one input and one output, and there are no {missing}. "
            f"{_there_are(book)}"
        )
    for names, noun in ((inputs, "inputs"), (outputs, "outputs")):
        if len(names) > limits.WORKBOOK_NAMES:
            raise TooLarge(
                f"There are {len(names)} {noun}; a service may have {limits.WORKBOOK_NAMES}."
            )
    problems: list[str] = []
    places: dict[Place, str] = {}
    found_inputs = [_input(book, name, places, problems) for name in inputs]
    found_outputs = [_output(book, name, problems) for name in outputs]
    twice = {name for names in (inputs, outputs) for name in names if list(names).count(name) > 1}
    problems += [f"{name!r} is given twice" for name in sorted(twice)]
    if problems:
        raise InvalidRequest(
            f"The workbook cannot be this service: {'; '.join(problems[:_LISTED])}. "
            f"{_there_are(book)}"
        )
    return Plan(
        [each for each in found_inputs if each is not None],
        [each for each in found_outputs if each is not None],
    )


def _input(book: Book, name: str, places: dict[Place, str], problems: list[str]) -> Input | None:
    place = _place(book, name, problems)
    if place is None:
        return None
    if place in book.formulas:
        problems.append(
            f"the input {name!r} is {shown(place)}, which has a formula; an input must be a cell "
            "with a value, which a record takes the place of"
        )
        return None
    if places.setdefault(place, name) != name:
        problems.append(f"{name!r} and {places[place]!r} are the same cell {shown(place)}")
        return None
    value = book.values.get(place)
    kind = kind_of(value, book.formats.get(place, "General"))
    return Input(name, place, kind, None if value is None else default_of(kind, value))


def _output(book: Book, name: str, problems: list[str]) -> Output | None:
    place = _place(book, name, problems)
    if place is None:
        return None
    # What a formula returns is known only when it is computed; its format says if it is a date.
    dated = kind_of(None, book.formats.get(place, "General"))
    return Output(name, place, dated)


def _place(book: Book, name: str, problems: list[str]) -> Place | None:
    text = book.names.get(name.casefold())
    if text is None:
        near = get_close_matches(name.casefold(), list(book.names), n=1)
        hint = f" (did you mean {book.spelled[near[0]]!r}?)" if near else ""
        problems.append(f"there is no defined name {name[:80]!r}{hint}")
        return None
    area = target(book, text)
    if area is None:
        problems.append(f"the name {name!r} stands for {text[:80]}, which is no cell")
        return None
    if area.cells != 1:
        problems.append(
            f"the name {name!r} stands for {area.cells} cells ({text[:80]}) and must stand for one"
        )
        return None
    return area.sheet, area.row1, area.column1


def _there_are(book: Book) -> str:
    names = [
        spelled
        for folded, spelled in sorted(book.spelled.items())
        if (area := target(book, book.names[folded])) is not None and area.cells == 1
    ]
    if not names:
        return (
            "The workbook has no defined names of single cells: select a cell and type a name "
            "into the box left of the formula bar."
        )
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"Names of single cells are: {', '.join(names[:_LISTED])}{more}."

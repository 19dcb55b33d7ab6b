"""Checking whether a workbook can be a service, before it becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from longshore.errors import InvalidRequest
from longshore.workbooks import graph as graphs
from longshore.workbooks import reading
from longshore.workbooks.archive import check_archive
from longshore.workbooks.computing import opened, whole
from longshore.workbooks.graph import Graph
from longshore.workbooks.library import UNFINISHED, UNREADABLE, Error, Failed, Sheets, unsupported
from longshore.workbooks.plan import Plan, plan
from longshore.workbooks.reading import Book, Place, shown
from longshore.workbooks.values import from_cell

_LISTED: Final = 10
_FORMULA_CHARACTERS: Final = 80
_UNCOMPUTED: Final = (UNREADABLE, UNFINISHED, "#CIRC!", "#NAME?")


class CheckedInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input, as `wire.worker.InputField` has it."""

    name: str
    kind: str
    required: bool
    default: Any


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a workbook that can be a service is like."""

    inputs: list[CheckedInput]
    outputs: list[str]
    functions: list[str]
    """Functions that the outputs need."""
    formulas: int
    """How many formulas the outputs need."""
    example: dict[str, Any]
    """Outputs for the values in the workbook; those that are errors there are left out."""


def check(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Checked:
    """Return what a workbook is like as a service; run it in a process with limits.

    Raises:
        InvalidRequest: it cannot be one; the message names the cells, names and functions that
            are in the way.
        TooLarge: it is larger than a workbook may be.
    """
    check_archive(path)
    book = reading.read(path)
    service = plan(book, inputs, outputs)
    graph = graphs.build(book, [each.place for each in service.outputs])
    _refuse_links(graph)
    functions = _refuse_functions(book, graph)
    _refuse_names(graph)
    _refuse_unreadable(graph)
    _refuse_circles(graph)
    sheets = _computed(path, graph)
    _refuse_values(book, graph, sheets)
    _compare(path, book, graph, service, sheets)
    return Checked(
        inputs=[
            CheckedInput(
                name=each.name, kind=each.kind.value, required=each.required, default=each.default
            )
            for each in service.inputs
        ],
        outputs=[each.name for each in service.outputs],
        functions=functions,
        formulas=len(graph.needed),
        example=_example(service, sheets),
    )


def _refuse_links(graph: Graph) -> None:
    if graph.external:
        raise InvalidRequest(
            f"Cells link to other files, which are not here: {_listed(graph.external)}. Put the "
            "values in the place of the links (Data > Edit Links > Break Link)."
        )


def _refuse_functions(book: Book, graph: Graph) -> list[str]:
    """Return the functions that are needed; refuse those that the library does not have."""
    users: dict[str, Place] = {}
    for place in graph.needed:
        for name in book.formulas[place].uses.functions:
            users.setdefault(name, place)
    for name in graph.called:
        users.setdefault(name, next(iter(graph.needed)))
    functions = sorted(name for name in users if not graphs.is_own(book, name))
    missing = unsupported(functions)
    if missing:
        used = ", ".join(f"{name} in {shown(users[name])}" for name in missing[:_LISTED])
        raise InvalidRequest(
            f"The workbook uses functions that cannot be computed here: {used}. Replace them by "
            "others; docs/explanation/workbooks.md lists the functions that are missing.",
            details={"functions": missing},
        )
    return functions


def _refuse_names(graph: Graph) -> None:
    if graph.names:
        some = list(graph.names.items())[:_LISTED]
        raise InvalidRequest(
            "The workbook uses names that it does not define: "
            f"{', '.join(f'{name} in {shown(place)}' for name, place in some)}. Define them "
            "(Formulas > Name Manager) or correct the formulas."
        )


def _refuse_unreadable(graph: Graph) -> None:
    if graph.unreadable:
        raise InvalidRequest(
            "The workbook has formulas in a form that cannot be computed here: "
            f"{_listed(graph.unreadable)}. Let such a name stand for a cell, give ranges fixed "
            "ends, and put arrays into cells of their own."
        )


def _refuse_circles(graph: Graph) -> None:
    found = graphs.circle(graph)
    if found:
        way = [shown(place) for place in [*found, found[0]]]
        if len(way) > _LISTED:
            way = [*way[: _LISTED - 1], "...", way[-1]]
        raise InvalidRequest(
            f"The workbook has a circular reference: {' uses '.join(way)}. Formulas that need "
            "their own result cannot be computed here; remove the circle."
        )


def _computed(path: Path, graph: Graph) -> Sheets:
    try:
        return whole(path, graph)
    except Failed as error:
        raise InvalidRequest(
            f"The workbook cannot be computed with the values that are in it. {error} Leave out "
            "what the outputs do not need, to find the formula."
        ) from error


def _refuse_values(book: Book, graph: Graph, sheets: Sheets) -> None:
    """Refuse formulas that the library cannot read or finish; other errors are the inputs'."""
    problems: dict[Place, str] = {}
    for place in graph.needed:
        value = sheets.get(place)
        if isinstance(value, Error) and value in _UNCOMPUTED:
            problems[place] = book.formulas[place].text[:_FORMULA_CHARACTERS]
    if problems:
        raise InvalidRequest(
            f"The workbook has formulas that cannot be computed here: {_listed(problems)}. Write "
            "them in another way."
        )


def _compare(path: Path, book: Book, graph: Graph, service: Plan, sheets: Sheets) -> None:
    """See that leaving out what is not needed changes nothing."""
    if not graph.complete or graph.volatile:
        return
    reduced = opened(path, book, graph, service)
    for each in service.outputs:
        whole, less = sheets.get(each.place), reduced.get(each.place)
        if whole != less:
            raise InvalidRequest(
                f"The output {each.name} ({shown(each.place)}) is {whole!r}, but {less!r} when "
                "only what it needs is computed. This is a fault of Longshore: please report it "
                "with the workbook."
            )


def _example(service: Plan, sheets: Sheets) -> dict[str, Any]:
    values = {each.name: (each.kind, sheets.get(each.place)) for each in service.outputs}
    return {
        name: from_cell(kind, value)
        for name, (kind, value) in values.items()
        if not isinstance(value, Error)
    }


def _listed(problems: Mapping[Place, str]) -> str:
    shown_problems = [f"{shown(place)} ({what})" for place, what in problems.items()]
    more = len(shown_problems) - _LISTED
    return ", ".join(shown_problems[:_LISTED]) + (f" and {more} more" if more > 0 else "")


__all__ = ["Checked", "CheckedInput", "check"]

"""Computing records with a workbook: inputs go into cells, outputs are read from cells."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from longshore.errors import InvalidRequest, Reject
from longshore.workbooks import graph as graphs
from longshore.workbooks import reading
from longshore.workbooks.graph import Graph
from longshore.workbooks.library import Error, Failed, Sheets, Value
from longshore.workbooks.plan import Output, Plan, plan
from longshore.workbooks.reading import Book, Place, shown
from longshore.workbooks.values import for_cell, from_cell

_SHOWN: Final = 10


class Workbook:
    """A workbook that computes records, one at a time, from whatever thread.

    What inputs cannot change is computed once, when the workbook is opened; for each record the
    library computes the rest again.
    """

    def __init__(self, path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Open a workbook that was checked; keep the file, which is read again when needed.

        Raises:
            InvalidRequest: it cannot be read, or has not these names.
        """
        self._path = path
        self._book = reading.read(path)
        self.plan: Final[Plan] = plan(self._book, inputs, outputs)
        self._graph = graphs.build(self._book, [each.place for each in self.plan.outputs])
        self._lock = threading.Lock()
        self._sheets: Sheets | None = None
        self._current: dict[Place, Value] = {}

    def compute(
        self,
        record: Mapping[str, Any],
        wanted: Sequence[str] | None = None,
        *,
        others: bool = False,
    ) -> dict[str, Any]:
        """Return the outputs for a record, only the `wanted` ones if there are any.

        An input that the record leaves out, or that is null, has the value in the workbook; what
        the record has besides the inputs is not looked at. With `others`, outputs that are not
        wanted are returned as well, unless they are errors.

        Raises:
            InvalidRequest: an input without a value in the workbook is missing, or one is of the
                wrong kind.
            Reject: an output is an error such as #DIV/0!, the message names it and its cell; or
                the formula library broke at this record.
        """
        given = self._inputs(record)
        outputs = self.plan.outputs
        if wanted is not None and not others:
            outputs = [each for each in outputs if each.name in wanted]
        with self._lock:
            try:
                sheets = self._opened()
                self._put(sheets, given)
                values = [(each, sheets.get(each.place)) for each in outputs]
            except Failed as error:
                self._sheets = None
                raise Reject(f"{error} The other records are not affected.") from error
        _refuse_errors(
            [(each, value) for each, value in values if wanted is None or each.name in wanted]
        )
        return {
            each.name: from_cell(each.kind, value)
            for each, value in values
            if not isinstance(value, Error)
        }

    def _inputs(self, record: Mapping[str, Any]) -> dict[Place, Value]:
        given: dict[Place, Value] = {}
        for each in self.plan.inputs:
            value = record.get(each.name)
            if value is None:
                if each.required:
                    raise InvalidRequest(
                        f"The input {each.name} is missing, and its cell {shown(each.place)} is "
                        "empty in the workbook, so that there is no other value."
                    )
                value = each.default
            given[each.place] = for_cell(each.name, each.kind, value)
        return given

    def _put(self, sheets: Sheets, given: Mapping[Place, Value]) -> None:
        changed = False
        for place, value in given.items():
            if place not in self._current or not _same(self._current[place], value):
                sheets.put(place, value)
                self._current[place] = value
                changed = True
        if changed or self._graph.volatile or not self._graph.complete:
            sheets.evaluate()

    def _opened(self) -> Sheets:
        if self._sheets is None:
            self._current = {}
            self._sheets = opened(self._path, self._book, self._graph, self.plan)
        return self._sheets


def whole(path: Path, graph: Graph) -> Sheets:
    """Open a workbook in the library and compute all of it.

    Raises:
        InvalidRequest: the library cannot read it.
        Failed: the library broke at a formula.
    """
    sheets = Sheets(path)
    for place, formula in graph.written.items():
        sheets.write(place, formula)
    sheets.evaluate()
    return sheets


def opened(path: Path, book: Book, graph: Graph, service: Plan) -> Sheets:
    """Open a workbook in the library with only what its outputs need.

    Formulas that neither an input nor the clock can change become their values; sheets that no
    output needs are emptied.
    """
    sheets = whole(path, graph)
    if not graph.complete:
        return sheets
    inputs = [each.place for each in service.inputs]
    moving = graphs.changing(graph, inputs)
    for place in graph.needed:
        if place in moving:
            continue
        value = sheets.get(place)
        # An error stays a formula, since it cannot be put in; so does what is empty.
        if value is not None and not isinstance(value, Error):
            sheets.put(place, value)
    used = {area.sheet.casefold() for areas in graph.reads.values() for area in areas}
    used |= {each.place[0].casefold() for each in service.inputs}
    used |= {each.place[0].casefold() for each in service.outputs}
    used |= {place[0].casefold() for place in graph.needed}
    for title in book.sheets:
        if title.casefold() not in used:
            sheets.clear(title)
    sheets.evaluate()
    return sheets


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _refuse_errors(values: Sequence[tuple[Output, Value]]) -> None:
    errors = [
        f"{each.name} ({shown(each.place)}) is {value}"
        for each, value in values
        if isinstance(value, Error)
    ]
    if errors:
        raise Reject(f"{'; '.join(errors[:_SHOWN])}.")

"""Which cells a workbook's outputs need, and which of them its inputs change."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from longshore.workbooks.expanding import expanded
from longshore.workbooks.formulas import VOLATILE, Area, Uses, uses
from longshore.workbooks.reading import Book, Place, target

_EDGES_MAX: Final = 3_000_000
"""A workbook with more references than this is computed as a whole: to follow them takes longer."""
_NAMES_DEPTH: Final = 20


@dataclass(slots=True)
class Graph:
    """The formulas that the outputs need.

    Attributes:
        complete: False where references cannot all be read from the formulas (INDIRECT, ranges
            that functions return, arrays that spill); then all formulas count as needed.
        needed: places of formulas, with the places of formulas that each uses.
    """

    complete: bool
    needed: dict[Place, list[Place]]
    reads: dict[Place, set[Area]] = field(default_factory=dict)
    """Cells of whatever kind that each needed formula uses."""
    volatile: set[Place] = field(default_factory=set)
    """Formulas whose values change by themselves, as those of NOW and RAND."""
    called: set[str] = field(default_factory=set)
    """Functions in the formulas of defined names."""
    names: dict[str, Place] = field(default_factory=dict)
    """Names that are used and stand for nothing, with a place that uses each."""
    external: dict[Place, str] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    """Formulas as they are computed, where that is not as they stand in the workbook."""
    unreadable: dict[Place, str] = field(default_factory=dict)
    """Formulas in a form that the library does not compute, with what that is."""


class _Builder:
    def __init__(self, book: Book) -> None:
        self._book = book
        self._by_sheet: dict[str, list[Place]] = {}
        for place in book.formulas:
            self._by_sheet.setdefault(place[0].casefold(), []).append(place)
        self._titles = {title.casefold(): title for title in book.sheets}
        self._in_area: dict[Area, list[Place]] = {}
        self._edges = 0
        self.dynamic = any(formula.array for formula in book.formulas.values())
        self.graph = Graph(complete=True, needed={})

    def follow(self, places: Iterable[Place]) -> bool:
        """Enter all formulas that these need; return False if they have too many references."""
        waiting = deque(place for place in places if place in self._book.formulas)
        while waiting:
            place = waiting.popleft()
            if place in self.graph.needed:
                continue
            used = self._used(place)
            self._edges += len(used)
            if self._edges > _EDGES_MAX:
                return False
            self.graph.needed[place] = used
            waiting.extend(each for each in used if each not in self.graph.needed)
        return True

    def _used(self, place: Place) -> list[Place]:
        formula = self._book.formulas[place]
        self.dynamic |= formula.uses.dynamic
        areas = set(formula.uses.areas)
        self._resolve(place, formula.uses, areas, 0)
        for text in formula.uses.external:
            self.graph.external[place] = text
        self.graph.reads[place] = areas
        return [each for area in areas for each in self._formulas_in(area)]

    def _resolve(self, place: Place, used: Uses, areas: set[Area], depth: int) -> None:
        """Add the cells that names stand for, those in formulas of names among them."""
        if used.functions & VOLATILE:
            self.graph.volatile.add(place)
        called = {name.casefold() for name in used.functions if is_own(self._book, name)}
        for function in used.arrays:
            self.graph.unreadable[place] = f"{function} of an array that is computed"
        for beginning in used.ranges:
            self.graph.unreadable[place] = f"{beginning}...), a range whose end is computed"
        for name in used.names | called:
            text = self._book.names.get(name)
            if name in self._book.tables:
                areas.add(self._book.tables[name])
                self._write_out(place, name, f"a table with {name}")
            elif text is None:
                self.graph.names[name] = place
            elif (area := target(self._book, text)) is not None:
                areas.add(area)
            elif depth < _NAMES_DEPTH:
                if name not in called:
                    self._write_out(place, name, text)
                self._resolve_formula(place, text, areas, depth)

    def _write_out(self, place: Place, name: str, text: str) -> None:
        """Let the formula at a place be computed with its names written out."""
        formula = self._book.formulas[place]
        written = None if formula.array else expanded(self._book, formula.text)
        if written is None:
            self.graph.unreadable[place] = (
                f"the name {self._book.spelled.get(name, name)}, which stands for {text[:40]}"
            )
        elif written != formula.text:
            self.graph.written[place] = written
            for function in uses(written, place[0]).arrays:
                self.graph.unreadable[place] = f"{function} of an array, {name}"

    def _resolve_formula(self, place: Place, text: str, areas: set[Area], depth: int) -> None:
        inner = uses(f"={text.removeprefix('=')}", place[0])
        self.dynamic |= inner.dynamic
        areas |= inner.areas
        for external in inner.external:
            self.graph.external[place] = external
        self.graph.called |= inner.functions
        self._resolve(place, inner, areas, depth + 1)

    def _formulas_in(self, area: Area) -> list[Place]:
        if area not in self._in_area:
            self._in_area[area] = self._look_up(area)
        return self._in_area[area]

    def _look_up(self, area: Area) -> list[Place]:
        formulas = self._book.formulas
        title = self._titles.get(area.sheet.casefold())
        if title is None:
            return []
        on_sheet = self._by_sheet.get(area.sheet.casefold(), [])
        if area.cells < len(on_sheet):
            rows, columns = range(area.row1, area.row2 + 1), range(area.column1, area.column2 + 1)
            places = [(title, row, column) for row in rows for column in columns]
            return [place for place in places if place in formulas]
        return [place for place in on_sheet if contains(area, place)]


def is_own(book: Book, function: str) -> bool:
    """Whether a function is one of the workbook itself: a defined name that is a LAMBDA."""
    text = book.names.get(function.casefold())
    return text is not None and target(book, text) is None


def contains(area: Area, place: Place) -> bool:
    """Whether a place lies in an area."""
    sheet, row, column = place
    return (
        area.row1 <= row <= area.row2
        and area.column1 <= column <= area.column2
        and area.sheet.casefold() == sheet.casefold()
    )


def build(book: Book, outputs: Sequence[Place]) -> Graph:
    """Return what the outputs need."""
    builder = _Builder(book)
    if builder.follow(outputs) and not builder.dynamic:
        return builder.graph
    graph = builder.graph
    whole = _Builder(book)
    if whole.follow(book.formulas):
        graph = whole.graph
    else:
        graph.needed.update((place, []) for place in book.formulas if place not in graph.needed)
    graph.complete = False
    return graph


def changing(graph: Graph, inputs: Sequence[Place]) -> set[Place]:
    """Return the needed formulas whose values inputs or the clock can change."""
    users: dict[Place, list[Place]] = {}
    for place, used in graph.needed.items():
        for each in used:
            users.setdefault(each, []).append(place)
    waiting = deque(
        place
        for place, areas in graph.reads.items()
        if place in graph.volatile or any(contains(area, at) for area in areas for at in inputs)
    )
    found: set[Place] = set(waiting)
    while waiting:
        for place in users.get(waiting.popleft(), ()):
            if place not in found:
                found.add(place)
                waiting.append(place)
    return found


def circle(graph: Graph) -> list[Place] | None:
    """Return a circle of formulas, each of which uses the next and the last the first, or None."""
    state: dict[Place, int] = {}
    for root in graph.needed:
        if root in state:
            continue
        path = [root]
        iterators = [iter(graph.needed[root])]
        state[root] = 1
        while path:
            following = next(iterators[-1], None)
            if following is None:
                state[path.pop()] = 2
                iterators.pop()
            elif state.get(following) == 1:
                return path[path.index(following) :]
            elif following not in state:
                state[following] = 1
                path.append(following)
                iterators.append(iter(graph.needed.get(following, ())))
    return None

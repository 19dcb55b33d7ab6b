"""What is left out of a workbook changes no output: wild workbooks, computed in part and whole."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from longshore.errors import Reject
from longshore.workbooks.checking import check
from longshore.workbooks.computing import Workbook
from longshore.workbooks.library import Error, Sheets
from longshore.workbooks.values import from_cell
from tests.unit.workbook_files import save

Place = tuple[str, str]
SHEETS = ("Calc", "My data", "O'Brien")
TABLE = {f"{column}{row}": row * n for row in range(1, 6) for column, n in (("A", 1), ("B", 7))}
FORMULAS = (
    "={a}+{b}*2", "=IF({a}>{b},{c},{a})", "=SUM({a},{b})", "=IFERROR({a}/{b},{c})",
    '={a}&"-"&{b}', "=_xlfn.LET(_xlpm.q,{a},_xlpm.q&{b})", "=MAX({a},{b},{c})",
    "=COUNT({a},{c})", "=-{a}", "=N({a})+N({b})", "=in1+{a}", "=VLOOKUP({a},Table!A1:B5,2,FALSE)",
    "=SUM(Table!B1:B5)+{a}", "=SUMIF(Table!A1:A5,{a},Table!B1:B5)", "=ROW({a})+COLUMNS(A1:B2)",
    "=SUM(Table!B:B)+N({b})", "=INDEX(Table!A1:B5,1+MOD(INT(N({a})),5),2)",
)  # fmt: skip


class Wild:
    """A workbook of random cells, of which each uses only such as were made before it."""

    def __init__(self, seed: int, path: Path) -> None:
        self.random = random.Random(seed)
        self.places = [
            (sheet, f"{column}{row}")
            for sheet in SHEETS
            for row in range(1, 9)
            for column in "ABCDE"
        ]
        self.random.shuffle(self.places)
        self.cells: dict[str, dict[str, Any]] = {sheet: {} for sheet in SHEETS}
        for index, (sheet, address) in enumerate(self.places):
            value = self._value(index, sheet)
            if value is not None:
                self.cells[sheet][address] = value
        numbers = [place for place in self.places if type(self._at(place)) in (int, float)]
        formulas = [place for place in self.places if str(self._at(place)).startswith("=")]
        names = dict(zip(("in1", "in2"), self.random.sample(numbers, 2), strict=True))
        chosen = self.random.sample(formulas, 4)
        names |= {f"out{number}": place for number, place in enumerate(chosen)}
        first, *others = SHEETS
        self.path = save(
            path,
            self.cells[first],
            {name: _spelled(place, absolute=True) for name, place in names.items()},
            more={**{sheet: self.cells[sheet] for sheet in others}, "Table": TABLE},
        )

    def _at(self, place: Place) -> Any:
        return self.cells[place[0]].get(place[1])

    def _value(self, index: int, sheet: str) -> Any:
        chance = self.random.random()
        if index < 10 or chance < 0.3:
            return self.random.choice([self.random.randint(-5, 9), 2.5, "text", True, 0, 1])
        if chance < 0.35:
            return None
        used = [_spelled(self.places[self.random.randrange(index)]) for _ in range(3)]
        return self.random.choice(FORMULAS).format(a=used[0], b=used[1], c=used[2])


def _spelled(place: Place, *, absolute: bool = False) -> str:
    sheet, address = place
    address = f"${address[0]}${address[1:]}" if absolute else address
    return "'" + sheet.replace("'", "''") + f"'!{address}"


@pytest.mark.parametrize("seed", range(40))
def test_a_reduced_workbook_computes_what_the_whole_one_does(tmp_path: Path, seed: int) -> None:
    wild = Wild(seed, tmp_path / "wild.xlsx")
    inputs, outputs = ["in1", "in2"], [f"out{number}" for number in range(4)]
    check(wild.path, inputs, outputs)
    reduced, whole = Workbook(wild.path, inputs, outputs), Sheets(wild.path)
    for _ in range(8):
        record = {name: wild.random.choice([-3, 0, 1, 2.5]) for name in inputs}
        for each in reduced.plan.inputs:
            whole.put(each.place, float(record[each.name]))
        whole.evaluate()
        for output in reduced.plan.outputs:
            expected = whole.get(output.place)
            if isinstance(expected, Error):
                with pytest.raises(Reject, match=str(expected).replace("?", r"\?")):
                    reduced.compute(record, [output.name])
            else:
                found = reduced.compute(record, [output.name])
                assert found == {output.name: from_cell(output.kind, expected)}

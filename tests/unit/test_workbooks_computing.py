"""Records computed by workbooks."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.formula import ArrayFormula
from openpyxl.worksheet.table import Table

from longshore.errors import InvalidRequest, Reject
from longshore.workbooks.checking import check
from longshore.workbooks.computing import Workbook
from tests.unit.workbook_files import quote, save

NOON = dt.datetime(2024, 2, 28, 12, 0)  # noqa: DTZ001 - cells know no time zones
INPUTS = ["age", "amount", "level"]
OUTPUTS = ["premium", "note"]


@pytest.fixture
def tariff(tmp_path: Path) -> Workbook:
    return Workbook(quote(tmp_path / "quote.xlsx"), INPUTS, OUTPUTS)


def formula(tmp_path: Path, text: str, value: Any = 2, **more: Any) -> Workbook:
    """Return a workbook with input x in A1 and output y in B1."""
    names = {"x": "Calc!$A$1", "y": "Calc!$B$1"}
    path = save(tmp_path / "formula.xlsx", {"A1": value, "B1": text}, names, **more)
    assert check(path, ["x"], ["y"]).outputs == ["y"]
    return Workbook(path, ["x"], ["y"])


def test_named_cells_go_in_and_come_out(tariff: Workbook) -> None:
    assert tariff.compute({"age": 20, "amount": 5000, "level": "basic"}) == {
        "premium": 60,
        "note": "low",
    }


def test_an_input_that_is_left_out_or_null_has_the_value_in_the_workbook(tariff: Workbook) -> None:
    assert tariff.compute({}) == {"premium": 200, "note": "high"}
    assert tariff.compute({"amount": None, "age": 24}) == {"premium": 240, "note": "high"}


def test_records_do_not_see_each_others_values(tariff: Workbook) -> None:
    tariff.compute({"age": 20, "amount": 1, "level": "zero"})
    assert tariff.compute({}) == {"premium": 200, "note": "high"}


def test_what_a_record_has_besides_the_inputs_is_ignored(tariff: Workbook) -> None:
    assert tariff.compute({"id": [1, 2], "age": 30}) == {"premium": 200, "note": "high"}


def test_only_wanted_outputs_are_returned(tariff: Workbook) -> None:
    assert tariff.compute({}, ["note"]) == {"note": "high"}


def test_an_error_names_the_output_its_cell_and_the_error(tariff: Workbook) -> None:
    with pytest.raises(Reject, match=r"premium \(Calc!B7\) is #N/A; note \(Calc!B8\) is #N/A"):
        tariff.compute({"level": "silver"})
    assert tariff.compute({}) == {"premium": 200, "note": "high"}


def test_an_output_that_is_not_wanted_may_be_an_error(tmp_path: Path) -> None:
    names = {"x": "Calc!$A$1", "y": "Calc!$B$1", "z": "Calc!$C$1"}
    path = save(tmp_path / "two.xlsx", {"A1": 0, "B1": "=1/A1", "C1": "=A1+1"}, names)
    workbook = Workbook(path, ["x"], ["y", "z"])
    assert workbook.compute({}, ["z"]) == workbook.compute({}, ["z"], others=True) == {"z": 1}
    assert workbook.compute({"x": 2}, ["z"], others=True) == {"y": 0.5, "z": 3}
    with pytest.raises(Reject, match="#DIV/0!"):
        workbook.compute({})


def test_an_input_whose_cell_is_empty_must_be_in_each_record(tmp_path: Path) -> None:
    workbook = formula(tmp_path, "=A1*2", value=None)
    assert workbook.compute({"x": 4}) == {"y": 8}
    with pytest.raises(InvalidRequest, match=r"x is missing.*Calc!A1"):
        workbook.compute({})


@pytest.mark.parametrize(
    ("value", "given"),
    [(1, "12"), (1, True), ("text", 12), ("text", False), (True, "yes"), (True, 1), (1, [1]),
     (1, {"a": 1}), (1, float("nan")), (1, float("inf")), (1, 10**400)],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_that_records_error(
    tmp_path: Path, value: Any, given: Any
) -> None:
    workbook = formula(tmp_path, "=A1", value=value)
    with pytest.raises(InvalidRequest, match=r"^x "):
        workbook.compute({"x": given})
    assert workbook.compute({}) == {"y": value}


@pytest.mark.parametrize("text", ["=1+1", "#N/A", "TRUE", "2024-01-01", "'quoted", "", "é€"])
def test_text_is_never_read_as_a_formula_or_another_kind_of_value(
    tmp_path: Path, text: str
) -> None:
    workbook = formula(tmp_path, '=A1&""', value="text")
    assert workbook.compute({"x": text}) == {"y": text}


def test_dates_are_iso_text_both_ways(tmp_path: Path) -> None:
    workbook = formula(tmp_path, "=A1+1", dt.date(2024, 2, 28), formats={"B1": "yyyy-mm-dd"})
    assert workbook.plan.inputs[0].default == "2024-02-28"
    assert workbook.compute({}) == {"y": "2024-02-29"}
    assert workbook.compute({"x": "2024-12-31"}) == {"y": "2025-01-01"}
    assert workbook.compute({"x": 45350}) == {"y": "2024-02-29"}
    assert workbook.compute({"x": "1900-01-31"}) == {"y": "1900-02-01"}
    for wrong in ("31.12.2024", "2024-13-01", "1850-01-01", "2024-01-01T00:00:00Z"):
        with pytest.raises(InvalidRequest, match=r"^x "):
            workbook.compute({"x": wrong})


def test_times_and_moments_are_iso_text(tmp_path: Path) -> None:
    moment = formula(tmp_path, "=A1", NOON, formats={"B1": "yyyy-mm-dd hh:mm"})
    assert moment.compute({"x": "2024-03-01T06:00:30"}) == {"y": "2024-03-01T06:00:30"}
    clock = formula(tmp_path, "=A1/2", dt.time(18, 0), formats={"B1": "hh:mm"})
    assert clock.compute({}) == {"y": "09:00:00"}
    assert clock.compute({"x": "12:30"}) == {"y": "06:15:00"}


def test_numbers_texts_and_truths_keep_their_kind(tmp_path: Path) -> None:
    for text, expected in (
        ("=A1/4", 0.5),
        ("=A1", 2),
        ("=A1>1", True),
        ('=IF(A1>1,"",1)', ""),
        ("=C9", 0),
        ("=A1*1E300", 2e300),
    ):
        found = formula(tmp_path, text).compute({})["y"]
        assert found == expected
        assert type(found) is type(expected)


def test_what_the_inputs_change_is_followed_over_names_tables_ranges_and_sheets(
    tmp_path: Path,
) -> None:
    def fill(workbook: openpyxl.Workbook) -> None:
        workbook["Other"].add_table(Table(displayName="Orders", ref="A1:A4"))

    cells = {
        "A1": 5,
        "B1": "=SUM(Orders[amount])+dbl(A1)+SUM(C1:C3)+_xlfn.LET(_xlpm.k,Other!B1,_xlpm.k*2)",
        "C1": "=A1",
        "C2": "=C1+1",
        "C3": "=10*10",
    }
    names = {"x": "Calc!$A$1", "y": "Calc!$B$1", "dbl": "_xlfn.LAMBDA(_xlpm.v,_xlpm.v*2)"}
    other = {"A1": "amount", "A2": "=x", "A3": 2, "A4": 3, "B1": "='Un used'!A1", "Z1": "=B1"}
    unused = {"A1": "=1+1", "A2": "=SUM(A3:A9)"}
    path = save(
        tmp_path / "deep.xlsx", cells, names, more={"Other": other, "Un used": unused}, fill=fill
    )
    check(path, ["x"], ["y"])
    workbook = Workbook(path, ["x"], ["y"])
    for x in (5, 7, 5):
        assert workbook.compute({"x": x}) == {"y": (x + 5) + 2 * x + (x + x + 1 + 100) + 4}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("=INDIRECT(\"A\"&1)*3", 21), ("=SUM(OFFSET(C1,0,0,2,1))", 15)],
)  # fmt: skip
def test_references_that_are_computed_are_followed_too(
    tmp_path: Path, text: str, expected: int
) -> None:
    workbook = formula(tmp_path, text, more={"Other": {"A1": 1}}, fill=_two_more)
    assert workbook.compute({"x": 7}) == {"y": expected}


def test_names_of_constants_formulas_and_tables_are_written_out(tmp_path: Path) -> None:
    def fill(workbook: openpyxl.Workbook) -> None:
        workbook["O'Brien"].add_table(Table(displayName="Orders", ref="A1:B3"))

    cells = {"A1": 5, "B1": "=x*(1+tax)+twice+SUM(Orders)+SUM(Orders[amount])+SUM(three)", "C1": 3}
    names = {
        "x": "Calc!$A$1", "y": "Calc!$B$1", "tax": "0.5", "twice": "Calc!$A$1*plus",
        "plus": "Calc!$C$1+tax", "three": "{1,2,3}",
    }  # fmt: skip
    orders = {"A1": "amount", "B1": "more", "A2": 1, "A3": 2, "B2": 10, "B3": 20}
    path = save(tmp_path / "names.xlsx", cells, names, more={"O'Brien": orders}, fill=fill)
    assert check(path, ["x"], ["y"]).example == {"y": 7.5 + 17.5 + 33 + 3 + 6}
    assert Workbook(path, ["x"], ["y"]).compute({"x": 2}) == {"y": 3 + 7 + 33 + 3 + 6}


def _two_more(workbook: openpyxl.Workbook) -> None:
    workbook["Calc"]["C1"] = "=A1"
    workbook["Calc"]["C2"] = "=A1+1"


def test_arrays_are_computed_as_arrays(tmp_path: Path) -> None:
    def fill(workbook: openpyxl.Workbook) -> None:
        sheet = workbook["Calc"]
        for row in range(1, 4):
            sheet.cell(row, 4, row)
        sheet["E1"] = ArrayFormula("E1:E3", "=D1:D3*A1")
        sheet["B1"] = ArrayFormula("B1", "=SUM(IF(E1:E3>A1,E1:E3,0))")

    workbook = formula(tmp_path, "=0", fill=fill)
    assert workbook.compute({"x": 10}) == {"y": 50}
    assert workbook.compute({"x": 1}) == {"y": 5}


def test_the_clock_is_asked_for_each_record(tmp_path: Path) -> None:
    workbook = formula(tmp_path, "=RAND()+A1*0")
    assert len({workbook.compute({})["y"] for _ in range(20)}) == 20


def test_threads_get_their_own_results(tmp_path: Path) -> None:
    workbook = Workbook(quote(tmp_path / "quote.xlsx"), INPUTS, OUTPUTS)
    wrong: list[Any] = []

    def run(amount: int) -> None:
        for _ in range(50):
            found = workbook.compute({"amount": amount})["premium"]
            if found != amount * 0.02:
                wrong.append((amount, found))

    threads = [threading.Thread(target=run, args=(1000 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_failure_of_the_library_is_one_records_error(tmp_path: Path) -> None:
    # XNPV with fewer values than dates makes the library panic.
    cells = {
        "A1": 0, "B1": "=IF(A1=0,1,XNPV(0.1,C1:C2,D1:D3))",
        "C1": -10, "C2": 20, "D1": 45000, "D2": 45100, "D3": 45200,
    }  # fmt: skip
    path = save(tmp_path / "panic.xlsx", cells, {"x": "Calc!$A$1", "y": "Calc!$B$1"})
    workbook = Workbook(path, ["x"], ["y"])
    assert workbook.compute({"x": 0}) == {"y": 1}
    with pytest.raises(Reject):
        workbook.compute({"x": 1})
    assert workbook.compute({"x": 0}) == {"y": 1}

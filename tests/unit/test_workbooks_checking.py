"""What is refused when a workbook is to become a service, and how it is said."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.formula import DataTableFormula

from longshore import limits
from longshore.errors import InvalidRequest, LongshoreError, TooLarge
from longshore.workbooks import examining
from longshore.workbooks.checking import Checked, check
from longshore.workbooks.library import unsupported
from tests.unit.workbook_files import quote, save, with_part

NAMES = {"x": "Calc!$A$1", "y": "Calc!$B$1"}
# fmt: off
USUAL = """
IF IFS SWITCH AND OR NOT IFERROR IFNA VLOOKUP HLOOKUP XLOOKUP INDEX MATCH XMATCH CHOOSE
SUM SUMIF SUMIFS SUMPRODUCT COUNT COUNTA COUNTIF COUNTIFS AVERAGE AVERAGEIFS MIN MAX
MINIFS MAXIFS PMT IPMT PPMT FV PV NPER RATE NPV IRR ROUND ROUNDUP ROUNDDOWN INT MOD ABS
DATE YEAR MONTH DAY EDATE EOMONTH DATEDIF NETWORKDAYS WORKDAY YEARFRAC TODAY TEXT LEFT MID
RIGHT FIND SUBSTITUTE TRIM UPPER CONCAT TEXTJOIN VALUE LET LAMBDA FILTER SORT UNIQUE LARGE
SMALL RANK MEDIAN STDEV PERCENTILE OFFSET INDIRECT
""".split()  # noqa: SIM905 - a list would be as long as it has names
# fmt: on
COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")


def refusal(path: Path, inputs: list[str], outputs: list[str]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        check(path, inputs, outputs)
    return caught.value.message


def formula_refusal(tmp_path: Path, text: Any, **more: Any) -> str:
    names = {**NAMES, **more.pop("names", {})}
    cells = {"A1": 1, "B1": text, **more.pop("cells", {})}
    return refusal(save(tmp_path / "refused.xlsx", cells, names, **more), ["x"], ["y"])


def test_a_good_workbook_is_described(tmp_path: Path) -> None:
    found = check(quote(tmp_path / "quote.xlsx"), ["age", "level"], ["premium"])
    assert [(each.name, each.kind, each.required, each.default) for each in found.inputs] == [
        ("age", "number", False, 30),
        ("level", "text", False, "gold"),
    ]
    assert found.outputs == ["premium"]
    assert found.functions == ["IF", "ROUND", "VLOOKUP"]
    assert found.formulas == 3
    assert found.example == {"premium": 200}


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ('=IF(A1>5,GETPIVOTDATA("a",C1),1)', "GETPIVOTDATA"),
        ('=_xlfn.WEBSERVICE("http://127.0.0.1/")', "WEBSERVICE"),
        ("=_xll.MYADDIN(A1)", "_XLL.MYADDIN"),
        ("=AGGREGATE(9,6,A1:A2)", "AGGREGATE"),
        ("=IF(A1>5,_xlfn.FORECAST.ETS(A1,C1:C3,D1:D3),1)", "FORECAST.ETS"),
        ("=NOSUCHFUNCTION(A1)", "NOSUCHFUNCTION"),
    ],
)
def test_an_unsupported_function_is_refused_with_its_cell(
    tmp_path: Path, text: str, function: str
) -> None:
    assert f"{function} in Calc!B1" in formula_refusal(tmp_path, text)


def test_an_unsupported_function_that_no_output_needs_does_not_matter(tmp_path: Path) -> None:
    cells = {"A1": 1, "B1": "=A1", "C1": '=CUBEVALUE("a")', "D1": "=[1]Other!A1"}
    path = save(tmp_path / "unneeded.xlsx", cells, NAMES)
    assert check(path, ["x"], ["y"]).functions == []


def test_a_circle_is_refused_with_its_cells(tmp_path: Path) -> None:
    message = formula_refusal(tmp_path, "=C1+A1", cells={"C1": "=SUM(D1:D3)", "D2": "=B1"})
    assert "Calc!B1 uses Calc!C1 uses Calc!D2 uses Calc!B1" in message


def test_asking_for_the_own_row_is_no_circle(tmp_path: Path) -> None:
    path = save(tmp_path / "row.xlsx", {"A1": 1, "B1": "=ROW(B1)+COLUMNS(A1:B1)+A1"}, NAMES)
    assert check(path, ["x"], ["y"]).example == {"y": 4}


@pytest.mark.parametrize("text", ["=[1]Prices!$A$1+1", "='[prices.xlsx]My sheet'!A1"])
def test_a_link_to_another_file_is_refused_with_its_cell(tmp_path: Path, text: str) -> None:
    message = formula_refusal(tmp_path, text)
    assert "other files" in message
    assert "Calc!B1" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("=A1*moving", "Calc!B1 (the name moving, which stands for A1*2)"),
        ("=A1*endless", "Calc!B1 (the name endless, which stands for endless+1)"),
        ("=SUM(A1:INDEX(A1:A3,2))", "Calc!B1 (A1:INDEX(...), a range whose end is computed)"),
        ("=NPV(A1,{1,2,3})", "Calc!B1 (NPV of an array that is computed)"),
        ("=NPV(A1, C1:C3*2)", "Calc!B1 (NPV of an array that is computed)"),
        ("=1+COUNT(IF(C1:C3>A1,1))", "Calc!B1 (COUNT of an array that is computed)"),
        ("=COUNT(_xlfn.SEQUENCE(3))", "Calc!B1 (COUNT of an array that is computed)"),
        ("=_xlfn.LET(_xlpm.k,{1,2},COUNT(_xlpm.k))", "Calc!B1 (COUNT of an array"),
        ("=COUNT(three)", "Calc!B1 (COUNT of an array, three)"),
        ("=A1*nowhere", "nowhere in Calc!B1"),
        ("=SUM(A1,,", "Calc!B1 (=SUM(A1,,)"),
        ("=" + "(" * 100 + "A1" + ")" * 100, "Calc!B1: its formula is nested deeper than 64"),
        ("=" + "-" * 100 + "A1", "Calc!B1: its formula is nested deeper than 64"),
        ("=A1" + "+1" * 5000, "Calc!B1: its formula has 10003 characters and may have 8192"),
    ],
)
def test_a_formula_that_cannot_be_computed_is_refused_with_its_cell(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in formula_refusal(
        tmp_path, text, names={"moving": "A1*2", "endless": "endless+1", "three": "{1,2,3}"}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=COUNT(C1:C3,A1+1,SUM(A1))", 4),
        ("=COUNT(cells)", 2),
        ("=ROUND(NPV(SUM(C1:C3)/30,C1:C2,A1/2),6)", 7.925926),
        ("=SUM({1,2},C1:C2*2)", 33),
    ],
)
def test_cells_and_numbers_are_counted_and_discounted(
    tmp_path: Path, text: str, expected: float
) -> None:
    cells = {"A1": 1, "B1": text, "C1": 5, "C2": 10}
    path = save(tmp_path / "count.xlsx", cells, {**NAMES, "cells": "Calc!$C$1:$C$3"})
    found = check(path, ["x"], ["y"]).example
    assert found["y"] == pytest.approx(expected, abs=1e-3)


def test_a_data_table_is_refused_with_its_cell(tmp_path: Path) -> None:
    def fill(workbook: openpyxl.Workbook) -> None:
        workbook["Calc"]["C1"] = DataTableFormula(ref="C1:C2", dt2D=False, r1="A1")

    assert "Calc!C1 belongs to a data table" in formula_refusal(tmp_path, "=A1", fill=fill)


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        (["premum"], ["note"], "no defined name 'premum' (did you mean 'premium'?)"),
        (["rates"], ["note"], "the name 'rates' stands for 6 cells (Rates!$A$1:$B$3)"),
        (["age"], ["rates"], "the name 'rates' stands for 6 cells"),
        (["premium"], ["note"], "the input 'premium' is Calc!B7, which has a formula"),
        (["age", "age"], ["note"], "'age' is given twice"),
        ([], ["note"], "there are no inputs"),
        (["age"], [], "there are no outputs"),
        (["age", "nix"], ["nada"], "Names of single cells are: age, amount, level, note, premium"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    tmp_path: Path, inputs: list[str], outputs: list[str], said: str
) -> None:
    assert said in refusal(quote(tmp_path / "quote.xlsx"), inputs, outputs)


def test_a_name_of_a_constant_is_no_cell(tmp_path: Path) -> None:
    path = save(tmp_path / "constant.xlsx", {"A1": 1, "B1": "=A1"}, {**NAMES, "k": "0.5"})
    assert "the name 'k' stands for 0.5, which is no cell" in refusal(path, ["k"], ["y"])


def test_two_names_of_one_cell_are_refused_as_inputs(tmp_path: Path) -> None:
    path = save(tmp_path / "same.xlsx", {"A1": 1, "B1": "=A1"}, {**NAMES, "z": "Calc!$A$1"})
    assert "'z' and 'x' are the same cell Calc!A1" in refusal(path, ["x", "z"], ["y"])


def test_names_count_without_regard_to_case_and_of_sheets_too(tmp_path: Path) -> None:
    def fill(workbook: openpyxl.Workbook) -> None:
        name = openpyxl.workbook.defined_name.DefinedName("Local", attr_text="Calc!$B$1")
        workbook["Calc"].defined_names["Local"] = name

    path = save(tmp_path / "local.xlsx", {"A1": 1, "B1": "=X+1"}, NAMES, fill=fill)
    assert check(path, ["X"], ["local"]).example == {"local": 2}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a readable .xlsx"),
        (b"PK\x03\x04 nothing else", "not a readable .xlsx"),
        (b"name,value\n1,2\n", "not a readable .xlsx"),
        (COMPOUND + bytes(512), "old .xls kind"),
        (COMPOUND + bytes(64) + "EncryptedPackage".encode("utf-16-le"), "with a password"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "other.xlsx"
    path.write_bytes(content)
    assert said in refusal(path, ["x"], ["y"])


@pytest.mark.parametrize(
    ("part", "said"), [("xl/vbaProject.bin", "macros"), ("xl/macrosheets/sheet1.xml", "macros")]
)
def test_macros_are_refused(tmp_path: Path, part: str, said: str) -> None:
    path = with_part(quote(tmp_path / "quote.xlsm"), part, b"<x/>")
    assert said in refusal(path, ["age"], ["premium"])


@pytest.mark.parametrize(
    ("part", "said"), [("xl/workbook.bin", ".xlsb"), ("content.xml", "OpenDocument"), ("a", "no workbook")]
)  # fmt: skip
def test_other_archives_are_refused(tmp_path: Path, part: str, said: str) -> None:
    path = tmp_path / "other.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(part, b"")
    assert said in refusal(path, ["x"], ["y"])


def test_an_archive_that_unpacks_to_too_much_is_refused_by_what_it_says(tmp_path: Path) -> None:
    path = quote(tmp_path / "bomb.xlsx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(3):
            archive.writestr(f"xl/media/{number}.bin", bytes(100 * limits.MIB))
    assert path.stat().st_size < limits.WORKBOOK_BYTES
    with pytest.raises(TooLarge, match="when it is unpacked"):
        check(path, ["age"], ["premium"])


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = with_part(quote(tmp_path / "liar.xlsx"), "xl/media/1.bin", bytes(5 * limits.MIB))
    content = bytearray(path.read_bytes())
    size = (5 * limits.MIB).to_bytes(4, "little")
    assert content.count(size) == 2
    path.write_bytes(bytes(content).replace(size, (10).to_bytes(4, "little")))
    assert "not a readable .xlsx" in refusal(path, ["age"], ["premium"])


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">]><x>&a;</x>'
    path = with_part(quote(tmp_path / "laughs.xlsx"), "xl/custom.xml", laughs)
    assert "document type" in refusal(path, ["age"], ["premium"])


def test_too_many_cells_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    cells = b"<x>" + b'<c r="A1"/>' * (limits.WORKBOOK_CELLS + 1) + b"</x>"
    path = with_part(quote(tmp_path / "large.xlsx"), "xl/worksheets/sheet9.xml", cells)
    with pytest.raises(TooLarge, match="cells and may have 200000"):
        check(path, ["age"], ["premium"])


def test_too_large_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WORKBOOK_BYTES", 1000)
    with pytest.raises(TooLarge, match="may have 1000"):
        check(quote(tmp_path / "quote.xlsx"), ["age"], ["premium"])


def test_dates_from_1904_are_refused(tmp_path: Path) -> None:
    def fill(workbook: openpyxl.Workbook) -> None:
        workbook.epoch = CALENDAR_MAC_1904

    assert "counts dates from 1904" in formula_refusal(tmp_path, "=A1", fill=fill)


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    source, path = quote(tmp_path / "quote.xlsx"), tmp_path / "damaged.xlsx"
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(path, "w") as after:
        for part in before.infolist():
            content = before.read(part)
            damaged = part.filename == "xl/worksheets/sheet1.xml"
            after.writestr(part, content[: len(content) // 2] if damaged else content)
    assert "cannot be read" in refusal(path, ["age"], ["premium"])


def test_long_chains_of_formulas_are_computed(tmp_path: Path) -> None:
    cells = {"A1": 1, **{f"C{row}": f"=C{row - 1}+1" for row in range(2, 20_001)}, "C1": "=A1"}
    path = save(tmp_path / "chain.xlsx", {**cells, "B1": "=C20000"}, NAMES)
    assert check(path, ["x"], ["y"]).example == {"y": 20_000}


def test_errors_of_the_values_in_the_workbook_are_no_reason_to_refuse_it(tmp_path: Path) -> None:
    path = save(tmp_path / "zero.xlsx", {"A1": 0, "B1": "=1/A1"}, NAMES)
    assert check(path, ["x"], ["y"]).example == {}


def test_the_usual_functions_are_there() -> None:
    assert unsupported(USUAL) == []


def test_the_documentation_lists_the_functions_that_are_missing() -> None:
    tool = Path(__file__).parents[2] / "tools" / "workbook_functions.py"
    done = subprocess.run(
        [sys.executable, tool, "--check"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.partition("thread")[0].strip()) == (0, "")


def test_the_check_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    found = examining.examine(quote(tmp_path / "quote.xlsx"), ["age"], ["premium", "note"])
    assert isinstance(found, Checked)
    assert found.example == {"premium": 200, "note": "high"}


@pytest.mark.parametrize(
    ("inputs", "kind"), [(["nix"], InvalidRequest), (["age"] * 2000, TooLarge)]
)
def test_a_refusal_comes_out_of_the_process(
    tmp_path: Path, inputs: list[str], kind: type[LongshoreError]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        examining.examine(quote(tmp_path / "quote.xlsx"), inputs, ["premium"])
    assert type(caught.value) is kind


def test_a_check_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WORKBOOK_CHECK_S", 0.01)
    with pytest.raises(InvalidRequest, match="takes more than"):
        examining.examine(quote(tmp_path / "quote.xlsx"), ["age"], ["premium"])


def test_a_check_that_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining.sys, "executable", "/bin/false")
    with pytest.raises(InvalidRequest, match=r"died.*status 1"):
        examining.examine(quote(tmp_path / "quote.xlsx"), ["age"], ["premium"])

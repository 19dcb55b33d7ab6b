"""Workbooks for tests, made with openpyxl."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.workbook.defined_name import DefinedName

Cells = Mapping[str, Any]
Fill = Callable[[openpyxl.Workbook], None]


def save(
    path: Path,
    cells: Cells | None = None,
    names: Mapping[str, str] | None = None,
    *,
    more: Mapping[str, Cells] | None = None,
    formats: Mapping[str, str] | None = None,
    fill: Fill | None = None,
) -> Path:
    """Save a workbook: cells of sheet `Calc`, cells of `more` sheets, defined names."""
    workbook = openpyxl.Workbook()
    first = workbook.active
    assert first is not None
    first.title = "Calc"
    for address, value in (cells or {}).items():
        first[address] = value
    for address, number_format in (formats or {}).items():
        first[address].number_format = number_format
    for title, values in (more or {}).items():
        sheet = workbook.create_sheet(title)
        for address, value in values.items():
            sheet[address] = value
    for name, text in (names or {}).items():
        workbook.defined_names[name] = DefinedName(name, attr_text=text)
    if fill is not None:
        fill(workbook)
    workbook.save(path)
    return path


def quote(path: Path, factor: float = 1.2) -> Path:
    """Save a small tariff: age, amount and start go in; premium, note and end come out."""
    return save(
        path,
        {
            "B1": 30,
            "B2": 10_000,
            "B3": "gold",
            "B5": "=VLOOKUP(B3,Rates!A1:B3,2,FALSE)",
            "B6": f"=IF(B1<25,{factor},1)",
            "B7": "=ROUND(B2*B5*B6,2)",
            "B8": '=IF(B7>100,"high","low")',
        },
        {
            "age": "Calc!$B$1",
            "amount": "Calc!$B$2",
            "level": "Calc!$B$3",
            "premium": "Calc!$B$7",
            "note": "Calc!$B$8",
            "rates": "Rates!$A$1:$B$3",
        },
        more={
            "Rates": {"A1": "basic", "B1": 0.01, "A2": "gold", "B2": 0.02, "A3": "zero", "B3": 0}
        },
    )


def with_part(path: Path, name: str, content: bytes) -> Path:
    """Add a part to the archive of a workbook."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path

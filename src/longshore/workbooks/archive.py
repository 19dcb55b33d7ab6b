"""The file of a workbook as an archive: its kind and size, before anything of it is parsed."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Final

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge

_COMPOUND_FILE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_PART: Final = "EncryptedPackage".encode("utf-16-le")
_PIECE_BYTES: Final = 1024 * 1024
_LONGEST_MARK: Final = 16
_CELL: Final = re.compile(rb"<(?:\w{1,8}:)?c[ />]")
_DOCTYPE: Final = re.compile(rb"<!doctype", re.IGNORECASE)


def check_archive(path: Path) -> None:
    """Refuse a file that is no .xlsx workbook, or one that would unpack to too much.

    Every part is unpacked once, so that a size or checksum that lies is found here.

    Raises:
        InvalidRequest: it is of another kind: .xls, encrypted, with macros, or damaged.
        TooLarge: it is larger than a workbook may be.
    """
    size = path.stat().st_size
    if size > limits.WORKBOOK_BYTES:
        raise TooLarge(
            f"The workbook has {size} bytes and may have {limits.WORKBOOK_BYTES}. Remove sheets "
            "and pictures that the calculation does not need.",
            details={"limit_bytes": limits.WORKBOOK_BYTES},
        )
    _refuse_compound_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidRequest(
            f"The file is not a readable .xlsx workbook ({str(error)[:100]}). Save it again as "
            "Excel Workbook (.xlsx)."
        ) from error


def _refuse_compound_file(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_COMPOUND_FILE)) != _COMPOUND_FILE:
            return
        encrypted = _ENCRYPTED_PART in file.read()
    if encrypted:
        raise InvalidRequest(
            "The workbook is encrypted with a password. Remove the password (File > Info > "
            "Protect Workbook) and save it again."
        )
    raise InvalidRequest(
        "The file is of the old .xls kind. Save it as Excel Workbook (.xlsx) and send that."
    )


def _check_parts(archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    names = {part.filename.lower() for part in parts}
    if len(parts) > limits.WORKBOOK_PARTS or len(names) < len(parts):
        raise TooLarge(
            f"The workbook consists of {len(parts)} files, some perhaps twice; it may have "
            f"{limits.WORKBOOK_PARTS}, each once. Save it again with a spreadsheet program."
        )
    _refuse_kinds(names)
    unpacked = sum(part.file_size for part in parts)
    if unpacked > limits.WORKBOOK_UNPACKED_BYTES:
        raise TooLarge(
            f"The workbook has {unpacked} bytes when it is unpacked and may have "
            f"{limits.WORKBOOK_UNPACKED_BYTES}. Remove sheets that the calculation does not need.",
            details={"limit_bytes": limits.WORKBOOK_UNPACKED_BYTES},
        )
    cells = sum(_scan(archive, part) for part in parts)
    if cells > limits.WORKBOOK_CELLS:
        raise TooLarge(
            f"The workbook has {cells} cells and may have {limits.WORKBOOK_CELLS}. Remove sheets "
            "that the calculation does not need, or make it a Python service.",
            details={"limit": limits.WORKBOOK_CELLS},
        )


def _refuse_kinds(names: set[str]) -> None:
    if any(name.endswith("vbaproject.bin") or "/macrosheets/" in name for name in names):
        raise InvalidRequest(
            "The workbook has macros, which are never run here. Save it as Excel Workbook (.xlsx) "
            "without them, and see that no output depends on one."
        )
    if "xl/workbook.xml" not in names:
        known = {"xl/workbook.bin": "an .xlsb workbook", "content.xml": "an OpenDocument file"}
        kind = next((what for name, what in known.items() if name in names), "no workbook")
        raise InvalidRequest(f"The file is {kind}. Save it as Excel Workbook (.xlsx).")


def _scan(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> int:
    """Unpack a part and return how many cells it has.

    A document type is refused: no spreadsheet program writes one, and entities in it can blow a
    few bytes up to gigabytes.
    """
    if part.flag_bits & 1:
        raise InvalidRequest("The workbook is encrypted. Remove the password and save it again.")
    name = part.filename.lower()
    markup = name.endswith((".xml", ".rels", ".vml"))
    sheet = markup and name.startswith("xl/worksheets/")
    cells, tail = 0, b""
    with archive.open(part) as file:
        while piece := file.read(_PIECE_BYTES):
            window = tail + piece
            if markup and _DOCTYPE.search(window):
                raise InvalidRequest(
                    f"The part {part.filename[:80]} of the workbook has a document type, which "
                    "is refused. Save the workbook again with a spreadsheet program."
                )
            if sheet:
                # What ends in the tail of the window before was counted there.
                cells += sum(match.end() > len(tail) for match in _CELL.finditer(window))
            tail = window[-_LONGEST_MARK:]
    return cells

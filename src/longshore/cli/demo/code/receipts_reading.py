"""Reads receipts that have a layer of text, without OCR.

The text and where it stands come from the file: a text file, or a picture in PNG with a layer of
text. What the text means, such as which of the numbers is the total, is found out by the rules
of the receipts example.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import longshore
from longshore.cli.demo.receipts_source import find_app

LAYER = b"longshore-text"
SMUDGE = "~"
COLUMN_PX, ROW_PX, LETTER_PX = 10.0, 20.0, 14.0

# The rules of the example: beside its app, in a clone as in an installation.
sys.path.insert(0, str(find_app().parent))
_EXTRACTION = import_module("receipt_reader.extraction")
_PIECE = import_module("receipt_reader.layout").Piece


def read(file: longshore.InputFile) -> list[longshore.Document]:
    """Return what a receipt says, after the pause that the keys of its run ask for."""
    time.sleep(float(file.keys.get("pause_s", 0.0)))
    page, pieces = _pieces(file)
    print(f"{file.name}: {len(pieces)} pieces of text")
    documents: list[longshore.Document] = _EXTRACTION.documents([_EXTRACTION.Sheet(page, pieces)])
    return documents


def _pieces(file: longshore.InputFile) -> tuple[longshore.Page, list[Any]]:
    content = file.read_bytes()
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        layer = json.loads(_layer(content, file.name))
    else:
        layer = _columns(content, file.name)
    found = []
    for each in layer["pieces"]:
        left, top, right, bottom = each["box"]
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        text = each["text"]
        sure = max(0.99 - 2 * text.count(SMUDGE) / max(len(text), 1), 0.05)
        found.append(_PIECE(text.replace(SMUDGE, ""), round(sure, 3), corners))
    return longshore.Page(0, layer["width"], layer["height"]), found


def _layer(content: bytes, name: str) -> bytes:
    for kind, data in _chunks(content):
        if kind == b"tEXt" and data.startswith(LAYER + b"\x00"):
            return data[len(LAYER) + 1 :]
    raise longshore.Reject(
        f"{name} has no layer of text. This app reads what the demos draw; the receipts example "
        "reads any picture."
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the chunks of a PNG file: 4 bytes of length, 4 of kind, the data, 4 of checksum."""
    at = 8
    while at + 12 <= len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        at += 12 + size


def _columns(content: bytes, name: str) -> dict[str, Any]:
    """Return the pieces of a text file: what two spaces part, where it stands."""
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise longshore.Reject(f"{name} is neither a text file nor a PNG picture.") from error
    pieces = []
    for number, line in enumerate(lines):
        for found in re.finditer(r"\S+(?: \S+)*", line):
            left, right = found.start() * COLUMN_PX, found.end() * COLUMN_PX
            top = number * ROW_PX
            if set(found[0]) != {"-"}:
                pieces.append({"text": found[0], "box": [left, top, right, top + LETTER_PX]})
    return {"width": 46 * COLUMN_PX, "height": len(lines) * ROW_PX, "pieces": pieces}

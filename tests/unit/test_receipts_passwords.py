"""PDFs with a password, which a run brings along."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from longshore import Reject
from tests.unit.receipts_support import pages

PASSWORD = "open-sesame"
_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_PERMISSIONS = -4
_ID = b"0123456789abcdef"


def _rc4(key: bytes, data: bytes) -> bytes:
    box = list(range(256))
    place = 0
    for index in range(256):
        place = (place + box[index] + key[index % len(key)]) % 256
        box[index], box[place] = box[place], box[index]
    found, one, other = bytearray(), 0, 0
    for byte in data:
        one = (one + 1) % 256
        other = (other + box[one]) % 256
        box[one], box[other] = box[other], box[one]
        found.append(byte ^ box[(box[one] + box[other]) % 256])
    return bytes(found)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def encrypted_pdf() -> bytes:
    """Return a PDF of one blank page that opens with the password, by the standard's first handler."""
    padded = (PASSWORD.encode() + _PADDING)[:32]
    owner = _rc4(_md5(padded)[:5], padded)
    key = _md5(padded + owner + struct.pack("<i", _PERMISSIONS) + _ID)[:5]
    user = _rc4(key, _PADDING)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 200]>>",
        b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P %d>>"
        % (owner.hex().encode(), user.hex().encode(), _PERMISSIONS),
    ]
    text, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(text))
        text += b"%d 0 obj%s\nendobj\n" % (number, body)
    start = len(text)
    text += b"xref\n0 5\n0000000000 65535 f \n"
    text += b"".join(b"%010d 00000 n \n" % place for place in places)
    identity = _ID.hex().encode()
    text += b"trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<%s><%s>]>>" % (identity, identity)
    return text + b"\nstartxref\n%d\n%%%%EOF" % start


def test_a_pdf_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(encrypted_pdf())
    [page] = pages.load(path, "lunch.pdf", PASSWORD)
    assert page.height > page.width > 0
    with pytest.raises(Reject, match="asks for a password"):
        pages.load(path, "lunch.pdf")
    with pytest.raises(Reject, match="asks for another password") as refused:
        pages.load(path, "lunch.pdf", "wrong-password")
    assert "wrong-password" not in str(refused.value)

"""The forms in which a value turns up in texts, as programs of many languages write them."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from longshore import limits

_PIECE: Final = 256
"""Longer values are looked for piece by piece."""
_LINE: Final = 8
"""Shortest line of a value with several lines that is masked by itself."""
_WRAPPED: Final = 76
"""Characters of a line of base64, as programs break it."""
_ENCODED: Final = 16
"""Shortest of those lines that is looked for."""
_PLAIN: Final = re.compile(r"[0-9A-Za-z_.-]*")
"""What is written in the same way everywhere."""
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")
_UNICODE: Final = re.compile(r"(?<!\\)((?:\\\\)*\\u)([0-9a-f]{4})")


def forms(value: str) -> set[str]:
    """Return the texts in which a value turns up; none where it is too short to be masked."""
    if len(value) < limits.MASKED_CHARACTERS:
        return set()
    pieces = [value[start : start + _PIECE] for start in range(0, len(value), _PIECE)]
    if len(pieces) > 1 and len(pieces[-1]) < _LINE:
        pieces[-2:] = ["".join(pieces[-2:])]
    lines = [line.strip() for line in value.splitlines()]
    # A dashed line is the frame of a key, which is the same for all keys.
    parts = [line for line in lines if len(line) >= _LINE and not line.startswith("-----")]
    found: set[str] = set()
    for text in dict.fromkeys([value.strip("\r\n"), *pieces, *(parts if len(lines) > 1 else [])]):
        if len(text) <= 2 * _PIECE:
            found |= _escaped(text)
            found.update(_encoded(text.encode()))
    whole = base64.b64encode(value.encode()).decode()
    if len(whole) > _WRAPPED:
        wrapped = [whole[start : start + _WRAPPED] for start in range(0, len(whole), _WRAPPED)]
        found.update(line for line in wrapped if len(line) >= _ENCODED)
    return {form for form in found if len(form) >= limits.MASKED_CHARACTERS}


def _escaped(text: str) -> set[str]:
    if _PLAIN.fullmatch(text):
        return {text}
    quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
    # JavaScript's encodeURIComponent, then its forms and Java's.
    quoted |= {quote(text, safe="!'()*"), quote_plus(text, safe="*").replace("~", "%7E")}
    found = {text, repr(text)[1:-1], html.escape(text)} | quoted
    found.update(_PERCENT.sub(lambda match: match[0].lower(), each) for each in quoted)
    for write in _WRITERS:
        once = write(text)
        found |= {once, write(once), _ascii(once), _letters(once)}
    return found


def _ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def _letters(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _upper(text: str) -> str:
    """Return what `_ascii` wrote with the digits of its escapes in upper case."""
    return _UNICODE.sub(lambda match: match[1] + match[2].upper(), text)


def _numbered(text: str, characters: str, *, upper: bool = False) -> str:
    """Write characters as JSON does by number: four digits, in lower or upper case."""
    form = "\\u{:04X}" if upper else "\\u{:04x}"
    return text.translate({ord(each): form.format(ord(each)) for each in characters})


def _dot_net(text: str) -> str:
    escaped = _upper(_ascii(text)).replace('\\"', "\\u0022")
    return _numbered(escaped, "&'<>+`", upper=True)


_WRITERS: Final[tuple[Callable[[str], str], ...]] = (
    _ascii,
    _letters,
    lambda text: _upper(_ascii(text)),
    # PHP, with and without letters.
    lambda text: _ascii(text).replace("/", "\\/"),
    lambda text: _letters(text).replace("/", "\\/"),
    # Go, Rails and Gson.
    lambda text: _numbered(_letters(text), "<>&\u2028\u2029"),
    lambda text: _numbered(_letters(text), "<>&='\u2028\u2029"),
    # JSON in pages, as templates of Python write it.
    lambda text: _numbered(_ascii(text), "<>&'"),
    _dot_net,
)
"""How programs write a text in JSON, without the quotation marks."""


def _encoded(data: bytes) -> Iterator[str]:
    """Yield what of the base64 of any text with `data` in it depends on `data` alone."""
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        first = (8 * before + 5) // 6
        last = 8 * (before + len(data)) // 6
        sure = encoded[first:last]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")

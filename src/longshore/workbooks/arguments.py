"""Arguments that the formula library computes wrongly, and without an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from openpyxl.formula.tokenizer import Token

# They pass over values of arrays that are no cells: COUNT({1,2}) and NPV(0.1,A1:A3*2) are 0. The
# number is that of arguments at the beginning which are one number anyway.
_WITHOUT_ARRAYS: Final = {"COUNT": 0, "NPV": 1}
_MAKE_ARRAYS: Final = frozenset({"SEQUENCE", "RANDARRAY", "MUNIT", "ANCHORARRAY"})
_PREFIX: Final = re.compile(r"^(?:_xlfn\.|_xlws\.|@)+", re.IGNORECASE)
_ONE_CELL: Final = re.compile(r"(?:.*!)?\$?[A-Z]{1,3}\$?\d{1,7}", re.IGNORECASE | re.DOTALL)
_LOCAL: Final = re.compile(r"^_xlp[mo]\.", re.IGNORECASE)


@dataclass(slots=True)
class _Frame:
    """A function, bracket or list that is open, and its present argument."""

    name: str
    argument: int = 0
    tokens: int = 0
    cells: bool = False
    """Whether it has several cells, which are an array once something is computed with them."""
    array: bool = False

    @property
    def wrong(self) -> bool:
        fixed = _WITHOUT_ARRAYS.get(self.name)
        if fixed is None or self.argument < fixed:
            return False
        return self.array or (self.cells and self.tokens > 1)

    def next_argument(self) -> None:
        self.argument += 1
        self.tokens, self.cells, self.array = 0, False, False


def of_arrays(tokens: list[Token]) -> set[str]:
    """Return the functions of a formula that are given arrays and would pass over them."""
    found: set[str] = set()
    frames: list[_Frame] = []
    for token in tokens:
        if token.type == Token.WSPACE:
            continue
        if token.subtype == Token.CLOSE or token.type == Token.SEP:
            frame = frames[-1] if frames else None
            if frame is not None and frame.wrong:
                found.add(frame.name)
            if frame is not None and token.subtype == Token.CLOSE:
                frames.pop()
            elif frame is not None:
                frame.next_argument()
            continue
        _enter(frames, token)
        if token.subtype == Token.OPEN:
            frames.append(_Frame(_name(token)))
    return found


def _enter(frames: list[_Frame], token: Token) -> None:
    operand = token.type == Token.OPERAND and token.subtype == Token.RANGE
    local = operand and _LOCAL.match(token.value) is not None
    array = local or token.type == Token.ARRAY or _name(token) in _MAKE_ARRAYS
    cells = operand and not local and _ONE_CELL.fullmatch(token.value) is None
    for frame in frames:
        frame.tokens += 1
        frame.array |= array
        frame.cells |= cells


def _name(token: Token) -> str:
    if token.type != Token.FUNC:
        return ""
    return _PREFIX.sub("", token.value.removesuffix("(")).upper()

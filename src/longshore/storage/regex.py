r"""Regular expressions that mean the same on both databases and never take long.

PostgreSQL has an engine of its own, SQLite has none, and Python's tries so many ways on some
patterns (`(a+)+b`) that one query would hold the server up for ever. So a pattern is parsed here
into a small tree. For PostgreSQL it is written out again in that engine's syntax, without
anything that depends on a locale. For SQLite it becomes an automaton (see `automaton`), which
reads each character of the text once.

The subset: literals, `.`, classes with ranges and `\d \w \s` (ASCII, as in MongoDB), groups,
alternation, `? * +` and `{n,m}` with up to 50 repetitions of one character. `^` and `$` stand only
at the ends of an alternative of the whole pattern. A repetition within a repetition, references
back and looking around are refused. Options: `i`, `m`, `s`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import REGEX_CHARACTERS

NUL_STAND_IN: Final = "\ufdd0"
"""What stands for the character NUL, which neither database can look at inside JSON.

It is one of the code points that Unicode keeps for internal use and that no text contains.
"""

REPETITIONS: Final = 50
POSITIONS: Final = 1_000
FOLDED_RANGE: Final = 1_000
LAST_CODE_POINT: Final = 0x10FFFF

Ranges: TypeAlias = tuple[tuple[int, int], ...]
_DIGITS: Final[Ranges] = ((48, 57),)
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final[Ranges] = ((9, 13), (32, 32))
_CLASSES: Final[dict[str, Ranges]] = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_NEWLINE: Final = 10


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of these code points."""

    ranges: Ranges

    def has(self, code: int) -> bool:
        return any(first <= code <= last for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Node
    least: int
    most: int | None


Node: TypeAlias = Characters | Sequence | Choice | Repeat


@dataclass(frozen=True, slots=True)
class Branch:
    """One alternative of the whole pattern, and whether it is tied to the ends of the text."""

    at_start: bool
    body: Node
    at_end: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """A checked regular expression; made by `parse`."""

    source: str
    options: str
    branches: tuple[Branch, ...]

    @property
    def by_line(self) -> bool:
        """Whether `^` and `$` stand for the ends of lines (option m)."""
        return "m" in self.options

    def postgresql(self) -> str:
        """Return the pattern in the syntax of PostgreSQL's advanced regular expressions."""
        start, end = ("(?:^|(?<=\\n))", "(?=\\n|$)") if self.by_line else ("^", "(?=\\n?$)")
        return "|".join(
            (start if branch.at_start else "")
            + f"(?:{_written(branch.body)})"
            + (end if branch.at_end else "")
            for branch in self.branches
        )


def parse(source: str, options: str = "") -> Pattern:
    """Check a pattern and return it.

    Raises InvalidRequest for what is outside the subset, TooLarge for a pattern over the limits.
    """
    if len(source) > REGEX_CHARACTERS:
        raise TooLarge(
            f"the pattern has {len(source)} characters and {REGEX_CHARACTERS} are allowed: "
            "use a shorter one"
        )
    unknown = sorted(set(options) - set("ims"))
    if unknown:
        raise InvalidRequest(
            f"the option {unknown[0]!r} is not supported: use i (any case), m (^ and $ at each "
            "line) or s (. matches line ends too)"
        )
    pattern = Pattern(source, options, tuple(_Parser(source, options).whole()))
    if (size := sum(_size(branch.body) for branch in pattern.branches)) > POSITIONS:
        raise TooLarge(
            f"the pattern stands for {size} characters and {POSITIONS} are allowed: use smaller "
            "numbers of repetitions"
        )
    return pattern


class _Parser:
    def __init__(self, source: str, options: str) -> None:
        self._source = source
        self._at = 0
        self._folds = "i" in options
        self._any: Ranges = (
            ((0, LAST_CODE_POINT),) if "s" in options else _complement(((_NEWLINE, _NEWLINE),))
        )

    def whole(self) -> list[Branch]:
        branches = []
        while True:
            at_start = self._take("^")
            body = self._sequence()
            at_end = self._take("$")
            branches.append(Branch(at_start, body, at_end))
            if self._at == len(self._source):
                return branches
            if not self._take("|"):
                raise self._refusal("is out of place")

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._next() not in {"", "|", ")", "$"}:
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, atom: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return atom
        if self._next() in {"?", "*", "+", "{"}:
            raise self._refusal("follows another repetition; one of them is enough")
        if _repeats(atom):
            raise self._refusal(
                "repeats a group that itself repeats something; write it with one repetition", -1
            )
        least, most = bounds
        if not isinstance(atom, Characters) and (least > 1 or most not in {None, 1}):
            raise self._refusal("counts repetitions of a group; only characters are counted", -1)
        return Repeat(atom, least, most)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("?", (0, 1)), ("*", (0, None)), ("+", (1, None))):
            if self._take(sign):
                return bounds
        if not self._take("{"):
            return None
        inner, closed, _ = self._source[self._at :].partition("}")
        first, comma, last = inner.partition(",")
        numbers = [first] + ([last] if last else [])
        if not closed or not all(each.isascii() and each.isdigit() for each in numbers):
            raise self._refusal("starts no count such as {2}, {2,} or {2,5}; write \\{ for a brace")
        least = int(first[:9])
        most = (int(last[:9]) if last else None) if comma else least
        if max(least, most or 0) > REPETITIONS or (most is not None and most < least):
            raise self._refusal(f"counts wrongly or further than {REPETITIONS}")
        self._at += len(inner) + 1
        return least, most

    def _atom(self) -> Node:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign in {"^", "?", "*", "+", "{"}:
            raise self._refusal(
                "is out of place; ^ and $ stand only at the ends of the pattern or of one of its "
                "outermost alternatives, and a backslash makes a sign literal"
            )
        self._at += 1
        if sign == ".":
            return Characters(self._any)
        if sign == "\\":
            escaped = self._escaped()
            return Characters(
                self._folded(((ord(escaped),) * 2,)) if isinstance(escaped, str) else escaped
            )
        return Characters(self._folded(((_code(sign),) * 2,)))

    def _group(self) -> Node:
        self._at += 1
        if self._take("?") and not self._take(":"):
            raise self._refusal("starts a group that looks around or has options; use (?:...)", -2)
        inner = self._choice()
        if not self._take(")"):
            if self._at >= len(self._source):
                raise self._refusal("comes before a group is closed; add ')', or write '\\('")
            raise self._refusal("ends or stands inside a group that is not closed before it")
        return inner

    def _class(self) -> Node:
        self._at += 1
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._next() != "]":
            first = False
            low = self._member()
            if not isinstance(low, str):
                ranges.extend(low)
                continue
            high = low
            if self._next() == "-" and self._source[self._at + 1 : self._at + 2] not in {"", "]"}:
                self._at += 1
                end = self._member()
                if not isinstance(end, str) or end < low:
                    raise self._refusal("ends a range that is not one", -1)
                high = end
            ranges.append((_code(low), _code(high)))
        self._at += 1
        folded = self._folded(_merged(ranges))
        return Characters(_complement(folded) if negated else folded)

    def _member(self) -> str | Ranges:
        sign = self._next()
        if sign == "" or (
            sign == "[" and self._source[self._at + 1 : self._at + 2] in {":", ".", "="}
        ):
            raise self._refusal(
                "stands in a class that is not closed or is named; use \\d, \\w, \\s"
            )
        self._at += 1
        return self._escaped() if sign == "\\" else sign

    def _escaped(self) -> str | Ranges:
        sign = self._next()
        if sign == "" or (sign.isalnum() and sign.lower() not in {*_CLASSES, *_CONTROLS}):
            raise self._refusal(
                "follows a backslash and is not supported there; there are \\d \\w \\s \\D \\W \\S "
                "\\n \\r \\t \\f \\v and signs, and no references back or word boundaries"
            )
        if sign in {"N", "R", "T", "F", "V"}:
            raise self._refusal("follows a backslash and is not supported there")
        self._at += 1
        if sign in _CONTROLS:
            return _CONTROLS[sign]
        if sign.lower() in _CLASSES:
            ranges = _CLASSES[sign.lower()]
            return ranges if sign.islower() else _complement(ranges)
        return sign

    def _folded(self, ranges: Ranges) -> Ranges:
        """Add the other cases of all characters where the pattern takes any case."""
        if not self._folds:
            return ranges
        folded = list(ranges)
        for first, last in ranges:
            if last - first > FOLDED_RANGE:
                continue  # a complement such as \W, which holds both cases of all but a few
            for code in range(first, last + 1):
                cases = {chr(code).lower(), chr(code).upper()}
                folded.extend((ord(other), ord(other)) for other in cases if len(other) == 1)
        return _merged(folded)

    def _next(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self, sign: str) -> bool:
        if self._next() != sign:
            return False
        self._at += 1
        return True

    def _refusal(self, why: str, offset: int = 0) -> InvalidRequest:
        at = self._at + offset
        sign = self._source[at : at + 1]
        named = f"{sign!r} (character {at + 1} of the pattern)" if sign else "the pattern's end"
        return InvalidRequest(f"{named} {why}")


def _code(character: str) -> int:
    return ord(NUL_STAND_IN if character == "\0" else character)


def _merged(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def _complement(ranges: Ranges) -> Ranges:
    left = []
    start = 0
    for first, last in ranges:
        if first > start:
            left.append((start, first - 1))
        start = last + 1
    if start <= LAST_CODE_POINT:
        left.append((start, LAST_CODE_POINT))
    return tuple(left)


def _repeats(node: Node) -> bool:
    match node:
        case Repeat():
            return True
        case Sequence(parts) | Choice(parts):
            return any(_repeats(part) for part in parts)
        case Characters():
            return False


def _size(node: Node) -> int:
    match node:
        case Characters():
            return 1
        case Repeat(part, least, most):
            return _size(part) * max(least + 1, most or 0)
        case Sequence(parts) | Choice(parts):
            return sum(_size(part) for part in parts)


def _written(node: Node) -> str:
    match node:
        case Characters(ranges):
            return _class_written(ranges)
        case Sequence(parts):
            return "".join(
                f"(?:{_written(part)})" if isinstance(part, Choice) else _written(part)
                for part in parts
            )
        case Choice(parts):
            return "|".join(_written(part) for part in parts)
        case Repeat(part, least, most):
            upper = "" if most is None else most
            return f"(?:{_written(part)}){{{least},{upper}}}"


def _class_written(ranges: Ranges) -> str:
    if not ranges:  # such as [^\s\S]: nothing matches
        return "(?!)"
    if ranges[0][0] == 0 and ranges[-1][1] == LAST_CODE_POINT and len(ranges) > 1:
        return f"[^{_ranges_written(_complement(ranges))}]"
    return f"[{_ranges_written(ranges)}]"


def _ranges_written(ranges: Ranges) -> str:
    return "".join(
        _code_written(first) if first == last else f"{_code_written(first)}-{_code_written(last)}"
        for first, last in ranges
    )


def _code_written(code: int) -> str:
    # No text of PostgreSQL has the code point 0, and its engine is spared from hearing of it.
    return f"\\U{max(code, 1):08X}"

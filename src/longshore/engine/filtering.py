"""The filter that finds works: one line of text, the same on pages, in the API and on the command line.

    state:failure,cancelled queue:acme/* -reason:rejected attempt:>2 since:2h error:"no such file"

Words stand side by side and all must fit; values with commas between them are alternatives; a
minus before a word turns it round. A word without a name is an id, the beginning of one, or the
beginning of the name of a queue. `parse` only reads the text; `searching` finds what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from longshore.clock import SECOND_US
from longshore.engine.states import Reason, State
from longshore.errors import InvalidRequest
from longshore.limits import FILTER_CHARACTERS, FILTER_VALUES

BARE: Final = "word"
"""What a word without a name is called."""
COMPARISONS: Final = (">=", "<=", ">", "<")
_NAMED: Final = re.compile(r"([A-Za-z][A-Za-z_]*):")
_ID: Final = re.compile(r"[a-z]{2}_[0-9a-v]{0,26}")
_AGE: Final = re.compile(r"(\d{1,9})(s|m|min|h|d|w)")
_UNITS_S: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_INTEGER: Final = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a word; `quoted` ones are taken as they are, with no meaning of `*`."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter.

    Attributes:
        name: of NAMES, or BARE.
        values: of which one must fit.
        comparison: of COMPARISONS, or "" for equality.
        negated: whether none may fit instead.
        source: the word as it was written.
    """

    name: str
    values: tuple[Value, ...]
    comparison: str
    negated: bool
    source: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that can be used.

    Attributes:
        text: as it was written, without blanks around it.
        terms: its words; all must fit.
        within: what must hold besides, whatever was written: makes a condition (of SQLAlchemy)
            from columns of works. Whoever asks may not see more.
    """

    text: str
    terms: tuple[Term, ...]
    within: Callable[[Any], Any] | None = None

    def named(self, name: str, *, negated: bool = False) -> list[Term]:
        """Return the words of a name."""
        return [term for term in self.terms if (term.name, term.negated) == (name, negated)]

    def without(self, *names: str) -> str:
        """Return the text without the words of these names."""
        return " ".join(term.source for term in self.terms if term.name not in names)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that words may have: what it means, and what its values look like."""

    meaning: str
    check: Callable[[str], str | None]
    compares: bool = False
    example: str = ""


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        InvalidRequest: it cannot be read; the message and `details["faults"]` name every fault.
    """
    text = text.strip()
    if len(text) > FILTER_CHARACTERS:
        raise InvalidRequest(
            f"The filter has {len(text)} characters and may have {FILTER_CHARACTERS}. Shorten it."
        )
    faults: list[str] = []
    if not is_storable(text):
        faults.append("The filter contains NUL or half a character, which no name or text can.")
    terms = [] if faults else _terms(text, faults)
    if sum(len(term.values) for term in terms) > FILTER_VALUES:
        faults.append(f"The filter has more than {FILTER_VALUES} values.")
    for term in terms:
        _check(term, faults)
    if faults:
        raise InvalidRequest(" ".join(faults), details={"faults": faults})
    return Filter(text, tuple(terms))


def quote(value: str) -> str:
    """Write a value so that a filter takes it as it is."""
    if re.fullmatch(r"[^\s\",*:<>=\\-][^\s\",*<>=\\]*", value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def is_storable(text: str) -> bool:
    """Whether a database can take a text: not with NUL, or with half a character."""
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


def is_id(word: str) -> bool:
    """Whether a word looks like an id, or the beginning of one."""
    return _ID.fullmatch(word) is not None


def time_us(text: str, now_us: int, *, end: bool = False) -> int:
    """Return the moment that a time of a filter means.

    Args:
        text: an age such as `2h`, or an ISO 8601 date or time (UTC where it names no zone).
        now_us: what ages count back from.
        end: a date means its last microsecond instead of its first.

    Raises:
        InvalidRequest: it is no time.
    """
    age = _AGE.fullmatch(text)
    if age is not None:
        # Nothing is older than the count of time; more would not fit into a column.
        return max(now_us - int(age[1]) * _UNITS_S[age[2]] * SECOND_US, 0)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if end and _DAY.fullmatch(text):
            moment += timedelta(days=1, microseconds=-1)
        # Whole numbers: a float of microseconds since 1970 is off by some.
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{text[:60]!r} is no time.") from error


def _terms(text: str, faults: list[str]) -> list[Term]:
    terms = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        begin = position
        negated = text[position] == "-" and position + 1 < len(text)
        position += negated
        named = _NAMED.match(text, position)
        name = BARE if named is None else named[1].casefold()
        position = position if named is None else named.end()
        comparison = next((each for each in COMPARISONS if text.startswith(each, position)), "")
        if named is None:
            comparison = ""
        position += len(comparison)
        values, position = _values(text, position, faults, several=named is not None)
        terms.append(Term(name, values, comparison, negated, text[begin:position]))
    return terms


def _values(
    text: str, position: int, faults: list[str], *, several: bool
) -> tuple[tuple[Value, ...], int]:
    """Read values up to the next blank; return them and where they end."""
    values = []
    while True:
        if text.startswith('"', position):
            value, position = _quoted(text, position + 1, faults)
            values.append(Value(value, quoted=True))
        else:
            begin = position
            while position < len(text) and not (
                text[position].isspace() or (several and text[position] == ",")
            ):
                position += 1
            values.append(Value(text[begin:position]))
        if not (several and text.startswith(",", position)):
            return tuple(values), position
        position += 1


def _quoted(text: str, position: int, faults: list[str]) -> tuple[str, int]:
    letters: list[str] = []
    while position < len(text):
        letter = text[position]
        if letter == '"':
            return "".join(letters), position + 1
        if letter == "\\" and position + 1 < len(text):
            position += 1
            letter = text[position]
        letters.append(letter)
        position += 1
    faults.append("A quotation mark is open at the end; close it.")
    return "".join(letters), position


def _check(term: Term, faults: list[str]) -> None:
    name = NAMES.get(term.name)
    if name is None:
        faults.append(
            f"{term.name[:60]!r} is no name of a filter.{_near(term.name, NAMES)} Known: "
            f"{', '.join(known for known in NAMES if known != BARE)}."
        )
        return
    if term.comparison and not name.compares:
        faults.append(f"{term.name} cannot be compared by {term.comparison}; give a value.")
    if term.comparison and len(term.values) > 1:
        faults.append(f"{term.source[:60]!r} compares with several values; give one.")
    for value in term.values:
        fault = "needs a value" if not value.text else name.check(value.text)
        if fault:
            example = f" Give for example {name.example}." if name.example else ""
            faults.append(f"{term.name}: {value.text[:60]!r} {fault}.{example}")


def _near(word: str, known: object) -> str:
    found = get_close_matches(word, list(known), n=1, cutoff=0.6)  # type: ignore[call-overload]
    return f" Did you mean {found[0]!r}?" if found else ""


def _one_of(values: list[str]) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        if text in values:
            return None
        return f"is not known.{_near(text, values)} Known: {', '.join(values)}"

    return check


def _is_id(text: str) -> str | None:
    return None if is_id(text) else "is no id, or beginning of one"


def _is_number(text: str) -> str | None:
    return None if _INTEGER.fullmatch(text) else "is no whole number"


def _is_time(text: str) -> str | None:
    try:
        time_us(text, 0)
    except InvalidRequest:
        return "is neither an age (90s, 30m, 2h, 7d, 2w) nor a date or time"
    return None


def _anything(_text: str) -> str | None:
    return None


_YES_NO: Final = _one_of(["yes", "no"])
NAMES: Final[dict[str, Name]] = {
    "state": Name(
        "where it stands",
        _one_of([state.value for state in State]),
        example="state:failure,cancelled",
    ),
    "reason": Name(
        "how it came there",
        _one_of([reason.value for reason in Reason]),
        example="reason:timed_out",
    ),
    "surface": Name("apps, buckets, pipelines and so on", _anything, example="surface:buckets"),
    "queue": Name("name of its queue; * at the end", _anything, example="queue:acme/*"),
    "id": Name("its id, or the beginning", _is_id, example="id:wk_06a3"),
    "group": Name("id of its run, batch or process", _anything, example="group:rn_06a3"),
    "worker": Name("id or name of its holder, or the id of its key", _anything),
    "priority": Name("larger comes first", _is_number, compares=True, example="priority:>=5"),
    "attempt": Name("number of its last attempt", _is_number, compares=True, example="attempt:>2"),
    "final": Name("whether nothing follows by itself", _YES_NO, example="final:no"),
    "held": Name("whether a person holds it", _YES_NO, example="held:yes"),
    "since": Name("submitted since", _is_time, example="since:2h"),
    "until": Name("submitted until", _is_time, example="until:2026-11-20"),
    "finished_since": Name("ended since", _is_time, example="finished_since:1d"),
    "finished_until": Name("ended until", _is_time, example="finished_until:2026-11-20"),
    "concurrency_key": Name("key whose works share a limit", _anything),
    "unique_key": Name("key that is there once in a queue", _anything),
    "error": Name("text in the error of a failure", _anything, example='error:"no such file"'),
    BARE: Name("an id, or the beginning of a queue's name", _anything),
}

"""What a filter means in one organisation: conditions on works, and what narrows them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)

from longshore import ids
from longshore.clock import SECOND_US
from longshore.engine.filtering import BARE, Filter, Term, Value, is_id, time_us
from longshore.engine.states import ENDED, TRANSITIONS, Reason, State
from longshore.engine.tables import is_final, queues, workers
from longshore.storage.bulk import array_text
from longshore.storage.texts import begins_with

SLACK_US: Final = 3_600 * SECOND_US
"""How far apart the time in an id and the time that is stored with the work may lie."""
_MOST: Final = 2**31 - 1
LAST: Final = "w"
"""Sorts behind every letter and digit of an id."""
Columns = Any
Condition = Callable[[Columns], ColumnElement[bool]]


@dataclass(slots=True)
class Bounds:
    """A filter, bound to an organisation.

    Attributes:
        queue_ids: the queues whose works can fit.
        any_queue: whether these are all queues of the organisation.
        states: the states that can fit.
        groups: the groups that can fit; None for any.
        unique_keys: the unique keys that can fit; None for any.
        given: the only works that can fit; None for any.
        at_least: no work with a smaller id can fit.
        below: no work with this id or a larger one can.
        impossible: whether no work can fit.
        parameters: of the conditions.
    """

    dialect: str
    queue_ids: list[int]
    any_queue: bool
    states: frozenset[State] = frozenset(State)
    groups: list[str] | None = None
    unique_keys: list[str] | None = None
    given: list[str] | None = None
    at_least: str | None = None
    below: str | None = None
    impossible: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    _conditions: list[Condition] = field(default_factory=list)

    def conditions(self, columns: Columns) -> list[ColumnElement[bool]]:
        """Return the conditions on rows with the columns of works."""
        made = [self.in_queues(columns)]
        if self.at_least is not None:
            made.append(columns.id >= self.at_least)
        if self.below is not None:
            made.append(columns.id < self.below)
        return made + [condition(columns) for condition in self._conditions]

    def in_queues(self, columns: Columns) -> ColumnElement[bool]:
        """Return the condition that a work is in one of the queues."""
        if self.dialect == "sqlite":
            source = func.json_each(bindparam("queue_ids")).table_valued("value", name="own_queues")
            return columns.queue_id.in_(select(source.c.value))  # type: ignore[no-any-return]
        return columns.queue_id == any_(  # type: ignore[no-any-return]
            cast(bindparam("queue_ids", type_=Text), ARRAY(BigInteger))
        )

    def add(self, condition: Condition) -> None:
        """Ask for one more thing."""
        self._conditions.append(condition)


def bind(connection: Connection, organisation_id: str, wanted: Filter, at_us: int) -> Bounds:
    """Find out what a filter means: which queues it names, which states and ids it leaves."""
    chosen, named = _queues(connection, organisation_id, wanted)
    bounds = Bounds(connection.dialect.name, chosen, any_queue=not named)
    if bounds.dialect == "sqlite":
        bounds.parameters["queue_ids"] = f"[{','.join(map(str, chosen))}]"
    else:
        bounds.parameters["queue_ids"] = array_text(chosen, "number")
    for term in wanted.terms:
        if term.name in ("surface", "queue", "error") or _is_queue_word(term):
            continue
        if term.name == "worker":
            _add(bounds, term, _worker(connection, organisation_id, term))
        else:
            _add(bounds, term, _CONDITIONS[term.name](term, at_us))
        _narrow(bounds, term, at_us)
    if wanted.within is not None:
        bounds.add(wanted.within)
    if any(term.name == "error" for term in wanted.terms):
        bounds.states &= {State.FAILURE}
        bounds.add(lambda columns: columns.state == "failure")
    bounds.impossible = not chosen or not bounds.states
    return bounds


def _add(bounds: Bounds, term: Term, condition: Condition) -> None:
    if term.negated:
        # A column without a value is not equal to anything: it stays.
        bounds.add(lambda columns: not_(func.coalesce(condition(columns), literal_column("false"))))
    else:
        bounds.add(condition)


def _narrow(bounds: Bounds, term: Term, at_us: int) -> None:
    """Note what a word leaves of states, groups, keys and ids."""
    texts = [value.text for value in term.values]
    if term.name == "state":
        named = {State(text) for text in texts}
        bounds.states &= frozenset(State) - named if term.negated else named
    if term.negated:
        return
    if term.name == "reason":
        bounds.states &= {TRANSITIONS[Reason(text)].target for text in texts}
    elif term.name == "held" and texts == ["yes"]:
        bounds.states &= {State.WAITING}
    elif term.name == "final" and texts == ["yes"]:
        bounds.states &= ENDED
    elif term.name == "final" and texts == ["no"]:
        bounds.states -= {State.SUCCESS, State.CANCELLED}
    elif term.name.startswith("finished_"):
        bounds.states &= ENDED
    elif term.name == "group":
        bounds.groups = texts if bounds.groups is None else bounds.groups
    elif term.name == "unique_key":
        bounds.unique_keys = texts if bounds.unique_keys is None else bounds.unique_keys
    else:
        _narrow_ids(bounds, term, texts, at_us)


def _narrow_ids(bounds: Bounds, term: Term, texts: Sequence[str], at_us: int) -> None:
    lower, upper = None, None
    if term.name == "since":
        lower = ids.earliest(ids.WORK, min(_times(term, at_us)) - SLACK_US)
    elif term.name == "until":
        upper = ids.earliest(ids.WORK, max(_times(term, at_us, end=True)) + SLACK_US)
    elif term.name in ("id", BARE):
        if all(len(text) == len(ids.WORK) + 27 for text in texts):
            bounds.given = list(texts) if bounds.given is None else bounds.given
        lower, upper = min(texts), max(text + LAST for text in texts)
    if lower is not None:
        bounds.at_least = max(bounds.at_least or "", lower)
    if upper is not None:
        bounds.below = min(bounds.below or upper, upper)


def _queues(connection: Connection, organisation_id: str, wanted: Filter) -> tuple[list[int], bool]:
    """Return the queues that the filter names, and whether it names any."""
    query = select(queues.c.id).where(queues.c.organisation_id == organisation_id)
    named = False
    for term in wanted.terms:
        if term.name == "surface":
            fits: ColumnElement[bool] = queues.c.surface.in_([each.text for each in term.values])
        elif term.name == "queue":
            fits = or_(*[_named_like(value) for value in term.values])
        elif _is_queue_word(term):
            fits = or_(*[begins_with(queues.c.name, value.text) for value in term.values])
        else:
            continue
        named = True
        query = query.where(not_(fits) if term.negated else fits)
    return list(connection.execute(query.order_by(queues.c.id)).scalars()), named


def _named_like(value: Value) -> ColumnElement[bool]:
    if not value.quoted and value.text.endswith("*"):
        return begins_with(queues.c.name, value.text[:-1])
    return queues.c.name == value.text


def _is_queue_word(term: Term) -> bool:
    return term.name == BARE and not (is_id(term.values[0].text) and not term.values[0].quoted)


def _worker(connection: Connection, organisation_id: str, term: Term) -> Condition:
    texts = [value.text for value in term.values]
    of_name = select(workers.c.id).where(
        workers.c.organisation_id == organisation_id, workers.c.name.in_(texts)
    )
    known = [*texts, *connection.execute(of_name.limit(1_000)).scalars()]
    return lambda columns: columns.worker_id.in_(known)


def _one_of(column: str) -> Callable[[Term, int], Condition]:
    def make(term: Term, _at_us: int) -> Condition:
        texts = [value.text for value in term.values]
        return lambda columns: columns[column].in_(texts)

    return make


def _id(term: Term, _at_us: int) -> Condition:
    texts = [value.text for value in term.values]
    return lambda columns: or_(
        *[(columns.id >= text) & (columns.id < text + LAST) for text in texts]
    )


def _number(column: str) -> Callable[[Term, int], Condition]:
    def make(term: Term, _at_us: int) -> Condition:
        # No priority or attempt is as large as its column allows.
        numbers = [max(min(int(value.text), _MOST), -_MOST) for value in term.values]
        if not term.comparison:
            return lambda columns: columns[column].in_(numbers)
        return lambda columns: columns[column].op(term.comparison, is_comparison=True)(numbers[0])

    return make


def _final(term: Term, _at_us: int) -> Condition:
    wanted = {value.text for value in term.values}
    if wanted == {"yes", "no"}:
        return lambda _columns: true()
    if wanted == {"yes"}:
        return lambda columns: is_final(_Row(columns))  # type: ignore[arg-type]
    return lambda columns: not_(is_final(_Row(columns)))  # type: ignore[arg-type]


def _held(term: Term, _at_us: int) -> Condition:
    wanted = {value.text for value in term.values}
    if wanted == {"yes", "no"}:
        return lambda _columns: true()
    if wanted == {"yes"}:
        return lambda columns: columns.reason == Reason.HELD.value
    return lambda columns: columns.reason != Reason.HELD.value


def _from(column: str) -> Callable[[Term, int], Condition]:
    def make(term: Term, at_us: int) -> Condition:
        moment_us = min(_times(term, at_us))
        return lambda columns: columns[column] >= moment_us

    return make


def _to(column: str) -> Callable[[Term, int], Condition]:
    def make(term: Term, at_us: int) -> Condition:
        moment_us = max(_times(term, at_us, end=True))
        return lambda columns: columns[column] <= moment_us

    return make


def _times(term: Term, at_us: int, *, end: bool = False) -> list[int]:
    return [time_us(value.text, at_us, end=end) for value in term.values]


@dataclass(frozen=True, slots=True)
class _Row:
    """Columns, where a table is asked for its `c`."""

    c: Columns


_CONDITIONS: Final[dict[str, Callable[[Term, int], Condition]]] = {
    "state": _one_of("state"),
    "reason": _one_of("reason"),
    "id": _id,
    BARE: _id,
    "group": _one_of("group_id"),
    "priority": _number("priority"),
    "attempt": _number("attempt"),
    "final": _final,
    "held": _held,
    "since": _from("created_us"),
    "until": _to("created_us"),
    "finished_since": _from("finished_us"),
    "finished_until": _to("finished_us"),
    "concurrency_key": _one_of("concurrency_key"),
    "unique_key": _one_of("unique_key"),
}

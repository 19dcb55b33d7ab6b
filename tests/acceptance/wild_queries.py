"""Filters, projections and sorts as somebody would send who wants to break a query language.

Each is drawn from a grammar that is mostly right, so that much gets through to the database, and
wrong here and there. Nothing but the numbers of `random` decides, so that a seed repeats a run.
"""

from __future__ import annotations

import random
from typing import Any

FIELDS = (
    "id", "pipeline", "status", "attempt", "start", "creation", "user", "site", "tags", "event",
    "priority", "results", "parameters", "config.parent", "config.archive.results", "results.a.b",
    "parameters.2", "tags.0", "event.1", "notify.slack.channel_id",
)  # fmt: skip
ODD_FIELDS = (
    "", ".", "a..b", ".a", "a.", "$where", "$gt", "a.$", "organisation_id", "queue_id", "works.id",
    "document", "bucket_works.document", "longshore", "longshore.state", "worker_id", "secret",
    'a"b', "a'b", "a') OR 1=1 --", "a\\", "$[0]", "[0]", "a[*]", "é" * 200, "a." * 30, "a\0b",
    "%s", "%(x)s", ":x", "?", "{0}", "a::text", "__proto__", "@@version", "*", "a b", "2.2.2",
)  # fmt: skip
OPERATORS = (
    "$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$not", "$all", "$size",
    "$elemMatch", "$regex",
)  # fmt: skip
ODD_OPERATORS = (
    "$where", "$function", "$accumulator", "$lookup", "$out", "$merge", "$jsonSchema", "$text",
    "$mod", "$type", "$bitsAllSet", "$comment", "$options", "$expr", "$and", "$", "$$", "$EQ", "gt",
    "$eq ", "$regex\0", "$near", "$sample",
)  # fmt: skip
SCALARS = (
    0, 1, -1, 2, 2.5, -0.0, 5e-324, 1.7e308, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, True, False,
    None, "", "x", "mine", "queued", "success", "running", "local", "wk_", "é", "\\", "'", '"',
    "'; DROP TABLE works; --", "' OR '1'='1", "%", "_", "\n", "$pipeline", "$$ROOT", "null", "𝄞",
    "a\0b", "2026-01-01", "NaN",
)  # fmt: skip
PATTERNS = (
    "x", "^m", "mine|x", "[a-z]+", "(a+)+$", "(a|a)*b", "(.*)*x", "a{1,90}", "(", "[", "\\", "(?=x)",
    "(?i)x", "\\1", "^" * 50, "x" * 250, ".{0,1000}", "[[:alpha:]]", "\\p{L}", "(?P<n>x)", "a\0b",
)  # fmt: skip
CALLS = (
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$and",
    "$or",
    "$not",
    "$add",
    "$concat",
    "$in",
)
NUMBERS = (0, 1, 2, 5, 100, -1, 2.0, 2.5, 2**31, 2**63 - 1, 2**63, 10**30, True, None, "1", [], {})


class Grammar:
    """Draws wild things from one source of random numbers."""

    def __init__(self, seed: int, victims: tuple[str, ...] = ()) -> None:
        """`victims` are texts of another tenant, to be asked for by name."""
        self.random = random.Random(seed)
        self._scalars = SCALARS + victims

    def filter(self, depth: int = 3) -> Any:
        """Draw a filter."""
        if self._seldom():
            return self.value(depth)
        found: dict[str, Any] = {}
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3))):
            kind = self.random.random()
            if kind < 0.2 and depth:
                inner: Any = [self.filter(depth - 1) for _ in range(self.random.choice((1, 2, 3)))]
                if self._seldom():
                    inner = self.random.choice(([], {}, None, inner[0]))
                found[self.random.choice(("$and", "$or", "$nor"))] = inner
            elif kind < 0.3:
                found["$expr"] = self.expression(2)
            elif kind < 0.34:
                found[self.random.choice(ODD_OPERATORS)] = self.value(2)
            else:
                found[self.field()] = self.test(depth)
        return found

    def test(self, depth: int) -> Any:
        """Draw what a filter says of one field."""
        if self.random.random() < 0.25:
            return self.value(1)
        chosen = ODD_OPERATORS if self._seldom() else OPERATORS
        tests = {}
        for _ in range(self.random.choice((1, 1, 2))):
            operator = self.random.choice(chosen)
            tests[operator] = self._operand(operator, depth)
        return tests

    def expression(self, depth: int) -> Any:
        """Draw what `$expr` takes."""
        if depth == 0 or self._seldom():
            return self.random.choice(("$" + self.field(), self._scalar(), [], {"$literal": "$x"}))
        count = self.random.choice((2, 2, 2, 1, 3, 0))
        return {self.random.choice(CALLS): [self.expression(depth - 1) for _ in range(count)]}

    def projection(self) -> Any:
        """Draw a projection."""
        if self._seldom():
            return self.value(2)
        shown = (
            True,
            False,
            1,
            0,
            True,
            2,
            None,
            "$user",
            {"$slice": 1},
            {"$elemMatch": {}},
            {"a": 1},
        )
        return {self.field(): self.random.choice(shown[:2] * 4 + shown) for _ in range(self._few())}

    def sort(self) -> Any:
        """Draw a sort."""
        ways = (1, -1, 1, -1, 0, 2, True, None, "asc", {"$meta": "textScore"})
        pairs = [
            [self.field(), self.random.choice(ways[:2] * 4 + ways)] for _ in range(self._few())
        ]
        if self._seldom():
            return self.value(2)
        return dict(map(tuple, pairs)) if self.random.random() < 0.7 else pairs

    def number(self) -> Any:
        """Draw a skip or a limit."""
        return self.random.choice(NUMBERS)

    def field(self) -> str:
        return self.random.choice(ODD_FIELDS if self.random.random() < 0.12 else FIELDS)

    def value(self, depth: int) -> Any:
        kind = self.random.random()
        if depth == 0 or kind < 0.7:
            return self._scalar()
        if kind < 0.85:
            return [self.value(depth - 1) for _ in range(self._few())]
        names = (*FIELDS[:6], *ODD_OPERATORS, *OPERATORS)
        return {self.random.choice(names): self.value(depth - 1) for _ in range(self._few())}

    def _operand(self, operator: str, depth: int) -> Any:
        match operator if not self._seldom() else "":
            case "$in" | "$nin" | "$all":
                return [self._scalar() for _ in range(self._few())]
            case "$exists":
                return self.random.choice((True, False, 1, None))
            case "$size":
                return self.number()
            case "$regex":
                return self.random.choice(PATTERNS)
            case "$not" | "$elemMatch":
                return self.test(depth - 1) if depth > 0 else self._scalar()
        return self.value(2)

    def _scalar(self) -> Any:
        return self.random.choice(self._scalars)

    def _few(self) -> int:
        return self.random.choice((0, 1, 1, 2, 3))

    def _seldom(self) -> bool:
        return self.random.random() < 0.04

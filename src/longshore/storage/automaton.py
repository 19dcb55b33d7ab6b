"""The automaton that looks for a regular expression on SQLite, in time linear in the text.

Glushkov's construction: each character of the pattern is a position, and a set of positions, kept
as the bits of an integer, says how far all possible matches have come. Nothing is tried twice, so
no pattern and no text can make it slow.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from longshore.limits import REGEX_TEXT_CHARACTERS
from longshore.storage.regex import Characters, Choice, Node, Pattern, Repeat, Sequence, parse

CACHED_STATES: Final = 5_000


def matches(source: str, options: str, text: bytes | None) -> bool:
    """Return whether the pattern is found in a text in UTF-8; SQLite calls it for a filter.

    The text comes as bytes because SQLite may hold some that are no valid UTF-8.
    """
    if text is None:
        return False
    # Four bytes are the longest character; what is cut in the middle is beyond the limit.
    start = text[: 4 * REGEX_TEXT_CHARACTERS].decode("utf-8", "replace")
    return _automaton(source, options).found_in(start)


@functools.lru_cache(maxsize=256)
def _automaton(source: str, options: str) -> Automaton:
    return Automaton(parse(source, options))


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part of the pattern can begin and end with, and whether it can be empty."""

    empty: bool
    first: int
    last: int


class Automaton:
    """One pattern, ready to be looked for."""

    def __init__(self, pattern: Pattern) -> None:
        """Give each character of `pattern` a number and note which may follow which."""
        self._by_line = pattern.by_line
        self._positions: list[Characters] = []
        self._follow: list[int] = []
        self._first = {True: 0, False: 0}
        self._last = {True: 0, False: 0}
        self._empty: set[tuple[bool, bool]] = set()
        for branch in pattern.branches:
            part = self._part(branch.body)
            # A match that is tied to both ends has to be told from one that is tied to one only:
            # the positions of two branches are different ones.
            self._first[branch.at_start] |= part.first
            self._last[branch.at_end] |= part.last
            if part.empty:
                self._empty.add((branch.at_start, branch.at_end))
        self._entered: dict[str, int] = {}
        self._reached: dict[int, int] = {}

    def found_in(self, text: str) -> bool:
        """Return whether the pattern is found in the first 10,000 characters of `text`."""
        text = text[:REGEX_TEXT_CHARACTERS]
        if self._empty and self._found_empty(text):
            return True
        anywhere, at_start = self._first[False], self._first[True]
        done, done_at_end = self._last[False], self._last[True]
        state = 0
        for index, character in enumerate(text):
            entered = self._entered.get(character)
            if entered is None:
                entered = self._enter(character)
            reached = anywhere if state == 0 else self._reach(state) | anywhere
            if at_start and self._starts(text, index):
                reached |= at_start
            state = reached & entered
            if state & done or (state & done_at_end and self._ends(text, index + 1)):
                return True
        return False

    def _found_empty(self, text: str) -> bool:
        return any(
            (not at_start or self._starts(text, index)) and (not at_end or self._ends(text, index))
            for at_start, at_end in self._empty
            for index in range(len(text) + 1)
        )

    def _starts(self, text: str, index: int) -> bool:
        return index == 0 or (self._by_line and text[index - 1] == "\n")

    def _ends(self, text: str, index: int) -> bool:
        if index >= len(text):
            return True
        return text[index] == "\n" and (self._by_line or index == len(text) - 1)

    def _enter(self, character: str) -> int:
        """Return the positions whose characters include this one."""
        code = ord(character)
        entered = sum(1 << at for at, allowed in enumerate(self._positions) if allowed.has(code))
        if len(self._entered) >= CACHED_STATES:
            self._entered.clear()
        self._entered[character] = entered
        return entered

    def _reach(self, state: int) -> int:
        """Return the positions that may come after one of `state`."""
        reached = self._reached.get(state)
        if reached is None:
            reached = 0
            left = state
            while left:
                lowest = left & -left
                reached |= self._follow[lowest.bit_length() - 1]
                left ^= lowest
            if len(self._reached) >= CACHED_STATES:
                self._reached.clear()
            self._reached[state] = reached
        return reached

    def _part(self, node: Node) -> _Part:
        match node:
            case Characters():
                self._positions.append(node)
                self._follow.append(0)
                bit = 1 << (len(self._positions) - 1)
                return _Part(empty=False, first=bit, last=bit)
            case Choice(parts):
                each = [self._part(part) for part in parts]
                return _Part(
                    empty=any(part.empty for part in each),
                    first=_union(part.first for part in each),
                    last=_union(part.last for part in each),
                )
            case Sequence(parts):
                whole = _Part(empty=True, first=0, last=0)
                for part in parts:
                    whole = self._joined(whole, self._part(part))
                return whole
            case Repeat():
                return self._repeated(node)

    def _repeated(self, node: Repeat) -> _Part:
        whole = _Part(empty=True, first=0, last=0)
        for _ in range(node.least):
            whole = self._joined(whole, self._part(node.part))
        if node.most is None:
            again = self._part(node.part)
            self._link(again.last, again.first)
            return self._joined(whole, _Part(empty=True, first=again.first, last=again.last))
        for _ in range(node.most - node.least):
            optional = self._part(node.part)
            whole = self._joined(whole, _Part(empty=True, first=optional.first, last=optional.last))
        return whole

    def _joined(self, left: _Part, right: _Part) -> _Part:
        self._link(left.last, right.first)
        return _Part(
            empty=left.empty and right.empty,
            first=left.first | (right.first if left.empty else 0),
            last=right.last | (left.last if right.empty else 0),
        )

    def _link(self, before: int, after: int) -> None:
        for at in range(before.bit_length()):
            if before >> at & 1:
                self._follow[at] |= after


def _union(masks: Iterable[int]) -> int:
    whole = 0
    for mask in masks:
        whole |= mask
    return whole

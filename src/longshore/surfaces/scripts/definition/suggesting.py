"""Near names, for messages about names that are not there."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection
from typing import Final

_NEAR_ENOUGH: Final = 0.6
_LISTED: Final = 12
_COMPARED: Final = 1_000
"""As many as a workflow has steps; to compare takes some microseconds for each."""


def near(word: str, known: Collection[str]) -> str | None:
    """Return the known word that was most likely meant, or None; case does not count."""
    by_folded = {each.casefold(): each for each in known}
    if word.casefold() in by_folded:
        return by_folded[word.casefold()]
    compared = itertools.islice(by_folded, _COMPARED)
    found = difflib.get_close_matches(word.casefold()[:200], compared, n=1, cutoff=_NEAR_ENOUGH)
    return by_folded[found[0]] if found else None


def hint(word: str, known: Collection[str], *, otherwise: str = "") -> str:
    """Return how a message about an unknown word goes on: the near one, or all that there are.

    `otherwise` is said where nothing is known at all.
    """
    found = near(word, known)
    if found is not None:
        return f"; did you mean {found}?"
    if not known:
        return otherwise or "."
    return f"; there are: {listed(sorted(known))}."


def listed(names: Collection[str]) -> str:
    """Return names with commas, the first few of many."""
    shown = list(names)[:_LISTED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")

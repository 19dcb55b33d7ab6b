"""The names of the sets of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore import limits
from longshore.surfaces.corpus.scope import refusal

SET_CHARACTERS: Final = 50
USUAL: Final = ("training", "test", "validation")


def checked_one(given: str, *attr: str | int) -> str:
    """Return the name of a set if it may be one.

    Raises:
        InvalidRequest: it is empty or too long, or holds a colon, which parts it from the dataset
            on the command line of workers.
    """
    name = given.strip()
    if not name or len(name) > SET_CHARACTERS or ":" in name or not name.isprintable():
        raise refusal(
            f"{given[:80]!a} cannot be the name of a set. Use 1 to {SET_CHARACTERS} printable "
            "characters without a colon.",
            *attr,
        )
    return name


def checked(given: Sequence[str] | None) -> list[str]:
    """Return the names of a dataset's sets if they may be these; the usual ones for None.

    Raises:
        InvalidRequest: there are none or too many, one is given twice, or one cannot be one.
    """
    if given is None:
        return list(USUAL)
    names = [checked_one(name, "set_names", place) for place, name in enumerate(given)]
    if not names or len(names) > limits.DATASET_SETS:
        raise refusal(
            f"set_names: a dataset has 1 to {limits.DATASET_SETS} sets; these are {len(names)}.",
            "set_names",
        )
    if len(set(names)) < len(names):
        raise refusal("set_names: a name is given twice. Give each set once.", "set_names")
    return names

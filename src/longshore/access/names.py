"""What may be a name that a person gives to something."""

from __future__ import annotations

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge


def checked_name(name: str, noun: str) -> str:
    """Return `name` without surrounding blanks.

    Raises:
        InvalidRequest: nothing is left of it, or it holds a control character.
        TooLarge: it is longer than `limits.NAME_CHARACTERS`.
    """
    name = name.strip()
    if not name:
        raise InvalidRequest(f"The name of a {noun} is empty. Give it a name.")
    if len(name) > limits.NAME_CHARACTERS:
        raise TooLarge(
            f"The name of a {noun} may have {limits.NAME_CHARACTERS} characters and this one has "
            f"{len(name)}. Shorten it.",
            details={"limit": limits.NAME_CHARACTERS},
        )
    if not name.isprintable():
        raise InvalidRequest(
            f"The name of a {noun} holds a control character (such as a line break). Remove it."
        )
    return name

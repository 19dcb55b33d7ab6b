"""What may be the name of an entry of the keystore, and what its value."""

from __future__ import annotations

import re
from typing import Final

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge

_LISTABLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def check_name(name: str) -> str:
    """Return the name of an entry if it may be one; it may have parts with `/` in between.

    Programs look for files of that name, too, so that it must stay inside of a directory.

    Raises:
        InvalidRequest: it is empty, not printable, or would leave a directory.
        TooLarge: it has more than `limits.NAME_CHARACTERS`.
    """
    if len(name) > limits.NAME_CHARACTERS:
        raise TooLarge(
            f"The name of the secret has {len(name)} characters and may have "
            f"{limits.NAME_CHARACTERS}. Shorten it."
        )
    if not name.isprintable() or name != name.strip() or "\\" in name or "%" in name:
        raise InvalidRequest(
            f"{name[:80]!a} cannot be the name of a secret. Use printable characters without "
            "backslash, percent sign and blanks at the ends."
        )
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidRequest(
            f"{name[:80]!a} cannot be the name of a secret: it is empty, or a part of it is empty, "
            "'.' or '..'. Write it as name or folder/name."
        )
    return name


def check_listable(name: str) -> None:
    """Raise InvalidRequest for a name that no definition of a step could list."""
    if _LISTABLE.fullmatch(name) is None:
        raise InvalidRequest(
            f"{name[:80]!a} cannot be the name of a secret for steps: no definition can list it. Use "
            "1 to 128 letters, digits, dots, hyphens and underscores, or say who else it is for "
            "(`--corpus`, `--apps`)."
        )


def check_value(value: str) -> None:
    """Raise InvalidRequest for an empty value, TooLarge for one over `limits.SECRET_BYTES`."""
    size = len(value.encode())
    if not size:
        raise InvalidRequest("The secret has no value. Send it as a text that is not empty.")
    if size > limits.SECRET_BYTES:
        raise TooLarge(
            f"The secret has {size} bytes and may have {limits.SECRET_BYTES}. Keep large files "
            "elsewhere, and the key to them here."
        )

"""Paths of files that tasks leave, as they may be written into a directory of somebody else."""

from __future__ import annotations

from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import PATH_BYTES
from longshore.surfaces.corpus.scope import refusal


def checked_path(path: str) -> str:
    """Return the path of an artifact, relative to the directory of its task, if it may be one.

    Raises:
        InvalidRequest: it is empty or absolute, leaves the directory, or holds a control character
            or a backslash (which parts folders for whoever downloads the file on Windows).
        TooLarge: it is longer than `limits.PATH_BYTES`.
    """
    shown = ascii(path[:80])
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise refusal(
            f"path: {shown} is no path inside of the task's directory. Give parts with one slash in "
            "between, and none of them '.' or '..'.",
            "path",
        )
    if "\\" in path or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in path):
        raise refusal(
            f"path: {shown} holds a backslash or a control character. Give the file another name.",
            "path",
        )
    try:
        size = len(path.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"path: {shown} is not valid Unicode. Rename the file.") from error
    if size > PATH_BYTES:
        raise TooLarge(f"path: the path has {size} bytes and may have {PATH_BYTES}. Shorten it.")
    return path

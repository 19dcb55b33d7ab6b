"""Names and paths: what a user may call a file, and how versions and fields are named.

A user's name is only ever a value in the database; bytes lie under ids that the server made. The
rules here keep names readable and safe for those who later make files of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import NAME_CHARACTERS, PATH_BYTES

DRIVE: Final = "Instabase Drive"
"""Display name of the only drive; the protocol's samples write paths with it."""

_VERSION_PART: Final = re.compile(r"\d+|[^\W\d_]+")
# In the order in which the parts of versions sort.
_PRE, _END, _WORD, _NUMBER = range(4)
_PRE_RELEASES: Final = frozenset(
    {"a", "alpha", "b", "beta", "c", "rc", "pre", "preview", "dev", "snapshot", "m", "milestone"}
)


def checked_file_name(name: str) -> str:
    """Return a file's name (or its path within a batch) if it may be one.

    Raises:
        InvalidRequest: it is empty, holds a control character, or would leave its folder.
        TooLarge: it is longer than `limits.NAME_CHARACTERS`.
    """
    if not name or not name.strip():
        raise InvalidRequest("The file has no name. Put its name behind the last slash of the URL.")
    if len(name) > NAME_CHARACTERS:
        raise TooLarge(
            f"The file name has {len(name)} characters and may have {NAME_CHARACTERS}. Shorten it.",
            details={"limit": NAME_CHARACTERS},
        )
    _check_segments(name.split("/"), name)
    return name


def _check_segments(segments: list[str], name: str) -> None:
    shown = ascii(name[:80])
    for segment in segments:
        if not segment:
            raise InvalidRequest(
                f"The name {shown} starts or ends with a slash or has two in a row. Leave those out."
            )
        # A backslash parts folders for whoever downloads the file on Windows.
        if {".", ".."} & set(segment.split("\\")):
            raise InvalidRequest(
                f"The name {shown} would leave its folder. Use a name without '.' and '..' as parts."
            )
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in name):
        raise InvalidRequest(
            f"The name {shown} holds a control character (such as NUL or a line break). Remove it."
        )
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"The name {shown} is not valid Unicode. Send it as percent-encoded UTF-8."
        ) from error


@dataclass(frozen=True, slots=True)
class DrivePath:
    """A path of the drive: <organisation>/<workspace>/fs/<drive>/<rest>.

    Attributes:
        organisation: id or name of the organisation, as the client wrote it.
        workspace: name of the workspace.
        rest: what follows the drive's name; empty for the drive itself.
    """

    organisation: str
    workspace: str
    rest: str


def parse_drive_path(path: str) -> DrivePath:
    """Take a path of the protocol apart; a slash at either end is allowed.

    Raises:
        InvalidRequest: it is not of the form above, or a part of it may not be a name.
        TooLarge: the path or a part of it is too long.
    """
    path = path.strip("/")
    segments = path.split("/")
    if path:
        _check_segments(segments, path)
    if len(segments) < 4 or segments[2] != "fs":
        raise InvalidRequest(
            f"The path {path[:120]!a} is not one of the drive. Write it as "
            f"<organisation id>/<workspace>/fs/{DRIVE}/<folder>/<file>."
        )
    if segments[3].casefold() != DRIVE.casefold():
        raise InvalidRequest(f"There is no drive {segments[3][:80]!a}. The only one is {DRIVE!r}.")
    for segment in segments:
        if len(segment) > NAME_CHARACTERS:
            raise TooLarge(
                f"A name in the path has {len(segment)} characters and may have {NAME_CHARACTERS}. "
                "Shorten it.",
                details={"limit": NAME_CHARACTERS},
            )
    return DrivePath(segments[0], segments[1], "/".join(segments[4:]))


def drive_path(organisation_id: str, workspace: str, rest: str) -> str:
    """Return the path of a file or folder of the drive.

    Raises:
        TooLarge: it is longer than the database can index.
    """
    parts = (organisation_id, workspace, "fs", DRIVE, rest)
    return checked_path("/".join(part for part in parts if part))


def checked_path(path: str) -> str:
    """Return a whole path if it is short enough for the database to index."""
    size = len(path.encode())
    if size > PATH_BYTES:
        raise TooLarge(
            f"The whole path takes {size} bytes and may take {PATH_BYTES}. Use shorter names.",
            details={"limit_bytes": PATH_BYTES},
        )
    return path


def checked_workspace(name: str) -> str:
    """Return a workspace's name if paths can hold it."""
    if "/" in name or name.strip() in {".", ".."}:
        raise InvalidRequest(
            f"The workspace name {name[:80]!a} cannot be part of a path. Use one without slashes."
        )
    return name


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts versions: 1.9 < 1.10-rc1 < 1.10 = 1.10.0 < 1.10.post1 < 1.10.1.

    Numbers compare as numbers; a known word of pre-releases sorts below the end of the version,
    any other word above it. What follows a plus sign (build data) comes last.
    """
    public, _, build = version.strip().lower().partition("+")
    key = [_version_part(part) for part in _VERSION_PART.findall(public.removeprefix("v"))]
    # Zeros at the end of the release say nothing: 1.10 and 1.10.0 are one version in order.
    cut = next((index for index, part in enumerate(key) if part[0] != _NUMBER), len(key))
    release = key[:cut]
    while release and release[-1][1] == 0:
        release.pop()
    return (*release, *key[cut:], (_END, 0, ""), (_END, 0, build))


def _version_part(part: str) -> tuple[int, int, str]:
    if part.isdecimal():
        return (_NUMBER, int(part), "")
    return (_PRE if part in _PRE_RELEASES else _WORD, 0, part)


def is_production(version: str) -> bool:
    """Return whether a version is not a pre-release (such as 2.0.0-rc1 or 1.1.dev3)."""
    return all(kind != _PRE for kind, _, _ in version_order(version))


def field_name(name: str) -> str:
    """Make a field's name an identifier, as the protocol prescribes (§3.3 of its digest).

    Underscores are doubled, other characters that an identifier cannot have become one
    underscore each, and a digit in front gets one before it: `due date` is due_date,
    `3rd category` is _3rd_category, `secret_id` is secret__id.
    """
    made = "".join(
        "__" if letter == "_" else letter if f"_{letter}".isidentifier() else "_" for letter in name
    )
    return made if made.isidentifier() else f"_{made}"

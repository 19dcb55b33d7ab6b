"""How services and their versions are named, and what a request may say for one."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from longshore import ids
from longshore.access.names import checked_name
from longshore.clock import SECOND_US
from longshore.errors import InvalidRequest

_VERSION: Final = re.compile(r"[0-9A-Za-z]+(?:[.+_-][0-9A-Za-z]+)*")
_VERSION_CHARACTERS: Final = 64
_URI: Final = re.compile(r"(?P<name>[^\[\]]*)(?:\[(?P<version>[^\[\]]*)\])?")
_PART: Final = re.compile(r"(\d*)(.*)", re.DOTALL)
_SHOWN_CHARACTERS: Final = 80
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)

VersionOrder = tuple[tuple[int, bool, str], ...]


@dataclass(frozen=True, slots=True)
class Address:
    """What the text of a request names: a version by id, or a service by id or by name.

    Attributes:
        version: as given, perhaps only the beginning of a version; None for the latest.
    """

    version_id: str | None = None
    service_id: str | None = None
    folder: str | None = None
    name: str | None = None
    version: str | None = None


def address(text: str) -> Address:
    """Return what a text names.

    Known forms: `folder/name`, `folder/name[1.4]`, `/folders/FOLDER/services/NAME`, the id of a
    service or of a version alone, and `service/ID` or `version/ID`.

    Raises:
        InvalidRequest: it has none of these forms.
    """
    match = _URI.fullmatch(text.strip())
    parts = [] if match is None else [part.strip() for part in match["name"].split("/")]
    if len(parts) > 2 and not parts[0]:
        parts = parts[1:]
    if len(parts) == 4 and [parts[0].lower(), parts[2].lower()] == ["folders", "services"]:
        parts = [parts[1], parts[3]]
    if match is None or not 1 <= len(parts) <= 2 or not all(parts):
        raise InvalidRequest(
            f"{text[:_SHOWN_CHARACTERS]!r} names no service. Send it as folder/name, "
            "folder/name[1.4] or the id of a service; proxies are not known here.",
        )
    version = (match["version"] or "").strip() or None
    if len(parts) == 1:
        return _by_id(parts[0], version)
    kind, name = parts
    if kind.lower() in ("service", "version") and _is_id(name):
        return _by_id(name, version)
    return Address(folder=kind, name=name, version=version)


def checked_service(name: str) -> tuple[str, str]:
    """Return folder and name of a service that is offered as `folder/name`.

    Raises:
        InvalidRequest: it has another form, or characters that addresses cannot have.
    """
    folder, slash, service = name.partition("/")
    if not slash or set("/[]") & set(service) or set("[]") & set(folder):
        raise InvalidRequest(
            f"{name[:_SHOWN_CHARACTERS]!r} cannot be the name of a service: it must be a folder, "
            'one slash and a name without square brackets, such as "my-folder/my-service".'
        )
    return (
        unicodedata.normalize("NFC", checked_name(folder, "folder of services")),
        unicodedata.normalize("NFC", checked_name(service, "service")),
    )


def checked_version(version: str) -> str:
    """Return a version without surrounding blanks.

    Raises:
        InvalidRequest: it is no version.
    """
    version = version.strip()
    if len(version) > _VERSION_CHARACTERS or not _VERSION.fullmatch(version):
        raise InvalidRequest(
            f"{version[:_SHOWN_CHARACTERS]!r} cannot be a version: give numbers with dots, such "
            f'as "0.4.2", in at most {_VERSION_CHARACTERS} characters.'
        )
    return version


def folded(folder: str, name: str) -> str:
    """Return what two spellings of the name of one service have in common."""
    return unicodedata.normalize("NFC", f"{folder}/{name}").casefold()


def version_order(version: str) -> VersionOrder:
    """Return a key that sorts versions: parts as numbers, and 1.0.0-rc1 before 1.0.0."""
    key = []
    for part in version.split("."):
        match = _PART.fullmatch(part)
        assert match is not None
        digits, rest = match.groups()
        key.append((int(digits) if digits else -1, not rest, rest))
    return tuple(key)


def begins(version: str, beginning: str) -> bool:
    """Whether a version begins with the given parts: 1.4.2 with 1.4 and with 1, not with 1.40."""
    parts, wanted = version.split("."), beginning.rstrip(".").split(".")
    return parts[: len(wanted)] == wanted


def moment_us(text: str, *, whole_day: bool) -> int:
    """Return a date or time in ISO 8601 as microseconds; UTC unless it says otherwise.

    A date alone is its beginning, or with `whole_day` its last microsecond.

    Raises:
        InvalidRequest: it is neither.
    """
    text = text.strip()
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        if whole_day and len(text) <= len("2024-01-01") and ":" not in text:
            at = at + _DAY - _MICROSECOND
        return (at - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"{text[:_SHOWN_CHARACTERS]!r} is no date. Send one such as 2024-01-31 or "
            "2024-01-31T09:00:00Z."
        ) from error


def shown(time_us: int) -> str:
    """Return a time for people, to the second."""
    at = _EPOCH + timedelta(microseconds=time_us // SECOND_US * SECOND_US)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _by_id(text: str, version: str | None) -> Address:
    if text.startswith(f"{ids.SERVICE_VERSION}_"):
        return Address(version_id=text)
    return Address(service_id=text, version=version)


def _is_id(text: str) -> bool:
    return text.startswith((f"{ids.SERVICE}_", f"{ids.SERVICE_VERSION}_"))

"""Where the server is and which key to use: found by the client itself on the server's machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from longshore.errors import ConfigurationError
from longshore.settings import DATA_DIRECTORY, ClientSettings

CREDENTIALS_FILE = "credentials.json"
_NEXT_STEP = (
    "Start a server here with `longshore up`, or give url= and key=, or set LONGSHORE_URL and "
    "LONGSHORE_KEY, or LONGSHORE_DATA to the data directory of a server on this machine."
)


@dataclass(frozen=True, slots=True)
class Connection:
    """A server's address and a key for it.

    Attributes:
        url: address of the server without a path or slash at its end, such as
            http://127.0.0.1:8400.
        key: API key; never part of the printed form.
        origin: where the two were found, for messages.
    """

    url: str
    key: str
    origin: str

    def __repr__(self) -> str:
        """Show all but the key."""
        return f"Connection(url={self.url!r}, origin={self.origin!r})"


def find_connection(
    url: str | None = None,
    key: str | None = None,
    *,
    data: Path | None = None,
    role: str = "key",
) -> Connection:
    """Find address and key of a server.

    Each of the two is taken from the first place that has it: the argument, LONGSHORE_URL or
    LONGSHORE_KEY, then credentials.json in `data`, in LONGSHORE_DATA, or in .longshore/ of the
    working directory or of a directory above it. A key from a file is only ever used with that
    file's own address, so that it is not sent to a stranger.

    Args:
        url: address of the server, with or without /api at its end.
        key: API key.
        data: data directory of a server on this machine.
        role: which key of the file: "key" (admin) or "worker_key".

    Raises:
        ConfigurationError: nothing was found, or what was found cannot be used.
    """
    found = _find(url, key, data, role)
    if not (found.key.isascii() and found.key.isprintable()):
        raise ConfigurationError(
            f"The key ({found.origin}) holds characters that no key has; copy it again whole."
        )
    return found


def _find(url: str | None, key: str | None, data: Path | None, role: str) -> Connection:
    settings = ClientSettings()
    if data is None:
        url = url or settings.url
        key = key or settings.key
        data = settings.data
    if url and key:
        return Connection(_checked_url(url), key, "url and key as given")
    path = _credentials_path(data)
    if path is None:
        missing = "key" if url else "address" if key else "server"
        where = f"in {data}" if data else "in .longshore/ here or in a directory above"
        raise ConfigurationError(
            f"No {missing} was given and there is no {CREDENTIALS_FILE} {where}. {_NEXT_STEP}"
        )
    stored = _read(path)
    stored_url = stored.get("url")
    if not url and not stored_url:
        raise ConfigurationError(
            f"{path} holds no address: its server was never started. {_NEXT_STEP}"
        )
    chosen_url = _checked_url(url or stored_url or "")
    if key:
        return Connection(chosen_url, key, f"{path}, key as given")
    if not stored_url or chosen_url != _checked_url(stored_url):
        raise ConfigurationError(
            f"There is no key for {chosen_url}: {path} belongs to {stored_url or 'another server'}. "
            "Give key= or set LONGSHORE_KEY; `longshore key create` on the server makes one."
        )
    stored_key = stored.get(role)
    if not stored_key:
        raise ConfigurationError(f"{path} holds no {role!r}. {_NEXT_STEP}")
    return Connection(chosen_url, stored_key, str(path))


def _credentials_path(data: Path | None) -> Path | None:
    if data is not None:
        path = data / CREDENTIALS_FILE
        return path if path.is_file() else None
    return next((path for path in _nearby() if path.is_file()), None)


def _nearby() -> Iterator[Path]:
    here = Path.cwd()
    for directory in (here, *here.parents):
        yield directory / DATA_DIRECTORY / CREDENTIALS_FILE


def _read(path: Path) -> dict[str, str]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}). Run as the user who started the server, "
            "or give url= and key=."
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is not valid JSON ({error}). Start the server again with `longshore up`; "
            "it writes the file anew."
        ) from error
    if not isinstance(stored, dict):
        raise ConfigurationError(f"{path} does not hold a JSON object. {_NEXT_STEP}")
    return {name: value for name, value in stored.items() if isinstance(value, str)}


def _checked_url(url: str) -> str:
    """Return scheme and authority (and a prefix path) of an address, without /api or slash."""
    try:
        parts = urlsplit(url.strip())
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_valid = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ConfigurationError(
            f"{url!r} is not the address of a server; write it as http://127.0.0.1:8400."
        )
    path = parts.path.rstrip("/").removesuffix("/api")
    return f"{parts.scheme}://{parts.netloc}{path}"

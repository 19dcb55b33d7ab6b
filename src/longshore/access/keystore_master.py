"""The master keys: what the data keys of organisations are wrapped with, and where it comes from.

They are never in the database, so that a copy of it alone opens nothing. There may be several at
once: the first seals, all of them open. That is how one is changed without a pause.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from longshore import limits
from longshore.access.vault import KEY_BYTES, Vault, mark_of, other_key
from longshore.errors import ConfigurationError, Conflict
from longshore.settings import Settings
from longshore.storage import Database
from longshore.storage.database import database_of

KEY_FILE: Final = "secret.key"
"""Name of the key file in the data directory, where the settings name no other."""
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
_BASE64: Final = re.compile(r"[0-9A-Za-z+/_-]{43}=?")
_FILE_BYTES: Final = 1024 * 1024
"""Largest key file: some 16,000 keys. It must be read whole, or none of them counts."""
_FORMS: Final = f"{KEY_BYTES} bytes, 64 hexadecimal digits or the base64 of {KEY_BYTES} bytes"


@dataclass(frozen=True, slots=True)
class Masters:
    """The master keys of a server; the first seals."""

    vaults: tuple[Vault, ...]

    @property
    def current(self) -> Vault:
        """The one to seal with."""
        return self.vaults[0]

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return what any of them has sealed for this place; raises as `Vault.open`."""
        wanted = mark_of(sealed)
        for vault in self.vaults:
            if vault.mark == wanted:
                return vault.open(sealed, *place)
        raise other_key(sealed)


class Keyring:
    """Finds the master keys where the settings say that they are."""

    def __init__(self, settings: Settings) -> None:
        """Look nowhere yet."""
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: tuple[tuple[int, ...], Masters] | None = None

    @property
    def file(self) -> Path | None:
        """The key file, or None where the keys come from elsewhere."""
        if self._settings.secret_key is not None or self._settings.secret_key_command is not None:
            return None
        return self._settings.secret_key_file or self._settings.data / KEY_FILE

    @property
    def may_make(self) -> bool:
        """Whether a key that is missing may be made: never where several servers share one."""
        return self.file is not None and self._settings.secret_key_file is None

    def check(self) -> None:
        """Read the keys where the settings name their source; a server does it at its start.

        Raises:
            ConfigurationError: they cannot be used, or the settings name two sources.
        """
        settings = self._settings
        named = {
            "LONGSHORE_SECRET_KEY_FILE": settings.secret_key_file,
            "LONGSHORE_SECRET_KEY": settings.secret_key,
            "LONGSHORE_SECRET_KEY_COMMAND": settings.secret_key_command,
        }
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise ConfigurationError(
                f"{' and '.join(given)} are set, and the key can come from one place only. Unset "
                "all but one."
            )
        if given:
            self.masters()

    def masters(self, *, make: bool = False) -> Masters:
        """Return the master keys; with `make`, a missing default file is made.

        A file that was changed is read again, so that a new key counts at once.

        Raises:
            ConfigurationError: they cannot be read, or are not keys.
        """
        with self._lock:
            path = self.file
            if path is None:
                if self._kept is None:
                    self._kept = ((), self._given())
                return self._kept[1]
            if make and self.may_make and not path.exists():
                _make(path)
            return self._of_file(path)

    def renew(self) -> Masters:
        """Put a new key before those of the default file, in one step, and return all of them.

        Raises:
            Conflict: the keys are the operator's to change, since several servers may share them,
                or the file has no room for one more.
        """
        with self._lock:
            path = self.file
            if path is None or not self.may_make:
                raise Conflict(
                    "The master key is given by the settings, so the server cannot make a new one. "
                    "Put a new key before the old one (both stay, with a blank or a line break in "
                    "between), let all servers read it, then run this again: it wraps the data "
                    "keys with the first one. The page 'Keep secrets' has the steps."
                )
            # The old ones stay, also for back-ups of the database that name them.
            keys = [secrets.token_bytes(KEY_BYTES), *_read(path)]
            data = "".join(f"{key.hex()}\n" for key in keys).encode()
            if len(data) > _FILE_BYTES:
                raise Conflict(
                    f"The key file {path} has {len(keys) - 1} keys, and with one more it would be "
                    f"larger than {_FILE_BYTES} bytes, which is the most that is read of it. "
                    "Remove its last lines: those are the oldest keys, which only old back-ups "
                    "of the database name once a rotation of the master key has ended. Then run "
                    "this again."
                )
            _write(path, data, replace=True)
            return self._of_file(path)

    def _of_file(self, path: Path) -> Masters:
        try:
            stat = path.stat()
        except OSError as error:
            raise _unusable(path, error) from error
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size, stat.st_mode)
        if self._kept is None or self._kept[0] != seen:
            self._kept = (seen, _masters(_read(path)))
        return self._kept[1]

    def _given(self) -> Masters:
        if self._settings.secret_key is not None:
            text = self._settings.secret_key.get_secret_value()
            return _masters(keys_in(text.encode(), "LONGSHORE_SECRET_KEY"))
        command = self._settings.secret_key_command
        assert command is not None
        return _masters(keys_in(_output(command), "the output of LONGSHORE_SECRET_KEY_COMMAND"))


_KEYRINGS: Final[WeakKeyDictionary[Database, Keyring]] = WeakKeyDictionary()


def install(database: Database, settings: Settings) -> Keyring:
    """Let services find the master keys by the connections of `database`."""
    made = Keyring(settings)
    _KEYRINGS[database] = made
    return made


def keyring_of(connection: Connection) -> Keyring:
    """Return the keyring of the connection's database.

    Raises:
        ConfigurationError: the program that opened the database has given it none.
    """
    found = _KEYRINGS.get(database_of(connection))
    if found is None:
        raise ConfigurationError(
            "Secrets can only be used by a running server. Start it with `longshore up`."
        )
    return found


def keys_in(data: bytes, source: str) -> list[bytes]:
    """Return the keys in what a file or a command has; `source` says for people where it is from.

    Raises:
        ConfigurationError: there is none, or a part of it is no key.
    """
    if len(data) == KEY_BYTES:
        return [data]
    try:
        found = [_key(word) for word in data.decode("ascii").replace(",", " ").split()]
    except (UnicodeDecodeError, binascii.Error, ValueError):
        found = []
    if not found and len(data) == KEY_BYTES + 1 and data.endswith(b"\n"):
        return [data[:KEY_BYTES]]
    if not found:
        raise ConfigurationError(
            f"{source[:1].upper()}{source[1:]} has not the {KEY_BYTES} bytes of a key. Give "
            f"{_FORMS}; several with blanks in between, the newest first."
        )
    return found


def _key(word: str) -> bytes:
    if _HEX.fullmatch(word):
        return bytes.fromhex(word)
    if _BASE64.fullmatch(word):
        return base64.urlsafe_b64decode(word[:43].replace("+", "-").replace("/", "_") + "=")
    raise ValueError


def _masters(keys: Sequence[bytes]) -> Masters:
    return Masters(tuple(Vault(key) for key in keys))


def _output(command: str) -> bytes:
    name = "LONGSHORE_SECRET_KEY_COMMAND"
    try:
        words = shlex.split(command)
        ended = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limits.SECRET_KEY_COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"{name} has not ended after {limits.SECRET_KEY_COMMAND_S:g} seconds and was stopped. "
            "Run it by hand to see what it waits for; it must print the key without asking."
        ) from error
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{name} cannot be run ({error}). Give a program with its arguments; there is no "
            "shell, so begin with `sh -c` where one is needed."
        ) from error
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ConfigurationError(
            f"{name} ended with exit code {ended.returncode}"
            f"{f' and said: {said[0][:300]}' if said else ''}. Run it by hand until it prints a "
            "key."
        )
    return ended.stdout


def _read(path: Path) -> list[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise _unusable(path, error) from error
    if mode & 0o077:
        raise ConfigurationError(
            f"The key file {path} can be read by others than its owner. Run `chmod 600 {path}`."
        )
    if len(data) > _FILE_BYTES:
        raise ConfigurationError(
            f"The key file {path} is larger than {_FILE_BYTES} bytes, so that not all of its keys "
            "would be read. Remove its last lines: those are the oldest keys."
        )
    return keys_in(data, f"the key file {path}")


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The key file {path} cannot be used ({error.strerror}). Secrets are sealed with it: put "
        "the file back that was in use, or let LONGSHORE_SECRET_KEY_FILE name it. Where there are "
        "no secrets yet, make one with `head -c 32 /dev/urandom`, readable by the server only."
    )


def _make(path: Path) -> None:
    """Write a new key in one step; where another process was quicker, its key stays."""
    _write(path, secrets.token_bytes(KEY_BYTES), replace=False)


def _write(path: Path, data: bytes, *, replace: bool) -> None:
    # A temporary file is made with mode 0600, so that the key is never readable by others.
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                Path(partial).replace(path)
            else:
                try:
                    os.link(partial, path)
                except FileExistsError:
                    return
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                # A secret that outlives a crash must not lose its key in it.
                os.fsync(directory)
            finally:
                os.close(directory)
        finally:
            Path(partial).unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error

"""Sealing what the database must not hold in clear: AES-256-GCM with a key from a file.

The key file lies beside the database, not in it, so that a copy of the database alone opens
nothing. What is sealed is bound to its place: moved to another row it cannot be opened.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from longshore.errors import ConfigurationError, CorruptData
from longshore.settings import Settings

KEY_FILE: Final = "secret.key"
"""Name of the key file in the data directory, where the settings name no other."""
KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_MARK_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_VERSION) + _MARK_BYTES + _NONCE_BYTES


class Vault:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        """Use `key`, of `KEY_BYTES` bytes."""
        self._cipher = AESGCM(key)
        # Says which key sealed a value, so that a wrong key file is not taken for damage.
        self._mark = hashlib.sha256(b"longshore secret key\0" + key).digest()[:_MARK_BYTES]

    def __repr__(self) -> str:
        """Tell nothing of the key, wherever it may be printed."""
        return f"Vault({self._mark.hex()})"

    def seal(self, value: bytes, *place: str) -> bytes:
        """Return `value` sealed for a place, such as an organisation and a name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, value, _bound(place))
        return _VERSION + self._mark + nonce + sealed

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return what was sealed for this place.

        Raises:
            ConfigurationError: it was sealed with another key than that of the key file.
            CorruptData: it is damaged, or was sealed for another place.
        """
        head, body = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if head[:1] != _VERSION or len(head) < _HEAD_BYTES:
            raise _damaged()
        if head[1 : 1 + _MARK_BYTES] != self._mark:
            raise ConfigurationError(
                "The secret was sealed with another key than the one in the server's key file. "
                "Put the right file back (LONGSHORE_SECRET_KEY_FILE names it), or set the secret "
                "anew."
            )
        try:
            return self._cipher.decrypt(head[-_NONCE_BYTES:], body, _bound(place))
        except InvalidTag as error:
            raise _damaged() from error


def open_vault(settings: Settings) -> Vault:
    """Return the vault of a server; its key file is made at the first use.

    A file that the settings name is never made: on several servers it has to be the same one.

    Raises:
        ConfigurationError: the key file is missing, readable by others or not one, or it cannot
            be made.
    """
    named = settings.secret_key_file
    path = named or settings.data / KEY_FILE
    try:
        if named is None and not path.exists():
            _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The key file {path} cannot be used ({error.strerror}). Secrets are sealed with it: "
            "make one with `head -c 32 /dev/urandom`, readable by the server only, or let "
            "LONGSHORE_SECRET_KEY_FILE name the one in use."
        ) from error
    if mode & 0o077:
        raise ConfigurationError(
            f"The key file {path} can be read by others than its owner. Run `chmod 600 {path}`."
        )
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"The key file {path} has not the {KEY_BYTES} bytes of a key. Put the right file back."
        )
    return Vault(key)


def _make(path: Path) -> None:
    """Write a new key in one step; where another process was quicker, its key stays."""
    # A temporary file is made with mode 0600, so that the key is never readable by others.
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
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


def _bound(place: tuple[str, ...]) -> bytes:
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in place)


def _damaged() -> CorruptData:
    return CorruptData(
        "A sealed value is damaged, or lies where it was not sealed for. Set the secret anew, or "
        "restore the database from a back-up."
    )

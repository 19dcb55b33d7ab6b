"""Sealing what the database must not hold in clear: AES-256-GCM with a random nonce for each value.

What is sealed is bound to its place: moved to another row it cannot be opened.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from longshore.errors import ConfigurationError, CorruptData

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
        # Says which key sealed a value, so that a wrong key is not taken for damage.
        self._mark = hashlib.sha256(b"longshore secret key\0" + key).digest()[:_MARK_BYTES]

    def __repr__(self) -> str:
        """Tell nothing of the key, wherever it may be printed."""
        return f"Vault({self.mark})"

    @property
    def mark(self) -> str:
        """What the key is known by, in hexadecimal; it tells nothing of the key."""
        return self._mark.hex()

    def seal(self, value: bytes, *place: str) -> bytes:
        """Return `value` sealed for a place, such as an organisation and a name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, value, _bound(place))
        return _VERSION + self._mark + nonce + sealed

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return what was sealed for this place.

        Raises:
            ConfigurationError: it was sealed with another key.
            CorruptData: it is damaged, or was sealed for another place.
        """
        if mark_of(sealed) != self.mark:
            raise other_key(sealed)
        try:
            return self._cipher.decrypt(
                sealed[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES],
                sealed[_HEAD_BYTES:],
                _bound(place),
            )
        except InvalidTag as error:
            raise _damaged() from error


def mark_of(sealed: bytes) -> str:
    """Return the mark of the key that sealed a value; CorruptData if it is no sealed value."""
    if sealed[: len(_VERSION)] != _VERSION or len(sealed) < _HEAD_BYTES:
        raise _damaged()
    return sealed[len(_VERSION) : len(_VERSION) + _MARK_BYTES].hex()


def other_key(sealed: bytes) -> ConfigurationError:
    """Return what to raise for a value that none of the keys at hand has sealed."""
    return ConfigurationError(
        f"The secret was sealed with another key (mark {mark_of(sealed)}) than those that the "
        "server has. Put the right key back (LONGSHORE_SECRET_KEY_FILE, LONGSHORE_SECRET_KEY or "
        "LONGSHORE_SECRET_KEY_COMMAND gives it), or remove the "
        "secret and set it anew."
    )


def _bound(place: tuple[str, ...]) -> bytes:
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in place)


def _damaged() -> CorruptData:
    return CorruptData(
        "A sealed value is damaged, or lies where it was not sealed for. Set the secret anew, or "
        "restore the database from a back-up."
    )

"""Signatures of webhooks, after Standard Webhooks 1.0 (standardwebhooks.com), symmetric scheme v1.

A message is sent with three headers. `webhook-id` names it and stays the same however often it is
sent, `webhook-timestamp` is the time of this try in whole seconds since 1970, and
`webhook-signature` holds `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`; one such
signature for each secret that is valid, with a space in between. A secret is 24 to 64 random
bytes, written as `whsec_` and their base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random_source
from collections.abc import Sequence
from typing import Final

from longshore.errors import ConfigurationError

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
PREFIX: Final = "whsec_"
NEW_BYTES: Final = 32
"""Length of the secrets that Longshore makes."""
_KEY_BYTES: Final = range(24, 65)
_SCHEME: Final = "v1"
# A full stop in an id would let the signature of one message be read as that of another.
_ID: Final = re.compile(r"[!-\-/-~]{1,255}")


def new_secret() -> str:
    """Return a new secret, such as `whsec_MfKQ...`."""
    return PREFIX + base64.b64encode(random_source.token_bytes(NEW_BYTES)).decode()


def usable_id(message_id: str) -> bool:
    """Return whether a message may have this id: 1 to 255 printable ASCII characters, no stop."""
    return _ID.fullmatch(message_id) is not None


def sign(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature a secret, in their order.

    Args:
        secrets: `whsec_...`, newest first.
        message_id: the value of `webhook-id`.
        timestamp_s: the value of `webhook-timestamp`, in seconds since 1970.
        body: the body exactly as it is sent.

    Raises:
        ConfigurationError: a secret is not of the form above; there is none; or the id is unusable.
    """
    if not secrets:
        raise ConfigurationError("There is no secret to sign with. Give at least one whsec_...")
    if not usable_id(message_id):
        raise ConfigurationError(
            f"{message_id[:80]!r} cannot be the id of a webhook message. Use printable ASCII "
            "without spaces and full stops."
        )
    content = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    return " ".join(f"{_SCHEME},{_digest(secret, content)}" for secret in secrets)


def headers(
    secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Return the three headers of a signed message; see `sign` for arguments and errors."""
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp_s),
        SIGNATURE_HEADER: sign(secrets, message_id, timestamp_s, body),
    }


def _digest(secret: str, content: bytes) -> str:
    digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _key(secret: str) -> bytes:
    """Decode a secret; its text never shows up in a message."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _KEY_BYTES:
        raise ConfigurationError(
            f"A secret of a webhook is not usable. It begins with {PREFIX}, and after that "
            f"comes the base64 of {_KEY_BYTES.start} to {_KEY_BYTES.stop - 1} bytes. Copy it as it "
            "was shown when it was made."
        )
    return key

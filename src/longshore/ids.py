"""Time-ordered ids: a kind, an underscore, and a UUIDv7 written in 26 letters and digits.

Ids made later sort later, as bytes and as text, so that the primary keys of a database grow at
one end (random keys made inserts four times slower). The text is the id everywhere: in the
database, on the wire, in logs and in blob keys; nothing converts it.
"""

from __future__ import annotations

import base64
import secrets

import uuid_utils

WORK = "wk"
GROUP = "gr"
RUN = "rn"
BLOB = "bl"
WORKER = "wr"
KEY = "ky"
ORGANISATION = "og"
WORKSPACE = "ws"
APP = "ap"
DEPLOYMENT = "dp"
SESSION = "us"
PART = "pt"
REQUEST = "rq"


def new(kind: str) -> str:
    """Return a new id of the given kind, such as `wk_06a3...` (29 characters)."""
    # The extended-hex alphabet keeps the order of the bytes; the standard base32 one does not.
    encoded = base64.b32hexencode(uuid_utils.uuid7().bytes).decode("ascii")
    return f"{kind}_{encoded.rstrip('=').lower()}"


def secret() -> str:
    """Return 256 random bits as 43 URL-safe characters."""
    return secrets.token_urlsafe(32)

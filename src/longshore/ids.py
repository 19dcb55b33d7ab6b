"""Time-ordered ids: a kind, an underscore, and a UUIDv7 written in 26 letters and digits.

Ids made later sort later, as bytes and as text, so that the primary keys of a database grow at
one end (random keys made inserts four times slower). The text is the id everywhere: in the
database, on the wire, in logs and in blob keys; nothing converts it.
"""

from __future__ import annotations

import secrets
from typing import Final

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
WEBHOOK = "hk"
SERVICE = "sn"
SERVICE_VERSION = "sv"
PIPELINE = "bp"
DELIVERY = "dl"


# The extended-hex alphabet keeps the order of the bytes; the standard base32 one does not.
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuv"
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def new(kind: str) -> str:
    """Return a new id of the given kind, such as `wk_06a3...` (29 characters)."""
    # Ten bits, two letters, at a time: ids are made by the thousand, and the general base32 of
    # the standard library takes three times as long. Two zero bits fill up the last letter.
    bits = uuid_utils.uuid7().int << 2
    return (
        f"{kind}_{_PAIRS[bits >> 120]}{_PAIRS[bits >> 110 & 1023]}{_PAIRS[bits >> 100 & 1023]}"
        f"{_PAIRS[bits >> 90 & 1023]}{_PAIRS[bits >> 80 & 1023]}{_PAIRS[bits >> 70 & 1023]}"
        f"{_PAIRS[bits >> 60 & 1023]}{_PAIRS[bits >> 50 & 1023]}{_PAIRS[bits >> 40 & 1023]}"
        f"{_PAIRS[bits >> 30 & 1023]}{_PAIRS[bits >> 20 & 1023]}{_PAIRS[bits >> 10 & 1023]}"
        f"{_PAIRS[bits & 1023]}"
    )


def earliest(kind: str, time_us: int) -> str:
    """Return what sorts before every id of the kind that is made at `time_us` or later."""
    # A UUIDv7 begins with 48 bits of milliseconds.
    bits = min(max(time_us // 1_000, 0), 2**48 - 1) << 82
    return f"{kind}_" + "".join(_ALPHABET[bits >> shift & 31] for shift in range(125, -1, -5))


def uuid() -> str:
    """Return a new time-ordered id as a UUID with dashes, for protocols that want one."""
    return str(uuid_utils.uuid7())


def secret() -> str:
    """Return 256 random bits as 43 URL-safe characters."""
    return secrets.token_urlsafe(32)

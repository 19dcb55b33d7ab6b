"""From the headers of a request to the principal that it acts as."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from longshore.access import Principal, keys, tokens
from longshore.engine import works
from longshore.engine.states import State
from longshore.errors import ServerFault, Unauthenticated
from longshore.storage import Database

REMEMBER_S: Final = 5.0
"""How long a principal is remembered; a revocation is heard at once, on every server."""
REMEMBERED_KEYS: Final = 4_096

# The header forms of the protocols, in the order in which they are looked for.
KEY_HEADERS: Final = ("x-access-token", "x-synthetic-key", "x-api-key")
_KEY_TOPIC: Final = keys.topic("")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    expires_us: int | None
    until_s: float


class Authenticator:
    """Looks keys up in the database and remembers the answer for a few seconds."""

    def __init__(self, database: Database) -> None:
        """Use the keys in `database`, and forget one when it is revoked."""
        self._database = database
        self._lock = threading.Lock()
        self._remembered: dict[bytes, _Remembered] = {}
        self._revocations = 0
        self.close = database.subscribe(self._heard)

    async def principal(self, token: str) -> Principal:
        """Return whom the token stands for, or raise Unauthenticated."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._recall(digest)
        if known is not None:
            return known
        revocations = self._revocations
        expires_us = None
        if token.startswith("lt_"):
            principal = await self._database.read(_of_attempt, token)
        else:
            principal, key = await self._database.read(keys.identify, token)
            expires_us = key.expires_us
            if keys.needs_touch(key, self._database.clock.now_us()):
                await self._touch(key.id)
        with self._lock:
            # A revocation that was heard since the look-up may have been of this very key.
            if revocations == self._revocations:
                if len(self._remembered) >= REMEMBERED_KEYS:
                    self._remembered.clear()
                self._remembered[digest] = _Remembered(
                    principal, expires_us, time.monotonic() + REMEMBER_S
                )
        return principal

    def _recall(self, digest: bytes) -> Principal | None:
        with self._lock:
            found = self._remembered.get(digest)
        if found is None or found.until_s <= time.monotonic():
            return None
        if found.expires_us is not None and found.expires_us <= self._database.clock.now_us():
            return None
        return found.principal

    async def _touch(self, key_id: str) -> None:
        try:
            await self._database.write(keys.touch, key_id)
        except ServerFault as error:
            # With a full disk reads must go on; the time of use is worth less than they are.
            _log.warning("the use of a key was not written down: %s", error)

    def forget(self, key_id: str | None = None) -> None:
        """Remember nothing more of a key, or of any."""
        with self._lock:
            self._revocations += 1
            self._remembered = {
                digest: known
                for digest, known in self._remembered.items()
                if key_id is not None and known.principal.key_id != key_id
            }

    def _heard(self, topic: str) -> None:
        if topic == "*":
            self.forget()
        elif topic.startswith(_KEY_TOPIC):
            self.forget(topic.removeprefix(_KEY_TOPIC))


def _of_attempt(connection: Connection, token: str) -> Principal:
    """Return whom the token of an attempt stands for, as long as that attempt runs."""
    principal = tokens.identify(connection, token)
    assert principal.work is not None
    work_id, attempt = principal.work
    work = works.get_many(connection, [work_id]).get(work_id)
    if work is None or work.state is not State.RUNNING or work.attempt != attempt:
        raise Unauthenticated(tokens.REFUSAL)
    return principal


def token_of(headers: Mapping[str, str]) -> str:
    """Return the API key that the headers carry, in any of the forms that the protocols use.

    `Authorization: Bearer|Token|Ponos KEY`, `x-access-token`, `x-synthetic-key` or `x-api-key`.

    Raises:
        Unauthenticated: there is none.
    """
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in ("bearer", "token", "ponos") and value.strip():
        return value.strip()
    for name in KEY_HEADERS:
        if headers.get(name, "").strip():
            return headers[name].strip()
    raise Unauthenticated(
        "The request carries no API key. Send it as `Authorization: Bearer KEY`; `longshore up` "
        "prints where the key is kept."
    )


def check_context(principal: Principal, headers: Mapping[str, str]) -> None:
    """Check the IB-Context header: it names the organisation (id or name) or the key's id.

    Raises:
        Unauthenticated: it names something else (protocol: 401 for a wrong IB-Context).
    """
    wanted = headers.get("ib-context", "").strip()
    known = (principal.organisation_id, principal.organisation_name, principal.key_id)
    if wanted and wanted.casefold() not in {name.casefold() for name in known}:
        raise Unauthenticated(
            f"The IB-Context {wanted[:80]!r} is not one that this key belongs to. Send the "
            f"organisation's name {principal.organisation_name!r}, or leave the header out."
        )

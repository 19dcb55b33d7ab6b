"""For programs that receive webhooks: whether a message is genuine, and whether it is new.

    from longshore import webhooks

    replays = webhooks.Replays()

    def hook(request):                    # of whatever web framework
        try:
            with webhooks.received(request.headers, request.body, SECRET, replays) as message:
                handle(message.json())    # if this raises, the next try is let in again
        except webhooks.WebhookReplayed:
            return 200                    # it was handled before
        except webhooks.WebhookRefused:
            return 400

It needs nothing of the server and makes no connection. It verifies what any sender signs after
Standard Webhooks 1.0 with `v1` signatures.
"""

from __future__ import annotations

import hmac
import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from longshore.clock import SECOND_US, Clock, SystemClock
from longshore.errors import ConfigurationError, WebhookRefused, WebhookReplayed
from longshore.wire.webhooks import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    new_secret,
    sign,
    usable_id,
)

__all__ = [
    "TOLERANCE_S",
    "Headers",
    "MemoryStore",
    "Message",
    "Replays",
    "Store",
    "WebhookRefused",
    "WebhookReplayed",
    "new_secret",
    "received",
    "sign",
    "verify",
]

TOLERANCE_S: Final = 300.0
"""How far `webhook-timestamp` may be from the receiver's clock, in seconds, either way."""
KEEP_S: Final = 24 * 3600.0
"""How long an id is remembered, in seconds: longer than the tries of a delivery take."""
_SIGNATURES_MAX: Final = 16
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_SYSTEM_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Message:
    """A message whose signature is good.

    Attributes:
        id: the same for each try of one delivery.
        timestamp_s: when this try was made, in whole seconds since 1970.
        body: as it was signed.
    """

    id: str
    timestamp_s: int
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON; ValueError if it is none."""
        return json.loads(self.body)


class Headers(Protocol):
    """The headers of a request: a dict, or what a web framework has for them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names and values; names in any case."""
        ...


class Store(Protocol):
    """Where `Replays` keeps ids. Both methods must be atomic among all who receive.

    A table does, with the id as its key: INSERT ... ON CONFLICT DO NOTHING tells whether it was new.
    """

    def add(self, message_id: str, now_s: float, expires_s: float) -> bool:
        """Keep an id until `expires_s`; return False if it is kept already and not past its time."""
        ...

    def discard(self, message_id: str) -> None:
        """Forget an id; nothing happens if it is not there."""
        ...


class MemoryStore:
    """Keeps ids in this process; they are lost with it. Safe to use from several threads."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._expiries: dict[str, float] = {}
        self._swept_s = 0.0

    def __len__(self) -> int:
        """Return how many ids are kept."""
        return len(self._expiries)

    def add(self, message_id: str, now_s: float, expires_s: float) -> bool:
        """Keep an id until `expires_s`; return False if it is kept already and not past its time."""
        with self._lock:
            self._sweep(now_s)
            if self._expiries.get(message_id, 0.0) > now_s:
                return False
            self._expiries[message_id] = expires_s
            return True

    def discard(self, message_id: str) -> None:
        """Forget an id; nothing happens if it is not there."""
        with self._lock:
            self._expiries.pop(message_id, None)

    def _sweep(self, now_s: float) -> None:
        # Once a minute at most, so that adding stays cheap however many there are.
        if now_s - self._swept_s >= 60:
            self._swept_s = now_s
            self._expiries = {key: until for key, until in self._expiries.items() if until > now_s}


class Replays:
    """Remembers which messages were accepted, so that none is accepted twice.

    Only ids under a good signature get here, so that nobody without the secret can fill it.
    """

    def __init__(self, store: Store | None = None, *, keep_s: float = KEEP_S) -> None:
        """Keep ids in `store` (this process's memory unless given) for `keep_s` seconds.

        Raises:
            ConfigurationError: `keep_s` is so short that a recorded message could be sent again
                when its id is forgotten and its timestamp still good.
        """
        if keep_s < 2 * TOLERANCE_S:
            raise ConfigurationError(
                f"keep_s is {keep_s:g}, and a message can be replayed for {2 * TOLERANCE_S:g} "
                f"seconds. Remember ids for {2 * TOLERANCE_S:g} seconds or longer."
            )
        self._store: Store = MemoryStore() if store is None else store
        self._keep_s = keep_s

    def remember(self, message: Message, now_s: float) -> None:
        """Take a message as accepted.

        Raises:
            WebhookReplayed: it was accepted before.
        """
        if not self._store.add(message.id, now_s, now_s + self._keep_s):
            raise WebhookReplayed(
                f"The webhook message {message.id} was accepted before. Answer 2xx and do nothing, "
                "so that its sender stops repeating it.",
                details={"webhook_id": message.id},
            )

    def forget(self, message: Message) -> None:
        """Let a message in again, because it could not be handled."""
        self._store.discard(message.id)


def verify(
    headers: Headers,
    body: bytes | str,
    secrets: str | Sequence[str],
    replays: Replays | None = None,
    *,
    clock: Clock = _SYSTEM_CLOCK,
) -> Message:
    """Return the message, if it was signed with one of `secrets` within the last five minutes.

    Args:
        headers: of the request, with names in any case.
        body: of the request exactly as it came, not parsed and written again.
        secrets: `whsec_...`; give the old and the new one while a secret is changed.
        replays: remembers the message and refuses its repetition.
        clock: what tells the time.

    Raises:
        WebhookReplayed: it was accepted before: answer 2xx, and do nothing.
        WebhookRefused: a header is missing or malformed, the timestamp is more than five minutes
            off, or no signature fits: answer 4xx.
        ConfigurationError: a secret has not the form `whsec_...`.
    """
    given = [secrets] if isinstance(secrets, str) else list(secrets)
    data = body.encode() if isinstance(body, str) else bytes(body)
    lower = {name.lower(): value for name, value in headers.items()}
    message_id = lower.get(ID_HEADER, "")
    if not usable_id(message_id):
        raise _refused(f"its {ID_HEADER} is missing or malformed")
    stamp = lower.get(TIMESTAMP_HEADER, "")
    if not _TIMESTAMP.fullmatch(stamp) or stamp != str(int(stamp)):
        raise _refused(f"its {TIMESTAMP_HEADER} is missing or malformed")
    message = Message(message_id, int(stamp), data)
    _check_signature(message, given, lower.get(SIGNATURE_HEADER, ""))
    now_s = clock.now_us() / SECOND_US
    if abs(now_s - message.timestamp_s) > TOLERANCE_S:
        raise _refused(
            f"its {TIMESTAMP_HEADER} is {abs(now_s - message.timestamp_s):.0f} seconds off, and "
            f"{TOLERANCE_S:.0f} are allowed; if it is genuine, set this machine's clock"
        )
    if replays is not None:
        replays.remember(message, now_s)
    return message


@contextmanager
def received(
    headers: Headers,
    body: bytes | str,
    secrets: str | Sequence[str],
    replays: Replays,
    *,
    clock: Clock = _SYSTEM_CLOCK,
) -> Iterator[Message]:
    """Give the verified message to a block that handles it; forget it again if the block raises.

    Then the sender's next try is handled, and not taken for a replay. Arguments and errors are
    those of `verify`.
    """
    message = verify(headers, body, secrets, replays, clock=clock)
    try:
        yield message
    except BaseException:
        replays.forget(message)
        raise


def _check_signature(message: Message, secrets: Sequence[str], header: str) -> None:
    given = [part.encode("utf-8", "replace") for part in header.split(" ")[:_SIGNATURES_MAX]]
    expected = sign(secrets, message.id, message.timestamp_s, message.body).encode().split(b" ")
    # Each is compared with each, in constant time and to the end: how long it takes tells nothing.
    matches = [hmac.compare_digest(one, other) for one in expected for other in given]
    if not any(matches):
        raise _refused(f"no signature in its {SIGNATURE_HEADER} fits, so it comes from elsewhere")


def _refused(why: str) -> WebhookRefused:
    return WebhookRefused(
        f"The webhook message was refused: {why}. Answer 400 and do nothing with it."
    )

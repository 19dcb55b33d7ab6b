"""When a request is sent again: after a broken connection or 408, 429, 502, 503, 504.

No other answer is ever retried, since it would be the same answer again. A POST is retried
only when it carries an Idempotency-Key, so that it cannot act twice.
"""

from __future__ import annotations

import email.utils
import logging
from contextlib import AbstractContextManager
from functools import cache
from typing import Final

import httpx
import stamina.instrumentation
from stamina.instrumentation import RetryDetails, RetryHook

from longshore.clock import SECOND_US, SystemClock
from longshore.errors import LongshoreError
from longshore.sdk._calls import Call

RETRIED_STATUSES: Final = frozenset({408, 429, 502, 503, 504})
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
LONGEST_RETRY_AFTER_S: Final = 60.0
"""A server that asks for more patience than this gets its answer raised as an error instead."""

_logger = logging.getLogger("longshore.sdk")


class NoAnswer(Exception):
    """A request that may be worth another attempt; it never leaves the transport."""

    def __init__(self, call: Call, error: LongshoreError, wanted_s: float | None = None) -> None:
        """Keep the error to raise when attempts are used up, and the pause that was asked for."""
        super().__init__(f"{call.method} {call.path}: {error}")
        self.call = call
        self.error = error
        self.wanted_s = wanted_s


def pause_s(failure: Exception) -> bool | float:
    """Say whether to try again: False, True (growing pauses), or the seconds the server named."""
    if not isinstance(failure, NoAnswer) or not failure.call.may_repeat:
        return False
    if failure.wanted_s is None:
        return True
    return failure.wanted_s if failure.wanted_s <= LONGEST_RETRY_AFTER_S else False


def retry_after_s(response: httpx.Response) -> float | None:
    """Return the Retry-After header in seconds; it is a number of seconds or an HTTP date."""
    header = response.headers.get("Retry-After", "").strip()
    if not header:
        return None
    if header.isdecimal():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - SystemClock().now_us() / SECOND_US)


@cache
def keep_terminal_quiet() -> None:
    """Log our retries under `longshore.sdk` instead of where stamina logs by default.

    With structlog installed stamina prints each retry to standard output, which would spoil the
    output of the user's program. The hooks stay in force for every retry that is not ours.
    """
    present = stamina.instrumentation.get_on_retry_hooks()
    hooks: list[RetryHook] = [_only_others(hook) for hook in present]
    stamina.instrumentation.set_on_retry_hooks([*hooks, _log])


def _only_others(hook: RetryHook) -> RetryHook:
    def call(details: RetryDetails) -> AbstractContextManager[None] | None:
        return None if isinstance(details.caused_by, NoAnswer) else hook(details)

    return call


def _log(details: RetryDetails) -> None:
    if isinstance(details.caused_by, NoAnswer):
        _logger.info(
            "%s; attempt %d follows in %.1f s",
            details.caused_by,
            details.retry_num + 1,
            details.wait_for,
        )

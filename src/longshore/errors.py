"""Every error that Longshore raises on purpose, on the server and in the client.

    LongshoreError
    ├── InvalidRequest            the request cannot be understood or breaks a rule
    │   └── TooLarge              a stated limit is exceeded (see longshore.limits)
    ├── Unauthenticated           no key, a wrong key, or a key for another organisation
    ├── PermissionDenied          the key is good but its role does not reach that far
    ├── NotFound                  nothing with that id or name is visible to this key
    ├── Conflict                  the present state of the thing forbids the request
    │   ├── LeaseLost             a worker reports on an attempt that it no longer holds
    │   └── IdempotencyConflict   one idempotency key, two different requests
    ├── BufferFull                a pipeline holds as much as it may; there is room after a while
    ├── PreconditionFailed        a condition that the request itself stated does not hold
    ├── RangeNotSatisfiable       a byte range outside the file
    ├── Unsupported               a right request for what this server does not do
    ├── ServerFault               the server could not do what it should have done
    │   ├── DiskFull              no space left for the database or the blobs; reads still work
    │   ├── Unavailable           starting, stopping, overloaded or without its database: try again
    │   ├── CorruptData           stored bytes no longer match their checksum
    │   └── DeliveryFailed        another server did not take what was sent to it
    ├── ServerUnreachable         (client) no answer from the address
    ├── WaitTimeout               (client) the thing waited for is not finished in time
    ├── WebhookRefused            (receiver) a webhook message that cannot be trusted
    │   └── WebhookReplayed       (receiver) a webhook message that was accepted before
    ├── ConfigurationError        a setting, an app module or a command line cannot be used
    └── WorkControl               raised by user code inside a worker to steer the engine
        ├── RetryLater            fail this attempt, try again after a stated delay
        └── Reject                fail for good: no retry can help

A message says what happened, why, and what to do next. `code` is stable and is what travels
over the wire; the HTTP status of each class is in longshore.server.problems, in one table.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LongshoreError(Exception):
    """Root of all errors that Longshore raises on purpose.

    Attributes:
        message: what happened, why, and what to do next.
        details: values that a program may want (ids, limits, near names); JSON-ready.
        request_id: the server's id of the request that failed, or None.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        request_id: str | None = None,
    ) -> None:
        """Keep the message and what a program may want to know about the failure."""
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self.request_id = request_id

    def __str__(self) -> str:
        """Return the message, followed by the request id where there is one."""
        if self.request_id:
            return f"{self.message} (request {self.request_id})"
        return self.message


class InvalidRequest(LongshoreError):
    """The request cannot be understood or breaks a rule; nothing was changed."""

    code = "invalid_request"


class TooLarge(InvalidRequest):
    """A stated limit is exceeded; nothing was changed."""

    code = "too_large"


class Unauthenticated(LongshoreError):
    """There is no key, the key is wrong, or it belongs to another organisation."""

    code = "unauthenticated"


class PermissionDenied(LongshoreError):
    """The key is good but its role does not allow this."""

    code = "permission_denied"


class NotFound(LongshoreError):
    """Nothing with that id or name is visible to this key."""

    code = "not_found"


class Conflict(LongshoreError):
    """The present state of the thing forbids the request; nothing was changed."""

    code = "conflict"


class LeaseLost(Conflict):
    """The attempt is no longer held by the one who reports on it; nothing was written."""

    code = "lease_lost"


class IdempotencyConflict(Conflict):
    """An idempotency key was used before for a different request."""

    code = "idempotency_conflict"


class BufferFull(LongshoreError):
    """A pipeline holds as many bytes as it may; nothing was taken, and there is room after a while."""

    code = "buffer_full"


class PreconditionFailed(LongshoreError):
    """A condition that the request itself stated does not hold."""

    code = "precondition_failed"


class RangeNotSatisfiable(LongshoreError):
    """The byte range lies outside the file."""

    code = "range_not_satisfiable"


class Unsupported(LongshoreError):
    """The request is right, and asks for an option that this server does not have."""

    code = "unsupported"


class ServerFault(LongshoreError):
    """The server could not do what it should have done; the request may be tried again."""

    code = "server_fault"


class DiskFull(ServerFault):
    """There is no space left to store this; reads and deletions still work."""

    code = "disk_full"


class Unavailable(ServerFault):
    """The server is starting, stopping, overloaded or without its database."""

    code = "unavailable"


class CorruptData(ServerFault):
    """Stored bytes no longer match the checksum recorded when they were written."""

    code = "corrupt_data"


class DeliveryFailed(ServerFault):
    """Another server, such as the receiver of a webhook, did not take what was sent to it."""

    code = "delivery_failed"


class ServerUnreachable(LongshoreError):
    """Nothing answers at the server's address."""

    code = "server_unreachable"


class WaitTimeout(LongshoreError):
    """What was waited for did not finish within the time given."""

    code = "wait_timeout"


class WebhookRefused(LongshoreError):
    """A webhook message is unsigned, forged, or of another time; see longshore.webhooks."""

    code = "webhook_refused"


class WebhookReplayed(WebhookRefused):
    """A webhook message that was accepted before; answer 2xx and do nothing."""

    code = "webhook_replayed"


class ConfigurationError(LongshoreError):
    """A setting, an app module or a command line cannot be used as given."""

    code = "configuration_error"


class WorkControl(LongshoreError):
    """Root of what user code raises inside a worker to steer the engine."""

    code = "work_control"


class RetryLater(WorkControl):
    """Fail this attempt and try again after `delay_s` seconds, while attempts are left."""

    code = "retry_later"

    def __init__(self, message: str, *, delay_s: float) -> None:
        """Say why this attempt failed and how long to wait before the next, in seconds."""
        super().__init__(message, details={"delay_s": delay_s})
        self.delay_s = delay_s


class Reject(WorkControl):
    """Fail for good: the input is at fault and no retry can help."""

    code = "reject"

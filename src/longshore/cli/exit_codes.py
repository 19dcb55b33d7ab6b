"""What the exit status of `longshore` means: the only place that decides it.

A script may rely on these numbers; docs/reference/cli lists them from here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from longshore import errors


class ExitCode(IntEnum):
    """Exit status of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    REFUSED = 5
    CONFLICT = 6
    SERVER_FAULT = 7
    INTERRUPTED = 130


MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "It was done.",
    ExitCode.FAILED: "The command worked but the work did not: a file failed, a check found a fault, or a wait ran out of time.",
    ExitCode.USAGE: "The command line, a setting or a request cannot be used as given; nothing was changed.",
    ExitCode.UNREACHABLE: "No server answers, or it is starting, stopping or overloaded; try again.",
    ExitCode.NOT_FOUND: "There is nothing with that id or name.",
    ExitCode.REFUSED: "The key is missing or wrong, or its role does not allow this.",
    ExitCode.CONFLICT: "The present state of the thing forbids it, as for results of an unfinished run.",
    ExitCode.SERVER_FAULT: "The server could not do what it should have done, as when its disk is full.",
    ExitCode.INTERRUPTED: "Stopped with Ctrl-C.",
}
assert set(MEANINGS) == set(ExitCode), "every exit code says what it means"

# The most specific class comes first; the first that fits decides.
_BY_ERROR: Final[tuple[tuple[type[errors.LongshoreError], ExitCode], ...]] = (
    (errors.Unavailable, ExitCode.UNREACHABLE),
    (errors.ServerUnreachable, ExitCode.UNREACHABLE),
    (errors.BufferFull, ExitCode.UNREACHABLE),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.Unauthenticated, ExitCode.REFUSED),
    (errors.PermissionDenied, ExitCode.REFUSED),
    (errors.Conflict, ExitCode.CONFLICT),
    (errors.PreconditionFailed, ExitCode.CONFLICT),
    (errors.ServerFault, ExitCode.SERVER_FAULT),
    (errors.WaitTimeout, ExitCode.FAILED),
    (errors.WorkControl, ExitCode.FAILED),
    (errors.WebhookRefused, ExitCode.FAILED),
    (errors.InvalidRequest, ExitCode.USAGE),
    (errors.RangeNotSatisfiable, ExitCode.USAGE),
    (errors.Unsupported, ExitCode.USAGE),
    (errors.ConfigurationError, ExitCode.USAGE),
)


def of(error: errors.LongshoreError) -> ExitCode:
    """Return the exit status for an error."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED

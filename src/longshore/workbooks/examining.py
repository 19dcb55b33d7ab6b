"""`check` in a process of its own: whatever a file does to the libraries, the caller goes on.

The process has limits on memory and processor time. It reads what to check as JSON on stdin and
says what it found as JSON on stdout.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from pathlib import Path

import msgspec

from longshore import limits
from longshore.errors import InvalidRequest, LongshoreError, TooLarge, Unavailable
from longshore.workbooks import require
from longshore.workbooks.checking import Checked, check


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to check."""

    path: str
    inputs: list[str]
    outputs: list[str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: either `checked` or `refused` is there."""

    checked: Checked | None = None
    refused: str | None = None
    too_large: bool = False


def examine(path: Path, inputs: list[str], outputs: list[str]) -> Checked:
    """Check a workbook in a child process and return what it is like as a service.

    Raises:
        InvalidRequest: it cannot be one, or to check it takes too much time or memory.
        TooLarge: it is larger than a workbook may be.
        ConfigurationError: the libraries are not installed here.
        Unavailable: the child process cannot be started.
    """
    require()
    order = msgspec.json.encode(Order(path=str(path), inputs=inputs, outputs=outputs))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "longshore.workbooks.examining"],
            input=order,
            capture_output=True,
            timeout=limits.WORKBOOK_CHECK_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidRequest(
            f"To check the workbook takes more than {limits.WORKBOOK_CHECK_S:.0f} seconds. Remove "
            "what its outputs do not need, or make it a Python service."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"The check of the workbook cannot be started ({error.strerror}). Try again later."
        ) from error
    try:
        finding = msgspec.json.decode(done.stdout, type=Finding)
    except msgspec.MsgspecError:
        raise InvalidRequest(
            "The check of the workbook died, as it does when a formula is too complicated or the "
            f"workbook takes too much memory (status {done.returncode}). Simplify its formulas."
        ) from None
    if finding.checked is None:
        refusal = TooLarge if finding.too_large else InvalidRequest
        raise refusal(finding.refused or "The workbook was refused.")
    return finding.checked


def main() -> None:
    """Check what stdin says, within limits, and tell stdout."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    _limit()
    try:
        finding = Finding(checked=check(Path(order.path), order.inputs, order.outputs))
    except LongshoreError as error:
        finding = Finding(refused=error.message, too_large=isinstance(error, TooLarge))
    except MemoryError:
        finding = Finding(
            refused="The workbook takes too much memory. Remove what its outputs do not need.",
            too_large=True,
        )
    sys.stdout.buffer.write(msgspec.json.encode(finding))


def _limit() -> None:
    # Some systems know no limit of memory; the time is limited from outside as well.
    with contextlib.suppress(ValueError, OSError):
        bytes_max = limits.WORKBOOK_CHECK_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (bytes_max, bytes_max))
    seconds = int(limits.WORKBOOK_CHECK_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()

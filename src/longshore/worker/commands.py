"""Works of buckets that are commands: run one, keep what it writes, tell how it ended."""

from __future__ import annotations

import codecs
import shlex
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from longshore.errors import ConfigurationError
from longshore.limits import COMMAND_OUTPUT_BYTES
from longshore.wire.payloads import BucketJob
from longshore.wire.worker import AttemptError, Outcome
from longshore.worker import memory, returned
from longshore.worker.buckets import local_files
from longshore.worker.channel import Finished, Run
from longshore.worker.returned import Returned
from longshore.worker.running import Runner
from longshore.worker.slots import Attempt, last_lines, stopped
from longshore.worker.supervision import Exit

_SHELL: Final = "/bin/sh"
# Outside of quotes these mean something to a shell, and nothing to a program.
_OPERATORS: Final = "|&;<>()$`*?"


# What no character of UTF-8 begins with.
_CONTINUED: Final = bytes(range(0x80, 0xC0))


class Captured:
    """What a command wrote to one stream: all of it, or its beginning and its end."""

    def __init__(self, limit_bytes: int = COMMAND_OUTPUT_BYTES) -> None:
        """Keep at most `limit_bytes`, half of them from the beginning."""
        self._half_bytes = limit_bytes // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out_bytes = 0
        self._cut_in_line = False

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        room = self._half_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._tail_bytes += len(data)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._half_bytes:
            gone = self._tail.popleft()
            self._tail_bytes -= len(gone)
            self._left_out_bytes += len(gone)
            self._cut_in_line = not gone.endswith(b"\n")

    def lines(self) -> list[str]:
        """Return the lines as text; bytes that are not UTF-8 are written with escapes.

        A line that was cut ends or begins with a `…`, so that what is left of a secret is known.
        """
        head, tail = bytes(self._head), b"".join(self._tail)
        if not self._left_out_bytes:
            return _lines(head + tail)
        # A character that was cut would stand between such a rest and the mark.
        whole_head, whole_tail = head[: len(head) - _begun(head)], tail.lstrip(_CONTINUED)
        lost = len(head) - len(whole_head) + len(tail) - len(whole_tail)
        before, after = _lines(whole_head), _lines(whole_tail)
        if before and not head.endswith(b"\n"):
            before[-1] += "…"
        if after and self._cut_in_line:
            after[0] = f"…{after[0]}"
        return [*before, f"… {self._left_out_bytes + lost} bytes are left out here …", *after]


def _begun(data: bytes) -> int:
    """Return how many bytes at the end are the beginning of a character of UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data[-4:])
    return len(decoder.getstate()[0])


def _lines(data: bytes) -> list[str]:
    # No database keeps NUL.
    return data.decode("utf-8", "backslashreplace").replace("\x00", "\ufffd").splitlines()


class Commands:
    """Runs commands beside the slots' processes, each in a process group of its own."""

    def __init__(self, runner: Runner, *, shell: bool) -> None:
        """Run commands with `runner`; one of one element with a shell, where `shell` says so."""
        self._runner = runner
        self._shell = shell

    async def run(self, run: Run, job: BucketJob, attempt: Attempt) -> Finished:
        """Run the command of a work to its end, which may be a stop.

        Raises:
            ConfigurationError: it cannot be started; the message says why.
        """
        command = job.command or []
        argv = arguments(command, shell=self._shell)
        kept = {"stdout": Captured(), "stderr": Captured()}

        def take(stream: str, data: bytes) -> None:
            kept[stream].feed(data)
            attempt.output.feed(stream, data)

        try:
            ended = await self._runner.run(argv, attempt, on_output=take)
        except (OSError, ValueError) as error:
            # Its message says all that the frames of this worker would.
            raise _not_started(argv[0], error) from None
        if ended.why is not None:
            attempt.output.flush()
            return stopped(run, ended.why, attempt.work.timeout_s, attempt.output.tail())
        if ended.exit.code != 0:
            attempt.output.flush()
            return self._failed(run, ended.exit, attempt.output.tail())
        results = {
            "args": command[0] if len(command) == 1 else command,
            "stdout": kept["stdout"].lines(),
            "stderr": kept["stderr"].lines(),
            "returncode": 0,
        }
        return _succeeded(run, job, results)

    def _failed(self, run: Run, end: Exit, tail: str) -> Finished:
        used = memory.describe(self._runner.memory_limit_bytes, end.peak_rss_bytes)
        how = f"{end}" if end.code > 0 else f"{end} ({used})"
        message = f"The command {how}.{last_lines(tail)}"
        error = AttemptError(type="CommandFailed", message=message)
        return Finished(run.work_id, run.attempt, Outcome.FAILURE, error=error)


def arguments(command: Sequence[str], *, shell: bool) -> list[str]:
    """Return the program of a command and its arguments.

    Several elements are taken as they are. A single one is given to a shell where the worker may
    use one; otherwise it is split into words as a shell would, quotes included.

    Raises:
        ConfigurationError: the single element needs a shell, or its quotes do not match.
    """
    if len(command) > 1:
        return list(command)
    [text] = command
    if shell:
        return [_SHELL, "-c", text]
    try:
        words = shlex.split(text)
        special = shell_word(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The command {text[:200]!r} cannot be split into words: {error}. Deposit a list of "
            "the program and its arguments."
        ) from error
    if special is not None:
        raise ConfigurationError(
            f"The command {text[:200]!r} needs a shell for {special!r}, and this worker uses "
            "none. Deposit a list of the program and its arguments, or start the worker with "
            "--shell."
        )
    if not words:
        raise ConfigurationError("The command is blank. Deposit a program and its arguments.")
    return words


def shell_word(text: str) -> str | None:
    """Return the first characters outside of quotes that only a shell understands, if any.

    Raises:
        ValueError: quotes do not match.
    """
    reader = shlex.shlex(text, posix=True, punctuation_chars=_OPERATORS)
    reader.whitespace_split = True
    reader.commenters = ""
    return next((word for word in reader if word and not word.strip(_OPERATORS)), None)


def _succeeded(run: Run, job: BucketJob, results: dict[str, Any]) -> Finished:
    made = Returned(job.results, job.products, job.plots)
    # What an earlier attempt, or the depositor, has put there is kept.
    if not (job.results or job.products or job.plots):
        made = Returned(results=results)
    encoded = returned.encode(made, lambda _: None)
    return Finished(
        run.work_id,
        run.attempt,
        Outcome.SUCCESS,
        result=msgspec.Raw(encoded),
        files=local_files(job, made),
    )


def _not_started(program: str, error: OSError | ValueError) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        return ConfigurationError(
            f"There is no program {program!r} on this worker. Install it there, or correct the "
            "command of the work."
        )
    why = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigurationError(
        f"The program {program!r} cannot be started on this worker: {why}. Correct the command of "
        "the work."
    )

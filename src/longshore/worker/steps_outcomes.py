"""What the end of a step's process means, by the exit codes that its definition names."""

from __future__ import annotations

import signal
from typing import Final

import msgspec

from longshore.limits import ERROR_CHARACTERS
from longshore.wire.scripts import StepPayload, StepResult
from longshore.wire.worker import AttemptError, Outcome
from longshore.worker import memory
from longshore.worker.channel import Finished, Run
from longshore.worker.slots import last_lines
from longshore.worker.supervision import Exit
from longshore.worker.texts import clean_tail

# As shells say it, a signal is an exit code, too.
_SIGNAL: Final = 128


def result(end: Exit | None, sha256: str | None) -> msgspec.Raw:
    """Return the result of an attempt; of a process that never began `end` is None."""
    made = StepResult(
        exit_code=end.code if end is not None and end.code >= 0 else None,
        signal=-end.code if end is not None and end.code < 0 else None,
        script_sha256=sha256,
    )
    return msgspec.Raw(msgspec.json.encode(made))


def judge(step: StepPayload, end: Exit) -> Outcome:
    """Return what an exit code means for a step; signal number n counts as code 128 + n.

    A signal that the definition does not name comes from outside, as when memory runs out, so it
    is tried again, whatever codes are.
    """
    code = end.code if end.code >= 0 else _SIGNAL - end.code
    if code in step.success:
        return Outcome.SUCCESS
    if code in step.fatal:
        return Outcome.REJECTED
    if end.code >= 0 and step.retry is not None and code not in step.retry:
        return Outcome.REJECTED
    return Outcome.FAILURE


def finish(
    run: Run,
    step: StepPayload,
    end: Exit,
    *,
    host: str,
    limit_bytes: int,
    tail: str,
    made: msgspec.Raw,
) -> Finished:
    """Return the end of an attempt whose process has ended by itself, or by a signal of others.

    Args:
        run: the attempt.
        step: what ran.
        end: how it ended.
        host: where it ran.
        limit_bytes: what memory its processes were allowed.
        tail: the last lines that it wrote.
        made: its result.
    """
    outcome = judge(step, end)
    if outcome is Outcome.SUCCESS:
        return Finished(run.work_id, run.attempt, outcome, result=made)
    what = f"Step {step.step} on host {host} {end}"
    if end.code < 0:
        what += f" ({_cause(step, end, limit_bytes)})"
    what += _consequence(step, end, outcome)
    lines = clean_tail(tail, ERROR_CHARACTERS - len(what) - 100)
    kind = "StepFailed" if end.code >= 0 else "StepKilled"
    error = AttemptError(type=kind, message=f"{what}.{last_lines(lines)}")
    return Finished(run.work_id, run.attempt, outcome, error=error, result=made)


def _cause(step: StepPayload, end: Exit, limit_bytes: int) -> str:
    if -end.code == signal.SIGXCPU and step.limits.cpu_s is not None:
        return f"its limit of processor time is {step.limits.cpu_s:g} s"
    if -end.code == signal.SIGXFSZ and step.limits.file_bytes is not None:
        return f"its limit for a file is {step.limits.file_bytes} bytes"
    return memory.describe(limit_bytes, end.peak_rss_bytes)


def _consequence(step: StepPayload, end: Exit, outcome: Outcome) -> str:
    if outcome is Outcome.FAILURE:
        return ""
    code = end.code if end.code >= 0 else _SIGNAL - end.code
    if code in step.fatal:
        return f"; {code} is a fatal code of this step, so it is not tried again"
    return f"; {code} is none of the codes that this step is tried again for"

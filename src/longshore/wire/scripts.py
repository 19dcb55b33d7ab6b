"""What server and worker tell each other of the steps of workflows: what to run, and how it ended."""

from __future__ import annotations

from typing import Any

import msgspec


class HostOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The host that a worker serves: its ready steps are the worker's."""

    name: str
    """1 to 64 letters, digits, dots, hyphens or underscores."""


class StepLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What each process of a step may use; None leaves it to the worker's own limits."""

    memory_bytes: int | None = None
    cpu_s: float | None = None
    open_files: int | None = None
    file_bytes: int | None = None


class StepPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One step that is to run: a script of the host, or a command.

    Attributes:
        run_id: the run; ACTIONID where an event started it, RUNID always.
        action: whether an event started the run.
        environment_name: what ENV says: the organisation's name.
        step: name of the step in its run (STEPNAME).
        workflow: name of the workflow (WORKFLOW).
        attempt: which attempt of the step, over all of its works, from 1 (ATTEMPT).
        business_date: YYYY-MM-DD (RUNDATE).
        script: path below the scripts directory, with `/` between its parts; exactly one of
            `script` and `command`.
        program: what runs the script; None for python where it ends in .py, else the script.
        arguments: of the script.
        command: program and arguments.
        environment: further variables.
        matrix: values of the instance, by name; MATRIX_NAME in capitals for each.
        code: one-time code for cawbs (CA_ACCESS_CODE); POST scripts/code for a fresh one.
        code_expires_s: how long the code is valid from the claim on, in seconds.
        success, fatal, retry: exit codes; `retry` None means all others.
        timeout_s: time limit of the attempt.
        grace_s: time between SIGTERM and SIGKILL.
    """

    run_id: int
    action: bool
    environment_name: str
    step: str
    workflow: str
    attempt: int
    business_date: str
    script: str | None = None
    program: str | None = None
    arguments: list[str] = []
    command: list[str] | None = None
    environment: dict[str, str] = {}
    matrix: dict[str, Any] = {}
    code: str
    code_expires_s: float
    success: tuple[int, ...] = (0,)
    fatal: tuple[int, ...] = ()
    retry: tuple[int, ...] | None = None
    timeout_s: float | None = None
    grace_s: float = 10.0
    limits: StepLimits = StepLimits()


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a step's process ended.

    Attributes:
        exit_code: None where it was killed by a signal or never began.
        signal: number of the signal that ended it.
        script_sha256: of the script as it was when it was started, in hexadecimal.
    """

    exit_code: int | None = None
    signal: int | None = None
    script_sha256: str | None = None


class CodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a fresh one-time code: the one of the claim may be too old by now."""

    worker_id: str
    work_id: str
    attempt: int


class CodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A code, and how long it is valid from now on, in seconds."""

    code: str
    expires_s: float

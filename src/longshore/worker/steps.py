"""Works of surface "scripts": run a step of a workflow on the host that this worker serves.

    find the script, read its hash    fresh code, if the claim is old    run    judge its exit code

Each attempt has a process group, a working directory and an environment of its own. From the claim
to the start of the process nothing waits, where the claim is new: no thread, no request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from longshore.errors import LongshoreError
from longshore.wire.scripts import CodeAnswer, CodeRequest, StepPayload
from longshore.wire.worker import AttemptError, Outcome
from longshore.worker import steps_environment, steps_outcomes, steps_scripts
from longshore.worker.attempt_directories import AttemptDirectories
from longshore.worker.backoff import Backoff
from longshore.worker.channel import Finished, Run
from longshore.worker.process_limits import ENFORCED, ProcessLimits
from longshore.worker.running import Runner, limited
from longshore.worker.slots import Attempt, stopped, unless_stopped
from longshore.worker.steps_host import Host
from longshore.worker.steps_scripts import Identity, Script, Unrunnable
from longshore.worker.transport import Transport, may_try_again

_DECODER: Final = msgspec.json.Decoder(StepPayload)
_TIMEOUT_S: Final = 10.0
_HOME: Final = "work"
_TEMPORARY: Final = "temporary"
# Instances of a matrix have any characters in their names.
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A script as it was read before the start."""

    script: Script
    sha256: str
    identity: Identity


class Steps:
    """Runs the steps of one host."""

    def __init__(
        self,
        host: Host,
        transport: Transport,
        runner: Runner,
        directories: AttemptDirectories,
        *,
        age_s: Callable[[str, int], float],
        worker_id: Callable[[], str],
    ) -> None:
        """Run nothing yet.

        Args:
            host: whose steps they are.
            transport: to the server.
            runner: starts and stops them.
            directories: makes those of the attempts.
            age_s: returns how long ago an attempt was claimed.
            worker_id: returns the id that the server knows this worker by.
        """
        self._host = host
        self._transport = transport
        self._runner = runner
        self._directories = directories
        self._age_s = age_s
        self._worker_id = worker_id

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Run a step to its end, which may be a stop.

        Raises:
            Stopped: the attempt was stopped while the worker itself was busy with it.
            LongshoreError: the server refuses a fresh code.
            OSError: the directory of scripts is not there, or the disk is full, for example.
            msgspec.MsgspecError: the payload is not that of a step.
        """
        step = _DECODER.decode(run.payload)
        attempt.work = limited(attempt.work, step.timeout_s)
        note = partial(attempt.output.line, "worker")
        root = self._directories.make("step")
        try:
            return await self._run(run, step, attempt, root)
        except Unrunnable as error:
            failure = AttemptError(type="StepNotStarted", message=str(error))
            made = steps_outcomes.result(None, None)
            return Finished(run.work_id, run.attempt, Outcome.REJECTED, error=failure, result=made)
        finally:
            prefix = f"{step.run_id}-{_NOT_IN_NAMES.sub('_', step.step)[:100]}-{step.attempt}"
            await self._directories.put_away(root, kind="step", prefix=prefix, note=note)

    async def _run(self, run: Run, step: StepPayload, attempt: Attempt, root: Path) -> Finished:
        home, temporary = root / _HOME, root / _TEMPORARY
        home.mkdir()
        temporary.mkdir()
        environment = steps_environment.make(
            step,
            passed=self._host.passed,
            url=self._transport.url,
            home=home,
            temporary=temporary,
        )
        prepared = None if step.script is None else await self._prepare(step.script, attempt)
        script = None if prepared is None else prepared.script
        argv = steps_scripts.arguments(self._host, step, script, environment)
        limits = self._limits(step, attempt)
        environment["CA_ACCESS_CODE"] = await self._code(run, step, attempt)
        try:
            ended = await self._runner.run(
                argv,
                attempt,
                environment=environment,
                directory=home,
                grace_s=step.grace_s,
                limits=limits,
            )
        except (OSError, ValueError) as error:
            raise steps_scripts.not_started(self._host, argv[0], error) from None
        self._tell_of_change(prepared, attempt)
        attempt.output.flush()
        tail = attempt.output.tail()
        made = steps_outcomes.result(ended.exit, None if prepared is None else prepared.sha256)
        if ended.why is not None:
            end = stopped(run, ended.why, attempt.work.timeout_s, tail)
            return msgspec.structs.replace(end, result=made)
        return steps_outcomes.finish(
            run,
            step,
            ended.exit,
            host=self._host.name,
            limit_bytes=limits.memory_bytes,
            tail=tail,
            made=made,
        )

    async def _prepare(self, name: str, attempt: Attempt) -> _Prepared:
        script = steps_scripts.find_script(self._host, name)
        try:
            if script.size_bytes <= steps_scripts.LARGE_BYTES:
                sha256, identity = script.read()
            else:
                sha256, identity = await unless_stopped(attempt, asyncio.to_thread(script.read))
        except OSError as error:
            raise Unrunnable(
                f"Script {name} of host {self._host.name} in {self._host.scripts} cannot be read: "
                f"{error.strerror}."
            ) from None
        return _Prepared(script, sha256, identity)

    async def _code(self, run: Run, step: StepPayload, attempt: Attempt) -> str:
        """Return a code that is valid for at least half of its time."""
        if self._age_s(run.work_id, run.attempt) < step.code_expires_s / 2:
            return step.code
        return await unless_stopped(attempt, self._fresh_code(run))

    async def _fresh_code(self, run: Run) -> str:
        backoff = Backoff()
        while True:
            request = CodeRequest(
                worker_id=self._worker_id(), work_id=run.work_id, attempt=run.attempt
            )
            try:
                answer = await self._transport.post(
                    "scripts/code", request, CodeAnswer, timeout_s=_TIMEOUT_S
                )
            except LongshoreError as error:
                if not may_try_again(error):
                    raise
            else:
                return answer.code
            await backoff.wait()

    def _limits(self, step: StepPayload, attempt: Attempt) -> ProcessLimits:
        wanted, own = step.limits, self._runner.memory_limit_bytes
        if wanted != type(wanted)() and not ENFORCED:
            attempt.output.line("worker", "This system cannot enforce the limits of the step.")
        return ProcessLimits(
            # The lower one, where 0 means none.
            memory_bytes=min(wanted.memory_bytes or own, own or wanted.memory_bytes or 0),
            cpu_s=wanted.cpu_s,
            open_files=wanted.open_files,
            file_bytes=wanted.file_bytes,
            core_files=False,
        )

    def _tell_of_change(self, prepared: _Prepared | None, attempt: Attempt) -> None:
        if prepared is not None and not prepared.script.is_still(prepared.identity):
            attempt.output.line(
                "worker",
                f"Script {prepared.script.name} was changed or replaced while it ran; SHA-256 "
                f"{prepared.sha256} is that of the file just before the start.",
            )

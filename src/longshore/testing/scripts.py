"""Steps of workflows that are Python scripts, run in this process."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from longshore.testing.printing import Printed
from longshore.testing.surroundings import exit_status, surroundings
from longshore.wire.scripts import StepPayload
from longshore.wire.worker import AttemptError, Claimed, Outcome
from longshore.worker import steps_environment, steps_outcomes, steps_scripts
from longshore.worker.channel import Finished, Run
from longshore.worker.steps_host import Host
from longshore.worker.steps_outcomes import result
from longshore.worker.steps_scripts import Unrunnable
from longshore.worker.supervision import Exit

_PYTHON: Final = frozenset({"python", "python3"})
_FRESH: Final = ("longshore.step", "longshore.cawbs.cawbs", "cawbs", "cawbsbatch", "cawbsingress")
"""What keeps the session of a step, and must not be that of the step before."""


def run(host: Host, url: str, work: Claimed, printed: Printed) -> Finished:
    """Run a step and return how it ended.

    Raises:
        OSError: the directory of scripts is not there.
        msgspec.MsgspecError: the payload is not that of a step.
    """
    step = msgspec.json.decode(work.payload, type=StepPayload)
    order = Run(work.work_id, work.attempt, work.surface, work.payload, "", "")
    try:
        script = _script(host, step)
        sha256, _ = script.read()
    except Unrunnable as error:
        failure = AttemptError(type="StepNotStarted", message=str(error))
        made = result(None, None)
        return Finished(work.work_id, work.attempt, Outcome.REJECTED, error=failure, result=made)
    with tempfile.TemporaryDirectory(prefix="longshore-testing-") as name:
        home = Path(name)
        environment = steps_environment.make(
            step, passed=host.passed, url=url, home=home, temporary=home
        )
        environment["CA_ACCESS_CODE"] = step.code
        arguments = [str(script.path), *step.arguments]
        with surroundings(environment, arguments, home, fresh=_FRESH):
            code = exit_status(lambda: runpy.run_path(str(script.path), run_name="__main__"))
    end = Exit(code, 0)
    return steps_outcomes.finish(
        order,
        step,
        end,
        host=host.name,
        limit_bytes=0,
        tail=printed.tail(),
        made=result(end, sha256),
    )


def _script(host: Host, step: StepPayload) -> steps_scripts.Script:
    if step.script is None or not (step.script.endswith(".py") or step.program in _PYTHON):
        raise Unrunnable(
            f"Step {step.step} is no Python script, which is all that an in-process worker runs. "
            "Test it with `longshore worker --host`."
        )
    return steps_scripts.find_script(host, step.script)

"""The environment of a step's process: the variables listed here, and no others.

Of the worker's own environment there are PATH, LANG and TZ only, which say what the machine is
like, and what `--pass-env` names.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import longshore
from longshore.settings import child_environment
from longshore.wire.scripts import StepPayload

LIBRARIES: Final = Path(longshore.__file__).parent / "cawbs"
"""Directory with the modules cawbs, cawbsbatch and cawbsingress, and nothing else."""

_COLLECTOR: Final = "/coreauto"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9_]")


def make(
    step: StepPayload, *, passed: Mapping[str, str], url: str, home: Path, temporary: Path
) -> dict[str, str]:
    """Return the variables of a step, all but CA_ACCESS_CODE.

    The definition's own variables come before those of the machine, but not before those that say
    which run and step it is.

    Args:
        step: what is to run.
        passed: variables of the machine that the worker was told to pass.
        url: address of the server.
        home: its working directory.
        temporary: its directory for temporary files.
    """
    given = step.environment
    path = [given["PYTHONPATH"]] if given.get("PYTHONPATH") else []
    return (
        _machine()
        | dict(passed)
        | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
        | given
        | {"PYTHONPATH": os.pathsep.join([*path, str(LIBRARIES)])}
        | {_matrix_name(name): _text(value) for name, value in step.matrix.items()}
        | {
            "ENV": step.environment_name,
            "ACTIONID": str(step.run_id),
            "RUNID": str(step.run_id),
            "RUNDATE": step.business_date,
            "WORKFLOW": step.workflow,
            "STEPNAME": step.step,
            "ATTEMPT": str(step.attempt),
            "CA_WBS_URL": url.rstrip("/") + _COLLECTOR,
        }
    )


def _machine() -> dict[str, str]:
    ours = child_environment()
    interpreter = str(Path(sys.executable).parent)
    made = {
        "PATH": os.pathsep.join([interpreter, ours.get("PATH") or os.defpath]),
        "LANG": ours.get("LANG") or "C.UTF-8",
    }
    if ours.get("TZ"):
        made["TZ"] = ours["TZ"]
    return made


def _matrix_name(name: str) -> str:
    return f"MATRIX_{_NOT_IN_NAMES.sub('_', name.upper())}"


def _text(value: Any) -> str:
    """Write a value of a matrix: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

"""The host that a worker serves: its name, where its scripts lie, what of its variables steps get."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from longshore.errors import ConfigurationError
from longshore.settings import child_environment

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS: Final = "LONGSHORE_"
_OWN: Final = frozenset(
    {
        *("PATH", "LANG", "TZ", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONUNBUFFERED"),
        *("ENV", "ACTIONID", "RUNID", "RUNDATE", "WORKFLOW", "STEPNAME", "ATTEMPT"),
        *("CA_ACCESS_CODE", "CA_WBS_URL"),
    }
)
"""Variables that each step has anyway."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host as its worker knows it.

    Attributes:
        name: by which workflows name it.
        scripts: directory of its scripts; may be a link, which is followed anew for each step.
        passed: variables of this machine that steps are given, by name.
    """

    name: str
    scripts: Path
    passed: Mapping[str, str]


def read_host(
    name: str | None, scripts: str | None, passed: Sequence[str] = (), *, option: str = "--host"
) -> Host | None:
    """Return the host of `--host` (or another `option`), `--scripts` and `--pass-env`, if any.

    Raises:
        ConfigurationError: one is given without the other, or cannot be used.
    """
    if name is None:
        if scripts is not None or passed:
            raise ConfigurationError(
                f"--scripts and --pass-env are for the steps of a host. Name it with {option} NAME."
            )
        return None
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"{option} {name[:200]!a} cannot be the name of a host: it must begin with a letter or a "
            "digit and may have 64 letters, digits, dots, hyphens and underscores."
        )
    if scripts is None:
        raise ConfigurationError(
            f"{option} {name} needs --scripts DIR, the directory with the scripts of its steps."
        )
    directory = Path(scripts).expanduser().absolute()
    if not directory.is_dir():
        raise ConfigurationError(
            f"--scripts {scripts!r} is no directory. Make it, and put the scripts of host {name} "
            "there."
        )
    return Host(name, directory, _variables(passed))


def _variables(names: Sequence[str]) -> dict[str, str]:
    ours = child_environment()
    for name in names:
        if _VARIABLE.fullmatch(name) is None or name.startswith(_OURS):
            raise ConfigurationError(
                f"--pass-env {name!r} cannot be given to steps: name one variable; those of "
                f"Longshore itself ({_OURS}...) stay with the worker."
            )
        if name in _OWN:
            raise ConfigurationError(
                f"--pass-env {name}: each step has a {name} of its own. Drop the option, or set it in "
                "the environment of the step where that may be."
            )
        if name not in ours:
            raise ConfigurationError(
                f"--pass-env {name}: there is no such variable here. Set it for the worker, or "
                "drop the option."
            )
    return {name: ours[name] for name in names}

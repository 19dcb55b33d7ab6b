"""Workbooks as services: named cells go in, named cells come out, and no spreadsheet program runs.

A workbook (.xlsx) is read by openpyxl and computed by IronCalc; both come with the extra
`workbooks`. Nothing in a workbook is ever executed as code: macros and links to other files are
refused, and formulas are interpreted by the library.

`check` says whether a workbook can be a service, in a process of its own (`longshore.workbooks.
examining`), and `Workbook` computes records. This package knows nothing of server or worker.
"""

from __future__ import annotations

from importlib.util import find_spec

from longshore.errors import ConfigurationError

EXTRA_HINT = "pip install 'longshore[workbooks]'"


def installed() -> bool:
    """Whether the libraries that read and compute workbooks are there."""
    return all(find_spec(name) is not None for name in ("ironcalc", "openpyxl"))


def require() -> None:
    """Do nothing where the libraries are installed.

    Raises:
        ConfigurationError: they are not; the message says how to install them.
    """
    if not installed():
        raise ConfigurationError(
            "Workbooks cannot be computed here, because the libraries for it are not installed. "
            f"Install them with {EXTRA_HINT} and start again."
        )


__all__ = ["EXTRA_HINT", "installed", "require"]

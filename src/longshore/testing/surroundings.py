"""The surroundings that a program expects, for the time that it runs inside this process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from unittest import mock


@contextmanager
def surroundings(
    environment: Mapping[str, str],
    arguments: Sequence[str],
    directory: Path,
    *,
    fresh: Sequence[str] = (),
) -> Iterator[None]:
    """Give a block variables, arguments and a working directory, and modules imported anew.

    Args:
        environment: all of its variables.
        arguments: its `sys.argv`.
        directory: its working directory, and the first place where it imports from is that of
            `arguments[0]`.
        fresh: modules that it imports for itself; the test's own are back afterwards.
    """
    with (
        mock.patch.dict("os.environ", environment, clear=True),
        mock.patch.object(sys, "argv", list(arguments)),
        mock.patch.object(sys, "path", [str(Path(arguments[0]).parent), *_paths(environment)]),
        chdir(directory),
        _without(fresh),
    ):
        yield


def exit_status(program: Callable[[], object]) -> int:
    """Run a program as Python does, and return the status that its process would end with."""
    try:
        with _own_signals():
            program()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        sys.stderr.write(f"{error.code}\n")
        return 1
    # A program may raise anything; its traceback is part of its output, as it would be.
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put back what a program does to SIGTERM; elsewhere than in the main thread it may do nothing."""
    if threading.current_thread() is not threading.main_thread():
        with mock.patch("signal.signal"):
            yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _paths(environment: Mapping[str, str]) -> list[str]:
    own = environment.get("PYTHONPATH", "")
    return [each for each in own.split(os.pathsep) if each] + sys.path


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Let modules be imported anew in the block; those that were there are back afterwards."""
    kept = {name: sys.modules[name] for name in names if name in sys.modules}
    _forget(names)
    try:
        yield
    finally:
        _forget(names)
        for name, module in kept.items():
            sys.modules[name] = module
            package, _, last = name.rpartition(".")
            if package in sys.modules:
                setattr(sys.modules[package], last, module)


def _forget(names: Sequence[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
        package, _, last = name.rpartition(".")
        # The package has it as an attribute, which an import would take.
        if package in sys.modules and last in vars(sys.modules[package]):
            delattr(sys.modules[package], last)

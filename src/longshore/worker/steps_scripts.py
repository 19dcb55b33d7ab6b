"""From a step to the command that runs it: where its script lies, and what is wrong with it.

A script runs where it lies, and not as a copy: it finds its neighbours beside itself (`import
pg_util`, `. "$(dirname "$0")/lib.sh"`). Its SHA-256 is that of the bytes read just before the start;
whether the file was the same all the time while it ran is looked at when it has ended.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from longshore.wire.scripts import StepPayload
from longshore.worker.steps_host import Host

LARGE_BYTES: Final = 1 << 20
"""A larger script is read in a thread."""

_CHUNK_BYTES: Final = 1 << 20
_LOOKED_AT: Final = 5_000
_SHOWN: Final = 5
_FIRST_LINE_BYTES: Final = 512
_PYTHON: Final = frozenset({"python", "python3"})

Identity = tuple[int, int, int, int, int]


class Unrunnable(Exception):
    """A step that cannot be started on this host, whoever tries it again; the message says why."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script of the host.

    Attributes:
        name: as the workflow names it, below the directory of scripts.
        path: where it is found.
        size_bytes: its length.
    """

    name: str
    path: Path
    size_bytes: int

    def read(self) -> tuple[str, Identity]:
        """Return its SHA-256 in hexadecimal, and what tells whether it changes.

        Raises:
            OSError: it cannot be read.
        """
        # It may have become a pipe, which would keep us waiting for somebody to write to it.
        with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            return digest.hexdigest(), _identity(os.fstat(file.fileno()))

    def is_still(self, identity: Identity) -> bool:
        """Whether the file is the one that was read, unchanged."""
        try:
            return _identity(self.path.stat()) == identity
        except OSError:
            return False


def find_script(host: Host, name: str) -> Script:
    """Return a script of the host.

    Raises:
        Unrunnable: there is none of that name, or it is no file, or one that may not be run.
        OSError: the directory of scripts is not there.
    """
    root = host.scripts.resolve(strict=True)
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") or "\x00" in part for part in parts):
        raise Unrunnable(
            f"Script {name[:200]!a} must be a path below the scripts of host {host.name} "
            f"({host.scripts}), with names only, without '..' or a '/' at its beginning. Correct "
            "the workflow."
        )
    try:
        path = root.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) in (errno.ENOENT, errno.ENOTDIR):
            raise Unrunnable(_missing(host, root, name)) from None
        raise Unrunnable(f"{_script(host, name)} cannot be opened: {_why(error)}.") from None
    if not path.is_relative_to(root):
        raise Unrunnable(
            f"{_script(host, name)} is a link that leads out of that directory, to {path}. Put the "
            "script itself there."
        )
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        inside = _listing(_files(path), "It holds")
        raise Unrunnable(f"{_script(host, name)} is a directory. Name a script in it.{inside}")
    if not stat.S_ISREG(found.st_mode):
        raise Unrunnable(f"{_script(host, name)} is no file but a device or a pipe.")
    if not os.access(path, os.R_OK):
        raise Unrunnable(
            f"{_script(host, name)} cannot be read by the user of the worker. Let it be read: "
            "chmod +r."
        )
    # Not the resolved path: a program may look at the name that it was called by.
    return Script(name, root.joinpath(*parts), found.st_size)


def arguments(
    host: Host, step: StepPayload, script: Script | None, environment: Mapping[str, str]
) -> list[str]:
    """Return the program of a step and its arguments.

    Raises:
        Unrunnable: the program is not there, or the script is none that the system can start.
    """
    if script is None:
        program, *rest = step.command or [""]
        return [_find_program(host, program, environment), *rest]
    if step.program is not None:
        program, *options = _words(step.program)
        found = _find_program(host, program, environment)
        return [found, *options, str(script.path), *step.arguments]
    if script.name.endswith(".py"):
        return [sys.executable, str(script.path), *step.arguments]
    _check_executable(host, script)
    return [str(script.path), *step.arguments]


def not_started(host: Host, program: str, error: OSError | ValueError) -> Unrunnable:
    """Return the error for a program that the system did not start."""
    if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
        return Unrunnable(
            f"The system of host {host.name} cannot run {program}: it is no program, and has no "
            "first line such as #!/bin/sh. Give it one, or name what runs it with `program`."
        )
    return Unrunnable(
        f"{program} cannot be started on host {host.name}: {_why(error)}. Correct the step, or "
        "mend the host."
    )


def _words(program: str) -> list[str]:
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise Unrunnable(
            f"The program {program[:200]!r} cannot be split into words: {error}. Correct the "
            "workflow."
        ) from None
    return words or [""]


def _find_program(host: Host, program: str, environment: Mapping[str, str]) -> str:
    """Find a program on the step's PATH, or by its absolute path."""
    path = environment["PATH"]
    if "/" not in program or program.startswith("/"):
        found = shutil.which(program, path=path)
        if found is not None:
            return found
        if program in _PYTHON:
            return sys.executable
    if program.startswith("/"):
        raise Unrunnable(
            f"There is no program {program} on host {host.name}, or it may not be run. Install it "
            "there, or correct the workflow."
        )
    if "/" in program:
        raise Unrunnable(
            f"The program {program[:200]!r} is a path that does not begin at the root. Name a "
            f"program of PATH or give its whole path; for what lies in the scripts of host "
            f"{host.name} ({host.scripts}) use `script`."
        )
    near = _near(program, _programs(path))
    raise Unrunnable(
        f"There is no program {program[:200]!r} on host {host.name}; looked for in {path}.{near} "
        "Install it there, or correct the workflow."
    )


def _check_executable(host: Host, script: Script) -> None:
    shown = _script(host, script.name)
    if not os.access(script.path, os.X_OK):
        raise Unrunnable(
            f"{shown} may not be executed. Let it be (chmod +x), or name what runs it with "
            "`program`, such as bash."
        )
    with script.path.open("rb") as file:
        head = file.read(_FIRST_LINE_BYTES)
    if not head.startswith(b"#!"):
        return
    line = head.partition(b"\n")[0]
    interpreter = os.fsdecode(b"".join(line[2:].split(None, 1)[:1]))
    if line.endswith(b"\r"):
        raise Unrunnable(
            f"The first line of {shown[0].lower()}{shown[1:]} has a Windows line end: the system "
            f"looks for a program {interpreter!r} with a carriage return at its end. Write the "
            "file with Unix line ends (dos2unix)."
        )
    if not Path(interpreter).exists():
        raise Unrunnable(
            f"{shown} is to be run by {interpreter or 'nothing'}, as its first line says, which is "
            f"not on this host. Install it there, correct that line, or name what runs the "
            "script with `program`."
        )


def _script(host: Host, name: str) -> str:
    return f"Script {name} of host {host.name} in {host.scripts}"


def _missing(host: Host, root: Path, name: str) -> str:
    present = list(_files(root))
    near = _near(name, present) or _listing(present, "It holds")
    return (
        f"There is no script {name[:200]!a} on host {host.name} in {host.scripts}.{near} Put it "
        "there, or correct the workflow."
    )


def _near(name: str, present: Iterable[str]) -> str:
    """Say which of the names are close, or nothing."""
    by_folded: dict[str, str] = {}
    for each in present:
        by_folded.setdefault(each.casefold(), each)
        by_folded.setdefault(each.rpartition("/")[2].casefold(), each)
    folded = name.casefold()
    # The same name in another case or another folder is what was meant.
    same = [each for each in (folded, folded.rpartition("/")[2]) if each in by_folded][:1]
    close = same or difflib.get_close_matches(folded, by_folded, n=2, cutoff=0.75)
    names = dict.fromkeys(by_folded[each] for each in close)
    return f" Did you mean {' or '.join(names)}?" if names else ""


def _listing(present: Iterable[str], what: str) -> str:
    names = sorted(present)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" {what} {', '.join(names[:_SHOWN]) or 'nothing'}{more}."


def _files(root: Path) -> Iterator[str]:
    """Name what lies below a directory, as far as it is worth looking."""
    left = _LOOKED_AT
    for path, folders, names in os.walk(root):
        folders[:] = [each for each in folders if not each.startswith((".", "__pycache__"))]
        for name in names:
            if left == 0:
                return
            left -= 1
            if not name.startswith("."):
                yield Path(path, name).relative_to(root).as_posix()


def _programs(path: str) -> Iterator[str]:
    for directory in path.split(os.pathsep):
        try:
            yield from (each.name for each in Path(directory).iterdir())
        except OSError:
            # PATH may well name directories that are not there.
            continue


def _identity(found: os.stat_result) -> Identity:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _why(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

"""The directories that attempts work in: made for each, removed or kept at its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


class AttemptDirectories:
    """Makes and removes the directories of attempts that run a program."""

    def __init__(self, directory: Path, kept: Path | None) -> None:
        """Make them in `directory`; at their ends move them to `kept`, or remove them if None."""
        self._directory = directory
        self._kept = kept

    def make(self, kind: str) -> Path:
        """Return a new empty directory that is private to this user.

        Raises:
            OSError: the disk is full, for example.
        """
        return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self._directory))

    async def put_away(
        self, root: Path, *, kind: str, prefix: str, note: Callable[[str], Any]
    ) -> None:
        """Keep or remove the directory of a `kind` of work; a kept one is named after `prefix`."""
        if self._kept is None:
            if not _remove_empty(root):
                await asyncio.to_thread(remove, root)
            return
        await asyncio.to_thread(self._keep, root, self._kept, kind, prefix, note)

    def _keep(
        self, root: Path, kept: Path, kind: str, prefix: str, note: Callable[[str], Any]
    ) -> None:
        try:
            target = root.rename(tempfile.mkdtemp(prefix=f"{prefix}-", dir=kept))
        except OSError as error:
            note(f"The directory of the {kind} cannot be kept: {error}.")
            remove(root)
        else:
            note(f"The directory of the {kind} is kept: {target}")


def remove(directory: Path) -> None:
    """Remove a directory, and in it directories that the program has protected from that."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        for path, folders, _ in os.walk(directory):
            # Before the walk goes down into them; links are not followed, and not changed.
            for folder in (Path(path, name) for name in folders):
                with contextlib.suppress(OSError):
                    if not folder.is_symlink():
                        folder.chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_empty(root: Path) -> bool:
    """Remove a directory in which there are empty directories only; a thread would take longer."""
    try:
        for child in root.iterdir():
            child.rmdir()
        root.rmdir()
    except OSError:
        return False
    return True

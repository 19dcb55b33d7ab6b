"""The directory of a task, and the environment of its program.

    ROOT                    PONOS_DATA; new for each attempt
    ROOT/<task>             where the program leaves its files
    ROOT/current            a link to it
    ROOT/<parent>           the files of a task before it
    ROOT/<parent's slug>    a link to it
    ROOT/extra_files        the model
    ROOT/elements.json      what to work through: [{"id", "type"}, ...]

Names and variables are those of the published workers (`arkindex-base-worker` 0.4 and 0.6).
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from longshore.errors import CorruptData, LongshoreError
from longshore.settings import child_environment
from longshore.wire.tasks import TaskFile, TaskModel, TaskParent, TaskPayload
from longshore.worker.backoff import Backoff
from longshore.worker.tasks_unpack import is_compressed, unpack
from longshore.worker.transport import Transport, may_try_again

_TIMEOUT_S: Final = 60.0
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_CURRENT: Final = "current"
_EXTRA_FILES: Final = "extra_files"
_ELEMENTS: Final = "elements.json"
_ARCHIVE: Final = "application/zstd"

# What the worker itself is told is not for programs: among it are its key and those of a server.
_PREFIXES: Final = ("LONGSHORE_", "ARKINDEX_", "PONOS_")
_NAMES: Final = frozenset({"SKIP_TASK_ELEMENTS", "TASK_BOOTSTRAP", "TASK_ELEMENTS", "TASK_PARENTS"})
_KEPT: Final = frozenset({"ARKINDEX_DEBUG", "ARKINDEX_MAX_IMAGE_PIXELS"})

Note = Callable[[str], None]


class TaskDirectory:
    """The directory of one attempt of a task."""

    def __init__(self, root: Path, task: TaskPayload) -> None:
        """Make it in `root`, which is new and empty.

        Raises:
            CorruptData: the task has an id that cannot be the name of a directory.
        """
        self.root = root
        self.path = root / _part("id of the task", task.task_id)
        self._task = task
        self.path.mkdir()
        (root / _CURRENT).symlink_to(task.task_id)
        if task.elements is not None:
            (root / _ELEMENTS).write_bytes(msgspec.json.encode(task.elements))

    async def fill(self, transport: Transport, note: Note) -> None:
        """Fetch the parents' files and the model; waits for a server that is away.

        Raises:
            CorruptData: a file has a name that leads elsewhere or did not arrive as it was stored,
                or the model's archive cannot be unpacked.
            TooLarge: the model's archive is too large without compression.
            LongshoreError: the server refuses, because a file is gone for example.
            OSError: the disk is full, for example.
        """
        for parent in self._task.parents:
            await self._fetch_parent(transport, parent, note)
        if self._task.model is not None:
            await self._fetch_model(transport, self._task.model)

    def environment(self, url: str) -> dict[str, str]:
        """Return the variables of the program, which calls the server at `url`."""
        task = self._task
        made = {
            "ARKINDEX_API_URL": url,
            "ARKINDEX_TASK_TOKEN": task.token,
            "ARKINDEX_WORKER_RUN_ID": task.worker_run_id,
            "PONOS_TASK": task.task_id,
            "PONOS_DATA": str(self.root),
            "TASK_PARENTS": msgspec.json.encode(
                {parent.id: parent.slug for parent in task.parents}
            ).decode(),
            "TASK_ELEMENTS": str(self.root / _ELEMENTS) if task.elements is not None else "",
            "SKIP_TASK_ELEMENTS": "true" if task.queued else "",
            "ARKINDEX_TASK_CHUNK": "" if task.chunk is None else str(task.chunk),
            "ARKINDEX_MODEL_DIR": str(self.root / _EXTRA_FILES) if task.model is not None else "",
        }
        inherited = {
            name: value
            for name, value in child_environment().items()
            if name in _KEPT or not (name.startswith(_PREFIXES) or name in _NAMES)
        }
        # Without it what a Python program prints comes when it ends.
        inherited.setdefault("PYTHONUNBUFFERED", "1")
        # A variable that is there and empty means something else than one that is not there.
        return inherited | {name: value for name, value in made.items() if value}

    async def _fetch_parent(self, transport: Transport, parent: TaskParent, note: Note) -> None:
        directory = self.root / _part("id of a parent task", parent.id)
        directory.mkdir()
        link = self.root / _part("name of a parent task", parent.slug)
        try:
            link.symlink_to(parent.id)
        except FileExistsError:
            note(f"There is a {parent.slug} already: {parent.id} has no link of its own.")
        for file in parent.files:
            target = directory.joinpath(*_parts(file.path))
            target.parent.mkdir(parents=True, exist_ok=True)
            await _fetch(transport, file, target)

    async def _fetch_model(self, transport: Transport, model: TaskModel) -> None:
        target = self.root / _EXTRA_FILES
        archive = self.root / f"{_EXTRA_FILES}.download"
        await _fetch(transport, model, archive)
        if model.content_type == _ARCHIVE or is_compressed(archive):
            await _unless_cancelled(archive, target)
            archive.unlink()
        else:
            # A model of one file takes the place of the directory, as with the published workers.
            archive.rename(target)


async def _fetch(transport: Transport, file: TaskFile | TaskModel, target: Path) -> None:
    backoff = Backoff()
    while True:
        try:
            await transport.download(
                file.blob_id,
                target,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                timeout_s=_TIMEOUT_S,
            )
        except LongshoreError as error:
            if not may_try_again(error):
                raise
        else:
            return
        await backoff.wait()


async def _unless_cancelled(archive: Path, target: Path) -> None:
    """Unpack in a thread, which has ended when this returns or is cancelled."""
    stop = threading.Event()
    unpacking = asyncio.create_task(asyncio.to_thread(unpack, archive, target, stop=stop))
    try:
        await asyncio.shield(unpacking)
    finally:
        stop.set()
        await asyncio.wait([unpacking])


def _part(what: str, name: str) -> str:
    """Return a name that can be that of a file.

    Raises:
        CorruptData: it cannot, or it has a meaning of its own here.
    """
    if _PART.fullmatch(name) is None or name in (_CURRENT, _EXTRA_FILES, _ELEMENTS):
        raise CorruptData(
            f"The {what} is {name[:200]!a}, which cannot be the name of a directory of a task. "
            "Name it with letters, digits, '.', '_' and '-'."
        )
    return name


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\x00" in part for part in parts):
        raise CorruptData(
            f"A parent task has a file {path[:200]!a}, whose name leads out of its directory. "
            "Let that task leave files with plain names."
        )
    return parts

"""Workbooks in a worker: the file comes once, and is opened once in each process."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from longshore import ids, workbooks
from longshore.errors import LongshoreError
from longshore.wire.payloads import WorkbookFile
from longshore.worker.backoff import Backoff
from longshore.worker.transport import Transport, may_try_again

if TYPE_CHECKING:
    from longshore.workbooks.computing import Workbook

_TIMEOUT_S: Final = 60.0
_OPEN: Final = 8
"""So many workbooks stay open in a process; the one that was used longest ago is closed."""

Compute = Callable[[Mapping[str, Any]], dict[str, Any]]


class WorkbookFiles:
    """The files of workbooks that this worker has fetched."""

    def __init__(self, directory: Path) -> None:
        """Keep them in a directory, which belongs to this worker alone."""
        self._directory = directory
        self._fetching: dict[str, asyncio.Lock] = {}

    async def fetch(self, transport: Transport, file: WorkbookFile) -> Path:
        """Return where a workbook lies here; download it unless it does.

        Waits for a server that is away; the attempt is stopped from outside when its lease is
        lost.

        Raises:
            CorruptData: the file did not arrive as it was stored.
            LongshoreError: the server refuses, because the file is gone for example.
        """
        target = self._directory / f"{file.sha256}.xlsx"
        async with self._fetching.setdefault(file.sha256, asyncio.Lock()):
            if not target.exists():
                await self._download(transport, file, target)
        return target

    async def _download(self, transport: Transport, file: WorkbookFile, target: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        # Under another name until it is whole, since the name says that it is there.
        arriving = self._directory / f"{ids.new('wb')}.part"
        backoff = Backoff()
        try:
            while True:
                try:
                    await transport.download(
                        file.blob_id,
                        arriving,
                        sha256=file.sha256,
                        size_bytes=file.size_bytes,
                        timeout_s=_TIMEOUT_S,
                    )
                except LongshoreError as error:
                    if not may_try_again(error):
                        raise
                else:
                    break
                await backoff.wait()
            arriving.replace(target)
        finally:
            arriving.unlink(missing_ok=True)


_Key = tuple[str, tuple[str, ...], tuple[str, ...]]
_workbooks: OrderedDict[_Key, Workbook] = OrderedDict()
_opening = threading.Lock()


def record_function(path: Path, file: WorkbookFile, wanted: Sequence[str] | None) -> Compute:
    """Return the function of a record that computes a workbook, which stays open in this process.

    It raises InvalidRequest for a record that does not fit and Reject for one whose outputs are
    errors (see `longshore.workbooks.computing`).

    Args:
        path: where the file lies.
        file: which cells are inputs and outputs.
        wanted: outputs whose errors are the record's error; all unless given.

    Raises:
        ConfigurationError: the libraries are not installed here.
        InvalidRequest: the workbook cannot be opened.
    """
    workbooks.require()
    key = (file.sha256, tuple(file.inputs), tuple(file.outputs))
    with _opening:
        found = _workbooks.get(key)
        if found is None:
            # Loaded only here, because its libraries are an extra.
            computing = import_module("longshore.workbooks.computing")
            found = computing.Workbook(path, file.inputs, file.outputs)
            _workbooks[key] = found
            if len(_workbooks) > _OPEN:
                _workbooks.popitem(last=False)
        _workbooks.move_to_end(key)
    return partial(found.compute, wanted=wanted, others=True)

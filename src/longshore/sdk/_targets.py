"""The file that a map writes to: outputs and errors, on the disk before the server forgets them."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from longshore.errors import Conflict, InvalidRequest
from longshore.sdk import _journal
from longshore.sdk._arrivals import Arrival
from longshore.sdk._journal import Journal
from longshore.sdk._outputs import CsvLines, JsonLines
from longshore.sdk._pipelines import encode
from longshore.sdk._sources import FilePath
from longshore.sdk.mapping import RecordFailed

_CHECKPOINT_S: Final = 0.25
_CHECKPOINT_BYTES: Final = 8_000_000


def layout_of(to: FilePath | BinaryIO, *, ordered: bool, indexed: bool) -> str:
    """Return the format of an output and what is in it, in words for the journal.

    Raises:
        InvalidRequest: the ending of the name means a format that cannot be written.
    """
    name = Path(to).suffix.lower() if isinstance(to, str | os.PathLike) else ".jsonl"
    if name in (".parquet", ".pq", ".tsv", ".xlsx"):
        raise InvalidRequest(
            f"A map writes JSONL or CSV, not {name}. Name the output .jsonl or .csv, and convert it."
        )
    words = ["csv" if name == ".csv" else "jsonl"]
    words += [] if ordered else ["unordered"]
    words += ["indexed"] if indexed else []
    return " ".join(words)


class Target:
    """Where the outputs of one map go, and the failures.

    Attributes:
        journal: how far it has come; what it says is true once `checkpoint` has returned.
        finished: whether there was nothing left to do from the beginning.
    """

    def __init__(
        self,
        to: FilePath | BinaryIO,
        journal: Journal,
        *,
        errors: FilePath | None,
        resume: bool | FilePath,
        overwrite: bool,
    ) -> None:
        """Open the files; what they have beyond the journal is cut off.

        Args:
            to: path of the output, or an open binary file, which cannot be resumed.
            journal: one of a run from the beginning.
            errors: path of the file of errors.
            resume: go on with the run whose journal is there; also the path of the journal.
            overwrite: begin anew, whatever is there.

        Raises:
            Conflict: the output is there and is neither to be resumed nor overwritten, another
                program writes it, or the run that is there was another one.
            OSError: a file cannot be written.
        """
        self.journal = journal
        self.finished = False
        self._path = Path(to) if isinstance(to, str | os.PathLike) else None
        self._journal_path = self._find_journal(resume)
        self._waiting: list[str] = []
        self._unsaved_bytes = 0
        self._saved_at = time.monotonic()
        self._errors: BinaryIO | None = None
        if self._path is None:
            assert not isinstance(to, str | os.PathLike)
            self._file: BinaryIO = to
        else:
            self._file = self._open(self._path, resume=bool(resume), overwrite=overwrite)
        try:
            if errors is not None and not self.finished:
                self._errors = self._open_errors(Path(errors))
        except BaseException:
            self.close()
            raise
        indexed = "indexed" in journal.layout
        self._lines: JsonLines | CsvLines = (
            CsvLines(indexed=indexed, columns=self.journal.columns)
            if journal.layout.startswith("csv")
            else JsonLines(indexed=indexed)
        )

    @property
    def resumable(self) -> bool:
        """Whether there is a journal."""
        return self._journal_path is not None

    def write(self, arrival: Arrival, failures: dict[int, RecordFailed]) -> None:
        """Write the outputs of a chunk, and its failures; they count as a whole."""
        data = self._lines.render(arrival, failures)
        told = b""
        if self._errors is not None and failures:
            told = b"".join(
                encode({"index": one.index, "input": one.input, "errors": one.errors}) + b"\n"
                for one in failures.values()
            )
            self._errors.write(told)
        self._file.write(data)
        # One assignment, so that Ctrl-C leaves a journal of before or of after.
        self.journal = self.journal.after(
            arrival.cut.start,
            arrival.cut.records,
            output_bytes=self.journal.output_bytes + len(data),
            errors_bytes=self.journal.errors_bytes + len(told),
            failed=self.journal.failed + len(failures),
            columns=self._lines.columns if isinstance(self._lines, CsvLines) else None,
        )
        self._unsaved_bytes += len(data)
        self._waiting.append(arrival.cut.id)

    def goes_to(self, pipeline_id: str) -> None:
        """Note in the journal where the records are."""
        self.journal = msgspec.structs.replace(self.journal, pipeline_id=pipeline_id)
        self.checkpoint()

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        passed_s = time.monotonic() - self._saved_at
        return passed_s > _CHECKPOINT_S or self._unsaved_bytes > _CHECKPOINT_BYTES

    def checkpoint(self) -> list[str]:
        """Bring everything to the disk; return the chunks that the server need not keep now."""
        for file in (self._file, self._errors):
            if file is not None:
                file.flush()
                if self._path is not None:
                    os.fsync(file.fileno())
        if self._journal_path is not None:
            _journal.write(self._journal_path, self.journal)
        self._unsaved_bytes = 0
        self._saved_at = time.monotonic()
        safe, self._waiting = self._waiting, []
        return safe

    def complete(self) -> None:
        """Remove the journal: the output has everything."""
        if self._journal_path is not None:
            _journal.remove(self._journal_path)
            self._journal_path = None

    def close(self) -> None:
        """Close the files that were opened here."""
        if self._path is not None:
            self._file.close()
        if self._errors is not None:
            self._errors.close()

    def _find_journal(self, resume: bool | FilePath) -> Path | None:
        if self._path is None:
            if resume:
                raise InvalidRequest("An output that is no file cannot be resumed. Give a path.")
            return None
        if isinstance(resume, bool):
            return self._path.with_name(self._path.name + ".journal")
        return Path(resume)

    def _open(self, path: Path, *, resume: bool, overwrite: bool) -> BinaryIO:
        """Open the output, cut off at what its journal says, and lock it."""
        assert self._journal_path is not None
        if path.exists() and not path.is_file():
            # Such as /dev/null or a named pipe: nothing to resume there.
            self._journal_path = None
            return path.open("wb")
        present = path.exists()
        # Locked before anything is changed: another program may be at it.
        file = self._locked(path) if present else None
        try:
            self._settle(path, self._journal_path, present, resume=resume, overwrite=overwrite)
            file = file or self._locked(path)
            if not self.finished:
                _cut_off(file, self.journal.output_bytes, path)
                _journal.sync_directory(path)
        except BaseException:
            if file is not None:
                file.close()
            raise
        return file

    def _settle(
        self, path: Path, journal_path: Path, present: bool, *, resume: bool, overwrite: bool
    ) -> None:
        """Decide between beginning, going on and doing nothing."""
        found = None if overwrite else _journal.read(journal_path)
        if present and not resume and not overwrite:
            what = "the output of an interrupted run" if found is not None else "a file"
            raise Conflict(
                f"{path} is there already, {what}. Resume it, overwrite it, or name another output.",
                details={"path": str(path), "resumable": found is not None},
            )
        if found is not None:
            found.check(self.journal)
            self.journal = found
        elif present and not overwrite:
            self.finished = True
        else:
            # The journal comes first: an output without one is a complete one.
            _journal.write(journal_path, self.journal)

    def _locked(self, path: Path) -> BinaryIO:
        file = path.open("r+b" if path.exists() else "w+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise Conflict(
                f"Another program writes {path} just now. Wait for its end, or name another output."
            ) from error
        return file

    def _open_errors(self, path: Path) -> BinaryIO:
        file = path.open("r+b" if path.exists() else "w+b")
        _cut_off(file, self.journal.errors_bytes, path)
        return file


def _cut_off(file: Any, size_bytes: int, path: Path) -> None:
    if file.seek(0, os.SEEK_END) < size_bytes:
        raise Conflict(
            f"{path} is shorter than its journal says ({size_bytes} bytes), so the run cannot be "
            "resumed. Restore it, or begin anew by removing the output and its journal."
        )
    file.truncate(size_bytes)
    file.seek(size_bytes)

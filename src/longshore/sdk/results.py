"""The results of a run, and their form as rows or as a data frame."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from longshore.errors import ConfigurationError
from longshore.wire.apps import RunStatus
from longshore.wire.results import ResultDocument, ResultField, ResultFile, Results

Row: TypeAlias = "dict[str, str | int | None]"
_OWN_COLUMNS = ("file", "document", "error")


@dataclass(frozen=True, slots=True)
class RunResults:
    """The results of a run, all pages of them; iterating gives the files.

    A file has `original_file_name`, `error_msg` and `documents`; a document has `class_name` and
    `fields`; a field has `field_name`, `value` (text or None), `error_msg` and what was asked for
    besides (`confidence`, `source_coordinates`, `validations`, `edit_history`).

    Attributes:
        run_id: the run.
        status: where the run stood when the results were read.
        message: how the run ended, in words.
        files: one entry per file of the run, in the order of the run.
        review_completed: False while a field waits for a person's review.
    """

    run_id: str
    status: RunStatus
    message: str | None
    files: tuple[ResultFile, ...]
    review_completed: bool

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __iter__(self) -> Iterator[ResultFile]:
        """Go through the files."""
        return iter(self.files)

    def __getitem__(self, index: int) -> ResultFile:
        """Return the file at `index`."""
        return self.files[index]

    def documents(self) -> Iterator[tuple[ResultFile, ResultDocument]]:
        """Go through all documents, each with its file."""
        for file in self.files:
            for document in file.documents:
                yield file, document

    def fields(self) -> Iterator[tuple[ResultFile, ResultDocument, ResultField]]:
        """Go through all fields, each with its document and file."""
        for file, document in self.documents():
            for field in document.fields:
                yield file, document, field

    def errors(self) -> dict[str, str]:
        """Return why files have no results: file name to reason; empty when all have."""
        return {file.original_file_name: file.error_msg for file in self.files if file.error_msg}

    def to_rows(self) -> list[Row]:
        """Return one dictionary per document, all with the same keys.

        The keys are `file`, `document` (index of the document in its file, from 0), `error`
        (where any file has one; such a file has a row of its own with `document` None), and one
        per field, in the order of first appearance. What a document lacks is None. A field that
        occurs again in one document gets a number (`item`, `item_2`); a field that is named like
        one of the first three keys is written `field_file` and so on.
        """
        rows: list[Row] = []
        for file in self.files:
            rows.extend(_rows_of(file))
        first = ["file", "document", *(["error"] if self.errors() else [])]
        columns = dict.fromkeys([*first, *(name for row in rows for name in row)])
        return [{name: row.get(name) for name in columns} for row in rows]

    def to_frame(self) -> Any:
        """Return `to_rows()` as a pandas.DataFrame; it has the columns even without rows.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "to_frame() needs pandas, which is not installed. Install it with "
                "`pip install 'longshore[pandas]'`, or use to_rows()."
            ) from error
        rows = self.to_rows()
        return pandas.DataFrame(rows, columns=list(rows[0]) if rows else ["file", "document"])


def joined(pages: list[Results]) -> RunResults:
    """Put the pages of one run's results together; there is at least one page."""
    last = pages[-1]
    return RunResults(
        run_id=last.id,
        status=last.status,
        message=last.message,
        files=tuple(file for page in pages for file in page.files),
        review_completed=all(page.review_completed for page in pages),
    )


def _rows_of(file: ResultFile) -> Iterator[Row]:
    name = file.original_file_name
    if file.error_msg:
        yield {"file": name, "document": None, "error": file.error_msg}
        return
    for index, document in enumerate(file.documents):
        row: Row = {"file": name, "document": index}
        for field in document.fields:
            row[_free_column(field.field_name, row)] = field.value
        yield row


def _free_column(field_name: str, row: Row) -> str:
    column = f"field_{field_name}" if field_name in _OWN_COLUMNS else field_name
    number, free = 1, column
    while free in row:
        number += 1
        free = f"{column}_{number}"
    return free

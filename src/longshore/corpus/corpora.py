"""Exports of the worker's corpus: SQLite files with all that is in it, or in one dataset."""

from __future__ import annotations

import shutil
import tempfile
from enum import Enum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import stamina

from longshore.corpus import checks
from longshore.corpus.client import ErrorResponse
from longshore.corpus.mixin import WorkerMixin, logger

EXPORT_WAIT_S: Final = 3 * 3600.0
"""Longest that an export is waited for."""

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0

_REUSABLE: Final = frozenset({"running_export", "existing_export"})
"""Codes of the refusal to start an export because there is one that serves as well."""


class CorpusExportState(Enum):
    """How far an export is."""

    Created = "created"
    """It waits to be built."""

    Running = "running"
    """It is being built."""

    Failed = "failed"
    """Building it has failed."""

    Done = "done"
    """It can be downloaded."""


class ExportNotFinishedError(Exception):
    """An export is still being built."""


class FailedExportError(Exception):
    """Building an export has failed."""


class CorpusMixin(WorkerMixin):
    """Helpers for exports."""

    def list_exports(self, dataset_id: UUID | None = None) -> list[dict[str, Any]]:
        """List the exports of the corpus, or of one dataset, the newest first.

        Raises:
            AssertionError: the id is no UUID.
        """
        found = self.api_client.paginate(
            "ListExports", id=self.corpus_id, **_dataset_query(dataset_id)
        )
        return sorted(found, key=_age, reverse=True)

    def start_export(self, dataset_id: UUID | None = None) -> str | None:
        """Start an export of the corpus, or of one dataset, and return its id.

        Where there is one already that serves as well, that is returned.

        Returns:
            The id of the export; None in read-only mode.

        Raises:
            AssertionError: the id is no UUID.
            ErrorResponse: the API refused the export.
        """
        body = _dataset_query(dataset_id)
        if not self.may_write("start export"):
            return None
        try:
            export = self.api_client.request("StartExport", id=self.corpus_id, body=body)
        except ErrorResponse as error:
            code, detail = _first_error(error)
            if code not in _REUSABLE:
                raise
            logger.warning("%s Using the existing export.", detail)
            return str(self.list_exports(dataset_id)[0]["id"])
        return str(export["id"])

    def check_export_status(self, export_id: str, dataset_id: UUID | None = None) -> None:
        """Wait until an export is done, for three hours at most.

        Raises:
            ExportNotFinishedError: it is still not done.
            FailedExportError: building it has failed.
        """
        for attempt in stamina.retry_context(
            on=ExportNotFinishedError,
            attempts=None,
            timeout=EXPORT_WAIT_S,
            wait_initial=FIRST_PAUSE_S,
            wait_max=LONGEST_PAUSE_S,
        ):
            with attempt:
                self._check_export_done(export_id, dataset_id)

    def get_export(self, export_id: str, dataset_id: UUID | None = None) -> Path:
        """Wait for an export and download it.

        Returns:
            The file; it is the caller's to delete.

        Raises:
            ExportNotFinishedError: it is not done after three hours.
            FailedExportError: building it has failed.
        """
        try:
            self.check_export_status(export_id, dataset_id)
        except (ExportNotFinishedError, FailedExportError) as error:
            logger.error("%s", error)
            raise
        with (
            self.download_export(export_id) as source,
            tempfile.NamedTemporaryFile(
                prefix="longshore-export-", suffix=".sqlite", delete=False
            ) as target,
        ):
            shutil.copyfileobj(source, target)
        return Path(target.name)

    def download_export(self, export_id: str) -> Any:
        """Download an export into a temporary file, which is returned open for reading.

        Raises:
            ValueError: the id is no UUID.
        """
        checks.uuid(export_id, "export_id")
        logger.info("Downloading export (%s)...", export_id)
        export = self.api_client.request("DownloadExport", id=export_id)
        logger.info("Downloaded export (%s) @ `%s`", export_id, export.name)
        return export

    def download_latest_export(self) -> Any:
        """Download the newest export of the corpus that is done, as `download_export` does.

        Raises:
            AssertionError: there is none.
        """
        done = [one for one in self.list_exports() if one["state"] == CorpusExportState.Done.value]
        checks.check(
            done, f"corpus {self.corpus_id} has no export that is done; start one and wait for it"
        )
        return self.download_export(done[0]["id"])

    def _check_export_done(self, export_id: str, dataset_id: UUID | None) -> None:
        """Raise unless an export is done; one that is not listed has been told to be there."""
        for export in self.list_exports(dataset_id):
            if export["id"] != export_id or export["state"] == CorpusExportState.Done.value:
                continue
            if export["state"] == CorpusExportState.Failed.value:
                raise FailedExportError(f"Export {export_id} has failed; start another one.")
            raise ExportNotFinishedError(
                f"Export {export_id} is still {export['state']}; try again when it is done."
            )


def _dataset_query(dataset_id: UUID | None) -> dict[str, str]:
    if dataset_id is None:
        return {}
    checks.instance(dataset_id, "dataset_id", UUID)
    return {"dataset_id": str(dataset_id)}


def _age(export: dict[str, Any]) -> str:
    """Return what exports are sorted by: when they were made, or at least last changed."""
    return str(export.get("created") or export["updated"])


def _first_error(error: ErrorResponse) -> tuple[str | None, str]:
    """Return code and text of the first error in an answer of the API's form for them."""
    content = error.content
    errors = content.get("errors") if isinstance(content, dict) else None
    if not errors:
        return None, ""
    return errors[0].get("code"), errors[0].get("detail", "")

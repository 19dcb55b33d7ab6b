"""The base class of workers that go through sets of datasets."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from longshore.corpus.base import BaseWorker
from longshore.corpus.checks import check
from longshore.corpus.client import ErrorResponse
from longshore.corpus.corpora import CorpusMixin
from longshore.corpus.datasets import DatasetMixin, DatasetState, MissingDatasetArchive
from longshore.corpus.embeddings import EmbeddingMixin
from longshore.corpus.models import Dataset, Set
from longshore.corpus.running import Tally, finish
from longshore.corpus.stopping import stopping
from longshore.corpus.tasks import TaskMixin

logger = logging.getLogger("longshore.corpus")


class DatasetWorker(CorpusMixin, DatasetMixin, BaseWorker, TaskMixin, EmbeddingMixin):
    """Goes through sets of datasets, and calls `process_set` with each of them.

    Attributes:
        downloaded_dataset_artifact: archive of the dataset at hand (images and an SQLite
            database), if it was downloaded for this run; it is removed at the end.
    """

    uses_exports: ClassVar[bool] = False
    """Whether datasets come as exports, not as archives: then `set.dataset.downloaded_export` is
    the path of an SQLite file, which is removed at the end, and datasets need not be complete."""

    def __init__(
        self, description: str = "Longshore Dataset Worker", support_cache: bool = False
    ) -> None:
        """Read the environment; see BaseWorker."""
        super().__init__(description, support_cache)
        self.downloaded_dataset_artifact: Path | None = None

    def cleanup_downloaded_artifact(self) -> None:
        """Remove the archive that was downloaded last, if there is one."""
        if self.downloaded_dataset_artifact is not None:
            self.downloaded_dataset_artifact.unlink(missing_ok=True)
            self.downloaded_dataset_artifact = None

    def download_dataset_artifact(self, dataset: Dataset) -> None:
        """Download the archive of a dataset into the directory of extra files, if it is not there.

        Raises:
            MissingDatasetArchive: the task that built the dataset has no such artifact.
            ValueError: no task has built the dataset.
        """
        archive = self.find_extras_directory() / dataset.filepath
        if archive.exists():
            return
        self.cleanup_downloaded_artifact()
        logger.info("Downloading artifact for %s", dataset)
        task_id = UUID(str(dataset.task_id))
        artifact = next(
            (one for one in self.list_artifacts(task_id) if one.path == dataset.filepath), None
        )
        if artifact is None:
            raise MissingDatasetArchive("The dataset compressed archive artifact was not found.")
        # So that a download that breaks off leaves nothing that looks whole.
        partial = archive.with_name(f"{archive.name}.part")
        with self.download_artifact(task_id, artifact) as source, partial.open("wb") as target:
            shutil.copyfileobj(source, target)
        partial.rename(archive)
        self.downloaded_dataset_artifact = archive

    def start_dataset_exports(self, sets: list[Set]) -> None:
        """Start an export of each dataset, once."""
        exports: dict[str, str | None] = {}
        for dataset in (one.dataset for one in sets):
            if dataset.id not in exports:
                self._corpus_id = dataset.corpus_id
                exports[dataset.id] = self.start_export(dataset_id=UUID(dataset.id))
            dataset["export_id"] = exports[dataset.id]

    def process_set(self, set: Set) -> None:  # noqa: A002 - the name of the worker protocol
        """Override this to work on one set of a dataset.

        Args:
            set: the set; its elements are those of `self.list_set_elements(set)`.
        """

    def run(self) -> None:
        """Work on all sets.

        Exits with 1 when there are none or all have failed; a set that fails is logged, and the
        others go on. SIGTERM and Ctrl-C end the run after the set it is at.
        """
        self.configure()
        sets = list(self.list_sets())
        if not sets:
            finish(Tally(0), "set")
        if self.uses_exports:
            self.start_dataset_exports(sets)
        tally = Tally(len(sets))
        with stopping() as stop:
            try:
                self.setup()
                for index, one in enumerate(sets, start=1):
                    tally.failed += not self._succeeds(one, f"({index}/{len(sets)})")
                    tally.seen += 1
                    if stop:
                        break
            finally:
                self.cleanup_downloaded_artifact()
                self._remove_exports()
                self.cleanup()
            finish(tally, "set", stopped=bool(stop))

    def _succeeds(self, dataset_set: Set, place: str) -> bool:
        try:
            logger.info("Retrieving data for %s %s", dataset_set, place)
            self._fetch(dataset_set)
            logger.info("Processing %s %s", dataset_set, place)
            self.process_set(dataset_set)
        except Exception as error:
            trace: Any = error if self.args.verbose else None
            if isinstance(error, ErrorResponse):
                logger.warning(
                    "An API error occurred while processing %s: %s - %s",
                    *(dataset_set, error.title, error.content),
                    exc_info=trace,
                )
            else:
                logger.warning(
                    "Failed running worker on %s: %r", *(dataset_set, error), exc_info=trace
                )
            return False
        return True

    def _remove_exports(self) -> None:
        for dataset in self.datasets.values():
            if "downloaded_export" in dataset:
                dataset.downloaded_export.unlink(missing_ok=True)

    def _fetch(self, dataset_set: Set) -> None:
        dataset = dataset_set.dataset
        if not self.uses_exports:
            check(
                dataset.state == DatasetState.Complete.value,
                "When processing a set, its dataset state should be Complete.",
            )
            self.download_dataset_artifact(Dataset(dataset))
            return
        known = self.datasets.setdefault(UUID(dataset.id), dataset)
        if "downloaded_export" not in known:
            self._corpus_id = dataset.corpus_id
            known["downloaded_export"] = self.get_export(
                dataset.export_id, dataset_id=UUID(dataset.id)
            )
        dataset["downloaded_export"] = known.downloaded_export

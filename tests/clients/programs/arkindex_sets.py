"""A worker over sets of datasets, as its author wrote it for the published library."""

import json
import sqlite3
import sys
import tempfile
from pathlib import Path

from arkindex_worker.utils import extract_tar_zst_archive
from arkindex_worker.worker import DatasetWorker


class Counter(DatasetWorker):
    def process_set(self, dataset_set):
        names = sorted(element.name for element in self.list_set_elements(dataset_set))
        print("set", json.dumps([dataset_set.name, names]))
        export = getattr(dataset_set.dataset, "downloaded_export", None)
        if export is None:
            folder = Path(tempfile.mkdtemp())
            extract_tar_zst_archive(self.downloaded_dataset_artifact, folder)
            files = [path for path in folder.rglob("*") if path.is_file()]
            (database,) = (path for path in files if path.suffix == ".sqlite")
            print("images", json.dumps(len(files) - 1))
            tables = ("elements", "transcriptions", "dataset_elements")
        else:
            database, tables = export, ("element", "transcription", "dataset_element")
        with sqlite3.connect(database) as connection:
            counts = {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in tables
            }
        print("counts", json.dumps(list(counts.values())))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    Counter(description="Counter").run()

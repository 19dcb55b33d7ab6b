"""A worker that publishes a model, and leaves a report, as its author wrote it."""

import json
import os
import sys
import tempfile
from pathlib import Path

from arkindex_worker.worker import ElementsWorker
from arkindex_worker.worker.training import TrainingMixin


class Trainer(ElementsWorker, TrainingMixin):
    def process_element(self, element):
        folder = Path(tempfile.mkdtemp())
        (folder / "weights.bin").write_bytes(os.urandom(100_000))
        (folder / "labels.txt").write_text("a b c")
        self.publish_model_version(
            model_path=folder,
            model_id=self.config["model"],
            tag=f"of {element.name}",
            description="by a test",
            configuration={"layers": 3},
        )
        print("published", json.dumps(self.model_version["id"]))
        (self.work_dir / "reports").mkdir(exist_ok=True)
        report = self.work_dir / "reports" / f"{element.id}.bin"
        report.write_bytes(b"report of " + element.name.encode())
        if hasattr(self, "upload_artifact"):
            self.upload_artifact(report)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    Trainer(description="Trainer").run()

"""A worker that takes its time for each element, and says when it has begun with one."""

import os
import sys
import time
from pathlib import Path

from arkindex_worker.worker import ElementsWorker


class Slow(ElementsWorker):
    def process_element(self, element):
        gate = Path(os.environ["GATE"])
        (gate / f"begun-{os.getpid()}-{element.name}").touch()
        while not (gate / "open").exists():
            time.sleep(0.02)
        self.create_transcription(element, f"text of {element.name}", 0.5)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    Slow(description="Slow").run()

"""Two workers in one that hand elements and texts on in the cache of the published 0.4."""

import json
import sys

from arkindex_worker.worker import ElementsWorker


class Cached(ElementsWorker):
    def process_element(self, element):
        print("kind", json.dumps(type(element).__name__))
        earlier = [
            each["text"] if isinstance(each, dict) else each.text
            for each in self.list_transcriptions(element)
        ]
        print("earlier", json.dumps(earlier))
        self.create_transcription(element, f"reading {len(earlier) + 1}", 0.5)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    Cached(description="Cached", support_cache=True).run()

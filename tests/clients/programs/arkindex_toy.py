"""A small worker as its author wrote it for the published library; both versions run it."""

import json
import os
import sys

from arkindex_worker.worker import ElementsWorker


class Toy(ElementsWorker):
    def add_arguments(self):
        super().add_arguments()
        self.parser.add_argument("--fail", nargs="*", default=[])
        self.parser.add_argument("--deep", action="store_true")

    def process_element(self, element):
        if element.name in self.args.fail:
            raise ValueError(f"cannot read {element.name}")
        print("config", json.dumps(self.config, sort_keys=True))
        print("secrets", json.dumps(self.secrets, sort_keys=True))
        self.create_classification(element, "letter", 0.9)
        self.create_transcription(element, f"text of {element.name}", 0.8)
        if self.args.deep:
            self.go_deeper(element)

    def go_deeper(self, element):
        square = [[0, 0], [50, 0], [50, 40], [0, 40], [0, 0]]
        lines = [
            {"name": str(number), "type": "text_line", "polygon": [[x + number, y] for x, y in square]}
            for number in range(3)
        ]
        made = self.create_elements(element, lines)
        print("children", json.dumps([each["id"] for each in made]))
        self.create_transcriptions(
            [
                {"element_id": each["id"], "text": f"line {number}", "confidence": 0.5}
                for number, each in enumerate(made)
            ]
        )
        self.create_classifications(
            element,
            [{"ml_class": "old", "confidence": 0.25}, {"ml_class": "torn", "confidence": 0.5}],
        )
        zones = self.create_element_transcriptions(
            element,
            "text_line",
            [{"polygon": [[0, 50], [60, 50], [60, 70], [0, 70]], "text": "a zone", "confidence": 0.75}],
        )
        print("zones", json.dumps(zones))
        self.create_metadata(element, *self.meta("text", "place", "Rouen"))
        listed = list(self.list_element_children(element, type="text_line"))
        print("listed", len(listed))
        texts = list(self.list_transcriptions(element, recursive=True))
        print("texts", json.dumps(sorted(each["text"] for each in texts)))
        print("image", element.open_image().size)

    def meta(self, kind, name, value):
        from arkindex_worker.worker import MetaType

        return MetaType(kind), name, value


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    Toy(description=os.environ.get("TOY_NAME", "Toy")).run()

"""The elements worker of `longshore demo all`; a worker loads this file."""

from __future__ import annotations

import time
from typing import Any

import longshore
from longshore.corpus import ElementsWorker


@longshore.elements_worker(
    "demo-reader",
    version="1",
    name="Demo reader",
    description="Says what an element is, from its name.",
    configuration={
        "user_configuration": {
            "pause_s": {"title": "Seconds for each element", "type": "float", "default": 0.0},
        }
    },
)
class DemoReader(ElementsWorker):
    """Classifies elements by their names, and refuses those whose name says that they are blank."""

    def process_element(self, element: Any) -> None:
        """Say what the element is."""
        time.sleep(float(self.config["pause_s"]))
        if "blank" in element.name:
            raise ValueError(f"{element.name} has nothing on it")
        kind = "heading" if element.name.endswith(" 1") else "text"
        self.create_classification(element, kind, 0.5 + 0.1 * (len(element.name) % 5))

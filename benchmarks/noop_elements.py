"""An elements worker that does nothing, so that what is measured is all around it."""

from __future__ import annotations

from typing import Any

import longshore
from longshore.corpus import ElementsWorker

BATCH = 100


@longshore.elements_worker(
    "noop",
    configuration={
        # Another value is another configuration, for which every element is to be processed again.
        "user_configuration": {"round": {"title": "Round", "type": "int", "default": 0}}
    },
)
class Noop(ElementsWorker):
    """Takes elements in batches, and does nothing with them."""

    batch_size = BATCH

    def process_elements(self, elements: list[Any]) -> None:
        """Do nothing."""

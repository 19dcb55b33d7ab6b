"""The elements workers of the acceptance tests, loaded by real workers.

Where their configuration names a log, a line goes there for each element that is begun: the
element's id and the id of the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import longshore
from longshore.corpus import ElementsWorker

NAP_S = 0.02
_pause = threading.Event()
_LOG = {"title": "Log", "type": "string", "default": ""}


class _Noting(ElementsWorker):
    def note(self, element: Any) -> None:
        if self.config["log"]:
            with Path(self.config["log"]).open("a", encoding="utf-8") as file:
                file.write(f"{element.id} {os.getpid()}\n")


@longshore.elements_worker(
    "namer",
    attempts_max=100,
    configuration={
        "user_configuration": {
            "log": _LOG,
            "nap_s": {"title": "Seconds for an element", "type": "float", "default": NAP_S},
        }
    },
)
class Namer(_Noting):
    """Writes a text onto each element, after a while in which it can be killed."""

    def process_element(self, element: Any) -> None:
        """Write the text without a look at what is there: what it repeats is stored once."""
        self.note(element)
        _pause.wait(self.config["nap_s"])
        self.create_transcription(element, f"text of {element.id}", 0.9)


@longshore.elements_worker(
    "gate",
    configuration={
        "user_configuration": {
            "log": _LOG,
            "marker": {"title": "File to wait for", "type": "string", "required": True},
        }
    },
)
class Gate(_Noting):
    """Waits for a marker, and starts a grandchild meanwhile; then writes a text."""

    def process_element(self, element: Any) -> None:
        """Wait, then write."""
        marker = Path(self.config["marker"])
        if not marker.exists():
            self.note(element)
            subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
            while not marker.exists():
                _pause.wait(NAP_S)
        self.create_transcription(element, f"text of {element.id}", 0.9)

"""The passes of processes."""

from __future__ import annotations

from typing import Final

from longshore.edge.jobs import Handler, Pass
from longshore.surfaces.corpus import tasks

HANDLERS: Final[dict[str, Handler]] = {}
PASSES: Final[dict[str, Pass]] = {"corpus.activities": tasks.sweep}

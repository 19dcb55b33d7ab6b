"""The job and the pass of processes."""

from __future__ import annotations

from typing import Final

from longshore.edge.jobs import Handler, Pass
from longshore.surfaces.corpus import process_cache, tasks

HANDLERS: Final[dict[str, Handler]] = {process_cache.JOB: process_cache.init}
PASSES: Final[dict[str, Pass]] = {"corpus.activities": tasks.sweep}

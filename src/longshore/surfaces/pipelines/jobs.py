"""The jobs of this surface that the server runs itself, and its regular passes."""

from __future__ import annotations

from typing import Final

from longshore.edge.jobs import Handler, Pass
from longshore.surfaces.pipelines import ending, executing, pulling

HANDLERS: Final[dict[str, Handler]] = {ending.JOB: ending.delete_all}

PASSES: Final[dict[str, Pass]] = {
    "pipelines.idle": ending.close_idle,
    "pipelines.delivered": pulling.expire,
    "pipelines.executions": executing.sweep,
    "pipelines.old": ending.delete_old,
}

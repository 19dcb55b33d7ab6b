"""The jobs of this surface that the server runs itself, and its regular passes."""

from __future__ import annotations

from typing import Final

from longshore.edge.jobs import Handler, Pass
from longshore.surfaces.buckets import actions, archiving, retries, slack, webhooks

HANDLERS: Final[dict[str, Handler]] = {
    actions.JOB: actions.act,
    webhooks.DELIVER: webhooks.deliver,
    slack.TELL: slack.tell,
}

PASSES: Final[dict[str, Pass]] = {
    "buckets.archive": archiving.sweep,
    "buckets.retries": retries.expire,
}

"""Starts a server whose updates have no fence: whoever reports on a work is believed.

The control of the soak: against this server it must find works that were done twice.
"""

from __future__ import annotations

from longshore.cli.main import main
from longshore.engine.states import State
from longshore.surfaces.buckets import updating
from longshore.surfaces.buckets.documents import Kept
from longshore.surfaces.buckets.updating import Act
from longshore.wire.buckets import WorkPayload


def believe(work: Kept, payload: WorkPayload) -> Act:
    """Let any update pass, as a server does that only replaces documents."""
    ends = {"success": Act.SUCCEED, "failure": Act.FAIL, "queued": Act.HAND_BACK}
    if work.state is State.RUNNING:
        return ends.get(payload.status, Act.EDIT)
    return Act.EDIT


updating.judge = believe

if __name__ == "__main__":
    main()

"""What surfaces and server do with works, in one place to import from."""

from __future__ import annotations

from longshore.engine.amendments import Amendment, amend, move
from longshore.engine.cancellation import (
    Cancelled,
    cancel,
    cancel_group,
    discard,
    forget,
    reopen,
)
from longshore.engine.claims import Lease, Lost, claim, claimable, renew
from longshore.engine.endings import Ending, expire_given, finish, retry_given
from longshore.engine.holding import Hold, hold, release
from longshore.engine.reading import (
    Event,
    Output,
    Work,
    get,
    get_many,
    of_group,
    organisation_of,
    outputs,
    payload,
)
from longshore.engine.reading import history as events
from longshore.engine.states import Outcome, Reason, State
from longshore.engine.submission import NewWork, Submitted, submit

__all__ = [
    "Amendment",
    "Cancelled",
    "Ending",
    "Event",
    "Hold",
    "Lease",
    "Lost",
    "NewWork",
    "Outcome",
    "Output",
    "Reason",
    "State",
    "Submitted",
    "Work",
    "amend",
    "cancel",
    "cancel_group",
    "claim",
    "claimable",
    "discard",
    "events",
    "expire_given",
    "finish",
    "forget",
    "get",
    "get_many",
    "hold",
    "move",
    "of_group",
    "organisation_of",
    "outputs",
    "payload",
    "release",
    "renew",
    "reopen",
    "retry_given",
    "submit",
]

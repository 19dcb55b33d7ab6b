"""What surfaces and server do with works, in one place to import from."""

from __future__ import annotations

from longshore.engine.cancellation import Cancelled, cancel, cancel_group, forget, reopen
from longshore.engine.claims import Lease, Lost, claim, claimable, renew
from longshore.engine.endings import Ending, finish
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
    "Cancelled",
    "Ending",
    "Event",
    "Lease",
    "Lost",
    "NewWork",
    "Outcome",
    "Output",
    "Reason",
    "State",
    "Submitted",
    "Work",
    "cancel",
    "cancel_group",
    "claim",
    "claimable",
    "events",
    "finish",
    "forget",
    "get",
    "get_many",
    "of_group",
    "organisation_of",
    "outputs",
    "payload",
    "renew",
    "reopen",
    "submit",
]

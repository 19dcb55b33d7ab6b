"""The scripts surface: workflows of scripts over hosts, started by events, schedules and flags.

Its nouns and the engine's:

| here | engine |
|---|---|
| host | queue of surface "scripts"; its steps wait in it for `longshore worker --host` |
| run of a workflow (an action, where an event started it) | group of the works of its steps |
| step of a run, once it is ready | work of its host's queue |
| throttle of a host | the queue's `concurrency_max` |
| place on the critical path | the work's priority |

A step that waits for others is no work yet: what it waits for (other steps, conditions, a hold, a
flag, a concurrency key) is looked at whenever one of them changes, in the transaction of that
change, and a step that has become ready is submitted there and then.

The facts of the protocol are those of the `cawbs` contract; an environment is an organisation.
"""

from __future__ import annotations

from typing import Final

SURFACE: Final = "scripts"
"""Surface of the queues of hosts."""
HELD: Final = "scripts held"
"""Surface of the queues, one for each host, in which ready steps lie that are on hold."""

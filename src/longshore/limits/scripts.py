"""Script workflows, their steps and schedules."""

from __future__ import annotations

from typing import Final

from longshore.limits.units import MIB

WORKFLOW_BYTES: Final = 1 * MIB
"""Longest file of a workflow."""

WORKFLOW_STEPS: Final = 1_000
"""Most steps of a run, instances of matrices included."""

STEP_PAYLOAD_BYTES: Final = 1 * MIB
"""Longest payload of an event or a step, as JSON."""

STEP_PAYLOAD_VALUES: Final = 200
"""So many values of a step's payload are there to be searched by."""

STEP_LOSSES: Final = 10
"""How often a step may be lost with the worker that runs it, besides its own retries."""

ACCESS_CODE_S: Final = 60.0
"""How long a step has for its Init, in seconds, unless LONGSHORE_ACCESS_CODE_S says otherwise."""

KEYSTORE_KEYS_PER_READ: Final = 100
"""Most entries of the keystore that one call reads."""

BACKFILL_RUNS: Final = 1_000
"""Most runs that one backfill starts."""

WORKFLOW_DEPTH: Final = 30
"""How deep the lists and mappings in the file of a workflow may be nested."""

WORKFLOW_VALUES: Final = 100_000
"""Most values in the file of a workflow, those that its aliases repeat included."""

BACKFILL_STEPS: Final = 10_000
"""Most steps of all runs that one backfill starts, before matrices are expanded."""

WORKFLOW_TRIGGERS: Final = 100
"""Most triggers of one kind (events, schedules, lists of flags, workflows) of a workflow."""

WORKFLOW_HOLIDAYS: Final = 5_000
"""Most holidays in the calendar of a workflow."""

WORKFLOW_PROBLEMS: Final = 100
"""So many faults of a workflow's file are told at once, of its form and of what it says each."""

SCHEDULE_INSTANTS: Final = 500
"""So many instants of one schedule that passed while no server ran are dealt with at once."""

SCHEDULE_LATE_S: Final = 60.0
"""An instant of a schedule that is looked at later than this was missed, in seconds."""

SCHEDULE_KEPT_S: Final = 90 * 86_400.0
"""How long it is kept what came of an instant of a schedule, in seconds."""

GUARD_RESULT_BYTES: Final = 64 * 1024
"""Longest result, as JSON, that is kept of what a step does once."""

SIMULATED_THROTTLES: Final = 200
"""Most throttles that one simulation tries."""

SIMULATED_STEPS: Final = 500_000
"""Most steps that one simulation plays through, over all of its throttles and samples."""

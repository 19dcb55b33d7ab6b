"""The tables of the scripts surface; what moves a step's work through its life is the engine's."""

from __future__ import annotations

from longshore.surfaces.scripts.tables.definitions import (
    scripts_durations,
    scripts_event_names,
    scripts_firings,
    scripts_flag_starts,
    scripts_flag_triggers,
    scripts_flags,
    scripts_followers,
    scripts_hosts,
    scripts_schedules,
    scripts_versions,
    scripts_workflows,
)
from longshore.surfaces.scripts.tables.runs import (
    scripts_attempts,
    scripts_codes,
    scripts_events,
    scripts_guards,
    scripts_inputs,
    scripts_key_holders,
    scripts_payload_values,
    scripts_payloads,
    scripts_runs,
    scripts_step_works,
    scripts_steps,
    scripts_waits,
)

__all__ = [
    "scripts_attempts",
    "scripts_codes",
    "scripts_durations",
    "scripts_event_names",
    "scripts_events",
    "scripts_firings",
    "scripts_flag_starts",
    "scripts_flag_triggers",
    "scripts_flags",
    "scripts_followers",
    "scripts_guards",
    "scripts_hosts",
    "scripts_inputs",
    "scripts_key_holders",
    "scripts_payload_values",
    "scripts_payloads",
    "scripts_runs",
    "scripts_schedules",
    "scripts_step_works",
    "scripts_steps",
    "scripts_versions",
    "scripts_waits",
    "scripts_workflows",
]

"""Workflows, their versions, and what starts their runs."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from longshore.storage.schema import Identity64, metadata

scripts_workflows = Table(
    "scripts_workflows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    # Names are compared without regard to case; SQL's lower() knows only ASCII on SQLite.
    Column("folded", Text, nullable=False),
    # The newest version: what new runs are pinned to.
    Column("version", Integer, nullable=False),
    Column("held_us", BigInteger),
    Column("held_by", Text),
    Column("held_why", Text),
    Column("retired_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "folded"),
)

scripts_versions = Table(
    "scripts_versions",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    # As it was given, comments and all, and as JSON of definition.model.Workflow.
    Column("text", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
)

# What the newest versions want to be started by; written anew with each version.
scripts_event_names = Table(
    "scripts_event_names",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("folded", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("stop_on_error", Boolean, nullable=False),
    Index("ix_scripts_event_names_workflow_id", "workflow_id"),
)

scripts_schedules = Table(
    "scripts_schedules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    # JSON of definition.model.ScheduleTrigger; the same schedule keeps its row over versions.
    Column("trigger", Text, nullable=False),
    # The next instant to be looked at; null where none follows, or the schedule is gone.
    Column("next_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("workflow_id", "trigger"),
    Index(
        "ix_scripts_schedules_next_us", "next_us",
    ),
)  # fmt: skip

# One row for each instant of a schedule that was due: that it fired, or why not.
scripts_firings = Table(
    "scripts_firings",
    metadata,
    Column("schedule_id", Text, primary_key=True),
    Column("instant_us", BigInteger, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("run_id", BigInteger),
    Column("why", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    CheckConstraint("state IN ('fired', 'missed')", name="state"),
    Index("ix_scripts_firings_workflow_id", "workflow_id", "instant_us"),
)

# Workflows that start when another one has ended.
scripts_followers = Table(
    "scripts_followers",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("followed", Text, primary_key=True),
    Column("workflow_id", Text, primary_key=True),
    Column("ended", Text, nullable=False),
    Index("ix_scripts_followers_workflow_id", "workflow_id"),
)

# Workflows that start once all flags of a list are set for a date; `flags` is JSON.
scripts_flag_triggers = Table(
    "scripts_flag_triggers",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("flags", Text, nullable=False),
    Index("ix_scripts_flag_triggers_organisation_id", "organisation_id"),
)

# That a list of flags has started a workflow for a date: it does so once.
scripts_flag_starts = Table(
    "scripts_flag_starts",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    # Of the list's JSON in scripts_flag_triggers: the list keeps it over versions.
    Column("sha256", Text, primary_key=True),
    Column("date", Text, primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

scripts_flags = Table(
    "scripts_flags",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("system_name", Text, primary_key=True),
    Column("source_system_name", Text, primary_key=True),
    Column("date", Text, primary_key=True),
    Column("set_us", BigInteger, nullable=False),
    Column("set_by", Text, nullable=False),
)

scripts_hosts = Table(
    "scripts_hosts",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("folded", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # Where its ready steps wait, and where those lie that are on hold.
    Column("queue_id", BigInteger, nullable=False, unique=True),
    Column("held_queue_id", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
)

scripts_durations = Table(
    "scripts_durations",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    # Name of the step in the definition, folded; instances of a matrix share it.
    Column("step", Text, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    # 0 is Monday, of the business date.
    Column("weekday", Integer, nullable=False),
    # Medians of the last successes up to this one: of all, and of those of its weekday, where
    # there are enough. They are asked for each time that a step is ready.
    Column("median_us", BigInteger, nullable=False),
    Column("weekday_median_us", BigInteger),
    Column("at_us", BigInteger, nullable=False),
    Index("ix_scripts_durations_workflow_id", "workflow_id", "step", "weekday", "id"),
)

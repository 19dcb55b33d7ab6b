"""Events, runs of workflows, their steps, and what steps store."""

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
    false,
    text,
)

from longshore.storage.schema import Identity64, metadata

# Ids of events and runs are numbers, since the published contract's are.
scripts_events = Table(
    "scripts_events",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text),
    Column("idempotency_key", Text),
    # SHA-256 of what the event says, to tell a repetition from another event with its key.
    Column("fingerprint", Text, nullable=False),
    # The run that it started, set in the same transaction.
    Column("run_id", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Index(
        "ix_scripts_events_key", "organisation_id", "folded", "idempotency_key", unique=True,
        sqlite_where=text("idempotency_key IS NOT NULL"),
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index("ix_scripts_events_organisation_id", "organisation_id", "id"),
)  # fmt: skip

scripts_runs = Table(
    "scripts_runs",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("group_id", Text, nullable=False, unique=True),
    Column("workflow_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # What started it, and by which event, instant of a schedule, person or run.
    Column("trigger", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("event_id", BigInteger),
    Column("event_folded", Text),
    Column("priority", Integer, nullable=False),
    Column("business_date", Text, nullable=False),
    Column("state", Text, nullable=False),
    # JSON of definition.model.Order.
    Column("ordering", Text, nullable=False),
    # JSON list of the folded names of areas on hold.
    Column("held_areas", Text, nullable=False),
    Column("held_us", BigInteger),
    Column("held_by", Text),
    Column("held_why", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    CheckConstraint(
        "trigger IN ('event', 'schedule', 'manual', 'flag', 'workflow', 'backfill')", name="trigger"
    ),
    CheckConstraint(
        "state IN ('pending', 'running', 'finished', 'failed', 'cancelled')", name="state"
    ),
    Index("ix_scripts_runs_organisation_id", "organisation_id", "id"),
    Index("ix_scripts_runs_workflow_id", "workflow_id", "id"),
    # What may start next, and what keeps it: runs of an event that are not over for good.
    Index(
        "ix_scripts_runs_event", "organisation_id", "event_folded", "state", "id",
        sqlite_where=text("event_folded IS NOT NULL"),
        postgresql_where=text("event_folded IS NOT NULL"),
    ),
    Index(
        "ix_scripts_runs_open", "state", "id",
        sqlite_where=text("finished_us IS NULL"), postgresql_where=text("finished_us IS NULL"),
    ),
)  # fmt: skip

# What a run was started with (the payload of its event), as JSON text.
scripts_inputs = Table(
    "scripts_inputs",
    metadata,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),
)

scripts_steps = Table(
    "scripts_steps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Column("organisation_id", Text, nullable=False),
    # Name in this run, such as load or load[eu,1], and the step of the definition that it is of.
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("definition", Text, nullable=False),
    # 'step', or 'matrix' for the one that stands for all instances of a matrix and has no work.
    Column("kind", Text, nullable=False),
    # Of an instance of a matrix: the step that stands for all, and its values as JSON.
    Column("parent_id", Text),
    Column("matrix", Text),
    Column("position", Integer, nullable=False),
    Column("area", Text, nullable=False),
    # Where it runs now; its definition may name others.
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Why it is where it is, in words for people.
    Column("why", Text, nullable=False),
    Column("forced", Boolean, nullable=False, server_default=false()),
    Column("held_us", BigInteger),
    Column("held_by", Text),
    Column("held_why", Text),
    # The work that runs it, while it is active and afterwards.
    Column("work_id", Text),
    # Attempts of the works that it had before.
    Column("attempts_before", Integer, nullable=False, server_default=text("0")),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    CheckConstraint("kind IN ('step', 'matrix')", name="kind"),
    CheckConstraint(
        "state IN ('waiting', 'active', 'finished', 'failed', 'skipped', 'cancelled')", name="state"
    ),
    CheckConstraint("state <> 'active' OR work_id IS NOT NULL OR kind = 'matrix'", name="work"),
    UniqueConstraint("run_id", "folded"),
    Index("ix_scripts_steps_work_id", "work_id"),
    # What lies with the engine: looked through by a regular pass.
    Index(
        "ix_scripts_steps_active", "id",
        sqlite_where=text("state = 'active'"), postgresql_where=text("state = 'active'"),
    ),
)  # fmt: skip

# Who has a place under a concurrency key: from when the step is ready until it has ended.
scripts_key_holders = Table(
    "scripts_key_holders",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Index("ix_scripts_key_holders_run_id", "run_id"),
    Index("ix_scripts_key_holders_step_id", "step_id"),
)

# What steps wait for that is outside of their run: concurrency keys and flags. Written anew each
# time that the run is looked at.
scripts_waits = Table(
    "scripts_waits",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    # The concurrency key, or the name of the flag.
    Column("name", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("system_name", Text, primary_key=True),
    Column("source_system_name", Text, primary_key=True),
    Column("date", Text, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    # Of a key: how many may have it at once, and who comes first.
    Column("most", Integer),
    Column("priority", Integer, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    CheckConstraint("kind IN ('key', 'flag')", name="kind"),
    Index("ix_scripts_waits_run_id", "run_id"),
)

# Every work that a step has had: to find the step of a work, and the logs of a step.
scripts_step_works = Table(
    "scripts_step_works",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("step_id", Text, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("attempts_before", Integer, nullable=False),
    Index("ix_scripts_step_works_step_id", "step_id"),
    Index("ix_scripts_step_works_run_id", "run_id"),
)

# How attempts ended: exit code, hash of the script, host. One row an attempt, for ever with the run.
scripts_attempts = Table(
    "scripts_attempts",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("step_id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("exit_code", Integer),
    Column("script_sha256", Text),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger, nullable=False),
    Index("ix_scripts_attempts_step_id", "step_id"),
)

scripts_payloads = Table(
    "scripts_payloads",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("step_id", Text, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    Column("stored_us", BigInteger, nullable=False),
    Index("ix_scripts_payloads_step_id", "step_id"),
    Index("ix_scripts_payloads_run_id", "run_id"),
)

# Single values of payloads by where they are, so that an action is found by one of them.
scripts_payload_values = Table(
    "scripts_payload_values",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    # Names of the properties, joined by commas; lists on the way add no name, so that a path may
    # have several values.
    Column("path", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Index("ix_scripts_payload_values_value", "organisation_id", "path", "value", "run_id"),
    Index("ix_scripts_payload_values_run_id", "run_id"),
)

# One-time codes that a step swaps for its token; only their hashes are kept.
scripts_codes = Table(
    "scripts_codes",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("work_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    Index("ix_scripts_codes_work_id", "work_id"),
    Index("ix_scripts_codes_expires_us", "expires_us"),
)

# What steps have said that they do once (step.once), and what came of it.
scripts_guards = Table(
    "scripts_guards",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("workflow_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("work_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("done_us", BigInteger),
    # JSON of what was done, told to whoever asks again.
    Column("result", Text),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_scripts_guards_work_id", "work_id"),
)

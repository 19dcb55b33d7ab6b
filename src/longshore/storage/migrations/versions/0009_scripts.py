"""Scripts: workflows, events, runs, steps and what they store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.surfaces.scripts.tables; tokens say which surface they are for."""
    op.add_column(
        "work_tokens", sa.Column("surface", sa.Text(), server_default="corpus", nullable=False)
    )
    _make_workflows()
    _make_triggers()
    _make_hosts()
    _make_runs()
    _make_steps()
    _make_waits()
    _make_payloads()


def downgrade() -> None:
    """Drop what upgrade makes."""
    for table in (
        "scripts_waits",
        "scripts_key_holders",
        "scripts_guards",
        "scripts_codes",
        "scripts_payload_values",
        "scripts_payloads",
        "scripts_attempts",
        "scripts_step_works",
        "scripts_steps",
        "scripts_inputs",
        "scripts_runs",
        "scripts_events",
        "scripts_durations",
        "scripts_hosts",
        "scripts_flags",
        "scripts_flag_starts",
        "scripts_flag_triggers",
        "scripts_followers",
        "scripts_firings",
        "scripts_schedules",
        "scripts_event_names",
        "scripts_versions",
        "scripts_workflows",
    ):
        op.drop_table(table)
    op.drop_column("work_tokens", "surface")


def _make_workflows() -> None:
    op.create_table(
        "scripts_workflows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("held_us", sa.BigInteger(), nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column("retired_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scripts_workflows"),
        sa.UniqueConstraint(
            "organisation_id", "folded", name="uq_scripts_workflows_organisation_id_folded"
        ),
    )
    op.create_table(
        "scripts_versions",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "version", name="pk_scripts_versions"),
    )


def _make_triggers() -> None:
    op.create_table(
        "scripts_event_names",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("parallel", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("stop_on_error", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "folded", name="pk_scripts_event_names"),
    )
    op.create_index("ix_scripts_event_names_workflow_id", "scripts_event_names", ["workflow_id"])
    op.create_table(
        "scripts_schedules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scripts_schedules"),
        sa.UniqueConstraint(
            "workflow_id", "trigger", name="uq_scripts_schedules_workflow_id_trigger"
        ),
    )
    op.create_index("ix_scripts_schedules_next_us", "scripts_schedules", ["next_us"])
    op.create_table(
        "scripts_firings",
        sa.Column("schedule_id", sa.Text(), nullable=False),
        sa.Column("instant_us", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('fired', 'missed')", name=op.f("ck_scripts_firings_state")),
        sa.PrimaryKeyConstraint("schedule_id", "instant_us", name="pk_scripts_firings"),
    )
    op.create_index(
        "ix_scripts_firings_workflow_id",
        "scripts_firings",
        ["workflow_id", "instant_us"],
    )
    op.create_table(
        "scripts_followers",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("followed", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organisation_id", "followed", "workflow_id", name="pk_scripts_followers"
        ),
    )
    op.create_index("ix_scripts_followers_workflow_id", "scripts_followers", ["workflow_id"])
    op.create_table(
        "scripts_flag_triggers",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "position", name="pk_scripts_flag_triggers"),
    )
    op.create_index(
        "ix_scripts_flag_triggers_organisation_id",
        "scripts_flag_triggers",
        ["organisation_id"],
    )
    op.create_table(
        "scripts_flag_starts",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("date", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "sha256", "date", name="pk_scripts_flag_starts"),
    )
    op.create_table(
        "scripts_flags",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("system_name", sa.Text(), nullable=False),
        sa.Column("source_system_name", sa.Text(), nullable=False),
        sa.Column("date", sa.Text(), nullable=False),
        sa.Column("set_us", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organisation_id",
            "name",
            "system_name",
            "source_system_name",
            "date",
            name="pk_scripts_flags",
        ),
    )


def _make_hosts() -> None:
    op.create_table(
        "scripts_hosts",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("held_queue_id", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "folded", name="pk_scripts_hosts"),
        sa.UniqueConstraint("queue_id", name="uq_scripts_hosts_queue_id"),
    )
    op.create_table(
        "scripts_durations",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("median_us", sa.BigInteger(), nullable=False),
        sa.Column("weekday_median_us", sa.BigInteger(), nullable=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scripts_durations"),
    )
    op.create_index(
        "ix_scripts_durations_workflow_id",
        "scripts_durations",
        ["workflow_id", "step", "weekday", "id"],
    )


def _make_runs() -> None:
    op.create_table(
        "scripts_events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scripts_events"),
    )
    op.create_index(
        "ix_scripts_events_key",
        "scripts_events",
        ["organisation_id", "folded", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "ix_scripts_events_organisation_id",
        "scripts_events",
        ["organisation_id", "id"],
    )
    op.create_table(
        "scripts_runs",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("event_folded", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ordering", sa.Text(), nullable=False),
        sa.Column("held_areas", sa.Text(), nullable=False),
        sa.Column("held_us", sa.BigInteger(), nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'finished', 'failed', 'cancelled')",
            name=op.f("ck_scripts_runs_state"),
        ),
        sa.CheckConstraint(
            "trigger IN ('event', 'schedule', 'manual', 'flag', 'workflow', 'backfill')",
            name=op.f("ck_scripts_runs_trigger"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_scripts_runs"),
        sa.UniqueConstraint("group_id", name="uq_scripts_runs_group_id"),
    )
    op.create_index(
        "ix_scripts_runs_event",
        "scripts_runs",
        ["organisation_id", "event_folded", "state", "id"],
        sqlite_where=sa.text("event_folded IS NOT NULL"),
        postgresql_where=sa.text("event_folded IS NOT NULL"),
    )
    op.create_index(
        "ix_scripts_runs_open",
        "scripts_runs",
        ["state", "id"],
        sqlite_where=sa.text("finished_us IS NULL"),
        postgresql_where=sa.text("finished_us IS NULL"),
    )
    op.create_index("ix_scripts_runs_organisation_id", "scripts_runs", ["organisation_id", "id"])
    op.create_index("ix_scripts_runs_workflow_id", "scripts_runs", ["workflow_id", "id"])
    op.create_table(
        "scripts_inputs",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_scripts_inputs"),
    )


def _make_steps() -> None:
    op.create_table(
        "scripts_steps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("matrix", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("forced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("held_us", sa.BigInteger(), nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column("work_id", sa.Text(), nullable=True),
        sa.Column("attempts_before", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('step', 'matrix')", name=op.f("ck_scripts_steps_kind")),
        sa.CheckConstraint(
            "state <> 'active' OR work_id IS NOT NULL OR kind = 'matrix'",
            name=op.f("ck_scripts_steps_work"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'active', 'finished', 'failed', 'skipped', 'cancelled')",
            name=op.f("ck_scripts_steps_state"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_scripts_steps"),
        sa.UniqueConstraint("run_id", "folded", name="uq_scripts_steps_run_id_folded"),
    )
    op.create_index("ix_scripts_steps_work_id", "scripts_steps", ["work_id"])
    op.create_index(
        "ix_scripts_steps_active",
        "scripts_steps",
        ["id"],
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "scripts_step_works",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("attempts_before", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", name="pk_scripts_step_works"),
    )
    op.create_index("ix_scripts_step_works_run_id", "scripts_step_works", ["run_id"])
    op.create_index("ix_scripts_step_works_step_id", "scripts_step_works", ["step_id"])
    op.create_table(
        "scripts_attempts",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("script_sha256", sa.Text(), nullable=True),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", "attempt", name="pk_scripts_attempts"),
    )
    op.create_index("ix_scripts_attempts_step_id", "scripts_attempts", ["step_id"])


def _make_waits() -> None:
    op.create_table(
        "scripts_key_holders",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "key", "step_id", name="pk_scripts_key_holders"),
    )
    op.create_index("ix_scripts_key_holders_run_id", "scripts_key_holders", ["run_id"])
    op.create_index("ix_scripts_key_holders_step_id", "scripts_key_holders", ["step_id"])
    op.create_table(
        "scripts_waits",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("system_name", sa.Text(), nullable=False),
        sa.Column("source_system_name", sa.Text(), nullable=False),
        sa.Column("date", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('key', 'flag')", name=op.f("ck_scripts_waits_kind")),
        sa.PrimaryKeyConstraint(
            "organisation_id",
            "kind",
            "name",
            "step_id",
            "system_name",
            "source_system_name",
            name="pk_scripts_waits",
        ),
    )
    op.create_index("ix_scripts_waits_run_id", "scripts_waits", ["run_id"])


def _make_payloads() -> None:
    op.create_table(
        "scripts_payloads",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("stored_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", "attempt", name="pk_scripts_payloads"),
    )
    op.create_index("ix_scripts_payloads_run_id", "scripts_payloads", ["run_id"])
    op.create_index("ix_scripts_payloads_step_id", "scripts_payloads", ["step_id"])
    op.create_table(
        "scripts_payload_values",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "work_id", "attempt", "path", "value", name="pk_scripts_payload_values"
        ),
    )
    op.create_index("ix_scripts_payload_values_run_id", "scripts_payload_values", ["run_id"])
    op.create_index(
        "ix_scripts_payload_values_value",
        "scripts_payload_values",
        ["organisation_id", "path", "value", "run_id"],
    )
    op.create_table(
        "scripts_codes",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_scripts_codes"),
    )
    op.create_index("ix_scripts_codes_expires_us", "scripts_codes", ["expires_us"])
    op.create_index("ix_scripts_codes_work_id", "scripts_codes", ["work_id"])
    op.create_table(
        "scripts_guards",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "workflow_id", "key", name="pk_scripts_guards"),
    )
    op.create_index("ix_scripts_guards_work_id", "scripts_guards", ["work_id"])

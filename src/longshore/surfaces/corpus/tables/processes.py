"""Workers, their versions and configurations; processes, their worker runs, tasks and activities."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from longshore.storage.schema import metadata

corpus_workers = Table(
    "corpus_workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "slug"),
)

corpus_worker_versions = Table(
    "corpus_worker_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("worker_id", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # JSON: configuration, user_configuration, secrets.
    Column("configuration", Text, nullable=False),
    # The queue in which its tasks wait.
    Column("queue_id", BigInteger, nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("worker_id", "version"),
    CheckConstraint("kind IN ('elements', 'dataset')", name="kind"),
    Index("ix_corpus_worker_versions_organisation_id", "organisation_id"),
)

corpus_worker_configurations = Table(
    "corpus_worker_configurations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("worker_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("worker_id", "digest"),
)

corpus_processes = Table(
    "corpus_processes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("corpus_id", Text),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("chunks", Integer, nullable=False),
    # Whether there are activities, and whether its tasks are given a list or ask for the next element.
    Column("activity", Boolean, nullable=False),
    Column("queued", Boolean, nullable=False),
    Column("use_cache", Boolean, nullable=False),
    Column("activity_timeout_s", Float, nullable=False),
    # JSON: which elements, by type or ids.
    Column("selection", Text, nullable=False),
    # How many it was started with; the parts of its tasks follow from it, whatever is deleted since.
    Column("elements", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("stopped_us", BigInteger),
    CheckConstraint("mode IN ('workers', 'dataset', 'export', 'local')", name="mode"),
    Index("ix_corpus_processes_organisation_id_id", "organisation_id", "id"),
    Index("ix_corpus_processes_corpus_id", "corpus_id"),
)

# The elements that a process was started with, in its order.
corpus_process_elements = Table(
    "corpus_process_elements",
    metadata,
    Column("process_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("element_id", Text, nullable=False),
    Index("ix_corpus_process_elements_element_id", "element_id"),
    sqlite_with_rowid=False,
)

corpus_process_sets = Table(
    "corpus_process_sets",
    metadata,
    Column("process_id", Text, primary_key=True),
    Column("set_id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
)

corpus_worker_runs = Table(
    "corpus_worker_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("process_id", Text, nullable=False),
    Column("worker_version_id", Text, nullable=False),
    Column("model_version_id", Text),
    Column("configuration_id", Text),
    # Same for all runs of this version with this model and this configuration.
    Column("run_key", Text, nullable=False),
    # JSON list of the ids of the worker runs that must be over first.
    Column("parents", Text, nullable=False),
    # The queue of its activities.
    Column("queue_id", BigInteger, unique=True),
    Column("summary", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Index("ix_corpus_worker_runs_process_id", "process_id", "position"),
    Index("ix_corpus_worker_runs_worker_version_id", "worker_version_id"),
)

corpus_tasks = Table(
    "corpus_tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("process_id", Text),
    # Null for a task of the server itself, such as the one that archives a dataset.
    Column("worker_run_id", Text),
    Column("work_id", Text, unique=True),
    Column("slug", Text, nullable=False),
    Column("chunk", Integer),
    # JSON list of the ids of the tasks before it.
    Column("parents", Text, nullable=False),
    Column("exit_code", Integer),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_corpus_tasks_process_id", "process_id"),
    Index("ix_corpus_tasks_worker_run_id", "worker_run_id"),
)

corpus_activities = Table(
    "corpus_activities",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("element_id", Text, nullable=False),
    Column("run_key", Text, nullable=False),
    Column("worker_run_id", Text, nullable=False),
    Column("process_id", Text, nullable=False),
    UniqueConstraint("element_id", "run_key"),
    Index("ix_corpus_activities_worker_run_id_work_id", "worker_run_id", "work_id"),
    sqlite_with_rowid=False,
)

"""Every metric that a server gives: the one list that the registry and the reference are made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from longshore.limits import METRICS_QUEUES


class Scope(StrEnum):
    """Whose numbers they are."""

    SERVER = "server"
    """What this server process did or has, since it started: add them up over servers."""
    ORGANISATION = "organisation"
    """What the database says of the organisation of the key: the same on every server."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as Prometheus sees it.

    Attributes:
        name: with its unit and, for a counter, `_total` at its end.
        text: one sentence for the reference and for `# HELP`.
        labels: names of its labels; their values are few, see the reference.
        where: "" or the databases that have it.
    """

    group: str
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    scope: Scope
    text: str
    labels: tuple[str, ...] = ()
    where: str = ""


def _server(
    group: str, name: str, kind: Literal["counter", "gauge", "histogram"], text: str, *labels: str
) -> Metric:
    return Metric(group, name, kind, Scope.SERVER, text, labels)


def _stored(group: str, name: str, text: str, *labels: str) -> Metric:
    return Metric(group, name, "gauge", Scope.ORGANISATION, text, labels)


REQUESTS: Final = _server(
    "Requests", "longshore_requests_total", "counter",
    "HTTP requests by method, template of the route and status.", "method", "route", "status",
)  # fmt: skip
REQUEST_SECONDS: Final = _server(
    "Requests", "longshore_request_seconds", "histogram",
    "Time from a request's first byte to the last of its answer, by route. A worker's claims wait "
    "for work.", "route",
)  # fmt: skip
CHANGES: Final = _server(
    "Works", "longshore_work_changes_total", "counter",
    "Changes of state that this server has stored, by reason: throughput (`done`, `failed`, ...), "
    "retries (`retried`), leases that ran out (`lease_expired`), and so on.", "surface", "reason",
)  # fmt: skip
WAIT_SECONDS: Final = _server(
    "Works", "longshore_work_wait_seconds", "histogram",
    "How long works could have been claimed before they were.", "surface",
)  # fmt: skip
RUN_SECONDS: Final = _server(
    "Works", "longshore_work_run_seconds", "histogram",
    "How long attempts took from the claim to their end, whatever their outcome.", "surface",
)  # fmt: skip
WORKS: Final = _stored(
    "Works", "longshore_works",
    "Works by state; `retrying` are failures that will be tried again.", "surface", "state",
)  # fmt: skip
OVERDUE: Final = _stored(
    "Works", "longshore_leases_overdue",
    "Leases that ended over half a minute ago and were not taken back: the janitor is ill.",
)  # fmt: skip
QUEUE_WORKS: Final = _stored(
    "Queues", "longshore_queue_works",
    f"Works of a queue by state, for the {METRICS_QUEUES} queues in which most wait.",
    "surface", "queue", "state",
)  # fmt: skip
QUEUE_OLDEST: Final = _stored(
    "Queues", "longshore_queue_oldest_seconds",
    "How long the longest waiting work of a queue could have been claimed.", "surface", "queue",
)  # fmt: skip
QUEUE_WORKERS: Final = _stored(
    "Queues", "longshore_queue_workers", "Workers online that serve a queue.", "surface", "queue"
)
QUEUES: Final = _stored(
    "Queues", "longshore_queues",
    "Queues by what there is to know: `all`, `held`, and `unserved`, in which works wait and which "
    "no worker online serves.", "kind",
)  # fmt: skip
WORKERS: Final = _stored(
    "Workers", "longshore_workers",
    "Workers that have not said goodbye: `online` were heard of within a minute, `silent` were not.",
    "status",
)  # fmt: skip
SLOTS: Final = _stored("Workers", "longshore_worker_slots", "Slots of the workers online.")
RUNNING: Final = _stored(
    "Workers", "longshore_worker_slots_used", "Works that the workers online hold."
)
SILENT: Final = _stored(
    "Workers", "longshore_worker_silent_seconds",
    "Time since the last word of the worker online that was silent for longest; a healthy one "
    "claims at least every half minute.",
)  # fmt: skip
BLOBS: Final = _stored("Blobs", "longshore_blobs", "Stored blobs.")
BLOB_BYTES: Final = _stored("Blobs", "longshore_blob_bytes", "Bytes of stored blobs.")
TRANSACTIONS: Final = Metric(
    "Database", "longshore_writer_transactions_total", "counter", Scope.SERVER,
    "Transactions of the one writer; each is one fsync.", where="SQLite",
)  # fmt: skip
WRITES: Final = Metric(
    "Database", "longshore_writer_writes_total", "counter", Scope.SERVER,
    "Writes in them: divided by the transactions, the size of a group commit.", where="SQLite",
)  # fmt: skip
WAITING: Final = Metric(
    "Database", "longshore_writer_waiting", "gauge", Scope.SERVER,
    "Writes that wait for the one writer now.", where="SQLite",
)  # fmt: skip
RETRIES: Final = Metric(
    "Database", "longshore_database_retries_total", "counter", Scope.SERVER,
    "Transactions that were tried again after a deadlock, a lock that was not given, or a broken "
    "connection.", where="PostgreSQL",
)  # fmt: skip
DATABASE_BYTES: Final = _server(
    "Database", "longshore_database_bytes", "gauge",
    "Size of the database; of SQLite with its write-ahead log.",
)  # fmt: skip
DISK_FREE: Final = _server(
    "Database", "longshore_disk_free_bytes", "gauge",
    "Free bytes of the disk that holds the data directory.",
)  # fmt: skip
DISK_TOTAL: Final = _server(
    "Database", "longshore_disk_total_bytes", "gauge", "Size of that disk in bytes."
)
PASSES: Final = _server(
    "Background", "longshore_passes_total", "counter",
    "Background passes of this server by name and outcome (`ok`, `unavailable` without database or space, `failed`).",
    "name", "outcome",
)  # fmt: skip
PASS_TIME: Final = _server(
    "Background", "longshore_pass_last_success_timestamp_seconds", "gauge",
    "When a background pass last succeeded here, in seconds since 1970.", "name",
)  # fmt: skip
JOBS: Final = _server(
    "Background", "longshore_system_jobs_total", "counter",
    "System jobs that ended on this server, such as deletions and deliveries of webhooks, by job "
    "and outcome.", "job", "outcome",
)  # fmt: skip
SCHEDULES: Final = _server(
    "Background", "longshore_scheduled_runs_total", "counter",
    "Runs of workflows that were due by a schedule: `started`, or `missed` for good.", "outcome",
)  # fmt: skip
KEYSTORE_READS: Final = _server(
    "Background", "longshore_keystore_reads_total", "counter",
    "Secrets that were asked for: `read`, or `missing`.", "outcome",
)  # fmt: skip
BUILD: Final = _server(
    "Process", "longshore_build_info", "gauge",
    "Always 1; the labels say what runs.", "version", "python", "database",
)  # fmt: skip
COUNT_SECONDS: Final = _server(
    "Process", "longshore_metrics_count_seconds", "gauge",
    "How long it took to read the organisation's numbers from the database.",
)  # fmt: skip
COUNT_AGE: Final = _server(
    "Process", "longshore_metrics_age_seconds", "gauge",
    "How old those numbers are: works are counted by a pass in the background, and scrapes that "
    "follow each other closely share what they read.",
)  # fmt: skip

_PROCESS: Final = (
    ("process_cpu_seconds_total", "counter", "CPU time that the server has used."),
    ("process_resident_memory_bytes", "gauge", "Memory of the server that is in use."),
    ("process_virtual_memory_bytes", "gauge", "Address space of the server."),
    ("process_open_fds", "gauge", "Open files and connections of the server."),
    ("process_max_fds", "gauge", "Most that it may have open."),
    ("process_start_time_seconds", "gauge", "When it started, in seconds since 1970."),
)

METRICS: Final[tuple[Metric, ...]] = (
    REQUESTS, REQUEST_SECONDS,
    CHANGES, WAIT_SECONDS, RUN_SECONDS, WORKS, OVERDUE,
    QUEUE_WORKS, QUEUE_OLDEST, QUEUE_WORKERS, QUEUES,
    WORKERS, SLOTS, RUNNING, SILENT,
    BLOBS, BLOB_BYTES,
    TRANSACTIONS, WRITES, WAITING, RETRIES, DATABASE_BYTES, DISK_FREE, DISK_TOTAL,
    PASSES, PASS_TIME, JOBS, SCHEDULES, KEYSTORE_READS,
    BUILD, COUNT_SECONDS, COUNT_AGE,
    *(Metric("Process", name, kind, Scope.SERVER, text) for name, kind, text in _PROCESS),  # type: ignore[arg-type]
)  # fmt: skip
"""In the order of the reference."""

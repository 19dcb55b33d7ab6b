"""How the engine's and access's things look in JSON: times as ISO 8601 in UTC, ids as text."""

from __future__ import annotations

from typing import Any

from longshore.access.audit import Entry
from longshore.access.keys import Key
from longshore.clock import iso
from longshore.engine import insights, logs, queues, searching, workers, works


def work(found: works.Work) -> dict[str, Any]:
    """Show a work."""
    return {
        "id": found.id,
        "queue": found.queue_id,
        "group": found.group_id,
        "state": found.state,
        "reason": found.reason,
        "final": found.final,
        "priority": found.priority,
        "attempt": found.attempt,
        "attempts_max": found.attempts_max,
        "timeout_s": found.timeout_s,
        "worker": found.worker_id,
        "created": iso(found.created_us),
        "due": iso(found.due_us),
        "started": iso(found.started_us),
        "finished": iso(found.finished_us),
        "retry": iso(found.retry_us),
        "lease_until": iso(found.lease_until_us),
        "concurrency_key": found.concurrency_key,
        "unique_key": found.unique_key,
    }


def found(each: searching.Found) -> dict[str, Any]:
    """Show a work that was found, with the queue that it is in."""
    return {
        **work(each.work),
        "queue_name": each.queue,
        "surface": each.surface,
        "error": each.error,
    }


def event(found: works.Event) -> dict[str, Any]:
    """Show one change of a work."""
    return {
        "seq": found.seq,
        "at": iso(found.at_us),
        "attempt": found.attempt,
        "from": found.from_state,
        "to": found.to_state,
        "reason": found.reason,
        "actor": found.actor,
        "detail": found.detail_object,
    }


def line(found: logs.Line) -> dict[str, Any]:
    """Show one log line."""
    return {
        "seq": found.seq,
        "attempt": found.attempt,
        "at": iso(found.at_us),
        "stream": found.stream,
        "text": found.text,
    }


def cancelled(found: works.Cancelled) -> dict[str, Any]:
    """Show what a cancellation did."""
    return {"cancelled": found.cancelled, "stopping": found.stopping, "final": found.final}


def queue(found: queues.Queue) -> dict[str, Any]:
    """Show a queue and its settings."""
    held = None
    if found.held_us is not None:
        held = {"since": iso(found.held_us), "by": found.held_by, "why": found.held_why}
    return {
        "id": found.id,
        "surface": found.surface,
        "name": found.name,
        "attempts_max": found.attempts_max,
        "timeout_s": found.timeout_s,
        "backoff_s": found.backoff_s,
        "backoff_max_s": found.backoff_max_s,
        "concurrency_max": found.concurrency_max,
        "key_concurrency_max": found.key_concurrency_max,
        "retention_s": found.retention_s,
        "held": held,
    }


def queue_counts(found: insights.QueueCounts) -> dict[str, Any]:
    """Show a queue with its counts."""
    return {
        **queue(found.queue),
        "counts": found.counts,
        "oldest": iso(found.oldest_us),
        "workers_online": found.workers_online,
    }


def worker(found: workers.Worker) -> dict[str, Any]:
    """Show a worker."""
    return {
        "id": found.id,
        "name": found.name,
        "online": found.online,
        "slots": found.slots,
        "running": found.running,
        "started": iso(found.started_us),
        "seen": iso(found.seen_us),
        "last_claim": iso(found.claimed_us),
        "version": found.version,
        "left": iso(found.left_us),
    }


def key(found: Key) -> dict[str, Any]:
    """Show a key, which never includes its secret."""
    return {
        "id": found.id,
        "name": found.name,
        "role": found.role,
        "workspace": found.workspace_name,
        "created": iso(found.created_us),
        "expires": iso(found.expires_us),
        "revoked": iso(found.revoked_us),
        "last_used": iso(found.last_used_us),
    }


def entry(found: Entry) -> dict[str, Any]:
    """Show an entry of the audit log."""
    return {
        "id": found.id,
        "at": iso(found.at_us),
        "key_id": found.key_id,
        "key_name": found.key_name,
        "action": found.action,
        "target": found.target,
        "detail": found.detail,
        "request_id": found.request_id,
    }

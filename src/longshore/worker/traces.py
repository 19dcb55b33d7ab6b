"""What a worker adds to traces: a span for each attempt, and one for the report of its end.

A work that came alone continues the trace of its request, so that there is one trace from the call
to the report. Where a request brought many works, each attempt begins a trace of its own with a
link to the request: a trace of a hundred thousand attempts can neither be shown nor sampled. A
report is treated the same way, since one request may report many attempts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from longshore.wire.worker import Claimed, Outcome
from longshore.worker.channel import Finished

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from longshore.tracing.making import Spans


@contextmanager
def attempt(spans: Spans, work: Claimed) -> Iterator[Span]:
    """Make the span of an attempt, below or linked to the request that submitted the work."""
    trace = work.trace
    queue = str(work.queue) if trace is None else trace.queue
    attributes: dict[str, str | int] = {
        "longshore.work_id": work.work_id,
        "longshore.queue": queue,
        "longshore.surface": work.surface,
        "longshore.attempt": work.attempt,
    }
    traceparent = None if trace is None else trace.traceparent
    alone = traceparent is not None and trace is not None and not trace.shared
    with spans.span(
        f"attempt {queue}",
        "consumer",
        parent=traceparent if alone else None,
        links=[] if alone or traceparent is None else [traceparent],
        root=not alone,
        attributes=attributes,
    ) as made:
        yield made


def note_end(span: Span, finished: Finished) -> None:
    """Say how an attempt ended; of an error only its type, since its message may quote payloads."""
    span.set_attribute("longshore.outcome", str(finished.outcome))
    if finished.outcome in (Outcome.FAILURE, Outcome.REJECTED):
        from longshore.tracing.making import failed  # noqa: PLC0415 - of an extra

        failed(span, "unknown" if finished.error is None else finished.error.type)


@contextmanager
def report(spans: Spans, attempts: Sequence[str]) -> Iterator[None]:
    """Make the span of a report of these attempts, where any of them is recorded."""
    if not attempts:
        yield
        return
    alone = len(attempts) == 1
    with spans.span(
        "report",
        "client",
        parent=attempts[0] if alone else None,
        links=[] if alone else attempts,
        root=not alone,
        attributes={"longshore.reports": len(attempts)},
    ):
        yield

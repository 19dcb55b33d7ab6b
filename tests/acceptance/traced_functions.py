"""Functions of a user who makes spans of their own."""

from __future__ import annotations

from opentelemetry import trace

import longshore


@longshore.function("traced")
def traced(secret: str) -> dict[str, int]:
    with trace.get_tracer("user").start_as_current_span("user code"):
        return {"length": len(secret)}


@longshore.function("broken")
def broken(secret: str) -> None:
    raise ValueError(f"cannot read {secret}")

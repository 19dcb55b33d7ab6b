"""Traces by OpenTelemetry, in the client, the server and the worker: off unless asked for.

`spans` is None while tracing is off, which is all that the code on the way of a request looks at;
the libraries of the extra `[otel]` are not even loaded then. `start` switches it on for the
process: with LONGSHORE_TRACING=on, and then as the OTEL_* variables say, which OpenTelemetry
reads by itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Literal

from longshore.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from longshore.tracing.making import Spans

Service = Literal["longshore-client", "longshore-server", "longshore-worker"]

spans: Spans | None = None
"""Makes the spans of this process; None while tracing is off."""
_lock: Final = threading.Lock()


def start(service: Service, *, wanted: bool) -> Spans | None:
    """Switch tracing on where it is `wanted`; return what makes spans, or None.

    The first call decides what the process is called; a tracer provider that the program has set
    itself is used as it is.

    Raises:
        ConfigurationError: it is wanted, and the extra is not installed.
    """
    global spans  # noqa: PLW0603 - the one switch of the process
    if not wanted:
        return spans
    with _lock:
        if spans is None:
            spans = _load().from_environment(service)
    return spans


def use(provider: TracerProvider) -> Spans:
    """Switch tracing on with a provider of the caller's own, such as one that keeps spans."""
    global spans  # noqa: PLW0603 - the one switch of the process
    spans = _load()(provider)
    return spans


def stop() -> None:
    """Switch tracing off, and send what has not been sent."""
    global spans
    with _lock:
        ended, spans = spans, None
    if ended is not None:
        ended.close()


def carried() -> str | None:
    """Return the `traceparent` of the span that is current here, or None if nobody records it."""
    return None if spans is None else spans.carried()


def _load() -> type[Spans]:
    try:
        # Loaded only when it is wanted: it takes a while, and belongs to an extra.
        from longshore.tracing.making import Spans  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"LONGSHORE_TRACING is on, but there is no {error.name} here. Install it with: pip "
            "install 'longshore[otel]', or set LONGSHORE_TRACING=off."
        ) from error
    return Spans

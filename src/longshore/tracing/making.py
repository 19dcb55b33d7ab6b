"""The spans themselves: the only module that knows OpenTelemetry.

Attributes name things and count them. Neither payloads nor results, nor messages of errors, which
may quote them, nor headers nor whole addresses, which may hold keys, are ever among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, ProxyTracerProvider, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from longshore.errors import LongshoreError

if TYPE_CHECKING:
    from opentelemetry.context import Context

TRACEPARENT: Final = "traceparent"
Attributes = Mapping[str, str | int | float | bool]
_KINDS: Final = {
    "internal": SpanKind.INTERNAL,
    "client": SpanKind.CLIENT,
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_VARIABLE_PART: Final = re.compile(r"[0-9]")
_PARTS_MAX: Final = 6
_VERSION: Final = version("longshore")


class Spans:
    """Makes the spans of this process with one tracer."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        """Give the spans to `provider`."""
        self._provider = provider
        self._tracer = provider.get_tracer("longshore", _VERSION)

    @classmethod
    def from_environment(cls, service: str) -> Self:
        """Send spans by OTLP over HTTP, as the OTEL_* variables say.

        A provider that the program has set before is used as it is. Ours is set for the whole
        program, so that spans of user code go the same way.
        """
        present = trace.get_tracer_provider()
        if not isinstance(present, ProxyTracerProvider):
            return cls(present)
        named = Resource({"service.name": service, "service.version": _VERSION})
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes before our own names.
        resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        return cls(provider)

    def close(self) -> None:
        """Send what has not been sent, for a few seconds at most."""
        if isinstance(self._provider, TracerProvider):
            self._provider.force_flush(timeout_millis=5_000)

    @contextmanager
    def span(
        self,
        name: str,
        kind: str = "internal",
        *,
        parent: str | None = None,
        links: Sequence[str] = (),
        root: bool = False,
        attributes: Attributes | None = None,
    ) -> Iterator[Span]:
        """Make a span that is current inside the block; an error that leaves it marks the span.

        Args:
            name: low in number: no ids.
            kind: "internal", "client", "server", "producer" or "consumer".
            parent: `traceparent` of a span elsewhere; the current span unless given.
            links: `traceparent`s of spans that it has to do with.
            root: begin a trace of its own, whatever is current.
            attributes: what to find it by.
        """
        above = context.Context() if root else None
        if parent is not None:
            above = _read(parent)
        with self._tracer.start_as_current_span(
            name,
            context=above,
            kind=_KINDS[kind],
            links=[Link(found) for each in links if (found := _span_context(each)).is_valid],
            attributes=dict(attributes or {}),
            # Messages may quote payloads.
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield made
            except BaseException as error:
                failed(made, error_type(error))
                raise

    @contextmanager
    def request(self, method: str, path: str) -> Iterator[Span]:
        """Make the span of a request that this process sends, answered in the end or not."""
        attributes = {"http.request.method": method}
        with self.span(f"{method} {template(path)}", "client", attributes=attributes) as made:
            yield made

    @contextmanager
    def under(self, traceparent: str) -> Iterator[None]:
        """Make a span of another process current, so that new ones become its children."""
        token = context.attach(_read(traceparent))
        try:
            yield
        finally:
            context.detach(token)

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Write the current span into the headers of a request."""
        _PROPAGATOR.inject(headers)

    def carried(self) -> str | None:
        """Return the `traceparent` of the current span, or None if nobody records it."""
        found = trace.get_current_span().get_span_context()
        if not (found.is_valid and found.trace_flags.sampled):
            return None
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier[TRACEPARENT]

    def note(self, name: str, value: str | int) -> None:
        """Add an attribute to the current span."""
        trace.get_current_span().set_attribute(name, value)


def failed(span: Span, kind: str) -> None:
    """Mark a span as one of something that went wrong, by the kind of the error alone."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def error_type(error: BaseException) -> str:
    """Return the name of an error: a stable code where it has one."""
    return error.code if isinstance(error, LongshoreError) else type(error).__qualname__


def template(path: str) -> str:
    """Return a path with what looks like an id left out: names of spans must be few."""
    parts = path.partition("?")[0].split("/")[1 : _PARTS_MAX + 1]
    known = ["{}" if _VARIABLE_PART.search(part[1:]) and len(part) > 2 else part for part in parts]
    return "/" + "/".join(part if len(part) <= 24 else "{}" for part in known)


def _read(traceparent: str) -> Context:
    return _PROPAGATOR.extract({TRACEPARENT: traceparent}, context=context.Context())


def _span_context(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(_read(traceparent)).get_span_context()

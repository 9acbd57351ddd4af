"""Tracing: spans of calls and of what happens inside them, sent where OTEL_… variables say.

A span has a name, times, and attributes from small fixed sets. It never holds a message, a handle,
an id of an account or the text of an exception. Nothing is recorded without the extra `[otel]`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACE_HEADERS = ("traceparent", "tracestate")
MAX_HEADER_CHARACTERS = 512
"""A longer trace context is ignored, as W3C's text permits: the call then begins a trace."""

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


class Exporting(Protocol):
    """The SDK's TracerProvider, as far as this file needs it."""

    def get_tracer(self, name: str) -> Tracer: ...

    def shutdown(self) -> None: ...


class CallSpan:
    """The span of a server's call: from the constructor to `end`, which runs in the same task.

    It is a child of the span that *headers* name, if any. Spans within are its children.
    """

    def __init__(
        self, tracer: Tracer, name: str, headers: Mapping[str, str], attributes: Mapping[str, str]
    ) -> None:
        sent = {
            key: headers[key]
            for key in TRACE_HEADERS
            if key in headers and len(headers[key]) <= MAX_HEADER_CHARACTERS
        }
        parent = _PROPAGATOR.extract(sent, Context())
        self._span = tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        self._tracer_token = _tracer.set(tracer)
        self._token = context.attach(set_span_in_context(self._span))

    def end(self, status: Mapping[str, str | int], error: str) -> None:
        """End the span with the attributes of its *status*. *error*: why it failed, or empty."""
        self._span.set_attributes(status)
        if error:
            fail(self._span, error)
        context.detach(self._token)
        _tracer.reset(self._tracer_token)
        self._span.end()


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str) -> Iterator[None]:
    """Record the block within the call's span. No-op outside one.

    Of an exception, only its type is recorded.
    """
    tracer = _tracer.get()
    if tracer is None:
        yield
        return
    recorded = tracer.start_span(name, None, kind, attributes)
    with use_span(
        recorded, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield
        except BaseException as error:
            fail(recorded, type(error).__name__)
            raise


def fail(failed: Span, why: str) -> None:
    """Mark *failed* with *why*, a word from a fixed set."""
    failed.set_attribute("error.type", why)
    failed.set_status(Status(StatusCode.ERROR))


def ids() -> dict[str, str]:
    """Return the ids of the present trace and span for the log; empty outside a trace."""
    if _tracer.get() is None:
        return {}
    found = get_current_span().get_span_context()
    if not found.is_valid:
        return {}
    return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}

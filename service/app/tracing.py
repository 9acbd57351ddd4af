"""Traces: opens the exporter that the standard OTEL_… variables describe, and closes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from threading import Thread

import structlog
from opentelemetry.trace import Tracer

from service import __version__
from service.app.startup import StartError
from service.runtime.tracing import Exporting

NAME = "postcore"
CLOSE_SECONDS = 3.0
"""Time, at the end, to send the last spans. A collector that is away delays the end no longer."""

CLOSING_THREAD = "close traces"

log = structlog.get_logger()


@asynccontextmanager
async def tracing(*, is_wanted: bool) -> AsyncIterator[Tracer | None]:
    """Yield what makes spans, None unless *is_wanted*. Raises StartError without the extra."""
    if not is_wanted:
        yield None
        return
    exporting = _exporting()
    try:
        yield exporting.get_tracer(NAME)
    finally:
        await _close(exporting)


async def _close(exporting: Exporting) -> None:
    """Send the last spans, for CLOSE_SECONDS at most."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        exporting.shutdown()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(closed.set)

    # a daemon: the end of the process waits for the loop's own threads, but not for this one
    Thread(target=close, name=CLOSING_THREAD, daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await closed.wait()


def _exporting() -> Exporting:
    """Return the SDK's provider. Spans wait in a bounded queue; what does not fit is dropped."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_VERSION, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise StartError(
            "OTEL_… variables ask for traces, which need: pip install 'postcore-profiles[otel]'"
        ) from None
    named = Resource.create({"service.name": NAME, SERVICE_VERSION: __version__})
    try:
        provider = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, OSError):
        # the SDK's text may hold a value, and with it a header's secret
        raise StartError("an OTEL_… variable has a value that cannot be used") from None
    return provider

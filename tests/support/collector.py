"""A collector of traces: takes OTLP over HTTP, and answers as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.transport.http.server import HttpServer


@dataclass
class Collector:
    """Spans that have arrived. *status*: what exports are answered with; 0: with nothing."""

    status: int = 200
    draining: bool = False
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.asked.set()
        if not self.status:
            await asyncio.Event().wait()
        if self.status == 200:
            self.bodies.append(body)
            sent = ExportTraceServiceRequest.FromString(body)
            for resource in sent.resource_spans:
                for scoped in resource.scope_spans:
                    self.spans += scoped.spans
        await Response(status_code=self.status)(scope, receive, send)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def tree(self, trace_id: bytes) -> list[str]:
        """Return the names of a trace's spans as lines, indented by their depth, in order."""
        spans = {span.span_id: span for span in self.spans if span.trace_id == trace_id}

        def depth(span: Span) -> int:
            parent = spans.get(span.parent_span_id)
            return 0 if parent is None else 1 + depth(parent)

        in_order = sorted(spans.values(), key=lambda span: (span.start_time_unix_nano, depth(span)))
        return [f"{'  ' * depth(span)}{span.name}" for span in in_order]


@asynccontextmanager
async def collecting(status: int = 200) -> AsyncIterator[tuple[Collector, str]]:
    """Run a collector; yield it with its URL."""
    collector = Collector(status)
    server = HttpServer(collector, max_connections=10)
    port = await server.start("127.0.0.1:0")
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0)


def attributes(span: Span) -> dict[str, str | int]:
    """Return the attributes of *span* that are texts or numbers."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}

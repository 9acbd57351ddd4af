"""Traces: what a collector gets of each call, and what it costs when there is none."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app import tracing
from service.app.startup import StartError
from service.runtime import log
from service.settings import traces_wanted
from tests.support.bluesky import SandboxBluesky
from tests.support.collector import attributes, collecting
from tests.support.running import Running, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
SECRET = "aaaa-bbbb-cccc-dddd"
PREFIX = "postcore.profiles.v1.ProfileService"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait for the SDK's threads at the end: one that gives up later would log into other tests."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # milliseconds
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "4")  # seconds
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("OtelBatch") or thread.name == tracing.CLOSING_THREAD:
            thread.join(30)
            assert not thread.is_alive()


async def get(service: Running, *metadata: tuple[str, str]) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await service.profiles.GetProfile(
            pb.GetProfileRequest(profile_key="prof_absent"),
            metadata=(*service.metadata(), *metadata),
        )


async def test_a_connect_is_one_trace(
    sandbox: SandboxBluesky,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The caller's trace continues: the call, the platform's operations with their steps, and the
    store's transactions. A caller finds it by x-request-id, as do the lines of the log. It holds
    nothing that the caller or the platform's server has sent."""
    log.configure("json", "info")
    async with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with running(database, sandbox.settings()) as service:
            person = await sandbox.person()
            await service.profiles.ConnectProfile(
                pb.ConnectProfileRequest(
                    platform="bluesky",
                    credentials=pb.Credentials(
                        handle=person.handle, app_password=person.app_password
                    ),
                ),
                metadata=(
                    *service.metadata(),
                    ("traceparent", PARENT),
                    ("x-request-id", "mine-1"),
                ),
            )
            await service.refused(person.handle, SECRET)
    log.configure("console", "info")
    [call] = [span for span in collector.spans if span.trace_id.hex() == TRACE and span.kind == 2]
    assert (call.name, call.parent_span_id.hex()) == (
        f"{PREFIX}/ConnectProfile",
        PARENT.split("-")[2],
    )
    assert attributes(call)["postcore.request_id"] == "mine-1"
    tree = collector.tree(call.trace_id)
    for line in (
        "  platform identify",
        "    step handle",
        "    step document",
        "  platform login",
        "    step server",
        "      POST",
        "  store transaction",
    ):
        assert line in tree, "\n".join(tree)
    [refused] = [
        span for span in collector.named(f"{PREFIX}/ConnectProfile") if span.trace_id.hex() != TRACE
    ]
    assert attributes(refused)["error.type"] == "INVALID_CREDENTIALS"
    assert (refused.status.code, refused.status.message) == (2, "")
    assert not [span for span in collector.spans if span.events]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line[:1] == "{"]
    [line] = [line for line in lines if line.get("request_id") == "mine-1"]
    assert (line["trace_id"], line["span_id"]) == (TRACE, call.span_id.hex())
    [failed] = [line for line in lines if line["event"] == "login failed"]
    assert failed["trace_id"] == refused.trace_id.hex()
    sent = b"".join(collector.bodies)
    origin = sandbox.server.origin.partition("://")[2]
    for private in (
        person.handle,
        person.did,
        person.app_password,
        SECRET,
        service.api_key,
        origin,
    ):
        assert private.encode() not in sent


async def test_a_call_over_http_has_a_span(
    sandbox: SandboxBluesky, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by verb and route, with the status of a refusal."""
    async with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with (
            running(database, sandbox.settings()) as service,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            await client.get(
                f"http://{service.http}/profiles/prof_absent",
                headers={"x-api-key": service.api_key, "traceparent": PARENT},
            )
    [span] = collector.named("GET /profiles/{profileKey}")
    assert span.trace_id.hex() == TRACE
    found = attributes(span)
    assert found["http.route"] == "/profiles/{profileKey}"
    assert (found["http.response.status_code"], found["error.type"]) == (404, "PROFILE_NOT_FOUND")


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"},
        {"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"},
        {"traceparent": PARENT + "0" * 4000},
        {"traceparent": PARENT, "tracestate": "=" * 512},
        {"traceparent": PARENT, "tracestate": "a=b," * 1500},
        {"traceparent": "", "tracestate": "a=b"},
    ],
)
async def test_a_bad_trace_context_changes_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """Malformed or huge: the call is answered, and has a span, of a new trace unless the parent is
    good. Nothing of a bad state is passed on."""
    async with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with running(database, {}) as service:
            await get(service, *headers.items())
    [span] = collector.named(f"{PREFIX}/GetProfile")
    assert (span.trace_id.hex() == TRACE) == (headers["traceparent"] == PARENT)
    assert len(span.trace_state) < 512


@pytest.mark.slow
@pytest.mark.parametrize("status", [0, 429, 503, 400])
async def test_a_bad_collector_delays_no_call(
    database: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """One that never answers, is full, or refuses: calls are answered meanwhile, more of them than
    the queue holds, and the service ends within its time."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    async with collecting(status) as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with running(database, {}) as service:
            await get(service)
            async with asyncio.timeout(20):
                await collector.asked.wait()
            for _ in range(100):
                await get(service)
            begun = perf_counter()
        assert perf_counter() - begun < 10
    assert len(collector.spans) == 0


@pytest.mark.slow
async def test_a_collector_that_is_down_delays_no_call(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens there."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with running(database, {}) as service:
        for _ in range(20):
            await get(service)


async def test_a_missing_extra_stops_the_start(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install; without variables nothing of the extra is needed."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    async with running(database, {}) as service:
        await get(service)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(StartError, match=r"postcore-profiles\[otel\]"):
        async with running(database, {}):
            pass


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environ: dict[str, str], wanted: bool) -> None:
    """An endpoint or an exporter does, unless another variable turns them off."""
    assert traces_wanted(environ) is wanted

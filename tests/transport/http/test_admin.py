"""The admin address: what probes and scrapes are answered, whatever callers do."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from math import isnan
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app import gauges
from service.crypto import keyring
from service.domain.errors import ServiceUnavailable
from service.runtime.metrics import Metrics
from service.settings import OFF
from service.storage.checks import SqlCheckQueue
from service.storage.connections import SqlConnections
from service.storage.facts import SqlFacts
from service.transport.http import admin
from service.transport.http.admin import AdminEdge
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running
from tests.support.scraping import parsed, scraped

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed


@pytest.fixture
def service(sandboxed: Running) -> Running:
    return sandboxed


MAX_SERIES = 4000
"""Of any service, whatever its callers and platforms do."""


@pytest.fixture
def each_scrape_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scrape gets the text of an earlier one."""
    monkeypatch.setattr(admin, "SCRAPE_SECONDS", 0.0)


async def asked(service: Running, path: str, verb: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.request(verb, f"http://{service.admin}{path}")


async def unknown(service: Running, method: str) -> None:
    """Call a method that is not of the contract."""
    call: Any = service.channel.unary_unary(method)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def ready(service: Running, status: int) -> str:
    """Ask until /readyz has that status, and return its text."""
    async with asyncio.timeout(20):
        while (answer := await asked(service, "/readyz")).status_code != status:
            await asyncio.sleep(0.02)
    return answer.text


async def test_each_path_has_its_answer(service: Running) -> None:
    """Three paths, read alone, and nothing else: not even what callers may ask without a key."""
    assert (await asked(service, "/livez")).text == "ok\n"
    assert (await asked(service, "/readyz")).text == "ok\n"
    verbose = await asked(service, "/readyz?verbose")
    assert verbose.text == "[+]store ok\n[+]keyring ok\n[+]drain ok\nreadyz check passed\n"
    for path in ("/", "/health", "/metrics/", "/profiles", "/openapi.json", "/debug"):
        answer = await asked(service, path)
        assert (answer.status_code, answer.json()["error"]) == (404, "PATH_NOT_FOUND")
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await asked(service, path, "HEAD")).status_code == 200
        refused = await asked(service, path, "POST")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.slow
async def test_readiness_names_what_is_broken(
    database: Path, each_scrape_is_written: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store and the keyring, each while it is broken. Scrapes go on without the store; only
    the gauges that it fills have no value."""
    is_away = asyncio.Event()

    def broken(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def ask(*arguments: object) -> object:
            if is_away.is_set():
                raise ServiceUnavailable("away")
            return await work(*arguments)

        return ask

    for part, name in ((SqlFacts, "get"), (SqlCheckQueue, "next_due"), (SqlConnections, "survey")):
        monkeypatch.setattr(part, name, broken(getattr(part, name)))
    for name in ("LAG_INTERVAL_SECONDS", "MIN_COUNT_INTERVAL_SECONDS", "COUNT_REST"):
        monkeypatch.setattr(gauges, name, 0.01)
    monkeypatch.setattr(keyring, "RELOAD_SECONDS", 0.01)
    async with running(database, {}) as service:
        file, aside = service.settings.keyring_file, database.with_name("aside")
        found = await scraped(service.admin)
        assert found.value("postcore_ready") == 3
        assert found.value("postcore_monitor_lag_seconds") == 0
        os.rename(file, aside)
        assert "[-]keyring unreadable\n" in await ready(service, 503)
        os.rename(aside, file)
        assert await ready(service, 200) == "ok\n"

        is_away.set()
        said = await ready(service, 503)
        assert said == "[-]store unavailable\n[+]keyring ok\n[+]drain ok\nreadyz check failed\n"
        found = await scraped(service.admin)
        assert found.value("postcore_ready", dependency="store") == 0
        assert found.value("postcore_ready", dependency="keyring") == 1
        assert isnan(found.value("postcore_monitor_lag_seconds"))
        is_away.clear()
        assert await ready(service, 200) == "ok\n"


async def test_metrics_show_what_was_done(
    service: Running, sandbox: SandboxBluesky, each_scrape_is_written: None
) -> None:
    """A connect, a lease, a wrong password, a check, and a path that does not exist, each in its
    metric; no label holds a name of the tenant, the profile, the person or their server."""
    before = await scraped(service.admin)
    person = await sandbox.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    await service.lease(key)
    await service.refused(person.handle, "aaaa-bbbb-cccc-dddd", profile_key=key)
    await service.verify(key)
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"http://{service.http}/no/such/{key}")
        await client.request("BREW", f"http://{service.http}/profiles/{key}")
        await client.get(f"http://{service.http}/profiles/{key}")
    await unknown(service, f"/postcore.profiles.v1.ProfileService/{person.handle}")
    after = await scraped(service.admin)

    def new(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert new("grpc_server_started_total", grpc_method="ConnectProfile") == 2
    assert new("grpc_server_handled_total", grpc_method="ConnectProfile", grpc_code="OK") == 1
    assert new("grpc_server_handled_total", grpc_code="Unauthenticated") == 1
    assert new("grpc_server_handling_seconds_count", grpc_method="LeaseSession") == 1
    assert new("grpc_server_handled_total", grpc_method="_OTHER", grpc_code="Unimplemented") == 1
    assert new("postcore_refusals_total", reason="INVALID_CREDENTIALS", transport="grpc") == 1
    assert new("postcore_refusals_total", reason="MISSING_API_KEY", transport="http") == 1
    http = "http_server_request_duration_seconds_count"
    assert new(http, http_route="", http_response_status_code="404") == 1
    assert new(http, http_route="/profiles/{profileKey}", http_request_method="_OTHER") == 1
    assert new(http, http_route="/profiles/{profileKey}", http_response_status_code="401") == 1
    logins = {"platform": "bluesky", "purpose": "connect"}
    assert new("postcore_logins_total", outcome="ok", **logins) == 1
    assert new("postcore_logins_total", outcome="rejected", **logins) == 1
    assert new("postcore_platform_calls_total", call="identify", outcome="ok") == 2
    assert new("postcore_platform_call_duration_seconds_count", call="login") == 2
    assert new("postcore_leases_total", platform="bluesky", cost="stored") == 1
    assert new("postcore_egress_requests_total", outcome="2xx") >= 3
    assert new("postcore_store_duration_seconds_count", operation="write") >= 3
    assert after.value("postcore_keyring_keys", state="active") == 3
    words = after.label_values()
    assert words & {key, person.handle, person.did, service.tenant_id, service.http} == set()


async def test_the_number_of_series_has_a_bound(
    service: Running, sandbox: SandboxBluesky, each_scrape_is_written: None
) -> None:
    """Callers who make up methods, verbs, paths, platforms, keys and names add no series after the
    first of each kind."""

    async def hostile(turn: int) -> None:
        word = f"made-up-{turn}"
        async with httpx.AsyncClient(trust_env=False) as client:
            for verb in (f"VERB{turn}", "GET", "POST", "DELETE"):
                for path in (f"/{word}", f"/profiles/{word}", f"/profiles/{word}/platforms/{word}"):
                    headers = {"x-api-key": word, "x-request-id": word, "host": word}
                    await client.request(
                        verb, f"http://{service.http}{path}", headers=headers, content=word
                    )
        for method in (f"/{word}/{word}", f"/postcore.profiles.v1.ProfileService/{word}"):
            await unknown(service, method)
        for platform in (word, "bluesky"):
            await service.refused(f"{word}.invalid", "aaaa-bbbb-cccc-dddd", platform=platform)
        with pytest.raises(grpc.aio.AioRpcError):
            await service.profiles.GetProfile(
                pb.GetProfileRequest(profile_key=word), metadata=service.metadata()
            )

    await hostile(0)
    first = await scraped(service.admin)
    for turn in range(1, 6):
        await hostile(turn)
    assert (await scraped(service.admin)).samples.keys() == first.samples.keys()
    assert len(first.samples) < MAX_SERIES


@pytest.mark.slow
async def test_ten_thousand_scrapes_a_minute_write_few_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Scrapes within a second share the text of the first."""
    now, written = [0.0], list[float]()
    monkeypatch.setattr(admin, "monotonic", lambda: now[0])

    class Counted(Metrics):
        def text(self) -> bytes:
            written.append(now[0])
            return super().text()

    edge = AdminEdge(Counted(), {})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(edge), base_url="http://admin"
    ) as client:
        for scrape in range(1000):
            now[0] = scrape * 60 / 10_000
            answer = await client.get("/metrics")
            assert parsed(answer.text).value("postcore_ready", dependency="drain") == 1
    assert len(written) == 6


async def test_probes_are_answered_while_callers_fill_the_edge(database: Path) -> None:
    """Connections of callers do not count for the admin server, which closes its own longest-idle
    one at its limit."""
    async with running(database, {"MAX_HTTP_CONNECTIONS": "2"}) as service:
        host, _, port = service.http.rpartition(":")
        own = service.admin.rpartition(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(8)]
        held += [await asyncio.open_connection(own[0], int(own[2])) for _ in range(40)]
        assert (await asked(service, "/livez")).text == "ok\n"
        assert (await asked(service, "/readyz")).text == "ok\n"
        for _, writer in held:
            writer.close()


async def test_no_server_is_started_where_it_is_off(database: Path) -> None:
    """The service then takes calls as usual."""
    async with running(database, {"ADMIN_ADDRESS": OFF}) as service:
        assert service.admin == ""
        assert await service.new_profile()

"""The boundary: what is the same for every call."""

import asyncio
import json
import logging
from time import monotonic
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from postcore.profiles.v1 import platform_service_pb2, session_service_pb2
from service.access import api_keys as access_module
from service.access.api_keys import ApiKeys
from service.crypto.keyring import UnknownKey
from service.domain.model import Scope
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.transport.servicers import SERVICES
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, refusal_of

CONNECT = "/postcore.profiles.v1.ProfileService/ConnectProfile"


async def call(service: Running, encoded: bytes, *metadata: tuple[str, str]) -> bytes:
    """Call ConnectProfile with raw bytes."""
    raw: Any = service.channel.unary_unary(CONNECT)
    return bytes(await raw(encoded, metadata=metadata, timeout=10))


def flip(key: str, place: int) -> str:
    return key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1 :]


@pytest.mark.parametrize("metadata", [(), (("x-api-key", ""),)])
async def test_a_call_without_a_key_is_rejected(
    sandboxed: Running, metadata: tuple[tuple[str, str], ...]
) -> None:
    """MISSING_API_KEY has the specification's message."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(sandboxed, b"", *metadata)
    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "MISSING_API_KEY")
    assert refusal.message == "API key is required in x-api-key header"


async def test_every_method_requires_a_key(sandboxed: Running) -> None:
    """All methods of the contract, including later ones, are behind the boundary."""
    methods = [
        f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods
    ]
    assert CONNECT in methods
    for method in methods:
        # of a stream, too, the refusal is the first that comes
        raw: Any = sandboxed.channel.unary_unary(method)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(b"", timeout=10)
        assert refusal_of(caught.value).reason == "MISSING_API_KEY", method


async def test_malformed_unknown_and_revoked_keys_look_the_same(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All get the same INVALID_API_KEY, byte for byte. A wrong checksum never reaches the store."""
    monkeypatch.setattr(access_module, "CACHE_SECONDS", 0)
    asked: list[str] = []
    find = ApiKeys._find

    async def noted(self: ApiKeys, key_id: str, within: float) -> object:
        asked.append(key_id)
        return await find(self, key_id, within)

    monkeypatch.setattr(ApiKeys, "_find", noted)
    key = sandboxed.api_key
    revoked, revoked_id = await sandboxed.new_key()
    await sandboxed.revoke_key(revoked_id)
    forged_id = key.replace(key.split("_")[2], "a" * 16)
    body = forged_id[:-6]
    unknown = body + access_module._checksum(body)
    local = [
        "x",
        "pc_live_",
        key[:-1],
        key + "0",
        f" {key}",
        key.upper(),
        flip(key, 30),
        flip(key, len(key) - 1),
        f"{key}, {key}",
        "pc_live_" + "?" * 70,
        "x" * 5000,
    ]
    wires = set()
    for wrong in (*local, revoked, unknown):
        refusal = await sandboxed.refused("a.test", "p", api_key=wrong)
        assert refusal.reason == "INVALID_API_KEY", wrong
        wires.add(refusal.wire)
    assert len(wires) == 1
    assert asked == [revoked_id, "a" * 16]


async def test_a_repeated_key_is_invalid(sandboxed: Running) -> None:
    """Neither of the two is accepted."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(sandboxed, b"", *sandboxed.metadata(), *sandboxed.metadata())
    assert refusal_of(caught.value).reason == "INVALID_API_KEY"


async def test_a_revoked_key_is_rejected_after_the_cache_expires(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifiers are cached for at most 5 s; after that the revocation takes effect."""
    key, key_id = await sandboxed.new_key()
    request = platform_service_pb2.ListPlatformsRequest()
    await sandboxed.platforms.ListPlatforms(request, metadata=sandboxed.metadata(key))
    await sandboxed.revoke_key(key_id)
    await sandboxed.platforms.ListPlatforms(request, metadata=sandboxed.metadata(key))
    later = monotonic() + 5.001
    monkeypatch.setattr(access_module, "monotonic", lambda: later)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sandboxed.platforms.ListPlatforms(request, metadata=sandboxed.metadata(key))
    assert refusal_of(caught.value).reason == "INVALID_API_KEY"


async def test_scopes(sandboxed: Running) -> None:
    """The error names the missing scope. ListPlatforms accepts any key."""
    reader, _ = await sandboxed.new_key(Scope.PROFILES_READ)
    refusal = await sandboxed.refused("a.test", "p", api_key=reader)
    assert (refusal.code, refusal.reason, refusal.metadata) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "INSUFFICIENT_SCOPE",
        {"requiredScope": "profiles:write"},
    )
    request = platform_service_pb2.ListPlatformsRequest()
    await sandboxed.platforms.ListPlatforms(request, metadata=sandboxed.metadata(reader))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sandboxed.sessions.LeaseSession(
            session_service_pb2.LeaseSessionRequest(), metadata=sandboxed.metadata()
        )
    assert refusal_of(caught.value).metadata == {"requiredScope": "sessions:lease"}


@pytest.mark.parametrize(
    ("encoded", "field"),
    [
        (b"\xff\xff\xff", ""),
        (b"\x12\x07blue", ""),  # truncated
        (b"\x12\x02\xc3\x28", "platform"),  # invalid UTF-8
        (b"\x1a\x05\x0a\x03\xed\xa0\x80", "credentials.handle"),  # a lone surrogate
        (b"\x1a\x04\x12\x02\xff\xfe", "credentials.app_password"),
    ],
)
async def test_an_undecodable_message_fails_inside_the_boundary(
    sandboxed: Running, encoded: bytes, field: str
) -> None:
    """INVALID_REQUEST names the field if known. Without a key the error is MISSING_API_KEY."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(sandboxed, encoded, *sandboxed.metadata())
    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    )
    assert refusal.fields == (field,)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(sandboxed, encoded)
    assert refusal_of(caught.value).reason == "MISSING_API_KEY"


async def test_a_message_over_the_limit_is_rejected_by_grpc_itself(sandboxed: Running) -> None:
    """RESOURCE_EXHAUSTED above 64 KiB, before decoding, and the next call succeeds."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(sandboxed, bytes(70 * 1024), *sandboxed.metadata())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await sandboxed.refused("a.test", "p")).reason == "INVALID_CREDENTIALS"


async def test_health_reflection_and_unknown_methods_need_no_key(sandboxed: Running) -> None:
    """Health knows "" and every service; an unknown method is UNIMPLEMENTED."""
    health = health_pb2_grpc.HealthStub(sandboxed.channel)
    for name in (
        "",
        *(f"postcore.profiles.v1.{kind}Service" for kind in ("Profile", "Platform", "Session")),
    ):
        reply = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    for unknown in ("/postcore.profiles.v1.ProfileService/Nothing", "/no.Such/Method"):
        raw: Any = sandboxed.channel.unary_unary(unknown)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(b"", timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_request_ids_are_returned(
    sandboxed: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """An id that is safe to log is returned, any other is replaced. It is never in the status."""
    request = platform_service_pb2.ListPlatformsRequest()
    for given, expected in (
        ("abc-123", "abc-123"),
        ("evil id {}", None),
        ("x" * 200, None),
        ("", None),
    ):
        metadata = (*sandboxed.metadata(), ("x-request-id", given))
        done = sandboxed.platforms.ListPlatforms(request, metadata=metadata)
        await done
        got = str(dict(await done.trailing_metadata())["x-request-id"])
        assert got == expected or (expected is None and got.startswith("req_"))
    metadata = (("x-api-key", "wrong"), ("x-request-id", "abc-124"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(sandboxed, b"", *metadata)
    refusal = refusal_of(caught.value)
    assert refusal.trailers["x-request-id"] == "abc-124"
    assert b"abc-124" not in refusal.wire


async def test_every_call_logs_one_line(
    sandboxed: Running, sandbox: SandboxBluesky, calls: "list[dict[str, object]]"
) -> None:
    """It has method, tenant, key, outcome and time, but no message, handle or DID."""
    person = await sandbox.person()
    await sandboxed.connect(person.handle, person.app_password)
    await sandboxed.refused(person.handle, "wrong")
    await sandboxed.refused(person.handle, "wrong", api_key="wrong")
    assert [line["outcome"] for line in calls] == ["ok", "INVALID_CREDENTIALS", "INVALID_API_KEY"]
    assert calls[0]["tenant"] == sandboxed.tenant_id
    assert calls[0]["method"] == "ConnectProfile"
    assert calls[2]["tenant"] is None
    text = json.dumps(calls)
    for absent in (person.handle, person.did, person.app_password, sandboxed.api_key):
        assert absent not in text


async def test_the_text_of_an_exception_is_not_sent(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any unexpected exception is INTERNAL with "internal error"."""

    async def broken(*_: object) -> object:
        raise ValueError("a secret in an exception")

    monkeypatch.setattr(BlueskyPlatform, "identify", broken)
    refusal = await sandboxed.refused("a.test", "abcd-efgh-ijkl-mnop")
    assert (refusal.code, refusal.reason, refusal.message) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "internal error",
    )
    assert refusal.metadata == {}


async def test_an_unknown_keyring_key_is_an_internal_error(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyring without the key does not make the caller's API key invalid."""

    async def lacking(*_: object) -> object:
        raise UnknownKey("apikey-00000000")

    monkeypatch.setattr(ApiKeys, "check", lacking)
    assert (await sandboxed.refused("a.test", "p")).reason == "INTERNAL"


async def test_the_callers_deadline_is_kept(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that hangs in the service is DEADLINE_EXCEEDED, not CANCELLED."""
    monkeypatch.setattr("service.transport.grpc.methods.DEFAULT_SECONDS", 0.1)

    async def hang(*_: object) -> object:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("service.connections.connect.Connect._connected_account", hang)
    refusal = await sandboxed.refused(
        "a.test", "abcd-efgh-ijkl-mnop", profile_key="prof_abc123", timeout=None
    )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
    )


async def test_deadlines_of_caller_and_service_differ(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's is DEADLINE_EXCEEDED, even while a platform is slow. The service's own blames
    the platform and asks clients not to retry automatically."""

    async def hang(*_: object) -> object:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(BlueskyPlatform, "identify", hang)
    for seconds in (0.001, 0.1, 0.6):
        refusal = await sandboxed.refused("a.test", "abcd-efgh-ijkl-mnop", timeout=seconds)
        assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert refusal.reason in ("DEADLINE_EXCEEDED", "")  # grpc's own, at the very end
        assert refusal.retry_after is None
    assert refusal.reason == "DEADLINE_EXCEEDED"
    monkeypatch.setattr("service.transport.grpc.methods.DEFAULT_SECONDS", 0.6)
    refusal = await sandboxed.refused("a.test", "abcd-efgh-ijkl-mnop", timeout=None)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "PLATFORM_UNAVAILABLE",
    )
    assert refusal.retry_after == 30
    assert refusal.trailers["grpc-retry-pushback-ms"] == "-1"


def test_libraries_are_quiet_at_debug_level() -> None:
    """Their debug records contain requests and SQL parameters."""
    for name in ("httpcore", "httpx", "aiosqlite", "grpc", "asyncio", "uvicorn"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING

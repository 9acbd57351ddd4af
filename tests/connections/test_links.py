"""Connect links: made, repeated, revoked, and refused for what is wrong with a request."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.startup import open_store
from service.domain.links import TenantPage, origin_of, registered_origin
from service.domain.model import SECOND, Scope
from tests.support import sharing
from tests.support.running import Running, refusal_of

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

ORIGIN = "https://app.example.com"
BACK = f"{ORIGIN}/done?from=postcore"


async def register(service: Running, *origins: str) -> None:
    async with open_store(service.settings) as store:
        assert await store.links.set_page(service.tenant_id, TenantPage(origins=origins), 1)


async def create(service: Running, api_key: str = "", **fields: Any) -> Any:
    request = pb.CreateConnectLinkRequest(**{"app_name": "Example", **fields})
    metadata = service.metadata(api_key or None)
    return await service.profiles.CreateConnectLink(request, metadata=metadata, timeout=30)


async def refused(service: Running, api_key: str = "", **fields: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(service, api_key, **fields)
    return refusal_of(caught.value)


async def revoke(service: Running, link_id: str) -> None:
    request = pb.RevokeConnectLinkRequest(link_id=link_id)
    await service.profiles.RevokeConnectLink(request, metadata=service.metadata(), timeout=30)


async def test_a_link_leads_to_the_public_url_and_only_its_digest_is_stored(
    sandboxed: Running,
) -> None:
    """It ends after half an hour unless told otherwise. No part of the file holds its token."""
    made = await create(sandboxed)
    base, _, token = made.url.rpartition("/")
    assert base == f"http://{sandboxed.http}/connect"
    [row] = sandboxed.rows("SELECT * FROM connect_links")
    assert row["expires_at"] - row["created_at"] == 1800 * SECOND
    assert made.expires_at.ToMicroseconds() == row["expires_at"]
    assert row["link_id"] == made.link_id
    with closing(sqlite3.connect(sandboxed.database)) as database:
        assert token not in "\n".join(database.iterdump())
    longer = await create(sandboxed, expires_in=86_400)
    left = longer.expires_at.ToMicroseconds() - made.expires_at.ToMicroseconds()
    assert 84_600 * SECOND <= left < 84_700 * SECOND


async def test_a_repeated_request_gets_the_same_link(sandboxed: Running) -> None:
    """Though its token is not stored, and whether or not it names a profile; another request
    with the key is refused."""
    profile = await sandboxed.profiles.CreateProfile(
        pb.CreateProfileRequest(), metadata=sandboxed.metadata()
    )
    for key, named in (("a", {}), ("b", {"profile_key": profile.profile_key})):
        first = await create(sandboxed, idempotency_key=key, **named)
        assert await create(sandboxed, idempotency_key=key, **named) == first
        other = await refused(sandboxed, idempotency_key=key, **named, locale="de")
        assert other.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(sandboxed.rows("SELECT * FROM connect_links")) == 2
    replies = sandboxed.rows("SELECT reply FROM idempotency_records")
    assert not any("/connect/" in json.dumps(row["reply"]) for row in replies)


async def test_only_a_key_that_may_write_makes_links(sandboxed: Running) -> None:
    reading, _ = await sandboxed.new_key(Scope.PROFILES_READ)
    assert (await refused(sandboxed, reading)).reason == "INSUFFICIENT_SCOPE"


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"app_name": ""}, "INVALID_REQUEST", "app_name"),
        ({"app_name": " \t"}, "INVALID_REQUEST", "app_name"),
        ({"app_name": "x" * 61}, "INVALID_REQUEST", "app_name"),
        ({"app_name": "Ev\u202eil"}, "INVALID_REQUEST", "app_name"),
        ({"app_name": "Ex\u200bample"}, "INVALID_REQUEST", "app_name"),
        ({"app_name": "Ex\x00ample"}, "INVALID_REQUEST", "app_name"),
        ({"state": "é"}, "INVALID_REQUEST", "state"),
        ({"state": "x" * 501}, "INVALID_REQUEST", "state"),
        ({"locale": "x" * 36}, "INVALID_REQUEST", "locale"),
        ({"expires_in": -1}, "INVALID_REQUEST", "expires_in"),
        ({"expires_in": 86_401}, "INVALID_REQUEST", "expires_in"),
        ({"profile_key": ""}, "INVALID_REQUEST", "profile_key"),
        ({"profile_key": "prof_absent"}, "PROFILE_NOT_FOUND", ""),
        ({"profile_key": "Ill-Formed"}, "PROFILE_NOT_FOUND", ""),
        ({"platform": "linkedin"}, "USE_GET_FOR_OAUTH", ""),
        ({"platform": "myspace"}, "UNSUPPORTED_PLATFORM", ""),
        ({"idempotency_key": "é"}, "INVALID_REQUEST", "idempotency_key"),
    ],
)
async def test_what_is_wrong_with_a_request_is_refused(
    sandboxed: Running, fields: dict[str, Any], reason: str, field: str
) -> None:
    refusal = await refused(sandboxed, **fields)
    assert (refusal.reason, refusal.fields) == (reason, (field,) if field else ())
    assert not sandboxed.rows("SELECT * FROM connect_links")


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.org/",
        "https://sub.app.example.com/",
        "https://app.example.com.evil.test/",
        "https://app.example.com:8443/",
        "http://app.example.com/",
        "javascript:alert(1)",
        "JaVaScRiPt://app.example.com/%0aalert(1)",
        "data:text/html,x",
        "//app.example.com/",
        "/done",
        "https://user@app.example.com/",
        "https://app.example.com@evil.test/",
        "https://evil.test\\@app.example.com/",
        "https://app.example.com\\@evil.test/",
        "https://app.example.com\t/",
        "https://app.example.com/\r\nlocation: https://evil.test",
        "https://app.ex\u0430mple.com/",  # a Cyrillic a
        "https://app\uff0eexample.com/",  # a full-width full stop
        "https://xn--app-exmple-com.test/",
        "https://app.example.com./",
        "https://app.example.com/#here",
        "https://app.example.com/?state=1",
        "https://app.example.com/?a=%3Cb&profileKey=x",
        "https://[::ffff:1.2.3.4]/",
        "https://app.example.com:99999/",
        f"https://app.example.com/{'x' * 2000}",
    ],
)
async def test_a_way_back_to_elsewhere_is_refused(sandboxed: Running, url: str) -> None:
    """Only an https URL at a registered origin is accepted, spelled in ASCII."""
    await register(sandboxed, ORIGIN)
    refusal = await refused(sandboxed, return_url=url)
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("return_url",))


async def test_a_registered_origin_is_accepted(sandboxed: Running) -> None:
    """In any spelling of the same origin, and of this tenant alone."""
    assert (await refused(sandboxed, return_url=BACK)).fields == ("return_url",)
    await register(sandboxed, ORIGIN, "http://localhost:3000")
    for url in (BACK, ORIGIN, "HTTPS://APP.example.com:443/x", "http://localhost:3000/?a=1"):
        assert (await create(sandboxed, return_url=url)).url
    other = await sandboxed.new_tenant()
    key, _ = await sandboxed.new_key(Scope.PROFILES_WRITE, tenant_id=other)
    assert (await refused(sandboxed, key, return_url=BACK)).fields == ("return_url",)


@pytest.mark.parametrize(
    "text",
    ["http://app.example.com", "https://a", "https://a.example/x", "https://u@a.example", "", "*"],
)
def test_what_is_no_origin_cannot_be_registered(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        registered_origin(text)


def test_an_origin_has_one_spelling() -> None:
    assert registered_origin("HTTPS://App.Example.com:443/") == "https://app.example.com"
    assert registered_origin("http://[::1]:80") == "http://[::1]"
    assert origin_of("http://127.0.0.1:9/x?y=z") == "http://127.0.0.1:9"


async def test_a_revoked_link_has_ended(sandboxed: Running) -> None:
    """Once and again; one of another tenant, or none, is CONNECT_LINK_NOT_FOUND, alike."""
    made = await create(sandboxed)
    await revoke(sandboxed, made.link_id)
    await revoke(sandboxed, made.link_id)
    [row] = sandboxed.rows("SELECT revoked_at FROM connect_links")
    assert row["revoked_at"]
    other = await sandboxed.new_tenant()
    key, _ = await sandboxed.new_key(Scope.PROFILES_WRITE, tenant_id=other)
    wires = set()
    for link_id in (made.link_id, "link_none", "é", "x" * 1000):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sandboxed.profiles.RevokeConnectLink(
                pb.RevokeConnectLinkRequest(link_id=link_id),
                metadata=sandboxed.metadata(key),
                timeout=30,
            )
        wires.add(refusal_of(caught.value).wire)
        assert refusal_of(caught.value).reason == "CONNECT_LINK_NOT_FOUND"
    assert len(wires) == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await revoke(sandboxed, "")
    assert refusal_of(caught.value).fields == ("link_id",)


async def test_links_leave_audit_rows_without_their_token(sandboxed: Running) -> None:
    made = await create(sandboxed, platform="bluesky")
    await revoke(sandboxed, made.link_id)
    rows = sandboxed.rows("SELECT * FROM audit WHERE tenant_id = ?", sandboxed.tenant_id)
    found = {row["method"]: row for row in rows}
    assert found["CreateConnectLink"]["platform"] == "bluesky"
    assert found["RevokeConnectLink"]["outcome"] == "OK"
    assert made.url.rpartition("/")[2] not in json.dumps([dict(row) for row in rows])

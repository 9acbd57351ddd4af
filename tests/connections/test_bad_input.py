"""Bad input: each has a clear error that names its field, spends no login and stores nothing."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, refusal_of

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

GOOD = {"handle": "user.bsky.social", "app_password": "abcd-efgh-ijkl-mnop"}
OAUTH = (
    "{0} requires OAuth. Use GET /profiles/connect?platform={0}&apiKey=YOUR_KEY&returnUrl=YOUR_URL"
)


@dataclass(frozen=True)
class Case:
    """A request and its expected error."""

    request: dict[str, Any]
    reason: str
    path: str = ""
    cause: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    message: str = ""


def connect(platform: str = "bluesky", **more: object) -> dict[str, Any]:
    return {"platform": platform, "credentials": pb.Credentials(**GOOD), **more}


def typed(**given: str) -> dict[str, Any]:
    return {"platform": "bluesky", "credentials": pb.Credentials(**{**GOOD, **given})}


def handle(text: str) -> Case:
    return Case(typed(handle=text), "INVALID_CREDENTIALS", "credentials.handle", "MALFORMED_HANDLE")


def password(text: str) -> Case:
    return Case(
        typed(app_password=text),
        "INVALID_CREDENTIALS",
        "credentials.app_password",
        "MALFORMED_APP_PASSWORD",
    )


CASES = {
    "nothing at all": Case({}, "INVALID_REQUEST", "platform"),
    "no platform": Case(connect(""), "INVALID_REQUEST", "platform", message="platform is required"),
    "a long platform": Case(connect("x" * 65), "INVALID_REQUEST", "platform"),
    "an unknown platform": Case(
        connect("myspace"),
        "UNSUPPORTED_PLATFORM",
        metadata={"platform": "myspace", "supported": "bluesky,ghost,mastodon,wordpress"},
    ),
    "a platform in capitals": Case(connect("Bluesky"), "UNSUPPORTED_PLATFORM"),
    "a platform with a space": Case(connect("bluesky "), "UNSUPPORTED_PLATFORM"),
    "a platform with control characters": Case(connect("blue\0\n\x1bsky"), "UNSUPPORTED_PLATFORM"),
    **{
        f"{name} by credentials": Case(
            connect(name),
            "USE_GET_FOR_OAUTH",
            metadata={"platform": name},
            message=OAUTH.format(name),
        )
        for name in ("linkedin", "twitter", "x", "facebook", "instagram")
    },
    "linkedin without credentials": Case(
        {"platform": "linkedin"}, "USE_GET_FOR_OAUTH", message=OAUTH.format("linkedin")
    ),
    "linkedin for an absent profile": Case(
        {"platform": "linkedin", "profile_key": "prof_absent"}, "USE_GET_FOR_OAUTH"
    ),
    "no credentials": Case({"platform": "bluesky"}, "INVALID_REQUEST", "credentials.handle"),
    "no handle": Case(typed(handle=""), "INVALID_REQUEST", "credentials.handle"),
    "no app password": Case(
        typed(app_password=""),
        "INVALID_REQUEST",
        "credentials.app_password",
        message="credentials.appPassword is required",
    ),
    "an empty profile key": Case(connect(profile_key=""), "INVALID_REQUEST", "profile_key"),
    "an absent profile": Case(
        connect(profile_key="prof_absent"), "PROFILE_NOT_FOUND", message="Profile not found"
    ),
    "an ill-formed profile": Case(connect(profile_key="../../etc"), "PROFILE_NOT_FOUND"),
    "a long idempotency key": Case(
        connect(idempotency_key="k" * 256), "INVALID_REQUEST", "idempotency_key"
    ),
    "an idempotency key with a line break": Case(
        connect(idempotency_key="a\nb"), "INVALID_REQUEST", "idempotency_key"
    ),
    "a bare name": handle("alice"),
    "a bare name with an @": handle("@alice"),
    "two @": handle("@@alice.test"),
    "an e-mail address": handle("alice@example.com"),
    "a link to elsewhere": handle("https://example.com/alice.test"),
    "a profile link of a DID": handle("https://bsky.app/profile/did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
    "a DID": handle("did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
    "bidi characters inside": handle("al\u202eice.test"),
    "a zero-width space inside": handle("al\u200bice.test"),
    "300 characters": handle("a" * 296 + ".com"),
    "10,000 characters": handle("a." * 5000),
    "NUL": handle("alice\0.test"),
    "a space inside": handle("ali ce.test"),
    "a dot at the end": handle("alice.test."),
    "two dots": handle("alice..test"),
    "an underscore": handle("a_b.test"),
    "a hyphen first": handle("-alice.test"),
    "a numeric ending": handle("alice.0"),
    "an IPv4 address": handle("127.0.0.1"),
    "an IPv6 address": handle("[::1]"),
    "an ending that is refused": handle("alice.localhost"),
    "an onion": handle("alice.onion"),
    "accents": handle("bücher.test"),
    "a Kelvin sign": handle("\u212aelvin.test"),
    "full-width letters": handle("ａlice.test"),
    "only white space": handle(" \t\n"),
    "an undashed password": password("abcdefghijklmnop"),
    "a password with inner spaces": password("abcd efgh ijkl mnop"),
    "a password in parts too short": password("abc-efgh-ijkl-mnop"),
    "a password with another dash": password("abcd–efgh–ijkl–mnop"),
    "a main password": password("correct horse battery staple"),
    "a password of 10,000 characters": password("abcd-" * 2000),
    "a password with NUL": password("abcd-efgh-ijkl-mno\0"),
    "a password of white space": password("   "),
}


@pytest.mark.parametrize("name", CASES)
async def test_bad_input_is_rejected(
    sandboxed: Running, sandbox: SandboxBluesky, name: str
) -> None:
    """The error is clear, is returned before any request to a platform, and nothing is stored."""
    case = CASES[name]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sandboxed.profiles.ConnectProfile(
            pb.ConnectProfileRequest(**case.request), metadata=sandboxed.metadata(), timeout=10
        )
    refusal = refusal_of(caught.value)
    assert refusal.reason == case.reason
    assert refusal.fields == ((case.path,) if case.path else ())
    assert refusal.metadata.get("cause", "") == case.cause
    assert case.message in ("", refusal.message)
    assert case.metadata.items() <= refusal.metadata.items()
    assert not sandbox.server.counts, "something was asked of the platform"
    for table in ("profiles", "connections", "credentials", "sessions", "idempotency_records"):
        assert sandboxed.rows(f"SELECT * FROM {table}") == []

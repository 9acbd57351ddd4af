"""Logins: an account server's answer counts only for what it proves."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.domain.model import DAY, SECOND, Account, AccountStatus, Credentials, Session
from service.domain.platform import SessionEnded
from service.platforms import limits
from service.platforms.bluesky import answers, tokens
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.bluesky.answers import XrpcAnswer
from tests.platforms.bluesky_login import jwt

from .fixed_egress import DID, HANDLE, NOW, SERVER, Answered, wire
from .json_texts import json_texts, with_others
from .target import EDITS, SEEDS, Read, Target
from .test_documents import STATUS, WIRES

ACCOUNT = Account(DID, HANDLE, SERVER)
PASSWORD = "wq5z-7hxn-k2vd-pj4t"
CREDENTIALS = Credentials(handle=HANDLE, appPassword=PASSWORD)
EXPIRES = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOiAxODAwMDA3MjAwfQ.c2lnbmVk"
GOOD = {
    "did": DID,
    "handle": HANDLE,
    "accessJwt": EXPIRES,
    "refreshJwt": "refresh",
    "active": True,
    "status": None,
}
WHOLE = json.dumps(GOOD).encode()
REFUSALS = (InvalidCredentials, AccountInactive, PlatformRateLimited, PlatformUnavailable)


class Asked:
    """An account's server, called for everything that the adapter requests."""

    def __init__(self, answered: Answered) -> None:
        self.answered = answered
        self.platform = BlueskyPlatform(answered.outside())

    def says(self, *statuses: bytes) -> bool:
        return any(b" %s " % status in self.answered.wire for status in statuses)

    async def everything(self) -> None:
        try:
            await self.log_in()
            await self.refresh()
            await self.look()
        finally:
            await self.answered.close()

    async def log_in(self) -> None:
        with suppress(ServiceError):
            await self.platform.log_in(CREDENTIALS, ACCOUNT)
        try:
            login = await self.platform.log_in_again(PASSWORD, ACCOUNT)
        except ServiceError as refusal:
            check(refusal)
            if isinstance(refusal, InvalidCredentials):
                # proven only by its own statement, or by a token of a main password
                is_stated = refusal.why == "main_password" or self.says(b"400", b"401", b"403")
                assert is_stated, refusal.why
        else:
            assert login.account == ACCOUNT
            usable(login.session)
            assert login.pause_until is None or 0 < login.pause_until - NOW * SECOND <= DAY
            assert login.reported_username.isascii()

    async def refresh(self) -> None:
        try:
            refreshed = await self.platform.refresh(Session("access", "refresh", 0), ACCOUNT)
        except SessionEnded:
            assert self.says(b"400", b"401", b"403", b"404", b"410")
        except ServiceError as refusal:
            check(refusal)
        else:
            usable(refreshed.session)

    async def look(self) -> None:
        try:
            standing = await self.platform.account_status(ACCOUNT)
        except (PlatformRateLimited, PlatformUnavailable) as refusal:
            check(refusal)
        else:
            assert isinstance(standing, AccountStatus)
            is_stated = self.says(b"200", b"201", b"400", b"403", b"404", b"410")
            assert is_stated or standing is AccountStatus.UNKNOWN
        try:
            name = await self.platform.display_name(ACCOUNT)
        except PlatformUnavailable:
            return
        assert name is None or (0 < len(name) <= 640 and name.isprintable())


@contextmanager
def opened(_: Path) -> Iterator[Read]:
    with asyncio.Runner() as runner:
        asked = Asked(Answered())
        runner.run(asked.platform.warm_up())

        def read(data: bytes) -> None:
            asked.answered.wire = wire(data, WHOLE)
            runner.run(asked.everything())
            hints(data)

        yield read


def check(refusal: ServiceError) -> None:
    """Check its kind and its retry delay, and that it holds no secret."""
    assert isinstance(refusal, REFUSALS)
    assert refusal.retry_after is None or 1 <= refusal.retry_after <= 24 * 3600
    assert PASSWORD not in repr(vars(refusal))
    assert refusal.__cause__ is None


def usable(session: Session) -> None:
    """Check that its tokens fit in a header and its expiry can be stored."""
    for token in (session.access_token, session.refresh_token):
        assert token.isascii()
        assert token.isprintable()
        assert " " not in token
    Timestamp().FromMicroseconds(session.expires_at)
    assert session.expires_at > 0


def hints(data: bytes) -> None:
    """Check the expiry in a token and the delay in a Retry-After header for valid ranges."""
    text = data.decode("utf-8", "surrogateescape")
    for token in (text, f"a.{text}.b"):
        expires_at = tokens.expires_at(token, NOW * SECOND)
        assert SECOND <= expires_at - NOW * SECOND <= DAY
        assert isinstance(tokens.claims(token), dict)
    header = data.decode("latin-1")
    for remaining in ("0", header):
        headers = httpx.Headers(
            [(name, header) for name in ("ratelimit-reset", "retry-after", "ratelimit", "date")]
            + [("ratelimit-remaining", remaining)],
            encoding="latin-1",
        )
        until = limits.pause_until(headers, NOW * SECOND)
        assert until is None or 0 < until - NOW * SECOND <= DAY
        for status in (429, 503):
            with pytest.raises((PlatformRateLimited, PlatformUnavailable)) as caught:
                answers.raise_status(XrpcAnswer(status, headers, b""), NOW * SECOND)
            check(caught.value)


TARGET = Target(
    opened,
    (
        *(b"\1\0" + seed[1:] for seed in SEEDS),
        b'\0\5{"error": "AuthenticationRequired"}',
        b'\0\4{"error": "ExpiredToken"}',
        b"\0\x09ratelimit-reset: 1800000300\r\nratelimit-remaining: 0\r\n\0\0{}",
        b"1800000300",
        b"eyJleHAiOiAxODAwMDA3MjAwfQ",
    ),
)

NAMES = ("did", "handle", "accessJwt", "refreshJwt", "active", "status", "error", "message")
VALUES = (
    *(DID, HANDLE, EXPIRES, "refresh", "deactivated", "takendown", "AuthenticationRequired"),
    *("ExpiredToken", "RepoNotFound", "AccountTakedown", "AuthFactorTokenRequired"),
)
HEADERS = st.sampled_from(
    [b""]
    + [
        f"ratelimit-reset: {reset}\r\nretry-after: {reset}\r\n"
        f"ratelimit-remaining: {remaining}\r\n\0\0".encode()
        for reset in ("0", "-1", "1800000300", "9" * 12, "9" * 13, "1e9", "\u0663", "")
        for remaining in ("0", "1", "")
    ]
    + [b"content-type: text/html\r\n\0\0", b"location: https://evil.example\r\n\0\0"]
)
TEXTS = json_texts((*NAMES, "didDoc", "value", "displayName"), VALUES)
TIMES = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, NOW, 10**12, 10**400, True, None, "1", [NOW]])
)
TOKENS = (
    st.fixed_dictionaries({}, optional={"exp": TIMES, "iat": TIMES})
    .map(lambda claims: jwt(claims, "x"))
    .map(json.dumps)
    .map(str.encode)
)
REFUSED = st.sampled_from(VALUES).map(lambda error: json.dumps({"error": error}).encode())
BODIES = st.tuples(
    st.just(b"\0"), STATUS, HEADERS, TEXTS | REFUSED | with_others(GOOD, TEXTS | TOKENS)
).map(b"".join)
CHANGED = st.tuples(st.just(b"\1"), STATUS, EDITS.map(lambda edits: edits[1:])).map(b"".join)


@settings(deadline=None, max_examples=200)
@given(BODIES | CHANGED | WIRES)
@example(b"\0\0" + b"[" * 5000)
@example(b"\0\5" + b"[" * 5000)
@example(b'\0\0{"value":' + b"9" * 5000 + b"}")
@example(b"9" * 12)
@example(jwt({"exp": 10**12}, "").split(".")[1].encode())
@example(b'\0\x0a{"error":"ExpiredToken"}')
@example("\u0661\u0662".encode())
def test_any_answer(read: Read, data: bytes) -> None:
    """The result is a session of the account, a rejection that the server stated, or nothing.

    No unexpected exception is raised, no secret is shown, and no delay is over a day.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)

"""Abandoned logins: a session that is not stored is ended at its server, for any answer."""

import asyncio
import json
from collections.abc import Iterator

import httpcore
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.errors import ServiceError
from service.domain.model import Account
from service.platforms.bluesky.adapter import BlueskyPlatform

from .fixed_egress import DID, HANDLE, SERVER, Answered
from .json_texts import json_texts, with_others
from .test_logins import ACCOUNT, CREDENTIALS, GOOD, NAMES, PASSWORD, TOKENS, VALUES

REFRESH = "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJsZWZ0In0.b3Blbg"
WHOLE = {**GOOD, "refreshJwt": REFRESH}
OTHERS = {name: value for name, value in WHOLE.items() if name != "refreshJwt"}
STATUSES = (200, 201, 202, 203, 206)


class Recorded(Answered):
    """Records the bytes that it receives."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    async def _dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        answered = self

        class Stream(httpcore.AsyncMockStream):
            async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
                answered.sent += buffer

        return Stream([self.wire])

    @property
    def logins(self) -> int:
        return self.sent.count(b"/xrpc/com.atproto.server.createSession")

    @property
    def ended(self) -> list[bytes]:
        """The tokens with which sessions were ended."""
        requests = self.sent.split(b"POST /xrpc/com.atproto.server.")
        lines = [
            line
            for request in requests
            if request.startswith(b"deleteSession")
            for line in request.split(b"\r\n")
        ]
        return [line[22:] for line in lines if line.lower().startswith(b"authorization: bearer ")]


Server = tuple[asyncio.Runner, Recorded, BlueskyPlatform]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with asyncio.Runner() as runner:
        recorded = Recorded()
        platform = BlueskyPlatform(recorded.outside())
        runner.run(platform.warm_up())
        yield runner, recorded, platform


def logged_in(server: Server, body: bytes, status: int, *, is_proof: bool) -> bool:
    """Return whether a login with this answer is stored."""
    runner, recorded, platform = server
    head = f"HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    recorded.wire, recorded.sent = head.encode() + body, b""

    async def log_in() -> bool:
        try:
            if is_proof:
                login = await platform.log_in_again(PASSWORD, ACCOUNT)
            else:
                login = await platform.log_in(CREDENTIALS, ACCOUNT)
        except ServiceError as error:
            assert PASSWORD not in repr(vars(error))
            return False
        else:
            assert login.account == Account(DID, HANDLE, SERVER)
            return True
        finally:
            await recorded.close()

    kept = runner.run(log_in())
    assert recorded.logins == 1
    return kept


BODIES = with_others(OTHERS, json_texts(NAMES, VALUES) | TOKENS).map(
    # first, so that it is present for any other content
    lambda body: b'{"refreshJwt":%s,%s' % (json.dumps(REFRESH).encode(), body[1:])
)


@settings(deadline=None, max_examples=200)
@given(BODIES, st.sampled_from(STATUSES), st.booleans(), st.binary(max_size=3))
@example(json.dumps(WHOLE).encode(), 200, False, b"")
@example(json.dumps(WHOLE).encode(), 200, False, b"}")
@example(json.dumps({**WHOLE, "active": False}).encode(), 200, True, b"")
@example(json.dumps({**WHOLE, "did": None}).encode(), 201, True, b"")
@example(b'{"refreshJwt":"%s","x":{"refreshJwt":"0"}' % REFRESH.encode(), 200, True, b"")
def test_a_session_is_kept_or_ended(
    server: Server, body: bytes, status: int, is_proof: bool, after: bytes
) -> None:
    """A session is stored or ended: never both, never neither."""
    kept = logged_in(server, body + after, status, is_proof=is_proof)
    _, recorded, _ = server
    assert (recorded.ended == []) if kept else (REFRESH.encode() in recorded.ended)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(json.dumps(WHOLE))), st.sampled_from(STATUSES), st.booleans())
def test_a_truncated_body(server: Server, size: int, status: int, is_proof: bool) -> None:
    """A truncated body's session is ended if the refresh token is complete."""
    whole = json.dumps(WHOLE).encode()
    kept = logged_in(server, whole[:size], status, is_proof=is_proof)
    _, recorded, _ = server
    is_readable = f'"{REFRESH}"'.encode() in whole[:size]
    assert kept is (size == len(whole))
    assert (REFRESH.encode() in recorded.ended) is (is_readable and not kept)

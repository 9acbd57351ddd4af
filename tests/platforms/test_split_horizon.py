"""Split horizon: no reply reveals whether a name of the operator's own network exists.

A resolver may know names that the internet does not. One that leads to a private address and one
that does not exist get the same reply, byte for byte; the log distinguishes them.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from service.app import build as app
from service.domain.errors import PlatformUnavailable, ServiceError
from service.domain.model import Account, Session
from service.platforms.bluesky.adapter import BlueskyPlatform
from tests.support.running import Running, refusal_of, running

from .bluesky_login import ACCESS, CREDENTIALS, DID, HANDLE, PASSWORD, REFRESH
from .dns_server import NODATA, NXDOMAIN, Reply
from .internet import WEB, Internet, document
from .raw import DEADLINE_SECONDS, respond

NAME = "printer.corp.example.com"
HORIZON = {
    "no such name": {"A": NXDOMAIN, "AAAA": NXDOMAIN},
    "no address": {"A": NODATA, "AAAA": NODATA},
    "private": {"A": Reply(("10.0.0.1",)), "AAAA": NODATA},
    "loopback": {"A": Reply(("127.0.0.1",)), "AAAA": Reply(("::1",))},
    "private by IPv6": {"A": NODATA, "AAAA": Reply(("fd00::1",))},
    "private and public": {"A": Reply(("10.0.0.1", WEB)), "AAAA": NODATA},
    "alias": {"A": Reply(("10.0.0.1",), chain=("inner.corp.example.com",)), "AAAA": NODATA},
}
WAYS = {"handle": NAME, "did:web": "web.example.com", "endpoint": HANDLE}
ACCOUNT = Account(DID, HANDLE, f"https://{NAME}")
SESSION = Session(ACCESS, REFRESH, 0)


@pytest.fixture
async def service(
    internet: Internet, database: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    internet.handle("web.example.com", f"did:web:{NAME}")
    internet.handle(HANDLE, DID)
    internet.document(DID, HANDLE, f"https://{NAME}")
    monkeypatch.setattr(app, "egress_context", lambda *_, **__: internet.context())
    async with running(database, dict.fromkeys(BUDGETS, "1000,1000")) as started:
        yield started


BUDGETS = ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET")


def say(internet: Internet, horizon: str) -> None:
    for kind, reply in HORIZON[horizon].items():
        internet.dns.say(NAME, kind, reply)


@pytest.mark.parametrize("way", WAYS)
async def test_connects_do_not_tell_which_inner_names_there_are(
    service: Running, internet: Internet, way: str
) -> None:
    """Over gRPC and over HTTP: code, details, trailers, status, headers and body."""
    replies = set()
    for horizon in HORIZON:
        say(internet, horizon)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.connect(WAYS[way], PASSWORD)
        refusal = refusal_of(caught.value)
        trailers = {name: value for name, value in refusal.trailers.items() if _is_compared(name)}
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                f"http://{service.http}/profiles/connect",
                headers={"x-api-key": service.api_key},
                json={
                    "platform": "bluesky",
                    "credentials": {"handle": WAYS[way], "appPassword": PASSWORD},
                },
            )
        headers = [item for item in answer.headers.multi_items() if _is_compared(item[0])]
        replies.add(
            repr(
                (refusal.code, refusal.wire, trailers, answer.status_code, headers, answer.content)
            )
        )
    assert len(replies) == 1, replies
    [reply] = replies
    assert ("HANDLE_NOT_FOUND" in reply) == (way == "handle")
    assert internet.dialled == []


def _is_compared(header: str) -> bool:
    """Whether it is the same in any two calls."""
    return header.lower() not in (
        *("date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"),
    )


CALLS = {
    "log in": lambda platform: platform.log_in(CREDENTIALS, ACCOUNT),
    "refresh": lambda platform: platform.refresh(SESSION, ACCOUNT),
    "account status": lambda platform: platform.account_status(ACCOUNT),
    "display name": lambda platform: platform.display_name(ACCOUNT),
    "log out": lambda platform: platform.log_out(SESSION, ACCOUNT),
    "resolve account": lambda platform: platform.resolve_account(
        replace(ACCOUNT, account_id=f"did:web:{NAME}")
    ),
}


@pytest.mark.parametrize("call", CALLS)
async def test_every_call_to_a_server_has_the_same_reply(internet: Internet, call: str) -> None:
    """For a lease, a check or a disconnect of an account whose server's name has changed, all parts
    of a reply are the same; the word for the log is not."""
    platform = BlueskyPlatform(internet.context())
    replies, whys = set(), set()
    for horizon in HORIZON:
        say(internet, horizon)
        with pytest.raises(ServiceError) as caught:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await CALLS[call](platform)
        error = caught.value
        shown: tuple[Any, ...] = (error.message, error.metadata, error.fields, error.retry_after)
        replies.add(repr((type(error), *shown, error.help_url, error.pause_until)))
        whys.add(error.why)
    assert len(replies) == 1
    assert type(error) is PlatformUnavailable
    assert whys == {"no_such_name", "forbidden_address"}


async def test_a_handle_of_an_inner_name_is_answered_when_it_is_public(internet: Internet) -> None:
    """The reply is of the name's address, not of the name."""
    internet.site(NAME, "/.well-known/atproto-did", respond(DID))
    internet.plc.on(f"/{DID}", respond(document(DID, NAME, "https://pds.example.com")))
    account = await BlueskyPlatform(internet.context()).identify(
        type(CREDENTIALS)(handle=NAME, appPassword=PASSWORD)
    )
    assert account.username == NAME

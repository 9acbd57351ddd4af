"""Mastodon: webfinger, actor and account prove what they state, or nothing."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.domain.model import NEVER, Account, AccountStatus, Credentials, Session
from service.domain.platform import AccountGone, CredentialRevoked, PermissionLost, SessionEnded
from service.platforms.mastodon.adapter import MastodonPlatform

from .fixed_egress import Answered, wire
from .json_texts import json_texts, with_others
from .target import EDITS, SEEDS, Read, Target
from .test_documents import STATUS, WIRES

HANDLE, SERVER = "alice@example.social", "https://example.social"
ACTOR = f"{SERVER}/users/alice"
ACCOUNT = Account(ACTOR, HANDLE, SERVER)
TOKEN = "wq5z7hxnk2vdpj4twq5z7hxnk2vdpj4twq5z7hxnk2vd"
CREDENTIALS = Credentials(handle=HANDLE, accessToken=TOKEN)
REVOKED = {"error": "The access token was revoked"}
GOOD = {
    "subject": f"acct:{HANDLE}",
    "links": [{"rel": "self", "type": "application/activity+json", "href": ACTOR}],
    "id": ACTOR,
    "preferredUsername": "alice",
    "username": "alice",
    "acct": "alice",
    "uri": ACTOR,
    "url": f"{SERVER}/@alice",
    "display_name": "Alice Example",
    "moved": None,
    "scopes": ["profile", "write:statuses"],
}
"""What every server answers to everything: one document is webfinger's, the actor and the rest."""
WHOLE = json.dumps(GOOD).encode()
REFUSALS = (InvalidCredentials, AccountInactive, PlatformRateLimited, PlatformUnavailable)


class Asked:
    """Servers that are called for everything that the adapter requests."""

    def __init__(self, answered: Answered) -> None:
        self.answered = answered
        self.platform = MastodonPlatform(answered.outside())

    def has(self, *words: bytes) -> bool:
        """Whether the answer contains one of *words*, or an escape that can stand for it."""
        return any(word in self.answered.wire for word in (*words, b"\\u"))

    async def ask(self) -> None:
        try:
            await self.identify()
            await self.log_in()
            await self.refresh()
            await self.resolve()
            await self.status()
        finally:
            await self.answered.close()

    async def identify(self) -> None:
        with suppress(InvalidCredentials, PlatformUnavailable):
            account = await self.platform.identify(CREDENTIALS)
            assert account.origin.startswith("https://")
            # the server that gets the token is in the answer
            assert self.has(account.origin.encode(), account.origin.encode().upper())

    async def log_in(self) -> None:
        try:
            login = await self.platform.log_in(CREDENTIALS, ACCOUNT)
        except ServiceError as error:
            assert isinstance(error, REFUSALS)
            assert TOKEN not in repr(error) + str(error.metadata)
            return
        assert (login.account, login.secret) == (ACCOUNT, TOKEN)
        assert login.session == Session(TOKEN, "", NEVER)
        assert self.has(b" 200 ")
        assert self.has(b"alice", ACTOR.encode())

    async def refresh(self) -> None:
        try:
            refreshed = await self.platform.refresh(Session(TOKEN, "", NEVER), ACCOUNT)
        except (CredentialRevoked, PermissionLost) as proof:
            # all servers give one answer here: it is not both a refusal and an account's
            assert isinstance(proof, PermissionLost)
            assert self.has(b"outside the authorized scopes")
            return
        except (SessionEnded, PlatformRateLimited, PlatformUnavailable):
            return
        assert refreshed.session == Session(TOKEN, "", NEVER)

    async def resolve(self) -> None:
        try:
            account = await self.platform.resolve_account(ACCOUNT)
        except AccountGone:
            assert self.has(b" 410 ")
            return
        except PlatformUnavailable:
            return
        assert account.account_id == ACTOR
        assert account.origin == SERVER or self.has(account.origin.encode())

    async def status(self) -> None:
        with suppress(PlatformUnavailable):
            status = await self.platform.account_status(ACCOUNT)
            if status is AccountStatus.ACTIVE:
                assert self.has(b" 200 ")
                assert self.has(ACTOR.encode())


@contextmanager
def opened(_: Path) -> Iterator[Read]:
    with asyncio.Runner() as runner:
        asked = Asked(Answered())

        def read(data: bytes) -> None:
            asked.answered.wire = wire(data, WHOLE)
            runner.run(asked.ask())

        yield read


TARGET = Target(
    opened,
    (
        *(b"\1\0" + seed[1:] for seed in SEEDS),
        b"\0\0{}",
        b"\0\x05" + json.dumps(REVOKED).encode(),
        b"\2HTTP/1.1 410 Gone\r\n\r\n",
    ),
)

VALUES = (ACTOR, HANDLE, f"acct:{HANDLE}", SERVER, "self", "application/activity+json", "alice")
ERRORS = (REVOKED["error"], "This action is outside the authorized scopes", "acct:a@10.0.0.1")
TEXTS = json_texts((*GOOD, "error", "rel", "type", "href"), (*VALUES, *ERRORS))
BODIES = st.tuples(STATUS, TEXTS).map(lambda parts: b"\0" + b"".join(parts))
NEARLY = with_others(GOOD, TEXTS).map(b"\0\0".__add__)
CHANGED = st.tuples(STATUS, EDITS).map(lambda parts: b"\1" + parts[0] + parts[1][1:])


@settings(deadline=None, max_examples=200)
@given(BODIES | NEARLY | CHANGED | WIRES)
@example(b"\0\0" + WHOLE)
@example(b"\0\0" + WHOLE.replace(b"example.social/users", b"[::1]/users"))
@example(b"\0\0" + WHOLE.replace(b"example.social/users", b"user@example.social/users"))
@example(b"\0\0" + WHOLE.replace(b"acct:alice@example", b"acct:alice@other.example"))
@example(b"\0\0" + WHOLE.replace(b"https:", b"file:"))
@example(b"\0\0" + b"[" * 5000)
@example(b'\0\0{"links":' + b"9" * 5000 + b"}")
def test_any_answer(read: Read, data: bytes) -> None:
    """A token goes where the answer names, and no unexpected exception is raised."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)

"""WordPress: index, user and application passwords prove what they state, or nothing."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.domain.model import SECOND, Account, AccountStatus, Credentials, Session
from service.domain.platform import CredentialRevoked, PermissionLost, SessionEnded
from service.platforms.wordpress.adapter import WordPressPlatform
from service.platforms.wordpress.address import Site
from service.platforms.wordpress.sessions import Tokens

from .fixed_egress import NOW, Answered, wire
from .json_texts import json_texts, with_others
from .target import EDITS, SEEDS, Read, Target
from .test_documents import STATUS, WIRES

HOME, HOST = "https://blog.example.com", "blog.example.com"
PASTED, MINTED = "pastedPASTED012345678901", "mintedMINTED012345678901"
UUID = "96c2fb16-5bd0-4a5f-87d9-a1af74c85039"
CREDENTIALS = Credentials(site=HOME, username="alice", appPassword=PASTED)
ACCOUNT = Account(f"{HOME}/?author=2", f"alice@{HOST}", HOME)
SESSION = Tokens(Site(HOME), "alice", UUID, "a", MINTED, "b").session(NOW * SECOND)
REVOKED = {"code": "rest_application_password_not_found"}
GOOD = {
    "home": HOME,
    "namespaces": ["wp/v2"],
    "authentication": {"application-passwords": {}},
    "uuid": UUID,
    "id": 2,
    "username": "alice",
    "name": "Alice",
    "capabilities": {"publish_posts": True},
    "password": "mint edMI NTED 0123 4567 8901",
    "deleted": True,
}
"""What a site answers to everything: one document is the index, the user and the rest."""
WHOLE = json.dumps(GOOD).encode()


class Asked:
    """A site that is called for everything that the adapter requests."""

    def __init__(self, answered: Answered) -> None:
        self.answered = answered
        self.platform = WordPressPlatform(answered.outside())

    def has(self, *words: bytes) -> bool:
        """Whether the answer contains one of *words*, or an escape that can stand for it."""
        return any(word in self.answered.wire for word in (*words, b"\\u"))

    async def ask(self) -> None:
        try:
            await self.identify()
            await self.log_in()
            await self.refresh(SESSION)
            # of a session that is to be renewed
            await self.refresh(Session(SESSION.access_token, SESSION.refresh_token, 0))
            await self.resolve()
            await self.status()
            with suppress(PlatformUnavailable):
                await self.platform.log_out(SESSION, ACCOUNT)
        finally:
            await self.answered.close()

    async def identify(self) -> None:
        try:
            account = await self.platform.identify(CREDENTIALS)
        except InvalidCredentials as error:
            named = error.metadata.get("redirectsTo", "")
            assert named.isascii()
            assert not named or named.startswith(("http://", "https://"))
        except PlatformUnavailable:
            pass
        else:
            assert (account.origin, account.is_provisional) == (HOME, True)
            assert self.has(b" 200 ")
            assert self.has(HOST.encode(), HOST.upper().encode())

    async def log_in(self) -> None:
        site = Account(Site(HOME).provisional_id("alice"), "alice", HOME, is_provisional=True)
        try:
            login = await self.platform.log_in(CREDENTIALS, site)
        except ServiceError as error:
            assert isinstance(error, InvalidCredentials | PlatformUnavailable)
            assert PASTED not in repr(error) + str(error.metadata)
            return
        # a status that is both 200 and 201 there is not
        raise AssertionError(login)

    async def refresh(self, session: Session) -> None:
        try:
            refreshed = await self.platform.refresh(session, ACCOUNT)
        except CredentialRevoked:
            assert self.has(REVOKED["code"].encode())
            assert self.has(b" 404 ")
            return
        except PermissionLost:
            assert self.has(b"capabilities")
            assert self.has(b" 200 ")
            return
        except (SessionEnded, PlatformUnavailable):
            return
        assert refreshed.session == session == SESSION
        assert self.has(b" 200 ")

    async def resolve(self) -> None:
        with suppress(PlatformUnavailable):
            account = await self.platform.resolve_account(ACCOUNT)
            assert account.account_id == ACCOUNT.account_id
            assert account.origin == HOME or self.has(b"home")

    async def status(self) -> None:
        with suppress(PlatformUnavailable):
            if (await self.platform.account_status(ACCOUNT)) is not AccountStatus.UNKNOWN:
                assert self.has(b" 200 ")
                assert self.has(HOST.encode(), HOST.upper().encode())


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
        b"\0\0" + json.dumps({**GOOD, "authentication": []}).encode(),
    ),
)

CODES = (REVOKED["code"], "rest_not_logged_in", "incorrect_password", "rest_no_route")
VALUES = (HOME, "http://blog.example.com/", "wp/v2", UUID, "alice", "publish_posts", *CODES)
TEXTS = json_texts((*GOOD, "code", "app_id", "created", "application-passwords"), VALUES)
BODIES = st.tuples(STATUS, TEXTS).map(lambda parts: b"\0" + b"".join(parts))
NEARLY = with_others(GOOD, TEXTS).map(b"\0\0".__add__)
CHANGED = st.tuples(STATUS, EDITS).map(lambda parts: b"\1" + parts[0] + parts[1][1:])


@settings(deadline=None, max_examples=200)
@given(BODIES | NEARLY | CHANGED | WIRES)
@example(b"\0\0" + WHOLE)
@example(b"\0\0" + WHOLE.replace(b"https://blog", b"https://a:b@blog"))
@example(b"\0\0" + WHOLE.replace(b"blog.example.com", b"[::1]"))
@example(b"\0\0" + WHOLE.replace(b"blog.example.com", b"xn--a"))
@example(b"\0\0" + WHOLE.replace(b'"id": 2', b'"id": ' + b"9" * 5000))
@example(b"\0\0" + b"[" * 5000)
@example(b'\0\0{"home":' + b"9" * 5000 + b"}")
def test_any_answer(read: Read, data: bytes) -> None:
    """A credential stays at its site, and no unexpected exception is raised."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)

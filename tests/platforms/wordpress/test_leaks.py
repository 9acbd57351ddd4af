"""Leaks: no credential, session or header appears in a log line, an error or a repr."""

import base64
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from service.domain.model import Account, Credentials
from service.platforms.wordpress.address import Site
from service.platforms.wordpress.answers import Minted
from service.platforms.wordpress.sessions import Credential, Tokens
from service.sandbox.sites.wordpress import APP_PASSWORD, WordPressSite
from tests.platforms.watch import Watch
from tests.support.running import MovedClock, running

from .conftest import settings
from .connected import HEALTHY, HOUR, UNVERIFIED, Connected, broken, connect, refused, until
from .sites import Person, StandIn


class EchoingSite(WordPressSite):
    """A site that repeats the credential in its errors."""

    def restore(self) -> None:
        super().restore()
        self.echoes = False

    async def _answer(self, request: Request) -> Response:
        header = request.headers.get("authorization", "")
        if not (self.echoes and header):
            return await super()._answer(request)
        said = base64.b64decode(header.partition(" ")[2]).decode()
        return Response(
            f'{{"code":"{said}","message":"{header}"}}',
            401,
            {"content-type": "application/json"},
        )


def forms(password: str, login: str) -> Iterator[str]:
    """Yield *password* as it may show: in groups, without, and in a header."""
    bare = password.replace(" ", "")
    yield from (bare, " ".join(bare[index : index + 4] for index in range(0, 24, 4)))
    yield base64.b64encode(f"{login}:{bare}".encode()).decode()[-14:]


async def test_nothing_secret_is_logged(database: Path, clock: MovedClock, watch: Watch) -> None:
    """In a connect, refusals, leases, renewals, verdicts, outages and a disconnect."""
    site = EchoingSite()
    await site.start()
    try:
        async with running(database, settings(site.origin), clock) as service:
            connected = Connected(service, StandIn(site), clock, Person("alice", 2, APP_PASSWORD))
            errors: list[BaseException] = []
            minted: set[str] = set()

            def note() -> None:
                minted.update(each.password for each in site.users["alice"].app_passwords.values())

            wrong = "wrongWRONG01234567890123"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await connect(service, site.home, "alice", wrong)
            errors.append(caught.value)
            await connected.connect()
            for _ in range(3):
                note()
                await connected.lease()
                assert await connected.verdict() == HEALTHY
            note()
            site.echoes = True
            assert await connected.verdict() == UNVERIFIED
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await connect(service, site.home, "alice", APP_PASSWORD)
            errors.append(caught.value)
            site.echoes = False
            assert await connected.verdict(25 * HOUR) == HEALTHY
            note()
            site.change("revoke", "alice")
            assert await connected.verdict() == broken("APP_PASSWORD_REVOKED")
            await connected.until_ours(0)
            await connected.disconnect()
        secrets = [
            form for password in (*minted, APP_PASSWORD, wrong) for form in forms(password, "alice")
        ]
        assert len(minted) >= 4
        for error in (None, *errors):
            assert watch.finds(secrets, error) == []
        stored = b"".join(each.read_bytes() for each in database.parent.glob("postcore.db*"))
        assert not [form for form in secrets if form.encode() in stored]
    finally:
        await site.stop()


async def test_a_password_is_no_username(database: Path, clock: MovedClock) -> None:
    """A site that states it as the login name of an e-mail address gets no connection."""
    site = WordPressSite()
    await site.start()
    try:
        user = site.users["alice"]
        async with running(database, settings(site.origin), clock) as service:
            site.users = {"alice": user}
            user.login = APP_PASSWORD.lower()
            refusal = await refused(service, site.home, user.email, APP_PASSWORD)
            assert (refusal.reason, refusal.metadata["cause"]) == (
                "PLATFORM_UNAVAILABLE",
                "UNEXPECTED_ANSWER",
            )
            assert service.rows("SELECT * FROM connections") == []

            async def is_ended() -> bool:
                return [each.name for each in user.app_passwords.values()] == ["postcore"]

            await until(is_ended)
    finally:
        await site.stop()


def test_reprs() -> None:
    """Show no secret, and nor do the texts that are sealed have any other use."""
    tokens = Tokens(Site("https://a.example"), "alice", "1", "2", APP_PASSWORD)
    for shown in (
        Credential("alice", APP_PASSWORD, is_plain=False),
        tokens,
        tokens.session(0),
        Minted("1", APP_PASSWORD),
        Credentials(appPassword=APP_PASSWORD),
        Account("https://a.example/?author=2", "alice@a.example", "https://a.example"),
    ):
        assert APP_PASSWORD not in repr(shown)
        assert APP_PASSWORD not in str(shown)

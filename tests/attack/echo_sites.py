"""Echo sites: the platforms' stand-ins, which repeat the credentials that they receive."""

import base64
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from service.sandbox.sites import SITES
from service.sandbox.sites.ghost import KEY_ID
from service.sandbox.sites.mastodon import Token
from service.sandbox.sites.mastodon import User as Actor
from service.sandbox.sites.site import Site
from service.sandbox.sites.wordpress_users import AppPassword, User
from tests.attack.echo_server import Echo
from tests.attack.hosted_sites import Serve, served, site_at
from tests.platforms.raw import Answer, RawServer, Request

NAMES = {"wordpress": "name", "mastodon": "display_name", "ghost": "title"}
"""What holds the display name, at the users or at the site."""


@dataclass(frozen=True)
class Account:
    """The credentials of a new account by JSON name, and which texts of them are secret."""

    platform: str
    credentials: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


class EchoSite(RawServer):
    """*how*: the answer to a request with a credential, made of what was received.

    *names_itself*: state the credential as the display name. *seen*: all credentials that were
    received, made or signed.
    """

    site: Site
    serve_site: Serve

    def __init__(self, *arguments: None) -> None:
        super().__init__(*arguments)
        self.how: Echo | None = None
        self.matches: Callable[[Request], bool] = lambda _: True
        self.names_itself = False
        self.seen: set[str] = set()
        self._numbers = count(1)

    def reset(self) -> None:
        self.how, self.names_itself = None, False
        self.matches = lambda _: True

    @property
    def platform(self) -> str:
        return self.site.platform

    def account(self) -> Account:
        """Create an account whose credentials are no other's."""
        site: Any = self.site
        number = next(self._numbers)
        login = f"u{number}"
        if self.platform == "ghost":
            site.uuid, site.secret = f"site-{number}", secrets.token_hex(32)
            given = {"site": site.origin, "apiKey": f"{KEY_ID}:{site.secret}"}
            return Account(self.platform, given, (site.secret,))
        if self.platform == "mastodon":
            token = secrets.token_urlsafe(32)
            site.users[login] = Actor(login, login)
            site.tokens.append(Token(login, token))
            given = {"handle": f"{login}@{site.domain}", "accessToken": token}
            return Account(self.platform, given, (token,))
        user = site.users[login] = User(100 + number, login, login)
        made = user.add(AppPassword("pasted"))
        given = {"site": site.origin, "username": login, "appPassword": made.in_groups}
        return Account(self.platform, given, (made.password, made.in_groups))

    def _answer(self, request: Request) -> Answer:
        if not (headers := request.values("authorization")):
            return self.serve_site(request)
        said = headers[0].partition(" ")[2]
        # of a token that was signed, the signature; all claims are known
        self.seen.add(said.rpartition(".")[2] if self.platform == "ghost" else said)
        if self.platform == "wordpress":
            self.seen |= {
                each.password
                for user in self.site.users.values()  # type: ignore[attr-defined]
                for each in user.app_passwords.values()
            }
            said = base64.b64decode(said).decode().rpartition(":")[2]
        if self.names_itself:
            site: Any = self.site
            for named in (site,) if self.platform == "ghost" else site.users.values():
                setattr(named, NAMES[self.platform], said)
        if self.how is not None and self.matches(request):
            return self.how(said)
        return self.serve_site(request)


@asynccontextmanager
async def started() -> AsyncIterator[list[EchoSite]]:
    """Yield an echo site of each platform."""
    async with AsyncExitStack() as stack:
        servers = []
        for kind in SITES:
            server = await stack.enter_async_context(EchoSite.started())
            server.site = site_at(kind.platform, server.origin)
            server.serve_site = served(server.site)
            servers.append(server)
        yield servers

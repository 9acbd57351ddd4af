"""Ghost: the adapter for sites with an Admin API key.

The key is sent nowhere. It signs a token of five minutes for each request, and for each lease one:
a lease makes no call. Ghost has no sessions, so there is none to end.
"""

import re
from dataclasses import replace

from service.domain.errors import InvalidCredentials, PlatformUnavailable
from service.domain.model import (
    NEVER,
    Account,
    AccountStatus,
    Credentials,
    InvalidCredentialsCause,
    Lease,
    Login,
    Micros,
    PlatformUnavailableStep,
    Refreshed,
    Session,
)
from service.domain.platform import CredentialRevoked
from service.domain.steps import at_step
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.ghost import answers
from service.platforms.ghost.address import SITE, Home, tidy_site
from service.platforms.ghost.answers import Site
from service.platforms.ghost.card import CARD
from service.platforms.ghost.keys import AdminKey
from service.platforms.typed import trimmed
from service.platforms.unavailable import bad_status, unexpected

API_KEY = re.compile(CARD.field("apiKey").pattern, re.ASCII)


class GhostPlatform:
    """Sends tokens to the address alone at which the site described itself."""

    card = CARD

    def __init__(self, context: EgressContext) -> None:
        self._context = context

    async def warm_up(self) -> None: ...

    def tidy(self, credentials: Credentials) -> Credentials:
        try:
            site = tidy_site(trimmed(credentials["site"]), self._context.origin_of_host)
        except ValueError:
            raise InvalidCredentials.malformed(CARD, "site") from None
        api_key = trimmed(credentials["apiKey"])
        if not API_KEY.fullmatch(api_key):
            raise InvalidCredentials.malformed(CARD, "apiKey")
        return Credentials(site=site, apiKey=api_key.lower())

    def asked_host(self, credentials: Credentials) -> str:
        return credentials["site"].partition("://")[2].partition("/")[0]

    async def identify(self, credentials: Credentials) -> Account:
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                site = await self._find(credentials["site"])
            except NameNotFound:
                raise InvalidCredentials(CARD, InvalidCredentialsCause.SITE_NOT_FOUND) from None
            username = await self._username(site) or site.home.host
            return Account(site.account_id, username, site.home.origin)

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        try:
            return await self.log_in_again(credentials["apiKey"], account)
        except CredentialRevoked:
            cause = InvalidCredentialsCause.REJECTED_BY_PLATFORM
            raise InvalidCredentials(CARD, cause) from None

    async def log_in_again(self, secret: str, account: Account) -> Login:
        site, session = await self._prove(secret, account)
        return Login(account, session, secret, display_name=site.title)

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        return Refreshed((await self._prove(session.access_token, account))[1])

    async def resolve_account(self, account: Account) -> Account:
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                site = await self._find(str(_home(account)))
            except InvalidCredentials:
                raise unexpected("no_site") from None
            except NameNotFound as error:
                raise error.unavailable() from None
            if not site.is_of(account.account_id):
                raise unexpected("another_site")
            username = await self._username(site) or account.username
            return replace(account, username=username, origin=site.home.origin)

    def may_share_credentials(self, origin: str, other: str) -> bool:
        return origin == other

    async def account_status(self, account: Account) -> AccountStatus:
        home = _home(account)
        with at_step(PlatformUnavailableStep.SERVER):
            response = await self._context.call("GET", home.site)
            if response.status_code not in answers.NONE_THERE:
                raise bad_status(response.status_code, response.headers, self._now)
        if response.status_code in (404, 410):
            return AccountStatus.NOT_FOUND
        site = answers.site(response, home)
        is_there = site is not None and site.is_of(account.account_id)
        return AccountStatus.ACTIVE if is_there else AccountStatus.UNKNOWN

    def lend(self, session: Session, account: Account) -> Lease:
        key, now = AdminKey.parse(session.access_token), self._now
        token, lifetime = key.token(now + _ahead(session))
        return Lease(token, f"Ghost {token}", account, _home(account).endpoint, now + lifetime)

    def was_lent(self, session: Session, token: str) -> bool:
        key = AdminKey.parse(session.access_token)
        return key.is_good(token, self._now + _ahead(session))

    async def log_out(self, session: Session, account: Account) -> None:
        """Do nothing: a token ends by itself, and no call ends one earlier."""

    @property
    def _now(self) -> Micros:
        return self._context.clock.now()

    async def _find(self, address: str) -> Site:
        """Return the site that *address* leads to, without a credential.

        Raises InvalidCredentials if there is none of Ghost's, and NameNotFound.
        """
        url, response = await self._context.find(f"{address}{SITE}")
        home = Home.of_site(url)
        site = None if home is None else answers.site(response, home)
        if site is not None:
            return site
        if response.status_code not in answers.NONE_THERE:
            raise bad_status(response.status_code, response.headers, self._now)
        raise InvalidCredentials(CARD, InvalidCredentialsCause.SITE_NOT_FOUND)

    async def _username(self, site: Site) -> str:
        """Return the host of the site's public address, if that leads to the site; else its own.

        Return an empty text if nothing is known of where the public address leads.
        """
        public = site.public
        if public is None or public.host == site.home.host:
            return site.home.host
        try:
            named = await self._find(str(public))
        except InvalidCredentials:
            return site.home.host
        except (PlatformUnavailable, NameNotFound):
            return ""
        is_proved = (named.home, named.uuid) == (site.home, site.uuid)
        return public.host if is_proved else site.home.host

    async def _prove(self, secret: str, account: Account) -> tuple[Site, Session]:
        """Ask for what only a key may see, by one token.

        First reads what the site states without one: no token is sent to another site, and its Date
        tells the time to sign. Raises CredentialRevoked if the key is rejected.
        """
        home, key = _home(account), AdminKey.parse(secret)
        with at_step(PlatformUnavailableStep.SERVER):
            response = await self._context.call("GET", home.site)
            site = answers.site(response, home)
            if site is None:
                answers.raise_no_site(response, self._now)
            if not site.is_of(account.account_id):
                raise unexpected("another_site")
            ahead = answers.clock_ahead(response, self._now)
            token, _ = key.token(self._now + ahead)
            headers = {"authorization": f"Ghost {token}"}
            url = f"{home.endpoint}/users/?limit=1&fields=id"
            answers.check_accepted(await self._context.call("GET", url, headers=headers), self._now)
        return site, Session(secret, str(ahead), NEVER)


def _home(account: Account) -> Home:
    """Return where the site of *account* is: its id has the folder's path."""
    address = Home.parse(account.account_id)
    path = address.path if address else "".join(account.account_id.partition("/")[1:])
    return Home(account.origin, path)


def _ahead(session: Session) -> Micros:
    """Return how far the site's clock was ahead of ours when the key was last proved."""
    return int(session.refresh_token)

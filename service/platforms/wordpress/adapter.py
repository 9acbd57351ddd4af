"""WordPress: the adapter for users of a site with an application password.

A login makes an application password of ours beside the pasted one, and that is the session: it can
be lent, and deleted again, without the owner's. While it works, the site states with it whether the
pasted one still exists, which no answer to the pasted one itself can tell.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx

from service.domain.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.domain.logout import end_session
from service.domain.model import (
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
from service.domain.platform import CredentialRevoked, PermissionLost, SessionEnded
from service.domain.steps import at_step
from service.platforms.egress.context import EgressContext
from service.platforms.limits import pause_until
from service.platforms.typed import trimmed, without_spaces
from service.platforms.unavailable import bad_status, unexpected
from service.platforms.wordpress import answers
from service.platforms.wordpress.address import (
    Site,
    is_same_site,
    tidy_site,
)
from service.platforms.wordpress.answers import Minted, User
from service.platforms.wordpress.card import CARD
from service.platforms.wordpress.sessions import SESSION_LIFE, Credential, Tokens
from service.platforms.wordpress.sites import Sites

USERNAME, APP_PASSWORD = (
    re.compile(CARD.field(name).pattern, re.ASCII) for name in ("username", "appPassword")
)
APP_NAME = "postcore session"
"""Shown to the owner in the profile on the site, before a random suffix."""
APP_ID = "8f6d7d0e-6a51-4c8b-9d0a-7c2f4b1e35d9"
"""Marks the application passwords that this service makes."""
MAX_LEFTOVERS_DELETED = 20
"""By one renewal."""
APP_PASSWORDS = "/wp/v2/users/me/application-passwords"
ME = "/wp/v2/users/me"
USER_FIELDS = "id,username,name,capabilities"

Call = Callable[..., Awaitable[httpx.Response]]
"""Calls a route of one site as one user: method, route, and parameters by name."""


class WordPressPlatform:
    """Finds the site without a credential, and logs in where its index says that it is at home."""

    card = CARD

    def __init__(self, context: EgressContext) -> None:
        self._context = context
        self._sites = Sites(context)

    async def warm_up(self) -> None: ...

    def tidy(self, credentials: Credentials) -> Credentials:
        try:
            site = tidy_site(trimmed(credentials["site"]), self._context.origin_of_host)
        except ValueError:
            raise InvalidCredentials.malformed(CARD, "site") from None
        username = trimmed(credentials["username"])
        if not USERNAME.fullmatch(username):
            raise InvalidCredentials.malformed(CARD, "username")
        app_password = without_spaces(credentials["appPassword"])
        if not APP_PASSWORD.fullmatch(app_password):
            raise InvalidCredentials.malformed(CARD, "appPassword")
        return Credentials(site=site, username=username, appPassword=app_password)

    def asked_host(self, credentials: Credentials) -> str:
        return Site(credentials["site"]).host

    async def identify(self, credentials: Credentials) -> Account:
        with at_step(PlatformUnavailableStep.SERVER):
            site, index = await self._sites.find(credentials["site"])
        if not is_same_site(index.home, site.home):
            cause = InvalidCredentialsCause.SITE_NOT_FOUND
            raise InvalidCredentials(CARD, cause, redirects_to=index.home)
        if not index.has_app_passwords:
            raise InvalidCredentials(CARD, InvalidCredentialsCause.SWITCHED_OFF)
        account_id = site.provisional_id(credentials["username"])
        name = f"{credentials['username']}@{site.host}".lower()
        return Account(account_id, name, site.origin, is_provisional=True)

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        site = Site.of_account(account.account_id)
        credential = Credential(credentials["username"], credentials["appPassword"], site.is_plain)
        try:
            return await self._log_in(site, credential)
        except PermissionLost:
            raise InvalidCredentials(CARD, InvalidCredentialsCause.NOT_PERMITTED) from None

    async def log_in_again(self, secret: str, account: Account) -> Login:
        credential = Credential.parse(secret)
        site = replace(Site.of_account(account.account_id), is_plain=credential.is_plain)
        return await self._log_in(site, credential, account.account_id)

    async def _log_in(self, site: Site, credential: Credential, known_id: str = "") -> Login:
        """Prove *credential*; raise PermissionLost if it may not publish.

        *known_id*: the account for which it was proved before.
        """
        call = self._caller(site, credential.authorization)
        with at_step(PlatformUnavailableStep.SERVER):
            proved = await call("GET", f"{APP_PASSWORDS}/introspect", _fields="uuid")
            pause = pause_until(proved.headers, self._now)
            try:
                answers.raise_refusal(proved, self._now, is_proof=bool(known_id))
            except ServiceError as error:
                error.pause_until = max(filter(None, (pause, error.pause_until)), default=None)
                raise
            pasted = answers.uuid(proved)
            user = await self._user(call)
            account_id = site.account_id(user.user_id)
            if known_id not in ("", account_id) or not _is_named(user, credential.username):
                raise unexpected("another_account")
            if not user.may_publish:
                raise PermissionLost
            made = await self._mint(call)
        account = Account(account_id, f"{user.username}@{site.host}".lower(), site.origin)
        tokens = Tokens(site, user.username, pasted, made.uuid, made.password)
        # an e-mail address may change, a login name does not
        secret = replace(credential, username=user.username).as_text()
        return Login(
            account, tokens.session(self._now), secret, pause, display_name=user.display_name
        )

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        tokens = self._tokens(session, account)
        call = self._caller(tokens.site, tokens.authorization)
        with at_step(PlatformUnavailableStep.SERVER):
            asked = await call("GET", f"{APP_PASSWORDS}/{tokens.pasted}", _fields="uuid")
            if answers.is_revoked(asked):
                self._context.spawn(end_session(self, session, account))
                raise CredentialRevoked
            answers.raise_ended(asked, self._now)
            user = await self._user(call)
            if tokens.site.account_id(user.user_id) != account.account_id:
                raise unexpected("another_account")
            if not user.may_publish:
                raise PermissionLost
            if session.expires_at - self._now >= SESSION_LIFE // 2:
                return Refreshed(session)
            # first, so that what cuts this short leaves nothing behind
            await self._delete_leftovers(call, tokens)
            made = await self._mint(call)
        # keep the former one: what was lent of it has not expired, and the save may fail
        following = replace(tokens, password=made.password, minted=made.uuid, former=tokens.minted)
        return Refreshed(following.session(self._now))

    async def resolve_account(self, account: Account) -> Account:
        known = Site.of_account(account.account_id)
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                _, index = await self._sites.find(known.home)
            except (PlatformUnavailable, InvalidCredentials) as error:
                # an answer that waiting does not change names no other address
                if isinstance(error, PlatformUnavailable) and not answers.says_nothing(error):
                    raise
                return account
        if is_same_site(index.home, known.home):
            return account
        return replace(account, origin=Site(index.home).origin)

    def may_share_credentials(self, origin: str, other: str) -> bool:
        return origin == other

    async def account_status(self, account: Account) -> AccountStatus:
        home = Site.of_account(account.account_id).home
        with at_step(PlatformUnavailableStep.SERVER):
            index = await self._sites.index(home)
        return AccountStatus.UNKNOWN if index is None else answers.account_status(index, home)

    def lend(self, session: Session, account: Account) -> Lease:
        tokens = self._tokens(session, account)
        return Lease(
            session.access_token,
            tokens.authorization,
            account,
            tokens.site.endpoint,
            session.expires_at,
        )

    async def log_out(self, session: Session, account: Account) -> None:
        try:
            tokens = self._tokens(session, account)
        except SessionEnded:
            return
        call = self._caller(tokens.site, tokens.authorization)
        with at_step(PlatformUnavailableStep.SERVER):
            if tokens.former:
                await self._delete(call, tokens.former)
            answer = await self._delete(call, tokens.minted)
            if not answers.is_deleted(answer):
                raise bad_status(answer.status_code, answer.headers, self._now)

    @property
    def _now(self) -> Micros:
        return self._context.clock.now()

    def _tokens(self, session: Session, account: Account) -> Tokens:
        """Return what *session* holds; raise SessionEnded if it is not of the account's server."""
        tokens = Tokens.parse(session)
        if tokens.site.origin != account.origin:
            raise SessionEnded
        return tokens

    def _caller(self, site: Site, authorization: str) -> Call:
        async def call(
            method: str, route: str, json: object = None, **params: str
        ) -> httpx.Response:
            headers = {"authorization": authorization}
            return await self._context.call(
                method, site.url(route, **params), headers=headers, json=json
            )

        return call

    async def _user(self, call: Call) -> User:
        return answers.user(await call("GET", ME, context="edit", _fields=USER_FIELDS), self._now)

    async def _mint(self, call: Call) -> Minted:
        # older versions reject a name that the user already has (409)
        new = {"name": f"{APP_NAME} {secrets.token_hex(4)}", "app_id": APP_ID}
        made = await call("POST", APP_PASSWORDS, new, _fields="uuid,password")
        return answers.minted(made, self._now)

    async def _delete(self, call: Call, uuid: str) -> httpx.Response:
        return await call("DELETE", f"{APP_PASSWORDS}/{uuid}", _fields="deleted")

    async def _delete_leftovers(self, call: Call, tokens: Tokens) -> None:
        """Delete the session before *tokens*, and what a crash has left.

        One after the other, as WordPress keeps all of a user's in one value, and loses changes that
        are made at the same time.
        """
        listed = await call("GET", APP_PASSWORDS, _fields="uuid,app_id,created")
        for uuid in answers.leftovers(listed, APP_ID, tokens)[:MAX_LEFTOVERS_DELETED]:
            await self._delete(call, uuid)


def _is_named(user: User, typed: str) -> bool:
    """Whether the site may say *user* to the login name or e-mail address *typed*."""
    return "@" in typed or user.username.lower() == typed.lower()

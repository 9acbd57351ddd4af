"""Mastodon: the adapter for accounts with a handle and an access token of their owner's.

The API has no sessions: the token itself is what is stored, proved again and lent. No call of ours
could end it.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import replace

from service.domain.errors import AccountInactive, InvalidCredentials, PlatformUnavailable
from service.domain.model import (
    NEVER,
    Account,
    AccountStatus,
    Credentials,
    InvalidCredentialsCause,
    Lease,
    Lent,
    Login,
    PlatformUnavailableStep,
    Refreshed,
    Session,
)
from service.domain.platform import AccountGone, CredentialRevoked, PermissionLost, SessionEnded
from service.domain.steps import at_step
from service.platforms.egress.context import EgressContext
from service.platforms.limits import pause_until
from service.platforms.mastodon import answers
from service.platforms.mastodon.answers import Rejected, Verified
from service.platforms.mastodon.card import CARD
from service.platforms.mastodon.handles import tidy_handle
from service.platforms.mastodon.identity import Identity, NoSuchAccount
from service.platforms.typed import trimmed

ACCESS_TOKEN = re.compile(CARD.field("accessToken").pattern, re.ASCII)
VERIFY = "/api/v1/accounts/verify_credentials"
VERIFY_APPLICATION = "/api/v1/apps/verify_credentials"
MAX_APPLICATION_SECONDS = 2.0
"""Time limit for what is asked of the application: a connect works without an answer."""


class MastodonPlatform:
    """Sends tokens to the server of the account's actor alone."""

    card = CARD

    def __init__(self, context: EgressContext) -> None:
        self._context = context
        self._identity = Identity(context)

    async def warm_up(self) -> None: ...

    def tidy(self, credentials: Credentials) -> Credentials:
        try:
            handle = self._identity.handle(tidy_handle(credentials["handle"]))
        except ValueError:
            raise InvalidCredentials.malformed(CARD, "handle") from None
        access_token = trimmed(credentials["accessToken"])
        # a final `$` also matches before a line end
        if not ACCESS_TOKEN.fullmatch(access_token):
            raise InvalidCredentials.malformed(CARD, "accessToken")
        return Credentials(handle=str(handle), accessToken=access_token)

    def asked_host(self, credentials: Credentials) -> str:
        return credentials["handle"].partition("@")[2]

    async def identify(self, credentials: Credentials) -> Account:
        try:
            found = await self._identity.find(self._identity.handle(credentials["handle"]))
        except NoSuchAccount:
            raise InvalidCredentials(CARD, InvalidCredentialsCause.HANDLE_NOT_FOUND) from None
        return Account(found.actor, str(found.handle), found.origin)

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        token = credentials["accessToken"]
        try:
            login = await self.log_in_again(token, account)
            is_permitted = await self._may_publish(token, account)
        except PermissionLost:
            is_permitted = False
        if not is_permitted:
            raise InvalidCredentials(CARD, InvalidCredentialsCause.NOT_PERMITTED)
        return login

    async def log_in_again(self, secret: str, account: Account) -> Login:
        try:
            verified, pause = await self._verify(secret, account)
        except Rejected:
            cause = InvalidCredentialsCause.REJECTED_BY_PLATFORM
            raise InvalidCredentials(CARD, cause) from None
        name = verified.display_name
        return Login(account, _session(secret), secret, pause, display_name=name)

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        token = session.access_token
        try:
            await self._verify(token, account)
        except Rejected as error:
            if error.is_stated and await self._is_revoked(token, account):
                raise CredentialRevoked from None
            raise SessionEnded from None
        except AccountInactive as error:
            return Refreshed(_session(token), inactive_status=error.metadata["status"])
        return Refreshed(_session(token))

    async def resolve_account(self, account: Account) -> Account:
        try:
            found = await self._identity.find(self._identity.handle(account.username))
        except NoSuchAccount as error:
            if error.is_gone and await self._identity.is_gone(account.account_id):
                raise AccountGone from None
            # the handle may be lost alone; the server is still the one that was proved
            return account
        if found.actor == account.account_id:
            return replace(account, username=str(found.handle))
        return replace(account, origin=found.origin)

    def may_share_credentials(self, origin: str, other: str) -> bool:
        return origin == other

    async def account_status(self, account: Account) -> AccountStatus:
        try:
            found = await self._identity.find(self._identity.handle(account.username))
        except NoSuchAccount:
            is_absent = await self._identity.is_absent(account.account_id)
            return AccountStatus.NOT_FOUND if is_absent else AccountStatus.UNKNOWN
        is_there = found.is_shown and found.actor == account.account_id
        return AccountStatus.ACTIVE if is_there else AccountStatus.UNKNOWN

    def lend(self, session: Session, account: Account) -> Lease:
        token = session.access_token
        return Lease(token, f"Bearer {token}", account, account.origin, None, Lent.CREDENTIAL)

    async def log_out(self, session: Session, account: Account) -> None:
        """Do nothing: only the application's secret could revoke the token."""

    async def _verify(self, token: str, account: Account) -> tuple[Verified, int | None]:
        """Return what the token leads to, and until when no other login is allowed.

        Raises as `answers.verified` does.
        """
        with at_step(PlatformUnavailableStep.SERVER):
            response = await self._context.call(
                "GET", f"{account.origin}{VERIFY}", headers=_headers(token)
            )
            now = self._context.clock.now()
            return answers.verified(response, account, now), pause_until(response.headers, now)

    async def _may_publish(self, token: str, account: Account) -> bool:
        """Whether the application has the scope to publish, as far as the server states it."""
        url = f"{account.origin}{VERIFY_APPLICATION}"
        with suppress(PlatformUnavailable, TimeoutError):
            async with asyncio.timeout(MAX_APPLICATION_SECONDS):
                response = await self._context.call("GET", url, headers=_headers(token))
            return not answers.lacks_write(response)
        return True

    async def _is_revoked(self, token: str, account: Account) -> bool:
        """Whether the server states it again, of an account that is active before and after."""
        if await self.account_status(account) is not AccountStatus.ACTIVE:
            return False
        try:
            await self._verify(token, account)
        except Rejected as error:
            if error.is_stated:
                return await self.account_status(account) is AccountStatus.ACTIVE
        return False


def _session(token: str) -> Session:
    return Session(token, "", NEVER)


def _headers(token: str) -> dict[str, str]:
    # the words of some errors are translated
    return {"authorization": f"Bearer {token}", "accept-language": "en"}

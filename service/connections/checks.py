"""The verdict on a connection: what is asked of its platform, in which order, and what that proves.

A refresh that fails never proves that a password was revoked, and one that works does not prove
that the account is where it was. Proof is a login refused by the server that the document names
now, between two public words of it that the account is active; or such a word that it is not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from service.connections.logins import Logins
from service.connections.schedule import Schedule
from service.connections.sessions import Sessions, account_of
from service.crypto.vault import Unreadable
from service.domain.clock import Clock
from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    RateLimitExceeded,
    ServiceError,
)
from service.domain.model import (
    DAY,
    SECOND,
    AccountStatus,
    InvalidCredentialsCause,
    Micros,
    PlatformUnavailableCause,
    ReconnectReason,
    Session,
)
from service.domain.platform import AccountGone, SessionEnded
from service.domain.records import StoredConnection
from service.domain.steps import PlatformTime, platform_time

MOVED_FOR: Micros = 10 * 60 * SECOND
"""How long a document has to name another server, between two looks, to be believed."""
DOCUMENT_GOOD_FOR: Micros = DAY
RENEWAL_LOOK_SECONDS = 2.0
"""Time limit for reading the document during a renewal, whose new session is stored by then."""

NOT_ACTIVE = {
    AccountStatus.DEACTIVATED: ReconnectReason.ACCOUNT_DEACTIVATED,
    AccountStatus.SUSPENDED: ReconnectReason.ACCOUNT_SUSPENDED,
    AccountStatus.TAKEN_DOWN: ReconnectReason.ACCOUNT_TAKEN_DOWN,
}
"""What may be lifted again: the secret is kept, and only the account's standing is asked for."""
NOT_SENT = (
    PlatformUnavailableCause.DNS_FAILURE,
    PlatformUnavailableCause.ADDRESS_NOT_ALLOWED,
    PlatformUnavailableCause.BUSY,
)
"""What a login fails of before its server hears of it."""
LOOK_FIRST = (ReconnectReason.SERVER_MOVED, ReconnectReason.ACCOUNT_DELETED)
"""What only the document, or a standing, can undo: nothing else is tried before."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: proof that the connection works (*reason* None) or does not, or a doubt.

    *doubt*: why it could not tell; empty, where it could. *as_it_was*: what was proved before still
    stands. *again_in*: how long there is nothing new to find, in microseconds. *error*: what stood
    in the way, for whoever waits.
    """

    reason: ReconnectReason | None = None
    doubt: str = ""
    as_it_was: bool = False
    again_in: Micros = 0
    error: ServiceError | None = None


class Examination:
    """One check of one connection, under a claim on it.

    `held`, `upkeep` and `username` say how it stands by now, whatever comes of the check; `session`
    is the one that works, where one was found; `refreshed` says that it came by a refresh. The
    platform has so many *seconds* in all.
    """

    def __init__(
        self,
        held: StoredConnection,
        sessions: Sessions,
        logins: Logins,
        clock: Clock,
        seconds: float,
    ) -> None:
        self.held = held
        self.upkeep = held.upkeep
        self.username = held.connection.username
        self.session: Session | None = None
        self.refreshed = False
        self._sessions = sessions
        self._logins = logins
        self._clock = clock
        now = asyncio.get_running_loop().time()
        self._until = now + seconds
        # a server that hangs must leave time to look for another
        self._refresh_until = now + seconds / 2
        self._platform = sessions.platform(held)
        self._looked = False
        self._inactive = ""
        self._told_username = ""

    async def find(self) -> Finding:
        """The verdict. Raises Overtaken, UnknownKey (which proves nothing), ServiceUnavailable."""
        return await self._told(self._find)

    async def renew(self) -> Finding | None:
        """None if the refresh proved no more than that the session works; otherwise the verdict.

        Raises as `find` does, and PlatformUnavailable or PlatformRateLimited of the refresh.
        """
        if self.upkeep.moved_at is not None:
            return await self._told(self._find)
        if not await self._refresh():
            return await self._told(self._inquire)
        self._until = min(self._until, asyncio.get_running_loop().time() + RENEWAL_LOOK_SECONDS)
        finding = await self._told(self._works)
        # that logins need no longer wait is kept, too
        is_news = self.upkeep.refusals > 0 and self._document_is_good()
        return finding if self._looked or is_news or finding.reason is not None else None

    async def _told(self, ask: Callable[[], Awaitable[Finding]]) -> Finding:
        try:
            return await ask()
        except Unreadable:
            # the key is there and the tag fails: it was cut, moved or edited
            return Finding(ReconnectReason.CREDENTIAL_UNREADABLE)
        except AccountGone:
            return Finding(ReconnectReason.ACCOUNT_DELETED)
        except (PlatformUnavailable, PlatformRateLimited, RateLimitExceeded) as error:
            doubt = doubt_of(error)
            if self._inactive and not isinstance(error, PlatformRateLimited):
                # the server says so to us alone, which is no proof yet
                platform = self._platform.card.platform
                doubt = replace(doubt, error=AccountInactive(platform, self._inactive))
            return doubt

    async def _find(self) -> Finding:
        self._sessions.open_credential(self.held)
        was = self.held.connection.reconnect_reason
        if was in LOOK_FIRST or self.upkeep.moved_at is not None or not self._document_is_good():
            await self._look()
            if self.upkeep.moved_at is not None:
                return self._moved()
        if was in NOT_ACTIVE.values() or was is ReconnectReason.ACCOUNT_DELETED:
            standing = await self._standing()
            if standing in NOT_ACTIVE:
                return Finding(NOT_ACTIVE[standing])
            if standing is AccountStatus.NOT_FOUND and was is ReconnectReason.ACCOUNT_DELETED:
                return Finding(was)
        try:
            if await self._refresh():
                return await self._works()
        except PlatformUnavailable as error:
            # a server that is gone may have left word where to
            await self._look()
            return doubt_of(error) if self.upkeep.moved_at is None else self._moved()
        return await self._inquire()

    async def _works(self) -> Finding:
        """The verdict after a refresh that worked.

        Reads the document first if the platform's answer names another account name. A failure
        to read it is ignored: the session works, and the next answer leads to the document again.
        """
        if self._looked or self._told_username.lower() in ("", self.username):
            return Finding()
        with suppress(PlatformUnavailable, PlatformRateLimited):
            await self._look()
        return Finding() if self.upkeep.moved_at is None else self._moved()

    async def _inquire(self) -> Finding:
        """Why the session is of no use: the document again, the standing, at most one login, the
        standing again."""
        self._sessions.open_credential(self.held)
        if not self._looked:
            await self._look()
        if self.upkeep.moved_at is not None:
            return self._moved()
        before = await self._standing()
        if before in NOT_ACTIVE:
            return Finding(NOT_ACTIVE[before])
        if wait := Schedule.login_wait(self._clock.now(), self.upkeep.login_after):
            return Finding(doubt="login_waits", as_it_was=True, again_in=wait)
        try:
            await self._log_in()
        except (InvalidCredentials, AccountInactive) as error:
            return _refused(error, before, await self._standing())
        return Finding()

    async def _look(self) -> None:
        """Read the document, which may name another handle and another server."""
        account = account_of(self.held)
        async with platform_time(PlatformTime(self._until)):
            named = await self._platform.resolve_account(account)
        self._looked = True
        self.username = named.username
        now = self._clock.now()
        if not self._platform.may_share_credentials(account.origin, named.origin):
            since = self.upkeep.moved_at
            # from now, where the clock was put back
            since = now if since is None or since > now else since
            self.upkeep = self.upkeep._replace(moved_at=since)
            return
        self.upkeep = self.upkeep._replace(document_at=now, moved_at=None)
        if named.origin != account.origin:
            self.held = await self._sessions.move(self.held, named.origin)

    def _moved(self) -> Finding:
        seen_for = self._clock.now() - (self.upkeep.moved_at or 0)
        if seen_for < MOVED_FOR:
            return Finding(doubt="moved", as_it_was=True, again_in=MOVED_FOR - seen_for)
        return Finding(ReconnectReason.SERVER_MOVED)

    def _document_is_good(self) -> bool:
        return 0 <= self._clock.now() - self.upkeep.document_at < DOCUMENT_GOOD_FOR

    async def _standing(self) -> AccountStatus:
        async with platform_time(PlatformTime(self._until)):
            return await self._platform.account_status(account_of(self.held))

    async def _refresh(self) -> bool:
        """Whether the session works, for an account that is active."""
        try:
            self.held, refreshed = await self._sessions.refresh(self.held, self._refresh_until)
        except (SessionEnded, Unreadable):
            # its credential was opened before: a login makes another session
            return False
        self._inactive, self._told_username = refreshed.inactive_status, refreshed.reported_username
        if not refreshed.inactive_status:
            self.session, self.refreshed = refreshed.session, True
        return self.refreshed

    async def _log_in(self) -> None:
        """Prove the stored credential; at most one login is spent on it."""
        account, secret = account_of(self.held), self._sessions.open_credential(self.held)
        try:
            login = await self._logins.log_in_again(
                self.held.context.tenant_id,
                self._platform,
                secret,
                account,
                PlatformTime(self._until),
            )
        except (InvalidCredentials, AccountInactive):
            self._wait_after_refusal()
            raise
        except PlatformUnavailable as error:
            self._wait_after_outage(error)
            raise
        self._wait_after_heal()
        self.held = await self._sessions.adopt(self.held, login)
        await self._logins.note_pause(login)
        self.session = login.session

    def _wait_after_refusal(self) -> None:
        """Put off the next login, which would most likely end as this one did."""
        refusals = self.upkeep.refusals + 1
        after = Schedule.login_after(self._clock.now(), refusals)
        self.upkeep = self.upkeep._replace(refusals=refusals, login_after=after)

    def _wait_after_heal(self) -> None:
        """Put off the next login, unless a refresh works before; the first one is not put off."""
        earlier = self.upkeep.refusals
        after = Schedule.login_after_heal(self._clock.now(), earlier)
        self.upkeep = self.upkeep._replace(refusals=earlier + 1, login_after=after)

    def _wait_after_outage(self, error: PlatformUnavailable) -> None:
        """Put off the next login after one that may have been sent, and has told nothing."""
        if error.cause in NOT_SENT:
            return
        lasts = (PlatformUnavailableCause.UNEXPECTED_ANSWER, PlatformUnavailableCause.SERVER_ERROR)
        if error.retry_after is None and error.cause in lasts:
            self._wait_after_refusal()
            return
        # counted here: a check that waits for a login is no doubt
        now, doubts = self._clock.now(), self.upkeep.doubts + 1
        after = Schedule.login_after_outage(now, doubts)
        self.upkeep = self.upkeep._replace(doubts=doubts, login_after=after)
        if error.retry_after is not None:
            error.retry_after = max(error.retry_after, (after - now) / SECOND)


def _refused(
    error: InvalidCredentials | AccountInactive, before: AccountStatus, after: AccountStatus
) -> Finding:
    """What a login that was refused proves, between two words on the account."""
    if after in NOT_ACTIVE:
        return Finding(NOT_ACTIVE[after])
    rejected = InvalidCredentialsCause.REJECTED_BY_PLATFORM
    if isinstance(error, InvalidCredentials) and error.cause is rejected:
        if before is after is AccountStatus.ACTIVE:
            return Finding(ReconnectReason.APP_PASSWORD_REVOKED)
        if before is after is AccountStatus.NOT_FOUND:
            return Finding(ReconnectReason.ACCOUNT_DELETED)
    # that an account is not active the server may tell its owner alone, which is no proof yet
    told = error if isinstance(error, AccountInactive) else None
    return Finding(doubt="odd_refusal", error=told)


def doubt_of(error: ServiceError) -> Finding:
    """The finding of a check that *error* has ended."""
    # what a platform that is away says of waiting is for callers; a limit is meant for us
    limited = not isinstance(error, PlatformUnavailable)
    wait = int((error.retry_after or 0) * SECOND) if limited else 0
    return Finding(doubt=error.why or type(error).__name__, again_in=wait, error=error)

"""Checks: what a check asks of a platform, in which order.

A failed refresh does not prove that the password was revoked. A successful refresh does not prove
at which server the account is. A revoked password is proved by a login that the account's server
rejects, if that server states publicly, before and after the login, that the account is active. An
inactive account is proved by such a public statement. A move is proved by the document: the record
in the platform's directory that names the account's server and handle.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from service.connections.check_results import (
    INACTIVE_REASONS,
    CheckResult,
    doubt_of,
    rejected_login,
)
from service.connections.logins import Logins
from service.connections.platform_calls import PlatformCall, PlatformCalls
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
)
from service.domain.model import (
    DAY,
    SECOND,
    AccountStatus,
    Micros,
    PlatformUnavailableCause,
    ReconnectReason,
    Session,
)
from service.domain.platform import (
    AccountGone,
    CredentialRevoked,
    Directory,
    PermissionLost,
    SessionEnded,
)
from service.domain.records import NewSession, StoredConnection
from service.domain.steps import PlatformDeadline

MIN_MOVED: Micros = 10 * 60 * SECOND
"""The document must name another server for this long to prove that the account moved there."""
MAX_DOCUMENT_AGE: Micros = DAY
"""If the last read of the document is older, a check reads it again."""
RENEWAL_DOCUMENT_SECONDS = 2.0
"""Time limit for reading the document during a renewal."""
NOT_SENT = (
    PlatformUnavailableCause.DNS_FAILURE,
    PlatformUnavailableCause.ADDRESS_NOT_ALLOWED,
    PlatformUnavailableCause.BUSY,
)
"""Causes that end a login before its server receives it."""
REASONS: Mapping[type[Exception], ReconnectReason] = {
    CredentialRevoked: ReconnectReason.APP_PASSWORD_REVOKED,
    PermissionLost: ReconnectReason.PERMISSION_LOST,
}
STATED = tuple(REASONS)
"""Errors by which a platform states what is wrong with a credential."""
DOCUMENT_FIRST = (ReconnectReason.SERVER_MOVED, ReconnectReason.ACCOUNT_DELETED)
"""After these reasons a check reads the document before it asks the account's server."""


class Check:
    """One check of one connection, under a claim on it. Its calls take at most *seconds* in all.

    `held`, `upkeep` and `username` are up to date, even if the check proved nothing. `session` is
    the working session, if any. `is_refreshed`: it comes from a refresh, not from a login.
    `unsaved` is a refreshed session that the verdict's transaction has to save. If the check has
    to ask the platform more after the refresh, it saves the session first.
    """

    def __init__(
        self,
        held: StoredConnection,
        sessions: Sessions,
        logins: Logins,
        clock: Clock,
        calls: PlatformCalls,
        seconds: float,
    ) -> None:
        self.held = held
        self.upkeep = held.upkeep
        self.username = held.connection.username
        self.session: Session | None = None
        self.is_refreshed = False
        self.unsaved: NewSession | None = None
        self._sessions = sessions
        self._logins = logins
        self._clock = clock
        self._calls = calls
        now = asyncio.get_running_loop().time()
        self._deadline = now + seconds
        # a server that hangs must not use up the time to read the document
        self._refresh_deadline = now + seconds / 2
        self._platform = sessions.platform(held)
        self._is_document_read = False
        self._inactive_status = ""
        self._reported_username = ""

    async def run(self) -> CheckResult:
        """Return the result. Raises Overtaken, ServiceUnavailable, or UnknownKey: no proof."""
        return await self._result_of(self._run)

    async def renew(self) -> CheckResult | None:
        """Refresh the session. Return the result, or None if there is no verdict to save.

        Raises as `run` does, and PlatformUnavailable or PlatformRateLimited from the refresh.
        """
        if self.upkeep.moved_at is not None:
            return await self._result_of(self._run)
        try:
            is_working = await self._refresh()
        except STATED as proof:
            return CheckResult(REASONS[type(proof)])
        if not is_working:
            return await self._result_of(self._find_cause)
        now = asyncio.get_running_loop().time()
        self._deadline = min(self._deadline, now + RENEWAL_DOCUMENT_SECONDS)
        result = await self._result_of(self._after_refresh)
        # a saved verdict also ends the wait for logins; it needs a current document
        is_news = self.upkeep.answered_logins > 0 and self._is_document_current()
        return result if self._is_document_read or is_news or result.reason is not None else None

    async def _result_of(self, ask: Callable[[], Awaitable[CheckResult]]) -> CheckResult:
        try:
            return await ask()
        except Unreadable:
            # the key is there and the tag fails: the envelope was cut, moved or edited
            return CheckResult(ReconnectReason.CREDENTIAL_UNREADABLE)
        except AccountGone:
            return CheckResult(ReconnectReason.ACCOUNT_DELETED)
        except STATED as proof:
            return CheckResult(REASONS[type(proof)])
        except (PlatformUnavailable, PlatformRateLimited, RateLimitExceeded) as error:
            doubt = doubt_of(error)
            if self._inactive_status and not isinstance(error, PlatformRateLimited):
                # the server says so only to the account's owner: that is no proof
                platform = self._platform.card.platform
                doubt = replace(doubt, error=AccountInactive(platform, self._inactive_status))
            return doubt

    async def _run(self) -> CheckResult:
        self._sessions.open_credential(self.held)
        last_reason = self.held.connection.reconnect_reason
        is_moving = self.upkeep.moved_at is not None
        if last_reason in DOCUMENT_FIRST or is_moving or not self._is_document_current():
            await self._read_document()
            if self.upkeep.moved_at is not None:
                return self._move_result()
        if (
            last_reason in INACTIVE_REASONS.values()
            or last_reason is ReconnectReason.ACCOUNT_DELETED
        ):
            status = await self._account_status()
            if status in INACTIVE_REASONS:
                return CheckResult(INACTIVE_REASONS[status])
            if status is AccountStatus.NOT_FOUND and last_reason is ReconnectReason.ACCOUNT_DELETED:
                return CheckResult(last_reason)
        try:
            if await self._refresh():
                return await self._after_refresh()
        except PlatformUnavailable as error:
            # the document may name the server that took over
            await self._read_document()
            return doubt_of(error) if self.upkeep.moved_at is None else self._move_result()
        return await self._find_cause()

    async def _after_refresh(self) -> CheckResult:
        """Return the result after a refresh that worked.

        Reads the document first if the refresh returned another username. Ignores a failed read:
        the session works, and the next refresh leads to another read.
        """
        if self._is_document_read or self._reported_username.lower() in ("", self.username):
            return CheckResult()
        with suppress(PlatformUnavailable, PlatformRateLimited):
            await self._read_document()
        return CheckResult() if self.upkeep.moved_at is None else self._move_result()

    async def _find_cause(self) -> CheckResult:
        """Find out why the session is of no use: read the document, ask for the account's status,
        log in at most once, ask for the status again."""
        self._sessions.open_credential(self.held)
        if not self._is_document_read:
            await self._read_document()
        if self.upkeep.moved_at is not None:
            return self._move_result()
        before = await self._account_status()
        if before in INACTIVE_REASONS:
            return CheckResult(INACTIVE_REASONS[before])
        if wait := Schedule.login_wait(self._clock.now(), self.upkeep.login_after):
            return CheckResult(doubt="login_waits", is_unchanged=True, again_in=wait)
        try:
            await self._log_in()
        except (InvalidCredentials, AccountInactive) as error:
            return self._rejected(rejected_login(error, before, await self._account_status()))
        return CheckResult()

    def _rejected(self, result: CheckResult) -> CheckResult:
        """Return *result* of a rejected login; a doubt if the platform needs more of them."""
        if result.reason is not ReconnectReason.APP_PASSWORD_REVOKED:
            return result
        self.upkeep = self.upkeep._replace(rejections=self.upkeep.rejections + 1)
        if self.upkeep.rejections < self._platform.card.refusals_for_proof:
            return CheckResult(doubt="too_few_rejections")
        return result

    async def _read_document(self) -> None:
        """Read the document, which may name another handle and another server."""
        platform = self._platform
        if not isinstance(platform, Directory):
            self._is_document_read = True
            self.upkeep = self.upkeep._replace(document_at=self._clock.now())
            return
        await self._save_session()
        account = account_of(self.held)
        async with self._calls.within(
            PlatformDeadline(self._deadline), self._platform, PlatformCall.DOCUMENT
        ):
            named = await platform.resolve_account(account)
        self._is_document_read = True
        self.username = named.username
        now = self._clock.now()
        if not platform.may_share_credentials(account.origin, named.origin):
            since = self.upkeep.moved_at
            # start again if the clock was set back
            since = now if since is None or since > now else since
            self.upkeep = self.upkeep._replace(moved_at=since)
            return
        self.upkeep = self.upkeep._replace(document_at=now, moved_at=None)
        if named.origin != account.origin:
            self.held = await self._sessions.change_origin(self.held, named.origin)

    def _move_result(self) -> CheckResult:
        seen_for = self._clock.now() - (self.upkeep.moved_at or 0)
        if seen_for < MIN_MOVED:
            return CheckResult(doubt="moved", is_unchanged=True, again_in=MIN_MOVED - seen_for)
        return CheckResult(ReconnectReason.SERVER_MOVED)

    def _is_document_current(self) -> bool:
        return 0 <= self._clock.now() - self.upkeep.document_at < MAX_DOCUMENT_AGE

    async def _account_status(self) -> AccountStatus:
        await self._save_session()
        async with self._calls.within(
            PlatformDeadline(self._deadline), self._platform, PlatformCall.ACCOUNT_STATUS
        ):
            return await self._platform.account_status(account_of(self.held))

    async def _refresh(self) -> bool:
        """Return whether the session works, for an account that is active."""
        try:
            async with self._calls.within(
                PlatformDeadline(self._refresh_deadline), self._platform, PlatformCall.REFRESH
            ):
                refreshed = await self._platform.refresh(
                    self._sessions.open(self.held), account_of(self.held)
                )
        except (SessionEnded, Unreadable):
            # no verdict yet: `_find_cause` opens the credential, and may log in
            return False
        self._inactive_status = refreshed.inactive_status
        self._reported_username = refreshed.reported_username
        self.unsaved = self._sessions.seal(self.held, refreshed)
        self.held = self.held._replace(session=self.unsaved.sealed, refreshed_at=self.unsaved.at)
        if not refreshed.inactive_status:
            self.session, self.is_refreshed = refreshed.session, True
        return self.is_refreshed

    async def _save_session(self) -> None:
        if self.unsaved is not None:
            await self._sessions.save(self.held, self.unsaved)
            self.unsaved = None

    async def _log_in(self) -> None:
        """Prove the stored credential; spends at most one login."""
        account, secret = account_of(self.held), self._sessions.open_credential(self.held)
        deadline = PlatformDeadline(self._deadline)
        try:
            login = await self._logins.log_in_again(
                self.held.address.tenant_id, self._platform, secret, account, deadline
            )
        except (InvalidCredentials, AccountInactive, CredentialRevoked, PermissionLost):
            self._delay_login_after_rejection()
            raise
        except PlatformUnavailable as error:
            self._delay_login_after_outage(error)
            raise
        self._delay_login_after_success()
        self.held = await self._sessions.adopt(self.held, login)
        await self._logins.note_pause(login)
        self.session = login.session

    def _delay_login_after_rejection(self) -> None:
        """Delay the next login, which would most likely be rejected too."""
        answered = self.upkeep.answered_logins + 1
        now = self._clock.now()
        after = max(
            Schedule.login_after_rejection(now, answered),
            now + self._platform.card.refusal_interval,
        )
        self.upkeep = self.upkeep._replace(answered_logins=answered, login_after=after)

    def _delay_login_after_success(self) -> None:
        """Delay the next login, unless this was the first one since the last successful refresh."""
        earlier = self.upkeep.answered_logins
        after = Schedule.login_after_success(self._clock.now(), earlier)
        self.upkeep = self.upkeep._replace(answered_logins=earlier + 1, login_after=after)

    def _delay_login_after_outage(self, error: PlatformUnavailable) -> None:
        """Delay the next login after one that may have been sent, with an unknown result."""
        if error.cause in NOT_SENT:
            return
        lasting = (
            PlatformUnavailableCause.UNEXPECTED_ANSWER,
            PlatformUnavailableCause.SERVER_ERROR,
        )
        if error.retry_after is None and error.cause in lasting:
            self._delay_login_after_rejection()
            return
        # count the doubt here: the checks that wait for the next login do not count one
        now, doubts = self._clock.now(), self.upkeep.doubts + 1
        after = Schedule.login_after_outage(now, doubts)
        self.upkeep = self.upkeep._replace(doubts=doubts, login_after=after)
        if error.retry_after is not None:
            error.retry_after = max(error.retry_after, (after - now) / SECOND)

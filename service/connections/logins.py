"""Logins: each is debited from its budget first, and its result limits the next ones."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from service.connections.login_budget import LoginBudget
from service.connections.platform_calls import PlatformCall, PlatformCalls, outcome_of
from service.domain.clock import Clock
from service.domain.errors import (
    InvalidCredentials,
    PlatformRateLimited,
    RateLimitExceeded,
    ServiceError,
    ServiceUnavailable,
)
from service.domain.model import SECOND, Account, Credentials, InvalidCredentialsCause, Login
from service.domain.platform import CredentialPlatform
from service.domain.records import LoginPurpose
from service.domain.steps import PlatformDeadline
from service.runtime.metrics import Metrics

log = structlog.get_logger()


class Logins:
    """Logs in once per call, never without a debit.

    `log_in` and `log_in_again` raise RateLimitExceeded or PlatformRateLimited if no login may be
    spent, and the platform's errors. The caller saves the session, then calls `note_pause`.
    """

    def __init__(
        self, budget: LoginBudget, clock: Clock, calls: PlatformCalls, metrics: Metrics
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._calls = calls
        self._metrics = metrics

    async def log_in(
        self,
        tenant_id: str,
        platform: CredentialPlatform,
        credentials: Credentials,
        account: Account,
        deadline: PlatformDeadline,
    ) -> Login:
        """Prove *credentials* for a new connection."""

        async def attempt() -> Login:
            return await platform.log_in(credentials, account)

        return await self._spend(
            tenant_id, platform, account, LoginPurpose.CONNECT, attempt, deadline
        )

    async def log_in_again(
        self,
        tenant_id: str,
        platform: CredentialPlatform,
        secret: str,
        account: Account,
        deadline: PlatformDeadline,
    ) -> Login:
        """Prove the stored *secret* of a connection."""

        async def attempt() -> Login:
            return await platform.log_in_again(secret, account)

        return await self._spend(
            tenant_id, platform, account, LoginPurpose.UPKEEP, attempt, deadline
        )

    async def note_pause(self, login: Login) -> None:
        """Save until when the platform accepts no further login of the account, if it said so."""
        if login.pause_until is not None:
            await self._budget.pause(login.account, login.pause_until)

    async def _spend(
        self,
        tenant_id: str,
        platform: CredentialPlatform,
        account: Account,
        purpose: LoginPurpose,
        attempt: Callable[[], Awaitable[Login]],
        deadline: PlatformDeadline,
    ) -> Login:
        name = platform.card.platform
        try:
            await self._budget.spend(tenant_id, platform.card, account, purpose)
        except (RateLimitExceeded, PlatformRateLimited) as refusal:
            limit = "budget" if isinstance(refusal, RateLimitExceeded) else "platform"
            self._metrics.login_budget_refusals.labels(name, purpose.value, limit).inc()
            raise
        outcome = "ok"
        try:
            async with self._calls.within(deadline, platform, PlatformCall.LOGIN):
                return await attempt()
        except BaseException as error:
            outcome = outcome_of(error)
            if isinstance(error, ServiceError):
                await self._note_failure(tenant_id, platform, account, purpose, error)
            raise
        finally:
            self._metrics.logins.labels(name, purpose.value, outcome).inc()

    async def _note_failure(
        self,
        tenant_id: str,
        platform: CredentialPlatform,
        account: Account,
        purpose: LoginPurpose,
        error: ServiceError,
    ) -> None:
        """Log a failed login, and save what it means for the next one."""
        log.info(
            "login failed",
            tenant=tenant_id,
            platform=platform.card.platform,
            purpose=purpose.value,
            why=error.why or type(error).__name__,
        )
        if isinstance(error, PlatformRateLimited):
            pause = int((error.retry_after or 0) * SECOND)
            await self._budget.pause(account, self._clock.now() + pause)
        else:
            # the caller gets the platform's answer even if the store is unavailable
            with suppress(ServiceUnavailable):
                if error.pause_until is not None:
                    await self._budget.pause(account, error.pause_until)
                if is_rejection(error):
                    card = platform.card
                    await self._budget.note_rejection(tenant_id, card, account, purpose)


def is_rejection(error: ServiceError) -> bool:
    """Whether the platform rejected the credential itself, which plugins of sites count."""
    rejected = InvalidCredentialsCause.REJECTED_BY_PLATFORM
    return isinstance(error, InvalidCredentials) and error.cause is rejected

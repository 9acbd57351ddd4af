"""Logins: each within its budget, and with the platform's own word on them heeded."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from service.connections.login_budget import LoginBudget
from service.domain.clock import Clock
from service.domain.errors import PlatformRateLimited, ServiceError, ServiceUnavailable
from service.domain.model import SECOND, Account, Login, Micros
from service.domain.platform import CredentialPlatform
from service.domain.records import LoginPurpose

log = structlog.get_logger()


class Logins:
    """Spends logins. None is made that was not debited before, and none is made twice."""

    def __init__(self, limits: LoginBudget, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock

    async def spend(
        self,
        tenant_id: str,
        platform: CredentialPlatform,
        account: Account,
        purpose: LoginPurpose,
        attempt: Callable[[], Awaitable[Login]],
    ) -> Login:
        """What *attempt*, a login to *account*, yields.

        Raises what it raises, and RateLimitExceeded or PlatformRateLimited where none may be made.
        """
        await self._limits.spend(tenant_id, platform.card, account, purpose)
        try:
            return await attempt()
        except ServiceError as error:
            log.info(
                "login failed",
                tenant=tenant_id,
                platform=platform.card.platform,
                purpose=purpose.value,
                why=error.why or type(error).__name__,
            )
            if isinstance(error, PlatformRateLimited):
                # one that the platform refuses as too many ends in a pause
                pause = int((error.retry_after or 0) * SECOND)
                await self._limits.pause(account, self._clock.now() + pause)
                raise
            # a store that is away now costs the caller no verdict
            with suppress(ServiceUnavailable):
                await self._heed(account, error.pause_until)
            raise

    async def heed(self, account: Account, login: Login) -> None:
        """Note that *login* was the last that the platform allows for now, if it said so."""
        await self._heed(account, login.pause_until)

    async def _heed(self, account: Account, pause_until: Micros | None) -> None:
        if pause_until is not None:
            await self._limits.pause(account, pause_until)

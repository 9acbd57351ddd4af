"""Logout: end a session that is not stored, best effort."""

import asyncio

import structlog

from service.domain.errors import ServiceError
from service.domain.model import Account, Session
from service.domain.platform import CredentialPlatform

LOGOUT_TIMEOUT_SECONDS = 5.0

log = structlog.get_logger()


async def end_session(platform: CredentialPlatform, session: Session, account: Account) -> None:
    """Log out of *session* at the server of *account*. A failure is logged, never raised."""
    try:
        async with asyncio.timeout(LOGOUT_TIMEOUT_SECONDS):
            await platform.log_out(session, account)
    except (ServiceError, TimeoutError) as error:
        why = getattr(error, "why", "") or type(error).__name__
        log.warning("session not ended at the server", why=why)

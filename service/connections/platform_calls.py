"""Platform calls: each operation at a platform, within a time limit, counted, timed and traced."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from time import perf_counter

from service.domain.errors import (
    AccountInactive,
    DeadlineExceeded,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
)
from service.domain.model import PlatformUnavailableStep
from service.domain.platform import (
    AccountGone,
    CredentialPlatform,
    CredentialRevoked,
    PermissionLost,
    SessionEnded,
)
from service.domain.steps import PlatformDeadline, platform_timeout, step_observer
from service.runtime.metrics import Metrics
from service.runtime.tracing import span

REJECTED = (
    InvalidCredentials,
    AccountInactive,
    AccountGone,
    CredentialRevoked,
    PermissionLost,
    SessionEnded,
)
"""Answers by which a platform refuses what was asked."""


class PlatformCall(StrEnum):
    """What is asked of a platform."""

    IDENTIFY = "identify"
    LOGIN = "login"
    REFRESH = "refresh"
    ACCOUNT_STATUS = "account_status"
    DOCUMENT = "document"


class PlatformCalls:
    """Wraps operations at platforms."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @asynccontextmanager
    async def within(
        self, deadline: PlatformDeadline, platform: CredentialPlatform, call: PlatformCall
    ) -> AsyncIterator[None]:
        """Run the block as *call* at *platform*. Limits its time, as `platform_timeout` does."""
        name = platform.card.platform
        outcome, started = "ok", perf_counter()
        observer = step_observer.set(_step_span)
        try:
            with span(f"platform {call.value}", platform=name):
                async with platform_timeout(deadline):
                    yield
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            step_observer.reset(observer)
            self._metrics.platform_calls.labels(name, call.value, outcome).inc()
            self._metrics.platform_seconds.labels(name, call.value).observe(
                perf_counter() - started
            )


def outcome_of(error: BaseException) -> str:
    """Return the word for an operation at a platform that ended with *error*."""
    if isinstance(error, REJECTED):
        return "rejected"
    if isinstance(error, PlatformRateLimited):
        return "limited"
    if isinstance(error, PlatformUnavailable | DeadlineExceeded):
        return "unavailable"
    return "error"


@contextmanager
def _step_span(step: PlatformUnavailableStep) -> Iterator[None]:
    with span(f"step {step.value.lower()}"):
        yield

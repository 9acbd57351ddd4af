"""What time does to a session: the real server's sessions are made older instead."""

import pytest

from .caller import Caller
from .expected import APP, DAY, EXPIRED, HOUR, REVOKED, account, session
from .servers import Session, Strict

MINUTE = 60


@pytest.fixture
def server(strict: Strict) -> Strict:
    return strict


async def test_access_token_over_two_hours(call: Caller, strict: Strict) -> None:
    """An access token reads for two hours, and is then expired, which is not revoked."""
    fresh = await call.session()

    aged = await strict.later(fresh, 2 * HOUR - MINUTE)
    assert await call.read(aged) == account()
    aged = await strict.later(aged, MINUTE)
    assert await call.read(aged) == EXPIRED


async def test_refresh_token_over_ninety_days(call: Caller, strict: Strict) -> None:
    """A refresh token lives for ninety days, and is then expired, which is not revoked."""
    fresh = await call.session()

    aged = await strict.later(fresh, 90 * DAY - MINUTE)
    assert await call.refresh(aged) == session(APP)
    aged = await strict.later(aged, MINUTE)
    assert await call.refresh(aged) == EXPIRED


async def test_used_refresh_token_over_two_hours(call: Caller, strict: Strict) -> None:
    """A used refresh token yields the same next one for two hours, and is then revoked."""
    used = await call.session()
    following = Session.of((await call.refresh(used)).raw)

    used = await strict.later(used, 2 * HOUR - MINUTE)
    again = await call.refresh(used)
    assert again == session(APP)
    assert Session.of(again.raw).id == following.id

    # the use in between has not prolonged it
    used = await strict.later(used, MINUTE)
    assert await call.refresh(used) == REVOKED
    assert await call.refresh(following) == session(APP)


async def test_end_of_an_expired_session(call: Caller, strict: Strict) -> None:
    """deleteSession takes an expired refresh token too."""
    aged = await strict.later(await call.session(), 91 * DAY)

    assert (await call.end(aged)).status == 200

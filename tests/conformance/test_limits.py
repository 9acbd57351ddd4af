"""Strictness: what a login waits for, how many there may be, and the second factor."""

import asyncio
import secrets
import time

import pytest

from .caller import Caller
from .expected import ACCESS, APP, INVALID_LOGIN, TOO_MANY, refused, session
from .real import CODE, StrictReal
from .servers import Strict


@pytest.fixture
def server(strict: Strict) -> Strict:
    return strict


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
async def test_login_takes_its_time(call: Caller, *, good: bool) -> None:
    """A login takes 350 ms at the least, be it good or bad."""
    began = time.monotonic()

    await call.log_in(password=None if good else "wrong")

    # the server's timer may be a little early
    assert time.monotonic() - began > 0.345


async def test_too_many_logins(call: Caller) -> None:
    """After 30 logins in 5 minutes with one identifier all others wait; there is no Retry-After."""
    name = f"{secrets.token_hex(6)}.test"
    answers = await asyncio.gather(*(call.log_in(name) for _ in range(30)))
    assert answers == [INVALID_LOGIN] * 30
    left = sorted(int(answer.limits["ratelimit-remaining"]) for answer in answers)
    assert left == list(range(30))

    answer = await call.log_in(name)

    assert answer == TOO_MANY
    reset = int(answer.limits["ratelimit-reset"])
    assert 0 < reset - call.server.now() <= 300
    assert answer.limits == {
        "ratelimit-limit": "30",
        "ratelimit-remaining": "0",
        "ratelimit-reset": str(reset),
        "ratelimit-policy": "30;w=300",
    }


@pytest.mark.slow
async def test_logins_by_another_spelling(call: Caller) -> None:
    """Each spelling of a name has logins of its own, and good ones count as well as bad ones."""
    for left in (29, 28):
        assert (await call.log_in()).limits["ratelimit-remaining"] == str(left)

    answer = await call.log_in(call.person.handle.upper())

    assert answer == session(APP)
    assert answer.limits["ratelimit-remaining"] == "29"


@pytest.mark.parametrize("strict", ["real"], indirect=True)
async def test_logins_from_another_address(call: Caller) -> None:
    """Each address that logins come from has logins of its own; the sandbox knows of none."""
    body = {"identifier": "nobody.test", "password": "wrong"}
    for address in ("203.0.113.1", "203.0.113.2"):
        headers = {"x-forwarded-for": address}
        answer = await call.ask("POST", "server.createSession", json=body, headers=headers)
        assert answer.limits["ratelimit-remaining"] == "29"


@pytest.mark.parametrize("strict", ["real"], indirect=True)
async def test_other_calls(call: Caller) -> None:
    """All calls from one address are limited together; the sandbox does not count them."""
    answer = await call.account_status()

    assert answer.limits["ratelimit-policy"] == "3000;w=300"


@pytest.mark.parametrize("strict", ["real"], indirect=True)
async def test_second_factor(call: Caller, strict: StrictReal) -> None:
    """A second factor, emulated here, concerns the main password and no app password."""
    main = call.person.main_password
    await strict.rename(call.person, name := strict.careful_handle)

    unasked = refused(
        401, "AuthFactorTokenRequired", "A sign in code has been sent to your email address"
    )
    assert await call.log_in(name, main) == unasked
    wrong = refused(400, "InvalidToken", "Token is invalid")
    assert await call.log_in(name, main, authFactorToken="wrong") == wrong
    call.overlook("didDoc")
    by_main = session(ACCESS, handle=name).overlooking("didDoc")
    assert await call.log_in(name, main, authFactorToken=CODE) == by_main
    assert await call.log_in(name) == session(APP, handle=name).overlooking("didDoc")

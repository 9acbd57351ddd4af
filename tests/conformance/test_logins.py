"""createSession: the logins that it accepts, their scopes, and the errors of the others."""

import re

import pytest

from .caller import Caller
from .expected import (
    ACCESS,
    APP,
    INVALID_LOGIN,
    PRIVILEGED,
    TAKEN_DOWN,
    TAKENDOWN,
    TOO_LONG,
    session,
)


@pytest.mark.parametrize("name", ["handle", "HANDLE", "did", "DID", "e-mail"])
async def test_right_app_password(anyone: Caller, name: str) -> None:
    """An app password opens a session by each of the account's names."""
    person, email = anyone.person, anyone.server.email(anyone.person)
    names = {
        "handle": person.handle,
        "HANDLE": person.handle.upper(),
        "did": person.did,
        "DID": person.did.upper(),
        "e-mail": email,
    }

    assert await anyone.log_in(names[name]) == session(APP)


async def test_privileged_app_password(call: Caller) -> None:
    """An app password that may read direct messages opens a session whose scope says so."""
    password = await call.server.app_password(call.person, "messages", privileged=True)

    assert await call.log_in(password=password) == session(PRIVILEGED)


async def test_new_app_password(call: Caller) -> None:
    """An app password is four times four letters of base32, joined by hyphens."""
    password = await call.server.app_password(call.person, "another")

    assert re.fullmatch("[a-z2-7]{4}(-[a-z2-7]{4}){3}", password)
    assert await call.log_in(password=password) == session(APP)


async def test_main_password(anyone: Caller) -> None:
    """The main password opens a session too, and its scope gives it away."""
    assert await anyone.log_in(password=anyone.person.main_password) == session(ACCESS)


async def test_wrong_password(anyone: Caller) -> None:
    """A wrong password is refused in words that fit every reason."""
    assert await anyone.log_in(password="wrong") == INVALID_LOGIN


async def test_unknown_handle(anyone: Caller) -> None:
    """An unknown handle is refused as a wrong password is."""
    assert await anyone.log_in("nobody.test") == INVALID_LOGIN


async def test_revoked_app_password(call: Caller) -> None:
    """A revoked app password is refused as a wrong password is."""
    await call.server.revoke(call.person)

    assert await call.log_in() == INVALID_LOGIN


async def test_app_password_of_a_taken_down_account(call: Caller) -> None:
    """The app password of a taken-down account is refused as a wrong password is."""
    await call.server.take_down(call.person)

    assert await call.log_in() == INVALID_LOGIN


async def test_main_password_of_a_taken_down_account(call: Caller) -> None:
    """The main password of a taken-down account brings out the takedown."""
    await call.server.take_down(call.person)

    assert await call.log_in(password=call.person.main_password) == TAKEN_DOWN


async def test_a_taken_down_owner_who_insists(call: Caller) -> None:
    """allowTakendown with the main password opens a session that is good for nothing."""
    await call.server.take_down(call.person)

    answer = await call.log_in(password=call.person.main_password, allowTakendown=True)

    assert answer == session(TAKENDOWN, status="takendown")


@pytest.mark.parametrize(
    "spelling",
    ["@{}", " {}", "{} ", "\u202a{}\u202c", "at://{}"],
    ids=["@", "space before", "space after", "bidi marks", "at://"],
)
async def test_misspelt_handle(anyone: Caller, spelling: str) -> None:
    """A handle with anything around it is an unknown one."""
    assert await anyone.log_in(spelling.format(anyone.person.handle)) == INVALID_LOGIN


async def test_bare_handle(anyone: Caller) -> None:
    """A handle without its domain is an unknown one."""
    assert await anyone.log_in(anyone.person.handle.removesuffix(".test")) == INVALID_LOGIN


@pytest.mark.parametrize("spelling", ["undashed", "upper case", "space after"])
async def test_misspelt_app_password(anyone: Caller, spelling: str) -> None:
    """An app password is compared to the letter."""
    password = anyone.person.app_password
    spelt = {
        "undashed": password.replace("-", ""),
        "upper case": password.upper(),
        "space after": f"{password} ",
    }

    assert await anyone.log_in(password=spelt[spelling]) == INVALID_LOGIN


@pytest.mark.parametrize(
    "password", ["x" * 513, "\N{GRINNING FACE}" * 257], ids=["letters", "emoji"]
)
async def test_password_of_513_characters(anyone: Caller, password: str) -> None:
    """From 513 UTF-16 units on a password is refused unread."""
    assert await anyone.log_in(password=password) == TOO_LONG


@pytest.mark.parametrize(
    "password", ["x" * 512, "\N{GRINNING FACE}" * 256], ids=["letters", "emoji"]
)
async def test_password_of_512_characters(anyone: Caller, password: str) -> None:
    """Up to 512 UTF-16 units a password is merely wrong."""
    assert await anyone.log_in(password=password) == INVALID_LOGIN


async def test_second_factor_unasked(anyone: Caller) -> None:
    """A code that was not asked for changes nothing."""
    assert await anyone.log_in(authFactorToken="AAAAA-BBBBB") == session(APP)

"""Tidying: what is taken off what people type for a handle, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InvalidCredentials
from service.domain.model import Credentials
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.bluesky.handles import is_handle, tidy_handle

from .internet import Internet
from .test_handles import HANDLES_OF_ALL_KINDS

OUTER = (
    "{}",
    " {} ",
    "\t{}\r\n",
    "@{}",
    " @{}",
    "@ {}",
    "at://{}",
    "AT://{}",
    "\u00a0{}\u3000",
    "\u202a{}\u202c",
    "\u200e@{}\u200f",
    "@\u202a{}\u202c",
    "\u2066\u2068{}\u2069\u2069",
    "\u200b\u200c\u200d\u2060{}\ufeff",
    "\u00ad{}\u00ad",
    "\U000e0001{}\U000e007f",
    "https://bsky.app/profile/{}",
    "http://bsky.app/profile/{}/",
    "bsky.app/profile/{}",
    "HTTPS://BSKY.APP/profile/{}",
    "https://www.bsky.app/profile/{}/post/3k2a?x=y#z",
    "https://main.bsky.app/profile/{}?tab=likes",
    "https://staging.bsky.app/profile/{}#top",
    " https://bsky.app/profile/\u202a{}\u202c ",
    "@https://bsky.app/profile/{}",
    "\u2068@\u2069https://bsky.app/profile/{}",
    "https://app.example/en/profile/{}",
    "https://app.example/#/profile/@{}?x",
    "https://bsky.app/profile/@{}",
    "https://bsky.app/profile/%40{}/post/3k2a",
    "https://bsky.app/profile/@\u202a{}\u202c",
    "https://deer.social/profile/{}",
    "https://main.bsky.dev/profile/@{}?tab=likes",
    "blacksky.community/profile/{}",
)
KEPT = (
    "@@{}",
    "@at://{}",
    "at://@{}",
    "at://at://{}",
    "at:{}",
    "at:/{}",
    "{}@",
    "at://{}/app.bsky.feed.post/3k2a",
    "{}.",
    "https://{}",
    "https://bsky.app/{}",
    "https://evil.example/https://bsky.app/profile/{}",
    "https://user@bsky.app/profile/{}",
    "https://bsky.app:443/profile/{}",
    "https://bsky\u3002app/profile/{}",
    "https://bs\u212ay.app/profile/{}",
    "https://bsky.app/profile/@@{}",
    "https://bsky.app/profile/%2540{}",
    "https://bsky.app/profiles/{}",
    "https:///profile/{}",
    "/profile/{}",
    "ftp://bsky.app/profile/{}",
    "{} {}",
    "{},",
    "<{}>",
    '"{}"',
    "{}\0",
    "\0{}",
    "\ud800{}",
    "{}\udfff",
)


@settings(deadline=None)
@given(HANDLES_OF_ALL_KINDS, st.sampled_from(OUTER), st.booleans())
def test_what_people_paste_around_a_handle_is_taken_off(
    handle: str, around: str, shout: bool
) -> None:
    """White space, invisible and bidi marks, one @ or at://, a profile link, capitals."""
    assert tidy_handle(around.format(handle.upper() if shout else handle)) == handle


@pytest.mark.parametrize("around", KEPT)
def test_nothing_else_is_taken_off(around: str) -> None:
    """What may mean something else is left, and then is no handle."""
    assert not is_handle(tidy_handle(around.format("alice.com", "bob.com")), test_names=True)


@pytest.mark.parametrize(
    "inner",
    [
        "\u212a",  # the Kelvin sign, which Python's lower case makes a k
        "\u0130",
        "\uff41",  # full-width
        "\u0430",  # Cyrillic
        "\u202e",
        "\u2066",
        "\u200b",
        "\u00ad",
        "\u00a0",
        "\n",
        "\0",
        "\ud800",
    ],
    ids=ascii,
)
def test_look_alikes_and_inner_marks_stay(inner: str) -> None:
    """A handle with one inside is another text than the handle without, and is no handle."""
    typed = f"ali{inner}ce.com"
    assert tidy_handle(typed) == typed
    assert not is_handle(typed)


@settings(deadline=None)
@given(HANDLES_OF_ALL_KINDS, st.characters(), st.data())
def test_what_stands_inside_a_handle_stays(handle: str, other: str, data: st.DataObject) -> None:
    """No mark, look-alike or space within the name is dropped or turned into another letter."""
    at = data.draw(st.integers(1, len(handle) - 1))
    tidied = tidy_handle(handle[:at] + other + handle[at:])
    if is_handle(tidied):
        assert other.isascii()
        assert tidied == handle[:at] + other.lower() + handle[at:]


@settings(deadline=None)
@given(st.text())
def test_tidying_adds_nothing(text: str) -> None:
    """What is left was there before, in this order, but for the case of plain letters."""
    assert tidy_handle(text).lower() in text.lower()


APP_PASSWORD = "abcd-2345-Wxyz-q7q7"


@pytest.mark.parametrize(
    "typed",
    ["{}", " {} ", "\t{}\r\n", "\u00a0{}\u3000", "\u202a{}\u202c", "{}\u200b"],
    ids=ascii,
)
async def test_a_password_loses_only_what_cannot_be_seen_around_it(
    internet: Internet, typed: str
) -> None:
    """Letters keep their case: servers compare them to the letter."""
    credentials = Credentials(handle=" @Alice.com", appPassword=typed.format(APP_PASSWORD))
    tidied = BlueskyPlatform(internet.context()).tidy(credentials)
    assert tidied == Credentials(handle="alice.com", appPassword=APP_PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        "",
        " ",
        "correct horse battery staple",
        APP_PASSWORD.replace("-", ""),
        APP_PASSWORD.replace("-", " "),
        APP_PASSWORD.replace("-", "\u2013"),
        APP_PASSWORD[:-1],
        APP_PASSWORD + "a",
        APP_PASSWORD + "-abcd",
        APP_PASSWORD[:-5],
        APP_PASSWORD.replace("a", "\uff41"),
        APP_PASSWORD.replace("2", "\u0662"),
        f"{APP_PASSWORD}\0",
        f"{APP_PASSWORD}\nx",
        APP_PASSWORD * 1000,
    ],
    ids=lambda password: ascii(password[:24]),
)
async def test_another_shape_is_no_app_password(internet: Internet, password: str) -> None:
    """MALFORMED_APP_PASSWORD, without a call, and without the password in the error."""
    with pytest.raises(InvalidCredentials) as caught:
        BlueskyPlatform(internet.context()).tidy(
            Credentials(handle="alice.com", appPassword=password)
        )
    assert caught.value.metadata["cause"] == "MALFORMED_APP_PASSWORD"
    assert not password.strip() or password not in repr(vars(caught.value))
    assert (internet.dns.asked, internet.dialled, internet.plc.connections) == ([], [], 0)


@pytest.mark.parametrize("handle", ["", "alice", "@@alice.com", "alice.local", "alice.test"])
async def test_a_malformed_handle_comes_before_the_password(
    internet: Internet, handle: str
) -> None:
    """MALFORMED_HANDLE, with any password."""
    with pytest.raises(InvalidCredentials) as caught:
        BlueskyPlatform(internet.context()).tidy(Credentials(handle=handle, appPassword="x"))
    assert caught.value.metadata["cause"] == "MALFORMED_HANDLE"
    assert (internet.dns.asked, internet.dialled) == ([], [])

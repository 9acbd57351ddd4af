"""Texts of strangers: none of them ends in an error of ours."""

import contextlib
import json
import re

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.errors import PlatformUnavailable
from service.domain.model import SECOND
from service.domain.platform import CredentialRevoked
from service.platforms.egress.origin import Origin
from service.platforms.ghost import answers
from service.platforms.ghost.address import Home, tidy_site
from service.platforms.ghost.card import CARD
from service.platforms.ghost.keys import AdminKey
from service.sandbox.sites.ghost import KEY_ID, SECRET

KEY = f"{KEY_ID}:{SECRET}"
HOME = Home("https://blog.example.com")
NOW = 1_800_000_000 * SECOND
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["site", "url", "title", "version", "site_uuid", "errors", "code", "users"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


def _public(host: str) -> Origin:
    return Origin.parse(f"https://{host}")


@given(st.text() | st.from_regex(re.compile(CARD.field("site").pattern)))
@example("https://\u2100/")
@example("//")
@example("\u0130.example/ghost")
def test_any_text_for_a_site(typed: str) -> None:
    """It is a home that is read again as the same one, or a ValueError."""
    try:
        tidy = tidy_site(typed, _public)
    except ValueError:
        return
    assert tidy_site(tidy, _public) == tidy
    assert Home.parse(tidy) is not None
    assert str(Home.parse(tidy)) == tidy


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@example("a.b.c")
@example("..")
@example("\ud800")
def test_any_text_for_a_rejected_token(token: str) -> None:
    """It is none of ours."""
    assert not AdminKey.parse(KEY).is_good(token, NOW)


def test_a_token_of_ours_until_it_expires() -> None:
    """And of no other key's."""
    key, other = AdminKey.parse(KEY), AdminKey.parse(f"{KEY_ID}:{'ab' * 32}")
    token, lifetime = key.token(NOW + 999_999)
    assert lifetime == 300 * SECOND - 999_999
    assert key.is_good(token, NOW + 299 * SECOND)
    assert not key.is_good(token, NOW + 300 * SECOND)
    assert not other.is_good(token, NOW)


@given(
    st.sampled_from([200, 401, 403, 404, 500]),
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])),
)
def test_any_answer(status: int, content: bytes, date: str) -> None:
    """It is a site or none, and accepts a key, proves that it is revoked, or proves nothing."""
    headers = [(b"date", date.encode("latin-1"))]
    response = httpx.Response(status, content=content, headers=headers)
    if (found := answers.site(response, HOME)) is not None:
        assert found.is_of(found.account_id)
    assert 0 <= answers.clock_ahead(response, NOW) <= answers.MAX_CLOCK_AHEAD
    with contextlib.suppress(PlatformUnavailable):
        try:
            answers.check_accepted(response, NOW)
        except CredentialRevoked:
            assert status == 401
            assert b"UNKNOWN_ADMIN_API_KEY" in content or b"invalid signature" in content
            return
        assert status == 200

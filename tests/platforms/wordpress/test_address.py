"""Addresses of sites: as people type them, and as a site states its own."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.platforms.egress.origin import Origin
from service.platforms.typed import trimmed, without_spaces
from service.platforms.wordpress.address import Site, is_same_site, stated_site, tidy_site
from service.platforms.wordpress.card import CARD

SITE, USERNAME, APP_PASSWORD = (re.compile(field.pattern) for field in CARD.fields)


def https(host: str) -> Origin:
    return Origin.parse(f"https://{host}")


@pytest.mark.parametrize(
    ("typed", "site"),
    [
        ("example.com", "https://example.com"),
        ("Example.COM", "https://example.com"),
        ("http://example.com", "https://example.com"),
        ("HTTPS://www.example.com/", "https://www.example.com"),
        ("example.com.", "https://example.com"),
        ("example.com:443", "https://example.com"),
        ("example.com:8443", "https://example.com:8443"),
        ("example.com/blog", "https://example.com/blog"),
        ("example.com/Blog/", "https://example.com/Blog"),
        ("example.com//blog//", "https://example.com/blog"),
        ("example.com/wp-admin", "https://example.com"),
        ("example.com/wp-admin/profile.php?x=1#application-passwords", "https://example.com"),
        ("https://example.com/blog/wp-login.php?redirect_to=%2F", "https://example.com/blog"),
        ("example.com/wp-json/wp/v2/", "https://example.com"),
        ("example.com/blog/index.php", "https://example.com/blog"),
        ("example.com/xmlrpc.php", "https://example.com"),
        ("example.com/?p=12", "https://example.com"),
        ("example.com#top", "https://example.com"),
        ("example.com/./a/../b", "https://example.com/b"),
        ("example.com/wp-admin-guide", "https://example.com/wp-admin-guide"),
        ("müller.example", "https://xn--mller-kva.example"),
        ("example.com/straße", "https://example.com/stra%C3%9Fe"),
    ],
)
def test_typed(typed: str, site: str) -> None:
    """Without a scheme https is taken, and http too; a folder stays."""
    assert tidy_site(typed, https) == site
    assert tidy_site(site, https) == site
    assert SITE.fullmatch(typed)


@pytest.mark.parametrize(
    "typed",
    [
        *("", "/", "https://", "example.com x", "ftp://example.com", "https://a@example.com"),
        *("https://a:b@example.com", "<b>example.com</b>", "example.com/<script>", "a\nb.example"),
        *("example.com:port", "[::1]", "https://[::1]/", "javascript:alert(1)"),
        *("x" * 10_000, f"example.com/{'x' * 10_000}", "example.com:99999", "exa mple.com"),
        *("data:text/html,x", "https:example.com", "https:///example.com", "\x00example.com"),
    ],
)
def test_malformed(typed: str) -> None:
    """Text that is no address of a site."""
    with pytest.raises(ValueError, match=r"not an? |Invalid"):
        tidy_site(typed, https)


@given(st.text(max_size=320))
def test_any_text(typed: str) -> None:
    """Leads to an address of https, or to a ValueError; tidying is idempotent."""
    try:
        site = tidy_site(trimmed(typed), https)
    except ValueError:
        return
    assert site.startswith("https://")
    assert site.isascii()
    assert tidy_site(site, https) == site
    assert Site.of_account(Site(site).account_id(7)).home == site
    assert Site(site).origin == str(Origin.parse(Site(site).origin))


@pytest.mark.parametrize(
    ("stated", "site"),
    [
        ("https://example.com", "https://example.com"),
        ("http://Example.com/blog/", "http://example.com/blog"),
        ("https://example.com:443/", "https://example.com"),
        ("https://müller.example", "https://xn--mller-kva.example"),
        *((each, None) for each in (None, 7, "", "example.com", "ftp://example.com", "https://")),
        *((each, None) for each in ("https://a@b.example", "https://b.example/?x", "//b.example")),
        *((each, None) for each in ("https://" + "x" * 400, "https://b.example/ x", ["https://b"])),
    ],
)
def test_stated(stated: object, site: str | None) -> None:
    """By a site's index: an address, or nothing."""
    assert stated_site(stated) == site


@given(st.text() | st.integers() | st.lists(st.text()))
def test_any_statement(stated: object) -> None:
    """Raises nothing."""
    site = stated_site(stated)
    assert site is None or stated_site(site) == site


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://example.com/wp-json/?_fields=x", Site("https://example.com")),
        ("https://example.com/blog/wp-json?_fields=x", Site("https://example.com/blog")),
        ("https://example.com/index.php/wp-json/", Site("https://example.com")),
        ("https://example.com/?rest_route=/&_fields=x", Site("https://example.com", True)),
        (
            "https://example.com/blog/index.php?rest_route=%2F",
            Site("https://example.com/blog", True),
        ),
        ("https://example.com/", None),
        ("https://example.com/wp-json/wp/v2/", None),
    ],
)
def test_root(url: str, site: Site | None) -> None:
    """Where a redirect ended."""
    assert Site.of_root(url) == site


def test_urls() -> None:
    """Of both kinds of permalinks, and of a folder."""
    pretty, plain = Site("https://a.example/blog"), Site("https://a.example/blog", True)
    assert pretty.url("/wp/v2/users/me", _fields="id,name") == (
        "https://a.example/blog/wp-json/wp/v2/users/me?_fields=id,name"
    )
    assert plain.url("/wp/v2/users/me", _fields="id,name") == (
        "https://a.example/blog/?rest_route=/wp/v2/users/me&_fields=id,name"
    )
    assert (pretty.origin, pretty.host) == ("https://a.example", "a.example")
    for site in (pretty, plain):
        assert Site.of_account(site.provisional_id("Ann & Bob")) == site
        assert site.provisional_id("ANN") == site.provisional_id("ann")
    assert is_same_site("http://a.example", "https://a.example")
    assert not is_same_site("https://a.example/blog", "https://a.example")


def test_patterns() -> None:
    """Of the form: for RE2, ECMAScript and Python alike."""
    assert APP_PASSWORD.fullmatch("abcd EFGH 1234 ijkl MNOP 5678")
    assert APP_PASSWORD.fullmatch("abcdEFGH1234ijklMNOP5678")
    assert not APP_PASSWORD.fullmatch("a main password")
    assert not APP_PASSWORD.fullmatch("abcd EFGH 1234 ijkl MNOP 567")
    for name in ("alice", "Ann Example", "ann@example.com", "Jürgen"):
        assert USERNAME.fullmatch(name)
    for name in ("", "a:b", "<b>", "a\nb", "x" * 101):
        assert not USERNAME.fullmatch(name)
    for field in CARD.fields:
        assert (field.pattern[0], field.pattern[-1]) == ("^", "$")
        assert "(?" not in field.pattern
        # what these mean differs by language
        assert not re.search(r"\\[sdwb]", field.pattern)
        assert json.loads(json.dumps(field.pattern)) == field.pattern
        assert re.fullmatch(field.pattern, field.placeholder)


def test_blanks() -> None:
    """White space and invisible marks are removed."""
    assert trimmed("\u202a alice\u200b\n") == "alice"
    assert without_spaces("abcd\u00a0efgh\t1234\u200b\r\n") == "abcdefgh1234"

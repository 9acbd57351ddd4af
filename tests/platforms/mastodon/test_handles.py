"""Handles and tokens as people type them."""

import pytest

from service.domain.errors import InvalidCredentials
from service.domain.model import Credentials
from service.platforms.egress.origin import Origin
from service.platforms.mastodon.adapter import MastodonPlatform
from tests.support.running import Running

from .connected import cause, refused
from .servers import VERIFY, StandIn

TOKEN = "a" * 43


class Context:
    """Trusts one site for tests; makes no call."""

    account_servers = frozenset((Origin.parse("http://127.0.0.1:3000"),))

    def origin_of_host(self, host: str) -> Origin:
        trusted = {"127.0.0.1:3000": "http://127.0.0.1:3000"}
        return Origin.parse(trusted.get(host, f"https://{host}"))


def tidied(handle: str, token: str = TOKEN) -> Credentials:
    platform = MastodonPlatform(Context())  # type: ignore[arg-type]
    return platform.tidy(Credentials(handle=handle, accessToken=token))


@pytest.mark.parametrize(
    "typed",
    [
        "@alice@example.social",
        "alice@example.social",
        " \u200b@Alice@Example.SOCIAL\u2060\n",
        "acct:alice@example.social",
        "https://example.social/@alice",
        "http://example.social/@alice/",
        "example.social/@Alice",
        "https://example.social/users/alice",
        "https://example.social/web/@alice",
        "https://example.social/@alice/112233?x=1#y",
        "https://elsewhere.example/@alice@example.social",
        "@alice@example.social.",
    ],
)
def test_a_handle_is_tidied(typed: str) -> None:
    assert tidied(typed)["handle"] == "alice@example.social"


@pytest.mark.parametrize(
    ("typed", "handle"),
    [
        ("@alice@münchen.example", "alice@xn--mnchen-3ya.example"),
        ("@a.l-i_c.e@example.social", "a.l-i_c.e@example.social"),
        ("@alice@127.0.0.1:3000", "alice@127.0.0.1:3000"),
        ("http://127.0.0.1:3000/@alice", "alice@127.0.0.1:3000"),
        ("@alice@example.social:443", "alice@example.social"),
    ],
)
def test_other_handles(typed: str, handle: str) -> None:
    """Names in other scripts, and a trusted site with a port."""
    assert tidied(typed)["handle"] == handle


BAD_HANDLES = [
    "alice",
    "@alice",
    "alice@",
    "@@example.social",
    "alice@example",
    "alice@localhost",
    "alice@127.0.0.1",
    "alice@[::1]",
    "alice@10.0.0.1:8080",
    "alice@example.social:8443",
    "alice@example.social/path",
    "alice@example.social@elsewhere.example",
    "alice:secret@example.social",
    "al ice@example.social",
    "alice\n@example.social",
    "alice@example.social\nhost: x",
    "<b>alice</b>@example.social",
    "alice@exa<i>mple.social",
    "alice&resource=acct:bob@example.social",
    "alice@example.social?x=1",
    "alice@example.social#x",
    "alice%40example.social",
    "\u212aate@example.social",
    "https://example.social/",
    "https://example.social/about",
    "ftp://example.social/@alice",
    "@" * 10_000,
    f"{'a' * 10_000}@example.social",
    f"alice@{'a' * 10_000}.social",
    f"https://example.social/@alice/{'a' * 10_000}",
]


@pytest.mark.parametrize("typed", BAD_HANDLES)
def test_a_malformed_handle(typed: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        tidied(typed)
    assert caught.value.cause == "MALFORMED_HANDLE"
    assert [field.path for field in caught.value.fields] == ["credentials.handle"]


BAD_TOKENS = [
    "a" * 19,
    "a" * 513,
    "a" * 10_000,
    f"{'a' * 20} {'a' * 20}",
    f"{'a' * 20}\n{'a' * 20}",
    f"{'a' * 20}\r\nhost: elsewhere.example",
    "ä" * 43,
    f"Bearer {'a' * 43}",
]


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_a_malformed_token(token: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        tidied("@alice@example.social", token)
    assert caught.value.cause == "MALFORMED_FIELD"
    assert caught.value.metadata["field"] == "credentials.accessToken"
    assert token not in repr(caught.value) + str(caught.value.metadata)


def test_a_token_is_trimmed() -> None:
    """And kept otherwise: capitals count."""
    assert tidied("alice@example.social", f" \ufeff{'aB' * 20}\n")["accessToken"] == "aB" * 20


async def test_bad_input_is_refused_before_any_call(service: Running, mastodon: StandIn) -> None:
    """By the service: each field by its cause, and an empty one as missing."""
    person = await mastodon.person()
    for handle in (BAD_HANDLES[0], BAD_HANDLES[-1], "<script>alert(1)</script>"):
        assert await cause(service, handle, person.token) == "MALFORMED_HANDLE"
    for token in BAD_TOKENS[:3]:
        assert await cause(service, person.handle, token) == "MALFORMED_FIELD"
    for handle, token, field in (
        ("", person.token, "credentials.handle"),
        (person.handle, "", "credentials.access_token"),
    ):
        refusal = await refused(service, handle, token)
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", (field,))
    assert mastodon.site.counts.total() == 0
    assert mastodon.site.counts[f"GET {VERIFY}"] == 0
    assert service.rows("SELECT * FROM login_debits") == []

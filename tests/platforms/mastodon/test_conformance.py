"""What servers answer: the stand-in in snac's words beside a real snac, then Mastodon's words."""

import pytest

from service.sandbox.sites.mastodon import ACTIVITY, Token

from .servers import STATUSES, VERIFY, VERIFY_APPLICATION, AnyServer, StandIn, ask

UNKNOWN = "0123456789abcdef0123456789abcdef"
AS_ACTIVITY = {"accept": ACTIVITY}


async def test_webfinger_names_the_actor(server: AnyServer) -> None:
    """In any spelling of the handle."""
    person = await server.person()
    for handle in (person.handle, person.handle.upper()):
        answer = await ask(f"{server.origin}/.well-known/webfinger?resource=acct:{handle}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/jrd+json"
        assert answer.json()["subject"] == f"acct:{person.handle}"
        links = [each for each in answer.json()["links"] if each.get("type") == ACTIVITY]
        assert links == [{"rel": "self", "type": ACTIVITY, "href": person.actor}]


@pytest.mark.parametrize("handle", ["unknown@{host}", "{name}@elsewhere.example"])
async def test_webfinger_of_an_unknown_handle(server: AnyServer, handle: str) -> None:
    """404, for another domain too."""
    person = await server.person()
    handle = handle.format(host=server.host, name=person.name)
    answer = await ask(f"{server.origin}/.well-known/webfinger?resource=acct:{handle}")
    assert answer.status_code == 404
    assert "html" in answer.headers["content-type"]


async def test_the_actor_names_itself(server: AnyServer) -> None:
    person = await server.person()
    answer = await ask(person.actor, headers=AS_ACTIVITY)
    assert answer.status_code == 200
    described = answer.json()
    assert (described["id"], described["preferredUsername"]) == (person.actor, person.name)
    assert described["type"] == "Person"
    unknown = await ask(f"{server.origin}/unknown", headers=AS_ACTIVITY)
    assert unknown.status_code == 404


async def test_a_good_token(server: AnyServer) -> None:
    """It names the account; it posts."""
    person = await server.person()
    answer = await ask(f"{server.origin}{VERIFY}", person.token)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    account = answer.json()
    assert (account["username"], account["acct"]) == (person.name, person.name)
    assert (account["url"], account["display_name"]) == (person.actor, person.name)
    assert "uri" not in account
    assert "moved" not in account
    posted = await ask(
        f"{server.origin}{STATUSES}", person.token, method="POST", json={"status": "hello"}
    )
    assert posted.status_code == 200
    assert "hello" in posted.json()["content"]
    assert posted.json()["account"]["username"] == person.name


@pytest.mark.parametrize("case", ["wrong", "removed", "none", "Basic"])
async def test_a_token_that_is_not_good(server: AnyServer, case: str) -> None:
    """422 without a body, all alike, and 401 to a post: no proof of anything."""
    person = await server.person()
    token, headers = UNKNOWN, {}
    if case == "removed":
        token = person.token
        await server.remove(token)
    if case in ("none", "Basic"):
        token = ""
        headers = {"authorization": "Basic YWxpY2U6eA=="} if case == "Basic" else {}
    answer = await ask(f"{server.origin}{VERIFY}", token, headers=headers)
    assert (answer.status_code, answer.content) == (422, b"")
    posted = await ask(
        f"{server.origin}{STATUSES}", token, method="POST", json={"status": "x"}, headers=headers
    )
    assert (posted.status_code, posted.content) == (401, b"")


async def test_an_account_that_was_deleted(server: AnyServer) -> None:
    """404 to webfinger and for the actor; the token is as an unknown one."""
    person = await server.person()
    await server.delete(person)
    webfinger = f"{server.origin}/.well-known/webfinger?resource=acct:{person.handle}"
    assert (await ask(webfinger)).status_code == 404
    assert (await ask(person.actor, headers=AS_ACTIVITY)).status_code == 404
    answer = await ask(f"{server.origin}{VERIFY}", person.token)
    assert (answer.status_code, answer.content) == (422, b"")


@pytest.mark.parametrize("path", ["/unknown", "/api/v1/unknown", VERIFY_APPLICATION])
async def test_unknown_paths(server: AnyServer, path: str) -> None:
    """404, in HTML."""
    answer = await ask(f"{server.origin}{path}")
    assert answer.status_code == 404
    assert answer.text == "<h1>404 Not Found (snac/2.75)</h1>"
    assert "text/html" in answer.headers["content-type"]


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ("revoke", 401, "The access token was revoked"),
        ("regenerate", 401, "The access token is invalid"),
        ("drop-header", 401, "The access token is invalid"),
        ("switch-off", 403, "Your login is currently disabled"),
        ("hide", 403, "Your login is currently disabled"),
        ("limit", 429, "Too many requests"),
    ],
)
async def test_the_words_of_mastodon(
    mastodon: StandIn, change: str, status: int, error: str
) -> None:
    """Of its source, for a token that does not lead to its account, and for a post by it."""
    person = await mastodon.person()
    mastodon.site.change(change, person.name)
    answer = await ask(f"{mastodon.origin}{VERIFY}", person.token)
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    posted = await ask(
        f"{mastodon.origin}{STATUSES}", person.token, method="POST", json={"status": "x"}
    )
    assert (posted.status_code, posted.json()) == (status, {"error": error})
    assert answer.headers["x-ratelimit-reset"].endswith("Z")


async def test_mastodons_words_for_scopes(mastodon: StandIn) -> None:
    """The account is shown to a token that may not post; its application's scopes say so."""
    person = await mastodon.person()
    mastodon.site.change("demote", person.name)
    assert (await ask(f"{mastodon.origin}{VERIFY}", person.token)).status_code == 200
    application = await ask(f"{mastodon.origin}{VERIFY_APPLICATION}", person.token)
    assert application.json()["scopes"] == ["profile"]
    posted = await ask(
        f"{mastodon.origin}{STATUSES}", person.token, method="POST", json={"status": "x"}
    )
    outside = {"error": "This action is outside the authorized scopes"}
    assert (posted.status_code, posted.json()) == (403, outside)


async def test_mastodons_words_for_an_application(mastodon: StandIn) -> None:
    """Its own token has no user."""
    mastodon.site.tokens.append(Token("", UNKNOWN, ("read", "write")))
    answer = await ask(f"{mastodon.origin}{VERIFY}", UNKNOWN)
    no_user = {"error": "This method requires an authenticated user"}
    assert (answer.status_code, answer.json()) == (422, no_user)


async def test_mastodons_words_for_a_suspended_account(mastodon: StandIn) -> None:
    """Gone for good: 410 for both. For a time: 403 for the actor, and webfinger goes on."""
    person, hidden = await mastodon.person(), await mastodon.person()
    mastodon.site.change("delete", person.name)
    mastodon.site.change("hide", hidden.name)
    webfinger = f"{mastodon.origin}/.well-known/webfinger?resource=acct:"
    gone = await ask(f"{webfinger}{person.handle}")
    assert (gone.status_code, gone.content) == (410, b"")
    assert (await ask(person.actor, headers=AS_ACTIVITY)).status_code == 410
    assert (await ask(f"{webfinger}{hidden.handle}")).status_code == 200
    assert (await ask(hidden.actor, headers=AS_ACTIVITY)).status_code == 403


async def test_what_mastodon_refuses_otherwise(mastodon: StandIn) -> None:
    """A post without words; a path that is not there, in JSON or HTML."""
    person = await mastodon.person()
    blank = await ask(f"{mastodon.origin}{STATUSES}", person.token, method="POST", json={})
    assert (blank.status_code, blank.json()["error"]) == (
        422,
        "Validation failed: Text can't be blank",
    )
    unknown = await ask(f"{mastodon.origin}/api/v1/unknown")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "Not Found"})
    page = await ask(f"{mastodon.origin}/unknown")
    assert page.status_code == 404
    assert "text/html" in page.headers["content-type"]

"""Mastodon: a stand-in for a server with Mastodon's API, and for snac, which speaks it too.

Mastodon's words are those of its source. `tests/platforms/mastodon/test_conformance.py` holds what
both have in common, and snac's own answers, to a real snac.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.sandbox.refusals import UnknownAccount
from service.sandbox.sites.site import Change, Site

ACCESS_TOKEN = "sandboxMastodonAccessTokenOfAlice0123456789"  # noqa: S105 - of the sample account
READER_TOKEN = "sandboxMastodonAccessTokenOfReader123456789"  # noqa: S105 - may not publish
REGENERATED_TOKEN = "sandboxMastodonAccessTokenRegenerated012345"  # noqa: S105 - of the sandbox
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
INVALID = "The access token is invalid"
REVOKED = "The access token was revoked"
OUTSIDE_SCOPES = "This action is outside the authorized scopes"
DISABLED = "Your login is currently disabled"
NO_USER = "This method requires an authenticated user"
BLANK = "Validation failed: Text can't be blank"
TOO_MANY = "Too many requests"
ACTIVITY = "application/activity+json"
PROFILE = ("profile", "read", "read:accounts")
WRITE = ("write", "write:statuses")
NO_PICTURE = "/avatars/original/missing.png"


@dataclass(slots=True)
class User:
    """An account. *problem*: the server's sentence for a login that is not in order, if any."""

    name: str
    display_name: str
    problem: str = ""
    is_hidden: bool = False
    """Whether moderators have suspended it for a time."""
    is_gone: bool = False
    moved_to: str = ""


@dataclass(slots=True)
class Token:
    """An access token. *user* empty: it is of an application alone."""

    user: str
    value: str = field(repr=False)
    scopes: tuple[str, ...] = ("profile", "write:statuses", "write:media")
    is_revoked: bool = False

    def allows(self, scopes: Sequence[str]) -> bool:
        return any(scope in self.scopes for scope in scopes)


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, error: str) -> None:
        self.status, self.error = status, error


class MastodonSite(Site):
    """One server. *is_snac*: it answers as snac does."""

    platform = "mastodon"

    def __init__(self, *, is_snac: bool = False) -> None:
        self._is_snac = is_snac
        super().__init__()

    def restore(self) -> None:
        alice, reader = User("alice", "Alice Example"), User("reader", "A Reader")
        self.users = {each.name: each for each in (alice, reader)}
        self.tokens = [Token("alice", ACCESS_TOKEN), Token("reader", READER_TOKEN, ("profile",))]
        self.statuses: list[dict[str, Any]] = []
        self.drops_header = False
        """Whether a proxy removes the header `authorization`."""
        self.wants_signatures = False
        """Whether actors are shown to other servers alone."""
        self.is_limited = False
        self.local_domain = ""
        """The domain of the handles, if it is not the server's."""
        self.webfinger_at = ""
        """The origin to which webfinger is redirected, if any."""
        self.api_at = ""
        """The origin to which the API is redirected, if any."""
        self.stated: dict[str, str] = {}
        """What is stated instead of the truth: `subject` and `self` by webfinger, `id` and
        `preferredUsername` by the actor."""
        self.has_uri = True
        """Whether accounts have a `uri`: since Mastodon 4.2."""

    def credentials(self) -> Mapping[str, str]:
        return {"handle": f"@alice@{self.domain}", "accessToken": ACCESS_TOKEN}

    def changes(self) -> Mapping[str, Change]:
        def of_user(name: str, *, value: object) -> Change:
            return lambda account: setattr(self._user(account), name, value)

        def of_tokens(change: Callable[[Token], None]) -> Change:
            def make(account: str) -> None:
                user = self._user(account)
                for token in self.tokens:
                    if token.user == user.name:
                        change(token)

            return make

        def of_site(name: str, *, value: object) -> Change:
            return lambda _: setattr(self, name, value)

        return {
            "revoke": of_tokens(lambda token: setattr(token, "is_revoked", True)),
            "restore": of_tokens(lambda token: setattr(token, "is_revoked", False)),
            "regenerate": of_tokens(lambda token: setattr(token, "value", REGENERATED_TOKEN)),
            "demote": of_tokens(lambda token: setattr(token, "scopes", ("profile",))),
            "promote": of_tokens(lambda token: setattr(token, "scopes", ("profile", "write"))),
            "switch-off": of_user("problem", value=DISABLED),
            "switch-on": of_user("problem", value=""),
            "hide": of_user("is_hidden", value=True),
            "show": of_user("is_hidden", value=False),
            "move": of_user("moved_to", value="https://elsewhere.example/users/alice"),
            "delete": lambda account: self._delete(self._user(account)),
            "limit": of_site("is_limited", value=True),
            "unlimit": of_site("is_limited", value=False),
            "drop-header": of_site("drops_header", value=True),
            "keep-header": of_site("drops_header", value=False),
        }

    def _delete(self, user: User) -> None:
        user.is_gone = True
        self.tokens = [each for each in self.tokens if each.user != user.name]

    def _user(self, name: str) -> User:
        name = name or "alice"
        if name not in self.users:
            raise UnknownAccount(name)
        return self.users[name]

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    @property
    def domain(self) -> str:
        """The domain of the handles."""
        return self.local_domain or self.host

    def actor(self, user: User) -> str:
        """The URI of an account's actor."""
        return f"{self.origin}/{user.name}" if self._is_snac else f"{self.origin}/users/{user.name}"

    def routes(self) -> Sequence[Route]:
        return [
            Route("/.well-known/webfinger", self._webfinger, methods=["GET"]),
            Route("/{path:path}", self._answer, methods=METHODS),
        ]

    async def _webfinger(self, request: Request) -> Response:
        if self.webfinger_at:
            return RedirectResponse(f"{self.webfinger_at}{request.url.path}?{request.url.query}")
        resource = request.query_params.get("resource", "")
        name, _, domain = resource.removeprefix("acct:").lower().partition("@")
        user = self.users.get(name)
        if user is None or domain not in (self.domain, self.host):
            return self._not_found()
        if user.is_gone:
            return Response(status_code=410)
        href = self.stated.get("self", self.actor(user))
        links = [{"rel": "self", "type": ACTIVITY, "href": href}]
        page = {"rel": "http://webfinger.net/rel/profile-page", "type": "text/html"}
        described = {
            "subject": self.stated.get("subject", f"acct:{user.name}@{self.domain}"),
            "links": [*links, {**page, "href": self._page_of(user)}],
        }
        return _json(200, described, "application/jrd+json")

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if self.api_at and path.startswith("/api/"):
            return RedirectResponse(f"{self.api_at}{path}")
        # snac looks for an actor where one is asked for, and for nothing else
        if request.method == "GET" and (
            not self._is_snac or request.headers.get("accept", "") == ACTIVITY
        ):
            for user in self.users.values():
                if path == self.actor(user).removeprefix(self.origin):
                    return self._actor_of(user)
        routes: dict[tuple[str, str], Callable[[Mapping[str, Any], str], Any]] = {
            ("GET", "/api/v1/accounts/verify_credentials"): self._verify,
            ("POST", "/api/v1/statuses"): self._post,
        }
        if not self._is_snac:
            routes["GET", "/api/v1/apps/verify_credentials"] = self._verify_application
        route = routes.get((request.method, path))
        if route is None:
            return self._not_found(is_api=path.startswith("/api/"))
        header = "" if self.drops_header else request.headers.get("authorization", "")
        try:
            if self.is_limited:
                raise Refused(429, TOO_MANY)
            return self._api(200, route(await _given(request), header.removeprefix("Bearer ")))
        except Refused as error:
            if self._is_snac:
                status = 422 if request.method == "GET" else error.status
                return self._api(status, None)
            return self._api(error.status, {"error": error.error})

    def _actor_of(self, user: User) -> Response:
        if user.is_gone:
            return _json(410, {"error": "Gone"})
        if user.is_hidden:
            return _json(403, {"error": "Forbidden"})
        if self.wants_signatures:
            return _json(401, {"error": "Request not signed"})
        uri = self.actor(user)
        described = {
            "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
            "id": uri,
            "type": "Person",
            "preferredUsername": user.name,
            "name": user.display_name,
            "url": self._page_of(user),
            "inbox": f"{uri}/inbox",
            "outbox": f"{uri}/outbox",
            **{key: value for key, value in self.stated.items() if key not in ("subject", "self")},
        }
        kind = 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"'
        return _json(200, described, kind if self._is_snac else f"{ACTIVITY}; charset=utf-8")

    def _page_of(self, user: User) -> str:
        return self.actor(user) if self._is_snac else f"{self.origin}/@{user.name}"

    def _token(self, value: str, scopes: Sequence[str]) -> Token:
        """Return the token; raise Refused if it is not valid for one of *scopes*."""
        token = next((each for each in self.tokens if each.value == value), None)
        if token is None:
            raise Refused(401, INVALID)
        if token.is_revoked:
            raise Refused(401, REVOKED)
        if not token.allows(scopes):
            raise Refused(403, OUTSIDE_SCOPES)
        return token

    def _owner(self, token: Token) -> User:
        if not token.user:
            raise Refused(422, NO_USER)
        user = self.users[token.user]
        if user.problem or user.is_hidden:
            raise Refused(403, user.problem or DISABLED)
        return user

    def _verify(self, _: Mapping[str, Any], value: str) -> dict[str, object]:
        user = self._owner(self._token(value, PROFILE))
        return self._account(user)

    def _verify_application(self, _: Mapping[str, Any], value: str) -> dict[str, object]:
        token = self._token(value, (*PROFILE, *WRITE, "write:media"))
        return {"id": "1", "name": "postcore", "website": None, "scopes": list(token.scopes)}

    def _post(self, given: Mapping[str, Any], value: str) -> dict[str, object]:
        user = self._owner(self._token(value, WRITE))
        text = given.get("status", "")
        if not text:
            raise Refused(422, BLANK)
        number = str(len(self.statuses) + 1)
        status: dict[str, object] = {
            "id": number,
            "created_at": _iso(datetime.now(UTC)),
            "visibility": "public",
            "uri": f"{self.actor(user)}/statuses/{number}",
            "url": f"{self._page_of(user)}/{number}",
            "content": f"<p>{text}</p>",
            "account": self._account(user),
        }
        self.statuses.append(status)
        return status

    def _account(self, user: User) -> dict[str, object]:
        account: dict[str, object] = {
            "id": str(list(self.users).index(user.name) + 1),
            "username": user.name,
            "acct": user.name,
            "display_name": user.display_name,
            "locked": False,
            "bot": False,
            "created_at": "2026-01-01T00:00:00.000Z",
            "note": "",
            "url": self._page_of(user),
            "avatar": f"{self.origin}{NO_PICTURE}",
            "source": {"privacy": "public", "sensitive": False, "language": None, "note": ""},
        }
        if self.has_uri and not self._is_snac:
            account["uri"] = self.actor(user)
        if user.moved_to:
            account["moved"] = {"id": "99", "username": user.name, "uri": user.moved_to}
        return account

    def _api(self, status: int, body: object) -> Response:
        if self._is_snac:
            if body is None:
                return Response(b"", status, {"content-type": "text/html; charset=utf-8"})
            return _json(status, body)
        soon = datetime.now(UTC) + timedelta(seconds=120)
        limits = {
            "x-ratelimit-limit": "300",
            "x-ratelimit-remaining": "0" if self.is_limited else "299",
            "x-ratelimit-reset": _iso(soon),
        }
        return _json(status, body, "application/json; charset=utf-8", limits)

    def _not_found(self, *, is_api: bool = False) -> Response:
        if self._is_snac:
            page = "<h1>404 Not Found (snac/2.75)</h1>"
            return Response(page, 404, {"content-type": "text/html; charset=utf-8"})
        if is_api:
            return _json(404, {"error": "Not Found"}, "application/json; charset=utf-8")
        page = "<!DOCTYPE html>\n<html><head><title>The page is not here</title></head></html>\n"
        return Response(page, 404, {"content-type": "text/html; charset=utf-8"})


def _json(
    status: int,
    body: object,
    kind: str = "application/json",
    headers: Mapping[str, str] = {},
) -> Response:
    return Response(json.dumps(body), status, {"content-type": kind, **headers})


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


async def _given(request: Request) -> Mapping[str, Any]:
    """Return the parameters in the body, as JSON or as a form."""
    raw = await request.body()
    if not request.headers.get("content-type", "").startswith("application/json"):
        return dict(parse_qsl(raw.decode("utf-8", "replace")))
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

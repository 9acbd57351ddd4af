"""WordPress: a stand-in for a site with WordPress's REST API, as 6.1 answers.

`tests/platforms/wordpress/test_conformance.py` holds it to a real one.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.sandbox.refusals import UnknownAccount
from service.sandbox.sites.site import Change, Site
from service.sandbox.sites.wordpress_users import AppPassword, Login, User, log_in

APP_PASSWORD = "sandboxSANDBOX0123456789"  # noqa: S105 - of the sample account
READER_PASSWORD = "readerREADERr0123456789r"  # noqa: S105 - of the one who may not publish
ME, APP_PASSWORDS = "/wp/v2/users/me", "/wp/v2/users/me/application-passwords"
WORD = re.compile(r"[\w-]+", re.ASCII)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NO_CACHE = {
    "expires": "Wed, 11 Jan 1984 05:00:00 GMT",
    "cache-control": "no-cache, must-revalidate, max-age=0",
}
WORDS = {
    "rest_not_logged_in": "You are not currently logged in.",
    "incorrect_password": "The provided password is an invalid application password.",
    "invalid_username": (
        "<strong>Error:</strong> Unknown username. Check again or try your email address."
    ),
    "invalid_email": (
        "<strong>Error:</strong> Unknown email address. Check again or try your username."
    ),
    "application_passwords_disabled_for_user": (
        "Application passwords are not available for your account. Please contact the site "
        "administrator for assistance."
    ),
    "application_passwords_disabled": "Application passwords are not available.",
    "rest_no_authenticated_app_password": "Cannot introspect application password.",
    "rest_application_password_not_found": "Application password not found.",
    "application_password_duplicate_name": "Each application name should be unique.",
    "rest_cannot_create": "Sorry, you are not allowed to create posts as this user.",
    "empty_content": "Content, title, and excerpt are empty.",
    "rest_invalid_json": "Invalid JSON body passed.",
    "rest_no_route": "No route was found matching the URL and request method.",
}


class Refused(Exception):
    """An error of the API, by its code."""

    def __init__(self, status: int, code: str, message: str = "", **data: object) -> None:
        self.status, self.code = status, code
        self.message = message or WORDS[code]
        self.data = {"status": status, **data}


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a route, and who makes it."""

    method: str
    route: str
    given: Mapping[str, Any]
    login: Login

    @property
    def user(self) -> User:
        """The user who calls; raises Refused if nobody is logged in."""
        if self.login.user is None:
            raise Refused(401, "rest_not_logged_in")
        return self.login.user


class WordPressSite(Site):
    """One site. *folder*: where it is below the origin, such as `/blog`."""

    platform = "wordpress"

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        super().__init__()

    def restore(self) -> None:
        self.users = {
            each.login: each
            for each in (
                User(1, "owner", "owner"),
                User(2, "alice", "Alice Example"),
                User(3, "reader", "A Reader", role="subscriber"),
            )
        }
        self.users["alice"].add(AppPassword("postcore", password=APP_PASSWORD))
        self.users["reader"].add(AppPassword("postcore", password=READER_PASSWORD))
        self.posts: list[dict[str, Any]] = []
        self.has_app_passwords = True
        self.is_closed = False
        """Whether a plugin rejects strangers."""
        self.is_plain = False
        """Whether permalinks are plain."""
        self.has_user_routes = True
        self.logs_in_early = False
        """Whether a plugin asks early who calls, which makes errors of passwords come back."""
        self.drops_header = False
        """Whether a proxy removes the header `authorization`."""
        self.takes_main_passwords = False
        self.is_under_maintenance = False
        self.stated_home = ""
        """The address that the site states, if it is another one."""

    def credentials(self) -> Mapping[str, str]:
        return {"site": self.home, "username": "alice", "appPassword": APP_PASSWORD}

    def changes(self) -> Mapping[str, Change]:
        def of_user(change: Callable[[User], None]) -> Change:
            return lambda account: change(self._user(account))

        def of_site(name: str, *, value: bool) -> Change:
            return lambda _: setattr(self, name, value)

        return {
            "revoke": of_user(User.revoke_pasted),
            "restore": of_user(User.restore_pasted),
            "end-sessions": of_user(User.revoke_minted),
            "demote": of_user(lambda user: setattr(user, "role", "subscriber")),
            "promote": of_user(lambda user: setattr(user, "role", "author")),
            "delete": of_user(self._delete),
            "switch-off": of_site("has_app_passwords", value=False),
            "switch-on": of_site("has_app_passwords", value=True),
            "close": of_site("is_closed", value=True),
            "open": of_site("is_closed", value=False),
            "start-maintenance": of_site("is_under_maintenance", value=True),
            "end-maintenance": of_site("is_under_maintenance", value=False),
        }

    def _delete(self, user: User) -> None:
        del self.users[user.login]

    def _user(self, name: str) -> User:
        name = name or "alice"
        if name not in self.users:
            raise UnknownAccount(name)
        return self.users[name]

    @property
    def home(self) -> str:
        """The address of its front page, without a slash at the end."""
        return f"{self.origin}{self._folder}"

    def routes(self) -> Sequence[Route]:
        return [Route("/{path:path}", self._answer, methods=METHODS)]

    async def _answer(self, request: Request) -> Response:
        if self.is_under_maintenance:
            headers = {"retry-after": "600", **NO_CACHE}
            return self._page(503, "Maintenance", headers)
        path = request.url.path
        if path != self._folder and not path.startswith(f"{self._folder}/"):
            return self._page(404, "Not Found")
        route = self._route(path.removeprefix(self._folder), request)
        if route is None:
            is_front = self.is_plain or path.removeprefix(self._folder) in ("", "/", "/index.php")
            link = {"link": f'<{self._api}/>; rel="https://api.w.org/"'}
            if is_front:
                return self._page(200, "A site for tests", link)
            return self._page(404, "Page not found", {**NO_CACHE, **link})
        header = "" if self.drops_header else request.headers.get("authorization", "")
        login = Login()
        if self.has_app_passwords:
            login = log_in(header, self.users, takes_main_passwords=self.takes_main_passwords)
        try:
            self._admit(login)
            call = Call(request.method, route, await _given(request), login)
            body = self._called(call)
            status = 201 if call.method == "POST" else 200
        except Refused as error:
            body = {"code": error.code, "message": error.message, "data": error.data}
            return self._json(error.status, body, login)
        return self._json(status, _only(body, request.query_params.get("_fields")), login)

    def _route(self, path: str, request: Request) -> str | None:
        """Return the route of the API that is asked for; None if it is a page."""
        if path in ("", "/", "/index.php") and "rest_route" in request.query_params:
            return request.query_params["rest_route"].rstrip("/") or "/"
        if not self.is_plain and (path == "/wp-json" or path.startswith("/wp-json/")):
            return path.removeprefix("/wp-json").rstrip("/") or "/"
        return None

    def _admit(self, login: Login) -> None:
        """Raise Refused before any route is looked for."""
        if login.error and self.logs_in_early:
            raise Refused(401, login.error)
        if self.is_closed and login.user is None:
            raise Refused(401, "rest_not_logged_in", "Only for members.")

    def _called(self, call: Call) -> Any:
        if call.route.startswith(ME) and not self.has_user_routes:
            raise Refused(404, "rest_no_route")
        if call.route.startswith(APP_PASSWORDS) and not self.has_app_passwords:
            raise Refused(501, "application_passwords_disabled")
        routes: dict[tuple[str, str], Callable[[Call], Any]] = {
            ("GET", "/"): self._index,
            ("GET", ME): self._me,
            ("GET", APP_PASSWORDS): self._list,
            ("POST", APP_PASSWORDS): self._mint,
            ("GET", f"{APP_PASSWORDS}/introspect"): self._introspect,
            ("POST", "/wp/v2/posts"): self._post,
            ("GET", "/wp/v2/posts"): lambda _: self.posts,
        }
        if (call.method, call.route) in routes:
            return routes[call.method, call.route](call)
        return self._one(call)

    def _list(self, call: Call) -> list[dict[str, object]]:
        return [each.as_json() for each in call.user.app_passwords.values()]

    def _introspect(self, call: Call) -> dict[str, object]:
        assert call.user, "raises if nobody is logged in"
        if call.login.app_password is None:
            raise Refused(404, "rest_no_authenticated_app_password")
        return call.login.app_password.as_json()

    def _one(self, call: Call) -> dict[str, object]:
        """Return or delete the application password that the route names."""
        uuid = call.route.removeprefix(f"{APP_PASSWORDS}/")
        if not WORD.fullmatch(uuid) or call.method not in ("GET", "DELETE"):
            raise Refused(404, "rest_no_route")
        app_passwords = call.user.app_passwords
        if uuid not in app_passwords:
            raise Refused(404, "rest_application_password_not_found")
        if call.method == "GET":
            return app_passwords[uuid].as_json()
        return {"deleted": True, "previous": app_passwords.pop(uuid).as_json()}

    def _index(self, _: Call) -> dict[str, object]:
        home = self.stated_home or self.home
        authorize = {"endpoints": {"authorization": f"{home}/wp-admin/authorize-application.php"}}
        return {
            "name": "A site for tests",
            "description": "",
            "url": home,
            "home": home,
            "namespaces": ["oembed/1.0", "wp/v2", "wp-site-health/v1", "wp-block-editor/v1"],
            # PHP's empty array is a list
            "authentication": {"application-passwords": authorize}
            if self.has_app_passwords
            else [],
        }

    def _me(self, call: Call) -> dict[str, object]:
        user = call.user
        shown: dict[str, object] = {"id": user.user_id, "name": user.name, "slug": user.login}
        if call.given.get("context") == "edit":
            shown |= {
                "username": user.login,
                "email": user.email,
                "roles": [user.role],
                "capabilities": user.capabilities(),
            }
        return shown

    def _mint(self, call: Call) -> dict[str, object]:
        user, name = call.user, call.given.get("name", "")
        app_id = call.given.get("app_id", "")
        if not name:
            data = {"params": ["name"]}
            raise Refused(400, "rest_missing_callback_param", "Missing parameter(s): name", **data)
        if app_id and not UUID.fullmatch(app_id):
            raise Refused(400, "rest_invalid_param", "Invalid parameter(s): app_id")
        if name in [each.name for each in user.app_passwords.values()]:
            raise Refused(409, "application_password_duplicate_name")
        made = user.add(AppPassword(name, app_id))
        return {**made.as_json(), "password": made.in_groups}

    def _post(self, call: Call) -> dict[str, object]:
        user = call.login.user
        if user is None or not user.may_publish:
            raise Refused(403 if user else 401, "rest_cannot_create")
        title, content = call.given.get("title", ""), call.given.get("content", "")
        if not title and not content:
            raise Refused(400, "empty_content")
        number = len(self.posts) + 4
        post: dict[str, object] = {
            "id": number,
            "link": f"{self.home}/?p={number}",
            "status": call.given.get("status", "draft"),
            "author": user.user_id,
            "title": {"raw": title, "rendered": title},
            "content": {"raw": content, "rendered": content},
        }
        self.posts.append(post)
        return post

    @property
    def _api(self) -> str:
        return self.home + ("/index.php?rest_route=" if self.is_plain else "/wp-json")

    def _json(self, status: int, body: Any, login: Login) -> Response:
        # as PHP: with slashes escaped
        raw = json.dumps(body, separators=(",", ":")).replace("/", "\\/")
        headers = {
            "content-type": "application/json; charset=UTF-8",
            "x-robots-tag": "noindex",
            "link": f'<{self._api}/>; rel="https://api.w.org/"',
            "x-content-type-options": "nosniff",
            **(NO_CACHE if login.user else {}),
        }
        return Response(raw, status, headers)

    def _page(self, status: int, title: str, headers: Mapping[str, str] = {}) -> Response:
        body = f"<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n</html>\n"
        return Response(body, status, {"content-type": "text/html; charset=UTF-8", **headers})


def _only(body: Any, fields: str | None) -> Any:
    """Return *body* with the top-level *fields* alone, if they are given."""
    if fields is None:
        return body
    if isinstance(body, list):
        return [_only(each, fields) for each in body]
    return {name: value for name, value in body.items() if name in fields.split(",")}


async def _given(request: Request) -> dict[str, Any]:
    """Return the parameters of the query and of the JSON body."""
    given: dict[str, Any] = dict(request.query_params)
    if raw := await request.body():
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refused(400, "rest_invalid_json") from None
        given |= body if isinstance(body, dict) else {}
    return given

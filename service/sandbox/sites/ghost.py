"""Ghost: a stand-in for a site with one custom integration.

In the words and statuses of Ghost 6.65.0.
"""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from time import time
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from service.sandbox.sites.site import Change, Site

API = "/ghost/api/admin"
KEY_ID = "5e0c0ffee0ddba115eeded01"
SECRET = "0123456789abcdef" * 4
REGENERATED = "fedcba9876543210" * 4
SITE_UUID = "b0a7e5e5-0000-4000-8000-00000000c0de"
ANOTHER_UUID = "0ddba115-0000-4000-8000-00000000c0de"
OWNER_ID = "5e0c0ffee0ddba115eeded02"
MAX_AGE_SECONDS = 300
CLOCK_STEP_SECONDS = 600
AUDIENCE = re.compile(r"/?admin/?$")
NO_ACCESS = (
    "Unable to determine the authenticated user or integration. Check that cookies are being "
    "passed through if using session authentication."
)
HEADERS = {
    "x-powered-by": "Express",
    "content-version": "v6.65",
    "cache-control": "no-cache, private, no-store, must-revalidate, max-stale=0, post-check=0, "
    "pre-check=0",
}


class _Error(Exception):
    """An error of the API, with the fields that differ between two."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        kind: str = "UnauthorizedError",
        context: str | None = None,
    ) -> None:
        self.status = status
        self.fields = {"message": message, "context": context, "type": kind, "code": code}


class GhostSite(Site):
    """A site whose integration's Admin API key is `KEY_ID:SECRET`."""

    platform = "ghost"

    def restore(self) -> None:
        self.uuid = SITE_UUID
        self.title = "The Sandbox Gazette"
        self.posts: list[dict[str, object]] = []
        self.secret: str | None = SECRET
        """None: the integration is deleted."""
        self.clock_offset = 0
        """How many seconds the site's clock is ahead."""
        self.is_header_stripped = False

    def credentials(self) -> Mapping[str, str]:
        return {"site": self.origin, "apiKey": f"{KEY_ID}:{SECRET}"}

    def changes(self) -> Mapping[str, Change]:
        return {
            "regenerate": lambda _: self._set_secret(REGENERATED),
            "delete": lambda _: self._set_secret(None),
            "restore": lambda _: self.restore(),
            "rename": self._rename,
            "reinstall": lambda _: self._set_uuid(ANOTHER_UUID),
            "downgrade": lambda _: self._set_uuid(""),
            "clock-ahead": lambda _: self._set_clock(CLOCK_STEP_SECONDS),
            "clock-behind": lambda _: self._set_clock(-CLOCK_STEP_SECONDS),
            "strip-header": lambda _: self._strip_header(),
        }

    def routes(self) -> Sequence[Route]:
        return [
            Route(f"{API}/site/", self._site),
            Route(f"{API}/users/", self._users),
            Route(f"{API}/posts/", self._post, methods=["POST"]),
            Route("/ghost/api/{path:path}", self._other),
            Route("/{path:path}", _page),
        ]

    async def _site(self, _: Request) -> Response:
        site: dict[str, object] = {
            "title": self.title,
            "description": "Thoughts, stories and ideas.",
            "logo": None,
            "icon": None,
            "accent_color": "#FF1A75",
            "locale": "en",
            "timezone": "Etc/UTC",
            "url": f"{self.origin}/",
            "version": "6.65",
            "allow_external_signup": True,
        }
        if self.uuid:
            site["site_uuid"] = self.uuid
        return self._json({"site": site})

    async def _users(self, request: Request) -> Response:
        try:
            self._authenticate(request)
        except _Error as error:
            return self._refusal(error)
        pages = {"page": 1, "limit": 1, "pages": 1, "total": 1, "next": None, "prev": None}
        return self._json({"users": [{"id": OWNER_ID}], "meta": {"pagination": pages}})

    async def _post(self, request: Request) -> Response:
        try:
            self._authenticate(request)
            title = _title(await request.body())
        except _Error as error:
            return self._refusal(error)
        post: dict[str, object] = {
            "id": f"{len(self.posts) + 1:024x}",
            "title": title,
            "status": "draft",
        }
        self.posts.append(post)
        location = f"{self.origin}{API}/posts/{post['id']}/"
        return self._json({"posts": [post]}, 201, {"location": location})

    async def _other(self, request: Request) -> Response:
        path = request.url.path
        if not path.endswith("/") and f"{path}/" in (f"{API}/site/", f"{API}/users/"):
            return RedirectResponse(f"{path}/", 301, {**HEADERS, **self._date()})
        return self._refusal(_Error(404, "Resource not found", kind="NotFoundError"))

    def _authenticate(self, request: Request) -> None:
        """Raise what the real site answers if the request is not an integration's."""
        header = request.headers.get("authorization", "")
        if not header or self.is_header_stripped:
            raise _Error(403, "Authorization failed", kind="NoPermissionError", context=NO_ACCESS)
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "ghost":
            words = 'Authorization header format is "Authorization: Ghost [token]"'
            raise _Error(401, words, "INVALID_AUTH_HEADER")
        signed, _, signature = token.rpartition(".")
        try:
            head, claims = (_decoded(part) for part in signed.split("."))
        except ValueError:
            raise _Error(400, "Invalid token", "INVALID_JWT", kind="BadRequestError") from None
        if not (key_id := head.get("kid")):
            words, code = "Admin API kid missing.", "MISSING_ADMIN_API_KID"
            raise _Error(400, words, code, kind="BadRequestError")
        if key_id != KEY_ID or self.secret is None:
            raise _Error(401, "Unknown Admin API Key", "UNKNOWN_ADMIN_API_KEY")
        expected = hmac.digest(bytes.fromhex(self.secret), signed.encode(), "sha256")
        if _base64(expected) != signature:
            raise _invalid("invalid signature")
        if fault := self._fault(claims):
            raise _invalid(fault)

    def _fault(self, claims: Mapping[str, Any]) -> str:
        """Return what is wrong with the claims, in the library's order; empty if nothing is."""
        now = int(time()) + self.clock_offset
        if now >= claims.get("exp", now + 1):
            return "jwt expired"
        if not AUDIENCE.search(str(claims.get("aud", ""))):
            return "jwt audience invalid. expected: /\\/?admin\\/?$/"
        if "iat" not in claims:
            return "iat required when maxAge is specified"
        return "maxAge exceeded" if now >= claims["iat"] + MAX_AGE_SECONDS else ""

    def _refusal(self, error: _Error) -> Response:
        fields = {
            "message": "",
            "context": None,
            "type": "",
            "details": None,
            "property": None,
            "help": None,
            "code": None,
            "id": str(uuid4()),
            "ghostErrorCode": None,
            **error.fields,
        }
        return self._json({"errors": [fields]}, error.status)

    def _json(
        self, content: object, status: int = 200, headers: Mapping[str, str] = {}
    ) -> Response:
        body = json.dumps(content, separators=(",", ":"))
        return Response(
            body,
            status,
            {**HEADERS, **self._date(), **headers},
            media_type="application/json; charset=utf-8",
        )

    def _date(self) -> Mapping[str, str]:
        # beside the true one of the server that runs this
        offset = self.clock_offset
        return {"date": formatdate(time() + offset, usegmt=True)} if offset else {}

    def _set_secret(self, secret: str | None) -> None:
        self.secret = secret

    def _set_uuid(self, uuid: str) -> None:
        self.uuid = uuid

    def _set_clock(self, offset: int) -> None:
        self.clock_offset = offset

    def _strip_header(self) -> None:
        self.is_header_stripped = True

    def _rename(self, title: str) -> None:
        self.title = title or "The Renamed Gazette"


async def _page(_: Request) -> Response:
    page = "<!DOCTYPE html>\n<title>404 \u2014 Page not found</title>\n"
    return PlainTextResponse(page, 404, {"content-type": "text/html; charset=utf-8"})


def _invalid(fault: str) -> _Error:
    return _Error(401, f"Invalid token: {fault}", "INVALID_JWT")


def _title(body: bytes) -> str:
    try:
        title = json.loads(body)["posts"][0]["title"]
    except (ValueError, LookupError, TypeError):
        title = None
    if not isinstance(title, str) or not title:
        words, context = "Validation error, cannot save post.", "Validation failed for posts."
        raise _Error(422, words, kind="ValidationError", context=context)
    return title


def _decoded(part: str) -> Mapping[str, Any]:
    """Raises ValueError if *part* is no JSON object in base64url."""
    value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

"""Site breaks: how connections to the sandbox's stand-ins break, and what a check has to find."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from service.sandbox.sites.ghost import ANOTHER_UUID, GhostSite
from service.sandbox.sites.mastodon import MastodonSite, User
from service.sandbox.sites.site import Site
from service.sandbox.sites.wordpress import METHODS, WordPressSite
from service.sandbox.sites.wordpress_users import User as Author

REVOKED, DELETED, MOVED = "APP_PASSWORD_REVOKED", "ACCOUNT_DELETED", "SERVER_MOVED"
SWITCHED_OFF, PERMISSION_LOST = "CREDENTIALS_SWITCHED_OFF", "PERMISSION_LOST"
HEALTHY, UNVERIFIED = "healthy", "unverified"

Break = Callable[[Any, Any], object]
"""A break of a site. The second one is another site of the platform, for moves."""


class Broken:
    """The sample account of a stand-in, and one way to break it."""

    def __init__(self, site: Site, other: Site, break_: Break) -> None:
        self._site, self._other = site, other
        self._break = break_

    @classmethod
    @asynccontextmanager
    async def started(cls, platform: str, name: str) -> AsyncIterator[Self]:
        kind, (break_, _) = STAND_INS[platform], BREAKS[platform][name]
        site, other = kind(), kind()
        await site.start()
        await other.start()
        try:
            yield cls(site, other, break_)
        finally:
            await site.stop()
            await other.stop()

    def settings(self) -> Mapping[str, str]:
        return {"TRUSTED_ORIGINS": f"{self._site.origin},{self._other.origin}"}

    async def credentials(self) -> Mapping[str, str]:
        return self._site.credentials()

    async def break_(self) -> None:
        self._break(self._site, self._other)

    async def counts(self) -> Mapping[str, int]:
        return dict(self._site.counts + self._other.counts)


def _change(*names: str) -> Break:
    """Make changes of the sandbox's, by name, to the sample account."""

    def make(site: Site, _: Site) -> None:
        for name in names:
            site.change(name, "")

    return make


def _set(name: str, *, value: object) -> Break:
    return lambda site, _: setattr(site, name, value)


def _redirect(site: Site, other: Site) -> None:
    """Redirect the whole of *site* to *other*."""

    async def answer(request: Request) -> Response:
        return RedirectResponse(f"{other.origin}{request.url.path}?{request.url.query}", 301)

    site._router = Router([Route("/{path:path}", answer, methods=METHODS)])


def _alice(site: WordPressSite) -> Author:
    return site.users["alice"]


def _forget_ours(site: WordPressSite, _: WordPressSite) -> None:
    _alice(site).revoke_minted()


def _forget_all(site: WordPressSite, _: WordPressSite) -> None:
    _alice(site).app_passwords.clear()


def _disable_for_user(site: WordPressSite, _: WordPressSite) -> None:
    _alice(site).may_have_app_passwords = False


def _change_main_password(site: WordPressSite, _: WordPressSite) -> None:
    _alice(site).main_password = "another"


def _lose_scope(site: MastodonSite, _: MastodonSite) -> None:
    site.tokens[0].scopes = ("write",)


def _hand_over(site: MastodonSite, _: MastodonSite) -> None:
    site.users["bob"] = User("bob", "Bob")
    site.tokens[0].user = "bob"


def _move_handle(site: MastodonSite, other: MastodonSite) -> None:
    other.local_domain = site.host
    site.webfinger_at = other.origin


def _set_up_again(site: MastodonSite, _: MastodonSite) -> None:
    actor = f"{site.origin}/users/reader"
    site.stated = {"self": actor, "id": actor, "preferredUsername": "alice"}
    site.tokens.clear()


def _adopt_uuid(site: GhostSite, other: GhostSite) -> None:
    other.uuid = site.uuid
    _redirect(site, other)


STAND_INS: dict[str, type[Site]] = {
    kind.platform: kind for kind in (WordPressSite, MastodonSite, GhostSite)
}
_FOR_ALL: dict[str, tuple[Break, str]] = {
    "every answer is a firewall's page": (lambda site, _: site.break_(403), UNVERIFIED),
    "every answer is a page with 404": (lambda site, _: site.break_(404), UNVERIFIED),
    "nothing": (lambda *_: None, HEALTHY),
}
BREAKS: dict[str, dict[str, tuple[Break, str]]] = {
    "wordpress": {
        "application password revoked": (_change("revoke"), REVOKED),
        "revoked, and ours with it": (_change("revoke", "end-sessions"), REVOKED),
        "user demoted": (_change("demote"), PERMISSION_LOST),
        "demoted, and ours revoked": (_change("demote", "end-sessions"), PERMISSION_LOST),
        "switched off for the site": (_change("switch-off"), SWITCHED_OFF),
        "switched off for the user": (_disable_for_user, REVOKED),
        "user deleted": (_change("delete"), REVOKED),
        "moved to another domain": (_redirect, MOVED),
        "restored: ours not in the backup": (_forget_ours, HEALTHY),
        "restored: neither in the backup": (_forget_all, REVOKED),
        "main password changed": (_change_main_password, HEALTHY),
        "API closed to strangers": (_change("close"), HEALTHY),
        "header removed for two days": (_set("drops_header", value=True), REVOKED),
        **_FOR_ALL,
    },
    "mastodon": {
        "token revoked": (_change("revoke"), REVOKED),
        "token regenerated": (_change("regenerate"), REVOKED),
        "token lost the scope to read": (_lose_scope, PERMISSION_LOST),
        "token lost the scope to publish": (_change("demote"), HEALTHY),
        "account deleted": (_change("delete"), DELETED),
        "account suspended": (_change("hide"), UNVERIFIED),
        "login disabled": (_change("switch-off"), UNVERIFIED),
        "account moved, says its server": (_change("move"), UNVERIFIED),
        "handle leads to another server": (_move_handle, MOVED),
        "restored: token is another's": (_hand_over, REVOKED),
        "server set up again": (_set_up_again, UNVERIFIED),
        "header removed for two days": (_set("drops_header", value=True), REVOKED),
        **_FOR_ALL,
    },
    "ghost": {
        "key regenerated": (_change("regenerate"), REVOKED),
        "integration deleted": (_change("delete"), REVOKED),
        "restored: not in the backup": (_change("delete"), REVOKED),
        "moved to another domain": (_adopt_uuid, MOVED),
        "site set up again": (_set("uuid", value=ANOTHER_UUID), UNVERIFIED),
        "title changed": (_change("rename"), HEALTHY),
        "clock ten minutes ahead": (_change("clock-ahead"), HEALTHY),
        "clock ten minutes behind": (_change("clock-behind"), HEALTHY),
        "header removed for two days": (_set("is_header_stripped", value=True), UNVERIFIED),
        **_FOR_ALL,
    },
}
"""Each break by platform and name, with the verdict: a reason, or the state without one."""

"""Sites: WordPress for tests, the stand-in and the real one, with what owners do there."""

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import httpx

from service.sandbox.sites.wordpress import WordPressSite
from service.sandbox.sites.wordpress_users import AppPassword, User
from tests.wordpress.server import RealWordPress

ME = "/wp/v2/users/me"
APP_PASSWORDS = f"{ME}/application-passwords"
INTROSPECT = f"{APP_PASSWORDS}/introspect"
MAIN_PASSWORD = "mainMAIN0123456789012345"  # of the form of an application password


@dataclass(frozen=True)
class Person:
    """A user of a site, and the application password that the owner pastes."""

    login: str
    user_id: int
    app_password: str = field(repr=False)
    uuid: str = ""

    @property
    def as_header(self) -> tuple[str, str]:
        return self.login, self.app_password


class AnySite(Protocol):
    """The operations of both. What a plugin does is in `RealWordPress.PLUGINS`, by name."""

    @property
    def home(self) -> str: ...

    @property
    def origin(self) -> str: ...

    async def person(self, role: str = "author") -> Person: ...

    async def mint(self, login: str, name: str) -> tuple[str, str]: ...

    async def names(self, login: str) -> dict[str, str]:
        """Return the names of the user's application passwords, by uuid."""

    async def revoke(self, person: Person) -> None:
        """Delete the pasted application password."""

    async def end_session(self, person: Person) -> None:
        """Delete every application password but the pasted one."""

    async def age(self, login: str, uuid: str, seconds: int) -> None: ...

    async def set_role(self, person: Person, role: str) -> None: ...

    async def delete(self, person: Person) -> None: ...

    async def posts(self, person: Person) -> list[str]:
        """Return the titles of the user's posts."""

    async def plug(self, name: str) -> None: ...

    async def unplug(self) -> None: ...

    async def set_maintenance(self, is_on: bool) -> None: ...

    async def set_plain(self, is_plain: bool) -> None: ...


class StandIn:
    """The sandbox's site."""

    def __init__(self, site: WordPressSite) -> None:
        self.site = site

    @property
    def home(self) -> str:
        return self.site.home

    @property
    def origin(self) -> str:
        return self.site.origin

    async def person(self, role: str = "author") -> Person:
        login = f"u{secrets.token_hex(4)}"
        user = User(len(self.site.users) + 1, login, login.capitalize(), role, MAIN_PASSWORD)
        self.site.users[login] = user
        password, uuid = await self.mint(login, "pasted")
        return Person(login, user.user_id, password, uuid)

    async def mint(self, login: str, name: str) -> tuple[str, str]:
        made = self.site.users[login].add(AppPassword(name))
        return made.in_groups, made.uuid

    async def names(self, login: str) -> dict[str, str]:
        user = self.site.users.get(login)
        return {each.uuid: each.name for each in user.app_passwords.values()} if user else {}

    async def revoke(self, person: Person) -> None:
        del self.site.users[person.login].app_passwords[person.uuid]

    async def end_session(self, person: Person) -> None:
        self.site.users[person.login].revoke_minted()

    async def age(self, login: str, uuid: str, seconds: int) -> None:
        self.site.users[login].app_passwords[uuid].created -= timedelta(seconds=seconds)

    async def set_role(self, person: Person, role: str) -> None:
        self.site.users[person.login].role = role

    async def delete(self, person: Person) -> None:
        del self.site.users[person.login]

    async def posts(self, person: Person) -> list[str]:
        return [
            each["title"]["raw"] for each in self.site.posts if each["author"] == person.user_id
        ]

    async def plug(self, name: str) -> None:
        match name:
            case "switched-off":
                self.site.has_app_passwords = False
            case "switched-off-for-users":
                for user in self.site.users.values():
                    user.may_have_app_passwords = False
            case "early-login":
                self.site.logs_in_early = True
            case "closed":
                self.site.is_closed = True
            case "no-user-routes":
                self.site.has_user_routes = False
            case "main-password":
                self.site.takes_main_passwords = True
            case "no-header":
                self.site.drops_header = True
            case "firewall":
                self.site.status = 403

    async def unplug(self) -> None:
        site = self.site
        site.has_app_passwords = site.has_user_routes = True
        site.logs_in_early = site.is_closed = site.takes_main_passwords = False
        site.drops_header = False
        site.status = None
        for user in site.users.values():
            user.may_have_app_passwords = True

    async def set_maintenance(self, is_on: bool) -> None:
        self.site.is_under_maintenance = is_on

    async def set_plain(self, is_plain: bool) -> None:
        self.site.is_plain = is_plain


class Real:
    """A real WordPress. Its changes start PHP, in a thread: the service runs in this loop."""

    def __init__(self, site: RealWordPress) -> None:
        self.site = site
        self.home, self.origin = site.home, site.origin

    async def person(self, role: str = "author") -> Person:
        login = f"u{secrets.token_hex(4)}"
        user_id = await asyncio.to_thread(self.site.create, login, role, MAIN_PASSWORD)
        password, uuid = await self.mint(login, "pasted")
        return Person(login, user_id, password, uuid)

    async def mint(self, login: str, name: str) -> tuple[str, str]:
        return await asyncio.to_thread(self.site.mint, login, name)

    async def names(self, login: str) -> dict[str, str]:
        return dict(await self._change("list", login))

    async def revoke(self, person: Person) -> None:
        await self._change("revoke", person.login, person.uuid)

    async def end_session(self, person: Person) -> None:
        for uuid in await self.names(person.login):
            if uuid != person.uuid:
                await self._change("revoke", person.login, uuid)

    async def age(self, login: str, uuid: str, seconds: int) -> None:
        await self._change("age", login, uuid, str(seconds))

    async def set_role(self, person: Person, role: str) -> None:
        await self._change("role", person.login, role)

    async def delete(self, person: Person) -> None:
        await self._change("delete", person.login)

    async def posts(self, person: Person) -> list[str]:
        return list(await self._change("posts", person.login))

    async def plug(self, name: str) -> None:
        self.site.plug(name)

    async def unplug(self) -> None:
        self.site.unplug()

    async def set_maintenance(self, is_on: bool) -> None:
        self.site.set_maintenance(is_on)

    async def set_plain(self, is_plain: bool) -> None:
        await self._change("permalinks", "" if is_plain else "/%year%/%postname%/")

    async def _change(self, name: str, *given: str) -> Any:
        return await asyncio.to_thread(self.site.change, name, *given)


async def ask(
    url: str,
    *,
    auth: tuple[str, str] | None = None,
    method: str = "GET",
    json: object = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Call a site as any client does."""
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=20) as client:
        return await client.request(method, url, auth=auth, json=json, headers=headers)

"""Identity: resolves a handle → webfinger → actor, without a credential.

The actor is the account's ActivityPub document; its URI is the account's permanent id, and its host
is the account's server. The handle's domain may be another one. So a handle is proved by a
webfinger answer of the server itself: it names the handle and the actor. Sources: RFC 7033, and
Mastodon's documentation of WebFinger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause, PlatformUnavailableStep
from service.domain.steps import at_step
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.egress import origin_of
from service.platforms.egress.origin import Origin
from service.platforms.mastodon.handles import Handle
from service.platforms.unavailable import bad_status, json_object, unexpected

ACTIVITY = "application/activity+json"
ACTIVITY_STREAMS = "https://www.w3.org/ns/activitystreams"
NONE_THERE = frozenset((404, 410))
UNSIGNED, FORBIDDEN = 401, 403
"""A server may show actors to other servers alone (401), or hide a suspended one (403)."""
MAX_URI_LENGTH = 500


class NoSuchAccount(Exception):
    """The answers prove that the handle names no account. *is_gone*: and that it did before."""

    def __init__(self, *, is_gone: bool = False) -> None:
        self.is_gone = is_gone


@dataclass(frozen=True, slots=True)
class Finger:
    """A webfinger answer: the handle and the actor that it names, and the origin that gave it."""

    handle: Handle
    actor: str
    stated_by: str


@dataclass(frozen=True, slots=True)
class Found:
    """An account. *is_shown*: its server does not hide it."""

    handle: Handle
    actor: str
    origin: str
    is_shown: bool


class Identity:
    """Finds the actor of a handle."""

    def __init__(self, context: EgressContext) -> None:
        self._context = context

    def handle(self, text: str) -> Handle:
        """Parse a handle whose domain may be asked; raise ValueError if it is none."""
        handle = Handle.parse(text, self._context.origin_of_host)
        origin = Origin.parse(handle.origin)
        if not origin.is_public_https and origin not in self._context.account_servers:
            raise ValueError("not a public domain")
        return handle

    async def find(self, handle: Handle) -> Found:
        """Return the account of *handle*.

        The domain may state another handle, which then has to state itself. Raises NoSuchAccount,
        and PlatformUnavailable if the answers prove nothing.
        """
        finger = await self._finger(handle)
        if finger.handle != handle:
            asked, finger = finger, await self._finger(finger.handle)
            if (finger.handle, finger.actor) != (asked.handle, asked.actor):
                raise NoSuchAccount
        server = _origin(finger.actor)
        if finger.stated_by != server:
            await self._require_back_link(finger, server)
        status = await self._actor_status(finger)
        if status in NONE_THERE:
            raise NoSuchAccount
        return Found(finger.handle, finger.actor, server, is_shown=status != FORBIDDEN)

    async def is_gone(self, actor: str) -> bool:
        """Whether the server states that the actor is gone for good."""
        with at_step(PlatformUnavailableStep.SERVER):
            return _is_gone(await self._get_actor(actor))

    async def is_absent(self, actor: str) -> bool:
        """Whether the server has no such actor."""
        with at_step(PlatformUnavailableStep.SERVER):
            return (await self._get_actor(actor)).status_code in NONE_THERE

    async def _finger(self, handle: Handle, asked_at: str = "") -> Finger:
        """Return what a domain's webfinger states of *handle*; default: the handle's own domain."""
        origin = asked_at or handle.origin
        with at_step(PlatformUnavailableStep.HANDLE):
            try:
                url, response = await self._context.find(
                    f"{origin}/.well-known/webfinger?resource=acct:{handle}"
                )
            except NameNotFound:
                raise NoSuchAccount from None
            if response.status_code in NONE_THERE:
                raise NoSuchAccount(is_gone=_is_gone(response))
            if response.status_code != 200:
                raise self._bad_status(response)
            described = json_object(response.content)
            subject, actor = described.get("subject"), _self_link(described)
            if actor is None:
                raise NoSuchAccount
            named = handle
            if isinstance(subject, str) and subject[:5].lower() == "acct:":
                try:
                    named = self.handle(subject[5:])
                except ValueError:
                    raise NoSuchAccount from None
            return Finger(named, actor, str(origin_of(httpx.URL(url))))

    async def _require_back_link(self, finger: Finger, server: str) -> None:
        """Let the actor's server state that the actor has the handle; raise NoSuchAccount."""
        local = Handle(finger.handle.user, server.partition("://")[2], server)
        back = await self._finger(local)
        if back != Finger(finger.handle, finger.actor, server):
            raise NoSuchAccount

    async def _actor_status(self, finger: Finger) -> int:
        """Return the status of the actor's document, which has to name itself and the user."""
        with at_step(PlatformUnavailableStep.SERVER):
            response = await self._get_actor(finger.actor)
            status = response.status_code
            if status in NONE_THERE or status == FORBIDDEN:
                return status
            if status == UNSIGNED and not _is_page(response):
                return status
            if status != 200:
                raise self._bad_status(response)
            actor = json_object(response.content)
            user = actor.get("preferredUsername")
            if actor.get("id") != finger.actor or not isinstance(user, str):
                raise NoSuchAccount
            if user.lower() != finger.handle.user:
                raise NoSuchAccount
            return status

    async def _get_actor(self, actor: str) -> httpx.Response:
        return await self._context.call("GET", actor, headers={"accept": ACTIVITY})

    def _bad_status(self, response: httpx.Response) -> PlatformUnavailable:
        now = self._context.clock.now()
        return bad_status(response.status_code, response.headers, now)


def _is_gone(response: httpx.Response) -> bool:
    return response.status_code == 410 and not _is_page(response)


def _is_page(response: httpx.Response) -> bool:
    """Whether it is a web page, which also a parked domain or a proxy answers."""
    return "html" in response.headers.get("content-type", "")


def _self_link(described: Mapping[str, Any]) -> str | None:
    """Return the URI of the actor that a webfinger answer names; None if it names none.

    Raises PlatformUnavailable if it is no URL of a server.
    """
    links = described.get("links")
    for link in links if isinstance(links, list) else []:
        if not isinstance(link, dict) or link.get("rel") != "self":
            continue
        kind, href = link.get("type"), link.get("href")
        if isinstance(kind, str) and _is_activity(kind):
            if not isinstance(href, str) or not href.isascii() or len(href) > MAX_URI_LENGTH:
                raise unexpected("wrong_shape")
            _origin(href)
            return href
    return None


def _is_activity(kind: str) -> bool:
    name, _, parameters = kind.partition(";")
    name = name.strip().lower()
    return name == ACTIVITY or (name == "application/ld+json" and ACTIVITY_STREAMS in parameters)


def _origin(uri: str) -> str:
    """Return the origin of an actor's URI; raise PlatformUnavailable if it has none."""
    try:
        url = httpx.URL(uri)
        return str(Origin.parse(str(origin_of(url))))
    except (httpx.InvalidURL, ValueError):
        raise PlatformUnavailable(
            PlatformUnavailableCause.ADDRESS_NOT_ALLOWED, "forbidden_origin", retry_after=None
        ) from None

"""Receivers: sends messages to URLs that tenants have named, by guarded requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from service.domain.errors import PlatformUnavailable
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.egress import Egress, origin_of, url_of
from service.platforms.egress.origin import Origin

MAX_URL_CHARS = 2048
NOT_PUBLIC = "must be https on port 443, at a public host name"


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """The status of a receiver's answer, and its headers by lower-case name."""

    status: int
    headers: Mapping[str, str] = field(repr=False)


class Receivers:
    """Posts to receivers. *trusted*: origins that may be private or plain HTTP.

    *egress* is not shared with platforms: receivers that hang take no connection from these.
    """

    def __init__(self, egress: Egress, trusted: frozenset[Origin]) -> None:
        self._egress = egress
        self._trusted = trusted

    def fault(self, url: str) -> str:
        """Return why *url* cannot be a receiver's; empty if it can.

        Whether its host leads to public addresses is checked at each connection.
        """
        if fault := _malformed(url):
            return fault
        try:
            parts = urlsplit(url)
            origin = Origin.parse(f"{parts.scheme}://{parts.netloc}")
            # what will be asked must be what was read here
            is_same = origin_of(url_of(url)) == origin
        except (ValueError, PlatformUnavailable):
            return NOT_PUBLIC
        is_allowed = origin in self._trusted or origin.is_public_https
        return "" if is_same and is_allowed else NOT_PUBLIC

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> ReceiverAnswer:
        """POST *content* and return the answer, of any status; read at most 8 KiB of its body.

        Raises PlatformUnavailable, also for a redirect and for a host without public addresses. It
        sets no time limit on the whole.
        """
        parsed = url_of(url)
        origin = origin_of(parsed)
        transport = self._egress.transport(origin, trusted=origin in self._trusted)
        transport.prefix_only = True
        sent = {
            "host": str(origin).partition("://")[2],
            "user-agent": "postcore",
            # a message that was sent on a connection which has just been closed would count as a
            # failure; and the pool looks at each idle connection for each request
            "connection": "close",
            **headers,
        }
        try:
            answer = await transport.handle_async_request(
                httpx.Request("POST", parsed, headers=sent, content=content)
            )
        except NameNotFound as error:
            raise error.unavailable() from None
        found = {name.lower(): value for name, value in answer.headers.items()}
        return ReceiverAnswer(answer.status_code, found)

    async def close(self) -> None:
        await self._egress.close()


def _malformed(url: str) -> str:
    """Return what is wrong with the form of *url*; empty if nothing is."""
    if not url:
        return "is required"
    if len(url) > MAX_URL_CHARS:
        return f"is longer than {MAX_URL_CHARS} characters"
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>'):
        return "must be an https URL of ASCII characters, without spaces"
    if "#" in url:
        return "must not have a fragment"
    if "@" in url.partition("://")[2].partition("/")[0]:
        return "must not hold user information"
    return ""

"""Doctor: each step from a handle to its account's server, with what was seen and how long it took.

It asks what a connect asks, and no login is spent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from service.domain.errors import AccountInactive, PlatformUnavailable, ServiceError
from service.domain.model import AccountStatus, InvalidCredentialsCause, PlatformUnavailableStep
from service.domain.steps import PlatformTime, at_step, platform_time
from service.platforms.bluesky import answers
from service.platforms.bluesky.answers import XrpcAnswer
from service.platforms.bluesky.card import CARD
from service.platforms.bluesky.handles import is_handle, tidy_handle, web_host
from service.platforms.bluesky.identity import (
    Identity,
    NoSuchAccount,
    json_object,
    named_handle,
    named_server,
    odd_status,
)
from service.platforms.egress.addresses import is_public
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound, NameNotPublic
from service.platforms.egress.origin import Origin

T = TypeVar("T")
CONNECT_SECONDS = 9.8
"""What all steps of a connect have whose caller sets no deadline."""
LONGEST_SHOWN = 120
INACTIVE = {
    AccountStatus.DEACTIVATED: "deactivated",
    AccountStatus.SUSPENDED: "suspended",
    AccountStatus.TAKEN_DOWN: "takendown",
}
SPOKEN = {
    "certificate": "the certificate is not valid",
    "certificate_expired": "the certificate has expired",
    "certificate_not_trusted": "no known authority has signed the certificate, or the chain is not "
    "complete",
    "certificate_not_yet_valid": "the certificate is not valid yet",
    "certificate_of_another_name": "the certificate is for another name",
    "tls": "what answers on port 443 does not speak TLS as it should",
    "dns": "the name servers report a failure",
    "dns_timeout": "the name servers do not answer",
    "dns_too_many_answers": "the name servers give too many records",
    "no_such_name": "there is no such name, or it has no address",
    "forbidden_address": "the name leads to an address that is not public",
    "forbidden_origin": "it is not https on port 443 of a public name",
    "timeout": "there was no answer in time",
    "ConnectError": "no connection could be made",
    "ReadError": "the connection was lost",
    "redirect": "the answer is a redirect that is not followed",
    "encoded": "the answer is compressed although that was not asked for",
    "too_large": "the answer is too large",
    "not_json": "the answer is not JSON",
    "wrong_shape": "the answer is JSON of another shape",
    "another_document": "the document is that of another account",
    "RemoteProtocolError": "the answer is not HTTP, or it ends too early",
}
"""The words on why, as they are shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One step: its name, whether it is fit for a connect (None: it does not matter), how long it
    took in seconds, and what was seen."""

    name: str
    fit: bool | None
    seconds: float
    what: str


class Doctor:
    """Looks at one handle. `refusal` says, at the end, what a connect would be refused with."""

    def __init__(self, outside: EgressContext) -> None:
        self._outside = outside
        self._identity = Identity(outside)
        self.refusal: ServiceError | None = None
        self._until = 0.0

    async def examine(self, typed: str) -> AsyncIterator[Seen]:
        """The steps as they end, up to the first one that keeps a connect from working."""
        handle = tidy_handle(typed)
        if not is_handle(handle, test_names=self._outside.handle_resolver is not None):
            self.refusal = answers.invalid(InvalidCredentialsCause.MALFORMED_HANDLE)
            yield Seen("handle", False, 0, f"{shown(handle)} is no full handle")
            return
        yield Seen("handle", True, 0, handle)
        if self._outside.handle_resolver is None:
            yield Seen("name servers", None, 0, ", ".join(self._outside.names.servers()))
            self._until = asyncio.get_running_loop().time() + CONNECT_SECONDS
            ways = (self._text_record(handle), self._well_known(handle))
            for seen in await asyncio.gather(*ways):
                yield seen
        self._until = asyncio.get_running_loop().time() + CONNECT_SECONDS
        did, seen = await self._step("DID", lambda: self._identity.did(handle), str)
        yield seen
        if did is None:
            return
        asked = web_host(did) or self._outside.directory
        document, seen = await self._step(
            "document", lambda: self._identity.document(did), lambda _: f"from {asked}"
        )
        yield seen
        if document is None:
            return
        named = named_handle(document)
        fit = named == handle
        yield Seen("back-link", fit, 0, f"the document names {named or 'no handle'}")
        if not fit:
            self.refusal = answers.invalid(InvalidCredentialsCause.HANDLE_NOT_FOUND)
            return
        async for seen in self._at_server(document, did):
            yield seen

    async def _at_server(self, document: Mapping[str, Any], did: str) -> AsyncIterator[Seen]:
        origin, seen = await self._step("server", lambda: self._server(document), str)
        yield seen
        if origin is None:
            return
        if origin not in self._outside.account_servers:
            addresses, seen = await self._step("address", lambda: self._addresses(origin), str)
            yield seen
            if addresses is None:
                return
        described, seen = await self._step("description", lambda: self._describe(origin), str)
        yield seen
        if described is not None:
            yield await self._standing(origin, did)

    def _limit(self) -> AbstractAsyncContextManager[None]:
        return platform_time(PlatformTime(self._until))

    async def _text_record(self, handle: str) -> Seen:
        name = f"_atproto.{handle}"
        ask = self._identity.did_by_text_record
        return await self._way("text record", name, lambda: ask(handle))

    async def _well_known(self, handle: str) -> Seen:
        name = f"https://{handle}/.well-known/atproto-did"
        return await self._way("file", name, lambda: self._identity.did_by_well_known(handle))

    async def _way(self, name: str, place: str, ask: Callable[[], Awaitable[str]]) -> Seen:
        """One of the two ways to a DID; the other one may do."""
        started = monotonic()
        try:
            async with self._limit():
                what = await ask()
        except NameNotFound:
            what = "none"
        except NoSuchAccount as error:
            what = SPOKEN.get(str(error), str(error))
        except PlatformUnavailable as error:
            what = spoken(error)
        return Seen(name, None, monotonic() - started, f"{shown(what)} ({place})")

    async def _step(
        self, name: str, ask: Callable[[], Awaitable[T]], tell: Callable[[T], str]
    ) -> tuple[T | None, Seen]:
        """What *ask* gives, and the step; with `refusal` set where it gives nothing."""
        started = monotonic()
        try:
            async with self._limit():
                found = await ask()
        except NoSuchAccount as error:
            self.refusal = answers.invalid(InvalidCredentialsCause.HANDLE_NOT_FOUND)
            return None, Seen(name, False, monotonic() - started, shown(str(error)))
        except PlatformUnavailable as error:
            self.refusal = error
            return None, Seen(name, False, monotonic() - started, spoken(error))
        return found, Seen(name, True, monotonic() - started, shown(tell(found)))

    async def _server(self, document: Mapping[str, Any]) -> Origin:
        origin = named_server(document)
        with at_step(PlatformUnavailableStep.SERVER):
            trusted = origin in self._outside.account_servers
            self._outside.egress.transport(origin, trusted=trusted)
        return origin

    async def _addresses(self, origin: Origin) -> str:
        with at_step(PlatformUnavailableStep.SERVER):
            names = self._outside.names
            try:
                found = await names.addresses(origin.host)
                nat64 = await names.nat64()
                if not all(is_public(address, nat64) for address in found):
                    raise NameNotPublic(origin.host)
            except NameNotFound as error:
                raise error.refusal() from None
            return ", ".join(found)

    async def _describe(self, origin: Origin) -> str:
        """What the server says of itself. Raises PlatformUnavailable where a login would fail, too.

        Some servers do not describe themselves: a refusal in JSON is an answer as well.
        """
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                answer = await self._outside.egress.get(
                    origin,
                    "/xrpc/com.atproto.server.describeServer",
                    trusted=origin in self._outside.account_servers,
                )
            except NameNotFound as error:
                raise error.refusal() from None
            if answer.is_success:
                return f"it is {json_object(answer.content).get('did')}"
            named = XrpcAnswer.of(answer).error
            if not named or (answer.status_code >= 500 and answer.status_code != 501):
                raise odd_status(answer.status_code)
            return f"it answers with HTTP {answer.status_code}: {named}"

    async def _standing(self, origin: Origin, did: str) -> Seen:
        """What the server tells anybody of the account. One that tells nothing may log it in."""
        started = monotonic()
        standing = AccountStatus.UNKNOWN
        try:
            async with self._limit():
                answer = await self._outside.egress.get(
                    origin,
                    "/xrpc/com.atproto.sync.getRepoStatus",
                    {"did": did},
                    trusted=origin in self._outside.account_servers,
                )
            standing = answers.account_status(XrpcAnswer.of(answer), did)
        except (PlatformUnavailable, NameNotFound):
            pass
        if standing in INACTIVE:
            self.refusal = AccountInactive(CARD.platform, INACTIVE[standing])
        elif standing is AccountStatus.NOT_FOUND:
            self.refusal = answers.invalid(InvalidCredentialsCause.REJECTED_BY_PLATFORM)
        fit = None if standing is AccountStatus.UNKNOWN else self.refusal is None
        what = standing.value.lower().replace("_", " ")
        return Seen("account", fit, monotonic() - started, what)


def spoken(error: PlatformUnavailable) -> str:
    """Why there is no answer that proves anything, in words."""
    if error.http_status is not None:
        return f"the answer has the status {error.http_status}"
    return SPOKEN.get(error.why, error.why)


def shown(text: str) -> str:
    """A stranger's *text*, fit for a terminal."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= LONGEST_SHOWN else f"{printable[:LONGEST_SHOWN]}…"

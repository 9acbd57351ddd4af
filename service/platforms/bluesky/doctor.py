"""Doctor: runs each step from a handle to its account's server and reports result and duration.

It makes the same requests as a connect, except the login.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformUnavailable,
    ServiceError,
)
from service.domain.model import AccountStatus, InvalidCredentialsCause, PlatformUnavailableStep
from service.domain.steps import PlatformDeadline, at_step, platform_timeout
from service.platforms.bluesky import answers
from service.platforms.bluesky.answers import XrpcAnswer
from service.platforms.bluesky.card import CARD
from service.platforms.bluesky.handles import is_handle, tidy_handle, web_host
from service.platforms.bluesky.identity import (
    Identity,
    NoSuchAccount,
    named_handle,
    named_server,
)
from service.platforms.bluesky.words import ACCOUNT_STATUSES
from service.platforms.egress.addresses import is_public
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound, NameNotPublic
from service.platforms.egress.origin import Origin
from service.platforms.unavailable import bad_status, json_object

T = TypeVar("T")
CONNECT_SECONDS = 9.8
"""The time of all steps of a connect whose caller sets no deadline."""
MAX_SHOWN_LENGTH = 120
INACTIVE_WORDS = {status: word for word, status in ACCOUNT_STATUSES.items()}
SENTENCES = {
    "certificate": "the certificate is not valid",
    "certificate_expired": "the certificate has expired",
    "certificate_not_trusted": "no known authority signed the certificate, or its chain has gaps",
    "certificate_not_yet_valid": "the certificate is not valid yet",
    "certificate_of_another_name": "the certificate is for another name",
    "tls": "the server on port 443 does not speak TLS correctly",
    "dns": "the name servers report a failure",
    "dns_timeout": "the name servers do not answer",
    "dns_too_many_answers": "the name servers give too many records",
    "no_such_name": "the name does not exist, or has no address",
    "forbidden_address": "the name leads to an address that is not public",
    "forbidden_origin": "it is not https on port 443 of a public name",
    "timeout": "the server did not answer in time",
    "ConnectError": "no connection could be made",
    "ReadError": "the connection was lost",
    "redirect": "the answer is a redirect that is not followed",
    "encoded": "the answer is compressed, which was not requested",
    "too_large": "the answer is too large",
    "not_json": "the answer is not JSON",
    "wrong_shape": "the answer is JSON of another shape",
    "another_document": "the document belongs to another account",
    "RemoteProtocolError": "the answer is not HTTP, or ends too early",
}
"""What each `why` of an error means."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step.

    *is_fit*: whether a connect can use it; None if a connect does not depend on it.
    """

    name: str
    is_fit: bool | None
    seconds: float
    text: str


class Doctor:
    """Examines one handle. At the end, *refusal* is the error that a connect would raise."""

    def __init__(self, context: EgressContext) -> None:
        self._context = context
        self._identity = Identity(context)
        self.refusal: ServiceError | None = None
        self._deadline = 0.0

    async def examine(self, typed: str) -> AsyncIterator[StepResult]:
        """Yield the result of each step, up to the first one that makes a connect fail."""
        handle = tidy_handle(typed)
        if not is_handle(handle, test_names=self._context.handle_resolver is not None):
            self.refusal = InvalidCredentials.malformed(CARD, "handle")
            yield StepResult("handle", False, 0, f"{shown(handle)} is not a full handle")
            return
        yield StepResult("handle", True, 0, handle)
        if self._context.handle_resolver is None:
            yield StepResult("name servers", None, 0, ", ".join(self._context.names.servers()))
            self._deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
            ways = (self._text_record(handle), self._well_known(handle))
            for result in await asyncio.gather(*ways):
                yield result
        self._deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        did, result = await self._step("DID", lambda: self._identity.did(handle), str)
        yield result
        if did is None:
            return
        source = web_host(did) or self._context.directory
        document, result = await self._step(
            "document", lambda: self._identity.document(did), lambda _: f"from {source}"
        )
        yield result
        if document is None:
            return
        named = named_handle(document)
        is_fit = named == handle
        yield StepResult("back-link", is_fit, 0, f"the document names {named or 'no handle'}")
        if not is_fit:
            self.refusal = InvalidCredentials(CARD, InvalidCredentialsCause.HANDLE_NOT_FOUND)
            return
        async for result in self._server_steps(document, did):
            yield result

    async def _server_steps(
        self, document: Mapping[str, Any], did: str
    ) -> AsyncIterator[StepResult]:
        origin, result = await self._step("server", lambda: self._server(document), str)
        yield result
        if origin is None:
            return
        if origin not in self._context.account_servers:
            addresses, result = await self._step("address", lambda: self._addresses(origin), str)
            yield result
            if addresses is None:
                return
        described, result = await self._step("description", lambda: self._describe(origin), str)
        yield result
        if described is not None:
            yield await self._account_status(origin, did)

    def _limit(self) -> AbstractAsyncContextManager[None]:
        return platform_timeout(PlatformDeadline(self._deadline))

    async def _text_record(self, handle: str) -> StepResult:
        name = f"_atproto.{handle}"
        return await self._way(
            "text record", name, lambda: self._identity.did_by_text_record(handle)
        )

    async def _well_known(self, handle: str) -> StepResult:
        name = f"https://{handle}/.well-known/atproto-did"
        return await self._way("file", name, lambda: self._identity.did_by_well_known(handle))

    async def _way(self, name: str, place: str, run: Callable[[], Awaitable[str]]) -> StepResult:
        """Run one of the two ways to a DID. It may fail if the other succeeds."""
        started = monotonic()
        try:
            async with self._limit():
                text = await run()
        except NameNotFound:
            text = "none"
        except NoSuchAccount as error:
            text = SENTENCES.get(str(error), str(error))
        except PlatformUnavailable as error:
            text = sentence(error)
        return StepResult(name, None, monotonic() - started, f"{shown(text)} ({place})")

    async def _step(
        self, name: str, run: Callable[[], Awaitable[T]], describe: Callable[[T], str]
    ) -> tuple[T | None, StepResult]:
        """Run a step. Return None as its value, and set *refusal*, if it fails."""
        started = monotonic()
        try:
            async with self._limit():
                value = await run()
        except NoSuchAccount as error:
            self.refusal = InvalidCredentials(CARD, InvalidCredentialsCause.HANDLE_NOT_FOUND)
            return None, StepResult(name, False, monotonic() - started, shown(str(error)))
        except PlatformUnavailable as error:
            self.refusal = error
            return None, StepResult(name, False, monotonic() - started, sentence(error))
        return value, StepResult(name, True, monotonic() - started, shown(describe(value)))

    async def _server(self, document: Mapping[str, Any]) -> Origin:
        origin = named_server(document)
        with at_step(PlatformUnavailableStep.SERVER):
            trusted = origin in self._context.account_servers
            self._context.egress.transport(origin, trusted=trusted)
        return origin

    async def _addresses(self, origin: Origin) -> str:
        with at_step(PlatformUnavailableStep.SERVER):
            names = self._context.names
            try:
                found = await names.addresses(origin.host)
                nat64 = await names.nat64()
                if not all(is_public(address, nat64) for address in found):
                    raise NameNotPublic(origin.host)
            except NameNotFound as error:
                raise error.unavailable() from None
            return ", ".join(found)

    async def _describe(self, origin: Origin) -> str:
        """Return the server's own description; raise PlatformUnavailable if a login would fail.

        Some servers do not support the call: a JSON error shows that the server works.
        """
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                answer = await self._context.egress.get(
                    origin,
                    "/xrpc/com.atproto.server.describeServer",
                    trusted=origin in self._context.account_servers,
                )
            except NameNotFound as error:
                raise error.unavailable() from None
            if answer.is_success:
                return f"it is {json_object(answer.content).get('did')}"
            named = XrpcAnswer.of(answer).error
            if not named or (answer.status_code >= 500 and answer.status_code != 501):
                raise bad_status(answer.status_code, answer.headers, self._context.clock.now())
            return f"it answers with HTTP {answer.status_code}: {named}"

    async def _account_status(self, origin: Origin, did: str) -> StepResult:
        """Report the account's status. A server that does not state it may still allow a login."""
        started = monotonic()
        status = AccountStatus.UNKNOWN
        try:
            async with self._limit():
                answer = await self._context.egress.get(
                    origin,
                    "/xrpc/com.atproto.sync.getRepoStatus",
                    {"did": did},
                    trusted=origin in self._context.account_servers,
                )
            status = answers.account_status(XrpcAnswer.of(answer), did)
        except (PlatformUnavailable, NameNotFound):
            pass
        if status is AccountStatus.NOT_FOUND:
            self.refusal = InvalidCredentials(CARD, InvalidCredentialsCause.REJECTED_BY_PLATFORM)
        elif status in INACTIVE_WORDS:
            self.refusal = AccountInactive(CARD.platform, INACTIVE_WORDS[status])
        is_fit = None if status is AccountStatus.UNKNOWN else self.refusal is None
        text = status.value.lower().replace("_", " ")
        return StepResult("account", is_fit, monotonic() - started, text)


def sentence(error: PlatformUnavailable) -> str:
    """Return the reason for *error* in words."""
    if error.http_status is not None:
        return f"the answer has the status {error.http_status}"
    return SENTENCES.get(error.why, error.why)


def shown(text: str) -> str:
    """Make untrusted *text* safe for a terminal: printable, and at most MAX_SHOWN_LENGTH long."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= MAX_SHOWN_LENGTH else f"{printable[:MAX_SHOWN_LENGTH]}…"

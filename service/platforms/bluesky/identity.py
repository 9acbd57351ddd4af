"""Identity: handle → DID → document → back-link → account server.

Source: the AT Protocol specifications "Handle", "DID" and "Identity".
"""

from collections.abc import Mapping
from typing import Any

from service.domain.errors import PlatformUnavailable
from service.domain.model import Account, PlatformUnavailableCause, PlatformUnavailableStep
from service.domain.platform import AccountGone
from service.domain.steps import at_step
from service.platforms.bluesky import json_text
from service.platforms.bluesky.handles import is_did, is_handle, web_host
from service.platforms.bluesky.limits import retry_after_seconds
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.egress import BEGINNING_BYTES, Answer
from service.platforms.egress.origin import Origin

SERVER_ID = "#atproto_pds"
BLANK = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What the reference implementation's language trims: not quite what Python's does."""


class NoSuchAccount(Exception):
    """It is certain that this handle leads to no account."""


class Identity:
    """Finds the account that a handle names, proved both ways. There is no fallback host."""

    def __init__(self, outside: EgressContext) -> None:
        self._outside = outside

    async def account(self, handle: str) -> Account:
        """The DID, the handle and the server of *handle*.

        Raises NoSuchAccount where the answers say that there is none, and PlatformUnavailable
        where they say nothing.
        """
        did = await self.did(handle)
        document = await self.document(did)
        if named_handle(document) != handle:
            raise NoSuchAccount("the document does not name the handle back")
        return Account(did, handle, str(named_server(document)))

    async def as_named(self, account: Account) -> Account:
        """*account* as its document names it now: with its server, and with its handle where that
        is proved both ways, else the one that it had.

        Raises AccountGone where the DID has ended for good, and PlatformUnavailable.
        """
        try:
            document = await self.document(account.account_id)
        except NoSuchAccount:
            raise AccountGone from None
        try:
            server = str(named_server(document))
        except NoSuchAccount:
            raise _unexpected("no_server_named").at(PlatformUnavailableStep.DOCUMENT) from None
        handle = named_handle(document) or account.username
        if handle != account.username and not await self._leads_to(handle, account.account_id):
            handle = account.username
        return Account(account.account_id, handle, server)

    async def _leads_to(self, handle: str, did: str) -> bool:
        try:
            return await self.did(handle) == did
        except (NoSuchAccount, PlatformUnavailable):
            return False

    async def did(self, handle: str) -> str:
        """The DID that *handle* leads to, which may name another handle.

        By the text record, or by the well-known file where there is none or none can be had.
        Raises NoSuchAccount and PlatformUnavailable.
        """
        with at_step(PlatformUnavailableStep.HANDLE):
            if self._outside.handle_resolver is not None:
                did = await self._did_by_resolver(self._outside.handle_resolver, handle)
            else:
                did = await self._did_by_name(handle)
            if not is_did(did):
                raise NoSuchAccount("not a DID")
            return did

    async def _did_by_name(self, handle: str) -> str:
        failed: PlatformUnavailable | None = None
        try:
            return await self.did_by_text_record(handle)
        except NameNotFound:
            pass
        except PlatformUnavailable as error:
            failed = error
        try:
            return await self.did_by_well_known(handle)
        except (NoSuchAccount, PlatformUnavailable):
            if failed is None:
                raise
            # the text record may well be there, and then the file does not matter
            raise failed from None

    async def did_by_text_record(self, handle: str) -> str:
        """Raises NameNotFound where there is no text record with a DID, NoSuchAccount where there
        are several DIDs, and PlatformUnavailable."""
        texts = await self._outside.names.texts(f"_atproto.{handle}")
        dids = {text.removeprefix("did=") for text in texts if text.startswith("did=")}
        if not any(dids):
            raise NameNotFound(handle)
        if len(dids) > 1:
            raise NoSuchAccount("the text records name several DIDs")
        return dids.pop()

    async def did_by_well_known(self, handle: str) -> str:
        """What stands for the DID in the well-known file. Raises NoSuchAccount and
        PlatformUnavailable."""
        try:
            answer = await self._outside.egress.beginning(
                Origin("https", handle, 443), "/.well-known/atproto-did"
            )
        except NameNotFound as error:
            raise NoSuchAccount(error.why) from None
        # the first line, whatever the status, as the reference implementation takes it
        text = answer.content.decode("utf-8", "replace").removeprefix("\ufeff")
        first, newline, _ = text.partition("\n")
        is_whole = bool(newline) or len(answer.content) < BEGINNING_BYTES
        if is_whole and (did := first.strip(BLANK)).startswith("did:"):
            return did
        if answer.is_success or answer.status_code in (404, 410):
            raise NoSuchAccount("no DID in the well-known file")
        raise self._odd(answer)

    async def _did_by_resolver(self, resolver: Origin, handle: str) -> str:
        answer = await self._outside.egress.get(
            resolver,
            "/xrpc/com.atproto.identity.resolveHandle",
            {"handle": handle},
            trusted=True,
        )
        if answer.status_code == 400:
            named = json_object(answer.content).get("error")
            if named in ("InvalidRequest", "HandleNotFound"):
                raise NoSuchAccount("the resolver knows no such handle")
        if answer.status_code != 200:
            raise self._odd(answer)
        did = json_object(answer.content).get("did")
        if not isinstance(did, str):
            raise _unexpected("resolver_answer")
        return did

    async def document(self, did: str) -> Mapping[str, Any]:
        """The DID's document. Raises NoSuchAccount where the DID has ended for good, and
        PlatformUnavailable."""
        with at_step(PlatformUnavailableStep.DOCUMENT):
            host = web_host(did)
            try:
                if host is not None:
                    answer = await self._outside.egress.get(
                        Origin("https", host, 443), "/.well-known/did.json"
                    )
                else:
                    answer = await self._outside.egress.get(
                        self._outside.directory, f"/{did}", trusted=True
                    )
            except NameNotFound as error:
                raise error.refusal() from None
            if host is None and await self._has_ended(did, answer.status_code):
                raise NoSuchAccount("the directory has a tombstone")
            if not answer.is_success:
                # a directory that does not know a DID proves nothing: it may be behind
                behind = host is None and answer.status_code == 404
                raise self._odd(answer, retry_after=30 if behind else None)
            document = json_object(answer.content)
            if document.get("id") != did:
                raise _unexpected("another_document")
            return document

    def _odd(self, answer: Answer, retry_after: float | None = None) -> PlatformUnavailable:
        """The refusal that an answer becomes for its status; with the server's own Retry-After."""
        error = odd_status(answer.status_code, retry_after=retry_after)
        if error.retry_after is not None:
            asked = retry_after_seconds(answer.headers, self._outside.clock.now())
            error.retry_after = asked or error.retry_after
        return error

    async def _has_ended(self, did: str, status: int) -> bool:
        """Whether the directory says that *did* has ended for good.

        plc.directory says so by its status; others, the published server among them, by the last
        entry of its log alone.
        """
        if status != 404:
            return status == 410
        last = await self._outside.egress.get(
            self._outside.directory, f"/{did}/log/last", trusted=True
        )
        return last.status_code == 200 and json_object(last.content).get("type") == "plc_tombstone"


def odd_status(status: int, *, retry_after: float | None = None) -> PlatformUnavailable:
    """The refusal that an answer of *status* becomes where its status alone can be judged.

    *retry_after*: in seconds, where waiting helps although the status alone does not say so.
    """
    waits = status in (408, 425, 429) or (status >= 500 and status not in (501, 505))
    cause = (
        PlatformUnavailableCause.SERVER_ERROR
        if status >= 500
        else PlatformUnavailableCause.UNEXPECTED_ANSWER
    )
    return PlatformUnavailable(
        PlatformUnavailableCause.BUSY if status == 429 else cause,
        f"status_{status}",
        retry_after=30 if waits else retry_after,
        http_status=status,
    )


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object in *content*, which is UTF-8; raises PlatformUnavailable."""
    try:
        value = json_text.parse(content)
    except ValueError:
        raise _unexpected("not_json") from None
    if not isinstance(value, dict):
        raise _unexpected("wrong_shape")
    return value


def _unexpected(why: str) -> PlatformUnavailable:
    return PlatformUnavailable(PlatformUnavailableCause.UNEXPECTED_ANSWER, why, retry_after=None)


def named_handle(document: Mapping[str, Any]) -> str | None:
    """The first handle that *document* names; the specification has any others ignored."""
    for name in _list(document, "alsoKnownAs"):
        # str.lower() would turn the Kelvin sign into k
        if isinstance(name, str) and name.isascii():
            scheme, handle = name[:5].lower(), name[5:].lower()
            if scheme == "at://" and is_handle(handle, test_names=True):
                return handle
    return None


def named_server(document: Mapping[str, Any]) -> Origin:
    """The account server that *document* names: the first service of that id decides.

    Raises NoSuchAccount where there is none, and PlatformUnavailable where it is none that may be
    reached.
    """
    for service in _list(document, "service"):
        if isinstance(service, dict) and service.get("id") in _server_ids(document):
            endpoint = service.get("serviceEndpoint")
            if service.get("type") != "AtprotoPersonalDataServer" or not isinstance(endpoint, str):
                break
            try:
                return Origin.parse(endpoint)
            except ValueError:
                raise PlatformUnavailable(
                    PlatformUnavailableCause.ADDRESS_NOT_ALLOWED,
                    "forbidden_origin",
                    retry_after=None,
                ).at(PlatformUnavailableStep.SERVER) from None
    raise NoSuchAccount("the document names no account server")


def _server_ids(document: Mapping[str, Any]) -> tuple[str, str]:
    return SERVER_ID, f"{document.get('id')}{SERVER_ID}"


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []

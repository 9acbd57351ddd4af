"""Identity: resolves a handle → DID → document → back-link → account server.

Source: the AT Protocol specifications "Handle", "DID" and "Identity".
"""

from collections.abc import Mapping
from typing import Any

from service.domain.errors import PlatformUnavailable
from service.domain.model import Account, PlatformUnavailableCause, PlatformUnavailableStep
from service.domain.platform import AccountGone
from service.domain.steps import at_step
from service.platforms.bluesky.handles import is_did, is_handle, web_host
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.egress import Answer
from service.platforms.egress.origin import Origin
from service.platforms.egress.pool import PREFIX_BYTES
from service.platforms.unavailable import bad_status, json_object, unexpected

SERVER_ID = "#atproto_pds"
JS_WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""The characters that JavaScript's `trim` removes, as in the reference implementation.
`str.strip` removes a different set."""


class NoSuchAccount(Exception):
    """The answers of the servers prove that there is no such account."""


class Identity:
    """Finds the account of a handle. The handle must lead to a DID, and the DID document must name
    the handle. Otherwise there is no such account.
    """

    def __init__(self, context: EgressContext) -> None:
        self._context = context

    async def account(self, handle: str) -> Account:
        """Return the DID, the handle and the server of *handle*.

        Raises NoSuchAccount if the answers prove that there is none, and PlatformUnavailable if
        they prove nothing.
        """
        did = await self.did(handle)
        document = await self.document(did)
        if named_handle(document) != handle:
            raise NoSuchAccount("the document does not name the handle back")
        return Account(did, handle, str(named_server(document)))

    async def resolve_account(self, account: Account) -> Account:
        """Return *account* with the server and the handle that its DID document names now.

        Keeps the previous handle unless the new one leads back to the DID. Raises AccountGone if
        the DID is tombstoned. Raises PlatformUnavailable if the answers prove nothing.
        """
        try:
            document = await self.document(account.account_id)
        except NoSuchAccount:
            raise AccountGone from None
        try:
            server = str(named_server(document))
        except NoSuchAccount:
            raise unexpected("no_server_named").at(PlatformUnavailableStep.DOCUMENT) from None
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
        """Return the DID that *handle* leads to. Its document may name another handle.

        Reads the TXT record first, then the well-known file. A configured handle resolver replaces
        both. Raises NoSuchAccount or PlatformUnavailable.
        """
        with at_step(PlatformUnavailableStep.HANDLE):
            if self._context.handle_resolver is not None:
                did = await self._did_by_resolver(self._context.handle_resolver, handle)
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
            # the TXT record may exist and would take precedence, so that nothing is proved
            raise failed from None

    async def did_by_text_record(self, handle: str) -> str:
        """Return the DID in the text records of *handle*.

        Raises NameNotFound if there is none, NoSuchAccount if there are several, and
        PlatformUnavailable.
        """
        texts = await self._context.names.texts(f"_atproto.{handle}")
        dids = {text.removeprefix("did=") for text in texts if text.startswith("did=")}
        if not any(dids):
            raise NameNotFound(handle)
        if len(dids) > 1:
            raise NoSuchAccount("the text records name several DIDs")
        return dids.pop()

    async def did_by_well_known(self, handle: str) -> str:
        """Return the DID in the well-known file; it may be malformed.

        Raises NoSuchAccount and PlatformUnavailable.
        """
        try:
            answer = await self._context.egress.get_prefix(
                Origin("https", handle, 443), "/.well-known/atproto-did"
            )
        except NameNotFound as error:
            raise NoSuchAccount(error.why) from None
        # the first line, with any status, as in the reference implementation
        text = answer.content.decode("utf-8", "replace").removeprefix("\ufeff")
        first, newline, _ = text.partition("\n")
        is_whole = bool(newline) or len(answer.content) < PREFIX_BYTES
        if is_whole and (did := first.strip(JS_WHITE_SPACE)).startswith("did:"):
            return did
        if answer.is_success or answer.status_code in (404, 410):
            raise NoSuchAccount("no DID in the well-known file")
        raise self._bad_status(answer)

    async def _did_by_resolver(self, resolver: Origin, handle: str) -> str:
        answer = await self._context.egress.get(
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
            raise self._bad_status(answer)
        did = json_object(answer.content).get("did")
        if not isinstance(did, str):
            raise unexpected("resolver_answer")
        return did

    async def document(self, did: str) -> Mapping[str, Any]:
        """Return the document of *did*.

        Raises NoSuchAccount if the DID is tombstoned, and PlatformUnavailable.
        """
        with at_step(PlatformUnavailableStep.DOCUMENT):
            host = web_host(did)
            try:
                if host is not None:
                    answer = await self._context.egress.get(
                        Origin("https", host, 443), "/.well-known/did.json"
                    )
                else:
                    answer = await self._context.egress.get(
                        self._context.directory, f"/{did}", trusted=True
                    )
            except NameNotFound as error:
                raise error.unavailable() from None
            if host is None and await self._is_tombstoned(did, answer.status_code):
                raise NoSuchAccount("the directory has a tombstone")
            if not answer.is_success:
                # a directory without the DID proves nothing: it may lag behind
                may_lag = host is None and answer.status_code == 404
                raise self._bad_status(answer, is_temporary=may_lag)
            document = json_object(answer.content)
            if document.get("id") != did:
                raise unexpected("another_document")
            return document

    def _bad_status(self, answer: Answer, *, is_temporary: bool = False) -> PlatformUnavailable:
        now = self._context.clock.now()
        return bad_status(answer.status_code, answer.headers, now, is_temporary=is_temporary)

    async def _is_tombstoned(self, did: str, status: int) -> bool:
        """Whether the directory has a tombstone for *did*.

        plc.directory answers 410. Other directories, which run the open-source PLC server, answer
        404; only the last entry of the DID's log then shows the tombstone.
        """
        if status != 404:
            return status == 410
        last = await self._context.egress.get(
            self._context.directory, f"/{did}/log/last", trusted=True
        )
        return last.status_code == 200 and json_object(last.content).get("type") == "plc_tombstone"


def named_handle(document: Mapping[str, Any]) -> str | None:
    """Return the first handle in *document*. By the specification, others are ignored."""
    for name in _list(document, "alsoKnownAs"):
        # str.lower() turns the Kelvin sign into k
        if isinstance(name, str) and name.isascii():
            scheme, handle = name[:5].lower(), name[5:].lower()
            if scheme == "at://" and is_handle(handle, test_names=True):
                return handle
    return None


def named_server(document: Mapping[str, Any]) -> Origin:
    """Return the account server in *document*: the first service whose id is in `_server_ids`.

    Raises NoSuchAccount if there is none, and PlatformUnavailable if its origin is not allowed.
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

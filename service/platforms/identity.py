"""Identity: handle → DID → document → back-link → account server.

Source: the AT Protocol specifications "Handle", "DID" and "Identity".
"""

import json
from collections.abc import Mapping
from typing import Any

from service.errors import PlatformUnavailable
from service.model import Account
from service.platforms.egress import Origin
from service.platforms.handles import is_did, is_handle, web_host
from service.platforms.names import NameNotFound
from service.platforms.outside import Outside
from service.ports import AccountGone


class NoSuchAccount(Exception):
    """It is certain that this handle leads to no account."""


class Identity:
    """Finds the account that a handle names, proved both ways. There is no fallback host."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def account(self, handle: str) -> Account:
        """The DID, the handle and the server of *handle*.

        Raises NoSuchAccount where the answers say that there is none, and PlatformUnavailable
        where they say nothing.
        """
        did = await self._did(handle)
        document = await self._document(did)
        if _handle(document) != handle:
            raise NoSuchAccount("the document does not name the handle back")
        return Account(did, handle, str(_server(document)))

    async def as_named(self, account: Account) -> Account:
        """*account* as its document names it now: with its server, and with its handle where that
        is proved both ways, else the one that it had.

        Raises AccountGone where the DID has ended for good, and PlatformUnavailable.
        """
        try:
            document = await self._document(account.account_id)
        except NoSuchAccount:
            raise AccountGone from None
        try:
            server = str(_server(document))
        except NoSuchAccount:
            raise PlatformUnavailable("no_server_named") from None
        handle = _handle(document) or account.username
        if handle != account.username and not await self._leads_to(handle, account.account_id):
            handle = account.username
        return Account(account.account_id, handle, server)

    async def _leads_to(self, handle: str, did: str) -> bool:
        try:
            return await self._did(handle) == did
        except (NoSuchAccount, PlatformUnavailable):
            return False

    async def _did(self, handle: str) -> str:
        if self._outside.handle_resolver is not None:
            did = await self._did_by_resolver(self._outside.handle_resolver, handle)
        else:
            try:
                did = await self._did_by_text_record(handle)
            except NameNotFound:
                did = await self._did_by_well_known(handle)
        if not is_did(did):
            raise NoSuchAccount("not a DID")
        return did

    async def _did_by_text_record(self, handle: str) -> str:
        texts = await self._outside.names.texts(f"_atproto.{handle}")
        dids = {text.removeprefix("did=") for text in texts if text.startswith("did=")}
        if not dids:
            raise NameNotFound(handle)
        if len(dids) > 1:
            raise NoSuchAccount("the text records name several DIDs")
        return dids.pop()

    async def _did_by_well_known(self, handle: str) -> str:
        try:
            answer = await self._outside.egress.get(
                Origin("https", handle, 443), "/.well-known/atproto-did"
            )
        except NameNotFound as error:
            raise NoSuchAccount(error.why) from None
        if answer.status_code in (404, 410):
            raise NoSuchAccount("no well-known file")
        if answer.status_code != 200:
            raise PlatformUnavailable("well_known_status")
        return answer.content[:2048].decode("ascii", "replace").strip()

    async def _did_by_resolver(self, resolver: Origin, handle: str) -> str:
        answer = await self._outside.egress.get(
            resolver,
            "/xrpc/com.atproto.identity.resolveHandle",
            {"handle": handle},
            trusted=True,
        )
        body = json_object(answer.content)
        if answer.status_code == 400 and body.get("error") in ("InvalidRequest", "HandleNotFound"):
            raise NoSuchAccount("the resolver knows no such handle")
        did = body.get("did")
        if answer.status_code != 200 or not isinstance(did, str):
            raise PlatformUnavailable("resolver_answer")
        return did

    async def _document(self, did: str) -> Mapping[str, Any]:
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
            raise PlatformUnavailable(error.why, retry_after=None) from None
        if host is None and await self._has_ended(did, answer.status_code):
            raise NoSuchAccount("the directory has a tombstone")
        if answer.status_code != 200:
            # a directory that does not know a DID proves nothing: it may be behind
            raise PlatformUnavailable("document_status")
        document = json_object(answer.content)
        if document.get("id") != did:
            raise PlatformUnavailable("another_document", retry_after=None)
        return document

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


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object in *content*; raises PlatformUnavailable."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise PlatformUnavailable("not_json") from None
    if not isinstance(value, dict):
        raise PlatformUnavailable("wrong_shape")
    return value


def _handle(document: Mapping[str, Any]) -> str | None:
    """The first handle that *document* names; the specification has any others ignored."""
    for name in _list(document, "alsoKnownAs"):
        # str.lower() would turn the Kelvin sign into k
        if isinstance(name, str) and name.isascii():
            scheme, handle = name[:5].lower(), name[5:].lower()
            if scheme == "at://" and is_handle(handle, test_names=True):
                return handle
    return None


def _server(document: Mapping[str, Any]) -> Origin:
    for service in _list(document, "service"):
        if (
            isinstance(service, dict)
            and isinstance(service.get("id"), str)
            and service["id"].endswith("#atproto_pds")
            and service.get("type") == "AtprotoPersonalDataServer"
            and isinstance(service.get("serviceEndpoint"), str)
        ):
            try:
                return Origin.parse(service["serviceEndpoint"])
            except ValueError:
                raise PlatformUnavailable("forbidden_origin", retry_after=None) from None
    raise NoSuchAccount("the document names no account server")


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []

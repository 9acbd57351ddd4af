"""Methods: the XRPC methods of a server."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256

from starlette.requests import Request

from service.sandbox import body
from service.sandbox.accounts import Account, Status
from service.sandbox.body import Field
from service.sandbox.plc import Directory
from service.sandbox.refusals import (
    AccountDeactivated,
    AccountNotFound,
    AuthenticationRequired,
    AuthMissing,
    InternalServerError,
    InvalidRequest,
    InvalidToken,
    RecordNotFound,
    RepoNotFound,
)
from service.sandbox.sessions import SERVER_DID
from service.sandbox.tokens import Tokens, unveiled
from service.sandbox.world import World
from service.sandbox.xrpc import Method

MAX_PASSWORD_UNITS = 512
"""In UTF-16 code units, as JavaScript counts."""
_PROFILE = "app.bsky.actor.profile"
OWN_DOMAINS = (".test", ".bsky.social")

_LOGIN = (
    Field("identifier", str, required=True),
    Field("password", str, required=True),
    Field("authFactorToken", str),
    Field("allowTakendown", bool),
)
_WRITE = (Field("repo", str, required=True), Field("collection", str, required=True))
HANDLE = re.compile(
    r"(?=.{1,253}\Z)([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+"
    r"[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
)
_DID = re.compile(r"(?=.{1,2048}\Z)did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_RECORD = {
    "repo": re.compile(f"{_DID.pattern}|{HANDLE.pattern}"),
    "collection": re.compile(
        r"(?=.{1,317}\Z)[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
        r"(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+\.[a-zA-Z][a-zA-Z0-9]{0,62}"
    ),
    "rkey": re.compile(r"(?!\.\.?\Z)[a-zA-Z0-9_~.:-]{1,512}"),
}

Reply = Mapping[str, object]


class Methods:
    """The methods of the server with the accounts of *world*. *directory* has the documents."""

    def __init__(self, world: World, directory: Directory) -> None:
        self._world = world
        self._directory = directory

    def table(self) -> Mapping[str, Method]:
        """Return every method by its name in the path."""
        return {
            name: Method(verb, partial(answer, self), authorized)
            for name, (verb, answer, authorized) in METHODS.items()
        }

    async def create_session(self, request: Request) -> Reply:
        """Log in with the main password or an app password."""
        login = await body.read(request, _LOGIN)
        if len(login["password"].encode("utf-16-le", "surrogatepass")) > 2 * MAX_PASSWORD_UNITS:
            raise AuthenticationRequired("Password too long. Consider resetting your password.")
        try:
            account, tokens = self._world.log_in(
                login["identifier"],
                login["password"],
                allow_takendown=login.get("allowTakendown", False),
            )
        finally:
            # a rejected login takes as long as an accepted one: timing reveals nothing
            await asyncio.sleep(self._world.login_wait)
        return self._session(account, tokens)

    async def refresh_session(self, request: Request) -> Reply:
        """Exchange a refresh token for the next pair of tokens."""
        token = _bearer(request)
        body.reject(request)
        account, tokens = self._world.refresh(unveiled(token))
        # a session with opaque tokens keeps opaque tokens
        return self._session(account, tokens if unveiled(token) == token else tokens.veiled())

    async def get_session(self, request: Request) -> Reply:
        """Return the account of an access token."""
        token = _bearer(request, error="Unexpected authorization type")
        body.reject(request)
        return self._session(self._world.read(unveiled(token)))

    async def delete_session(self, request: Request) -> None:
        """End the session of a refresh token."""
        token = _bearer(request)
        body.reject(request)
        self._world.log_out(unveiled(token))

    async def describe_server(self, request: Request) -> Reply:
        """Return the description of the server."""
        body.reject(request)
        return {
            "did": SERVER_DID,
            "availableUserDomains": list(OWN_DOMAINS),
            "inviteCodeRequired": False,
            "links": {},
            "contact": {},
        }

    async def resolve_handle(self, request: Request) -> Reply:
        """Return the DID of an active account here, or what DNS would return for other handles."""
        handle = _parameter(request, "handle", HANDLE).lower()
        account = self._world.find(handle)
        if account and account.status is Status.ACTIVE:
            return {"did": account.did}
        did = self._world.ledger.find(handle)
        lives_here = did is not None and self._world.ledger[did].home is self._world.home
        if did is None or (lives_here and handle.endswith(OWN_DOMAINS)):
            raise InvalidRequest("Unable to resolve handle")
        return {"did": did}

    async def get_repo_status(self, request: Request) -> Reply:
        """Return the status of an account."""
        did = _parameter(request, "did", _DID)
        account = self._world.find(did)
        if account is None:
            raise RepoNotFound(f"Could not find repo for DID: {did}")
        status = _status(account)
        return {"did": did, **status} | ({"rev": account.revision} if status["active"] else {})

    async def get_record(self, request: Request) -> Reply:
        """Return a record. The only one is the profile of an account with a display name."""
        given = {name: _parameter(request, name, shape) for name, shape in _RECORD.items()}
        account = self._world.find(given["repo"])
        if account is None or account.status is not Status.ACTIVE:
            raise InvalidRequest("Could not locate record")
        where = f"at://{account.did}/{given['collection']}/{given['rkey']}"
        if not account.display_name or not where.endswith(f"/{_PROFILE}/self"):
            raise RecordNotFound(f"Could not locate record: {where}")
        value = {"$type": _PROFILE, "displayName": account.display_name}
        return {"uri": where, "cid": cid_of(value), "value": value}

    async def create_record(self, request: Request) -> Reply:
        """Return where a record of the token's account would be. It is not kept."""
        token = _bearer(request, error="Unexpected authorization type")
        write = await body.read(request, _WRITE)
        account = self._world.read(unveiled(token))
        if account.status is not Status.ACTIVE:
            raise AccountDeactivated
        if self._world.find(write["repo"].lower()) is not account:
            raise AccountNotFound
        key = cid_of(write)[-13:]
        return {
            "uri": f"at://{account.did}/{write['collection']}/{key}",
            "cid": cid_of(write),
            "commit": {"cid": cid_of({"of": key}), "rev": account.revision},
            "validationStatus": "valid",
        }

    async def health(self, request: Request) -> Reply:
        """Return the version: the server runs."""
        return {"version": "sandbox"}

    def _session(self, account: Account, tokens: Tokens | None = None) -> Reply:
        pair = {"accessJwt": tokens.access, "refreshJwt": tokens.refresh} if tokens else {}
        document = self._directory.document(account.did)
        return {
            **pair,
            "did": account.did,
            **({"didDoc": document} if document else {}),
            "handle": account.handle,
            "email": account.email,
            "emailConfirmed": False,
            **_status(account),
        }


METHODS: Mapping[str, tuple[str, Callable[[Methods, Request], Awaitable[Reply | None]], bool]] = {
    "_health": ("GET", Methods.health, False),
    "com.atproto.identity.resolveHandle": ("GET", Methods.resolve_handle, False),
    "com.atproto.server.createSession": ("POST", Methods.create_session, False),
    "com.atproto.server.deleteSession": ("POST", Methods.delete_session, True),
    "com.atproto.server.describeServer": ("GET", Methods.describe_server, False),
    "com.atproto.server.getSession": ("GET", Methods.get_session, True),
    "com.atproto.server.refreshSession": ("POST", Methods.refresh_session, True),
    "com.atproto.repo.createRecord": ("POST", Methods.create_record, True),
    "com.atproto.repo.getRecord": ("GET", Methods.get_record, False),
    "com.atproto.sync.getRepoStatus": ("GET", Methods.get_repo_status, False),
}
"""By name: HTTP method, function, and whether it requires a token."""


def cid_of(value: Mapping[str, object]) -> str:
    """Return a text in the form of a CID that depends on *value*. It is not the real CID."""
    digest = b"\x01\x71\x12\x20" + sha256(json.dumps(value).encode()).digest()
    return "b" + base64.b32encode(digest).decode().lower().rstrip("=")


def _status(account: Account) -> dict[str, object]:
    if account.status is Status.ACTIVE:
        return {"active": True}
    return {"active": False, "status": account.status.value}


def _bearer(request: Request, *, error: str = "") -> str:
    """Return the bearer token; raise InvalidToken, or AuthMissing.

    *error*: the message of InvalidToken for another known scheme. Empty: raise AuthMissing instead.
    """
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise AuthMissing()
    scheme, *rest = authorization.split(" ")
    if len(rest) != 1:
        raise InvalidToken("Malformed authorization header")
    if scheme.upper() == "BEARER":
        return rest[0]
    if scheme.upper() not in ("BASIC", "DPOP"):
        raise InvalidToken(f"Unsupported authorization type: {scheme}")
    raise InvalidToken(error) if error else AuthMissing()


def _parameter(request: Request, name: str, shape: re.Pattern[str]) -> str:
    values = request.query_params.getlist(name)
    if len(values) != 1 or not shape.fullmatch(values[0]):
        # the real server intends a 400, but two of its libraries disagree, and it answers this
        raise InternalServerError()
    return values[0]

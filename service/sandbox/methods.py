"""Methods: what the server answers to each XRPC method that it knows."""

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
from service.sandbox.field import Field
from service.sandbox.plc import Directory
from service.sandbox.refusals import (
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

LONGEST_PASSWORD = 512
_PROFILE = "app.bsky.actor.profile"
OWN_DOMAINS = (".test", ".bsky.social")

_LOGIN = (
    Field("identifier", str, required=True),
    Field("password", str, required=True),
    Field("authFactorToken", str),
    Field("allowTakendown", bool),
)
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

Answer = Mapping[str, object]


class Methods:
    """The answers out of *world*; documents come from *directory*."""

    def __init__(self, world: World, directory: Directory) -> None:
        self._world = world
        self._directory = directory

    def table(self) -> Mapping[str, Method]:
        """Every method by its name in the path."""
        return {
            name: Method(verb, partial(answer, self), authorized)
            for name, (verb, answer, authorized) in METHODS.items()
        }

    async def create_session(self, request: Request) -> Answer:
        """Log in with a password: the account's main one or an app password."""
        login = await body.read(request, _LOGIN)
        # counted as JavaScript counts, in UTF-16 units
        if len(login["password"].encode("utf-16-le", "surrogatepass")) > 2 * LONGEST_PASSWORD:
            raise AuthenticationRequired("Password too long. Consider resetting your password.")
        try:
            account, tokens = self._world.log_in(
                login["identifier"],
                login["password"],
                allow_takendown=login.get("allowTakendown", False),
            )
        finally:
            # a refused login takes as long as a good one, so that timing tells nothing
            await asyncio.sleep(self._world.login_wait)
        return self._session(account, tokens)

    async def refresh_session(self, request: Request) -> Answer:
        """Trade a refresh token for the next pair."""
        token = _bearer(request)
        body.refuse(request)
        account, tokens = self._world.refresh(unveiled(token))
        # a session that was opened without JWTs goes on without them
        return self._session(account, tokens if unveiled(token) == token else tokens.veiled())

    async def get_session(self, request: Request) -> Answer:
        """Tell whose access token this is."""
        token = _bearer(request, refused="Unexpected authorization type")
        body.refuse(request)
        return self._session(self._world.read(unveiled(token)))

    async def delete_session(self, request: Request) -> None:
        """End the session of a refresh token."""
        token = _bearer(request)
        body.refuse(request)
        self._world.log_out(unveiled(token))

    async def describe_server(self, request: Request) -> Answer:
        """Tell what kind of server this is."""
        body.refuse(request)
        return {
            "did": SERVER_DID,
            "availableUserDomains": list(OWN_DOMAINS),
            "inviteCodeRequired": False,
            "links": {},
            "contact": {},
        }

    async def resolve_handle(self, request: Request) -> Answer:
        """Tell the DID of an active account here, or what DNS would tell of any other handle."""
        handle = _parameter(request, "handle", HANDLE).lower()
        account = self._world.find(handle)
        if account and account.status is Status.ACTIVE:
            return {"did": account.did}
        did = self._world.ledger.find(handle)
        lives_here = did is not None and self._world.ledger[did].home is self._world.home
        if did is None or (lives_here and handle.endswith(OWN_DOMAINS)):
            raise InvalidRequest("Unable to resolve handle")
        return {"did": did}

    async def get_repo_status(self, request: Request) -> Answer:
        """Tell an account's standing, to anyone."""
        did = _parameter(request, "did", _DID)
        account = self._world.find(did)
        if account is None:
            raise RepoNotFound(f"Could not find repo for DID: {did}")
        status = _standing(account)
        return {"did": did, **status} | ({"rev": account.revision} if status["active"] else {})

    async def get_record(self, request: Request) -> Answer:
        """Tell a record to anyone. The one there is here is where an account shows its name."""
        asked = {name: _parameter(request, name, shape) for name, shape in _RECORD.items()}
        account = self._world.find(asked["repo"])
        if account is None or account.status is not Status.ACTIVE:
            raise InvalidRequest("Could not locate record")
        where = f"at://{account.did}/{asked['collection']}/{asked['rkey']}"
        if not account.display_name or not where.endswith(f"/{_PROFILE}/self"):
            raise RecordNotFound(f"Could not locate record: {where}")
        value = {"$type": _PROFILE, "displayName": account.display_name}
        return {"uri": where, "cid": cid_of(value), "value": value}

    async def health(self, request: Request) -> Answer:
        """Tell that the server runs."""
        return {"version": "sandbox"}

    def _session(self, account: Account, tokens: Tokens | None = None) -> Answer:
        pair = {"accessJwt": tokens.access, "refreshJwt": tokens.refresh} if tokens else {}
        document = self._directory.document(account.did)
        return {
            **pair,
            "did": account.did,
            **({"didDoc": document} if document else {}),
            "handle": account.handle,
            "email": account.email,
            "emailConfirmed": False,
            **_standing(account),
        }


METHODS: Mapping[str, tuple[str, Callable[[Methods, Request], Awaitable[Answer | None]], bool]] = {
    "_health": ("GET", Methods.health, False),
    "com.atproto.identity.resolveHandle": ("GET", Methods.resolve_handle, False),
    "com.atproto.server.createSession": ("POST", Methods.create_session, False),
    "com.atproto.server.deleteSession": ("POST", Methods.delete_session, True),
    "com.atproto.server.describeServer": ("GET", Methods.describe_server, False),
    "com.atproto.server.getSession": ("GET", Methods.get_session, True),
    "com.atproto.server.refreshSession": ("POST", Methods.refresh_session, True),
    "com.atproto.repo.getRecord": ("GET", Methods.get_record, False),
    "com.atproto.sync.getRepoStatus": ("GET", Methods.get_repo_status, False),
}
"""By name: the verb, the answer, and whether a token is asked for."""


def cid_of(value: Mapping[str, object]) -> str:
    """Looks like the real one, and changes with *value*; nobody can verify it."""
    digest = b"\x01\x71\x12\x20" + sha256(json.dumps(value).encode()).digest()
    return "b" + base64.b32encode(digest).decode().lower().rstrip("=")


def _standing(account: Account) -> dict[str, object]:
    if account.status is Status.ACTIVE:
        return {"active": True}
    return {"active": False, "status": account.status.value}


def _bearer(request: Request, *, refused: str | None = None) -> str:
    """The bearer token; another known scheme is *refused* with those words, or as none at all."""
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
    raise InvalidToken(refused) if refused else AuthMissing()


def _parameter(request: Request, name: str, shape: re.Pattern[str]) -> str:
    values = request.query_params.getlist(name)
    if len(values) != 1 or not shape.fullmatch(values[0]):
        # a 400 is meant, but two of the real server's libraries disagree, and it answers this
        raise InternalServerError()
    return values[0]

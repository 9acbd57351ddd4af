"""Bluesky login: an account, its secrets, and a server that may answer anything to them."""

import base64
import json
from typing import Any

import pytest

from service.domain.errors import ServiceError
from service.domain.model import Account, Credentials, Login
from service.platforms.bluesky.adapter import BlueskyPlatform

from .internet import NOW, Internet
from .raw import DEADLINE_SECONDS, Answer, RawServer, respond
from .watch import Watch

HANDLE = "alice.example.com"
DID = "did:plc:aaaabbbbccccddddeeeeffff"
OTHER_DID = "did:plc:zzzzbbbbccccddddeeeeffff"
PASSWORD = "wq5z-7hxn-k2vd-pj4t"
CREDENTIALS = Credentials(handle=HANDLE, appPassword=PASSWORD)
CREATE = "/xrpc/com.atproto.server.createSession"
REFRESHES = "/xrpc/com.atproto.server.refreshSession"
DELETE = "/xrpc/com.atproto.server.deleteSession"
STANDING = "/xrpc/com.atproto.sync.getRepoStatus"


def jwt(claims: object, mark: str) -> str:
    """A token that says *claims* and can be found by *mark*."""
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    parts = (b'{"alg":"HS256"}', raw, mark.encode())
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


ACCESS = jwt({"scope": "com.atproto.appPass", "exp": NOW + 7200}, "access Ks93nfQ1")
REFRESH = jwt({"scope": "com.atproto.refresh", "exp": NOW + 7776000}, "refresh Zt74mbR8")
MAIN = jwt({"scope": "com.atproto.access", "exp": NOW + 7200}, "access Ks93nfQ1")


def session(**fields: object) -> dict[str, Any]:
    """What a login answers, with other *fields*; one that is `...` is left out."""
    answer = {"accessJwt": ACCESS, "refreshJwt": REFRESH, "did": DID, "handle": HANDLE, **fields}
    return {name: value for name, value in answer.items() if value is not ...}


def xrpc(status: int, error: object, **headers: str) -> bytes:
    """A refusal as XRPC words it."""
    return respond({"error": error, "message": f"{error}: no"}, status, **headers)


class LyingBluesky:
    """The adapter, and the account's server, which is trusted and answers what a test says."""

    def __init__(self, internet: Internet, server: RawServer) -> None:
        self.server = server
        self.tasks = internet.tasks
        self.platform = BlueskyPlatform(internet.context(trusted=(server.origin,)))
        self.account = Account(DID, HANDLE, server.origin)
        server.on(DELETE, respond(b""))

    async def log_in(self, *answers: Answer, is_proof: bool = False) -> Login:
        """A login that the server answers so; exactly one is spent, with any result.

        *is_proof*: one that proves a stored password, rather than one that connects.
        """
        self.server.on(CREATE, *answers)
        before = self.server.times(CREATE)
        try:
            if is_proof:
                return await self.platform.log_in_again(PASSWORD, self.account)
            return await self.platform.log_in(CREDENTIALS, self.account)
        finally:
            assert self.server.times(CREATE) == before + 1

    @property
    def ended(self) -> list[str]:
        """What sessions were ended with."""
        return [
            value
            for request in self.server.requests
            if request.path == DELETE
            for value in request.values("authorization")
        ]


async def refused(
    bluesky: LyingBluesky, watch: Watch, *answers: Answer, is_proof: bool = False
) -> ServiceError:
    """The error of `log_in`, once it has left no work; nothing visible holds a
    secret."""
    with pytest.raises(ServiceError) as caught:
        await bluesky.log_in(*answers, is_proof=is_proof)
    assert await bluesky.tasks.drain(DEADLINE_SECONDS) == 0
    assert watch.finds([PASSWORD, ACCESS, MAIN, REFRESH], caught.value) == []
    return caught.value

"""Caller: a client of the sandbox for logins and sessions, and the errors that it may receive."""

import base64
import json
from typing import Any

import httpx

SESSION = "/xrpc/com.atproto.server."
APP_PASSWORD = "abcd-efgh-ijkl-mnop"
MAIN_PASSWORD = "correct-horse-battery"


class Caller:
    """A client of the sandbox for logins and sessions."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def log_in(
        self, identifier: str, password: str = APP_PASSWORD, **more: Any
    ) -> httpx.Response:
        body = {"identifier": identifier, "password": password, **more}
        return await self.http.post(f"{SESSION}createSession", json=body)

    async def session(self, identifier: str, password: str = APP_PASSWORD) -> dict[str, Any]:
        answer = await self.log_in(identifier, password)
        assert answer.status_code == 200
        return dict(answer.json())

    async def refresh(self, session: dict[str, Any]) -> httpx.Response:
        return await self.http.post(f"{SESSION}refreshSession", headers=bearer(session, "refresh"))

    async def delete(self, session: dict[str, Any]) -> httpx.Response:
        return await self.http.post(f"{SESSION}deleteSession", headers=bearer(session, "refresh"))

    async def read(self, session: dict[str, Any]) -> httpx.Response:
        return await self.http.get(f"{SESSION}getSession", headers=bearer(session, "access"))

    async def resolve(self, handle: str) -> httpx.Response:
        path = "/xrpc/com.atproto.identity.resolveHandle"
        return await self.http.get(path, params={"handle": handle})

    async def repo_status(self, did: str) -> httpx.Response:
        return await self.http.get("/xrpc/com.atproto.sync.getRepoStatus", params={"did": did})

    async def document(self, did: str) -> httpx.Response:
        return await self.http.get(f"/{did}")


def bearer(session: dict[str, Any], kind: str) -> dict[str, str]:
    return {"authorization": f"Bearer {session[f'{kind}Jwt']}"}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Return status, error name and message; assert that the body has nothing else."""
    body = answer.json()
    assert list(body) == ["error", "message"]
    return answer.status_code, body["error"], body["message"]


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a JWT."""
    header, claims, _ = token.split(".")
    return (
        json.loads(base64.urlsafe_b64decode(header + "==")),
        json.loads(base64.urlsafe_b64decode(claims + "==")),
    )


INVALID_LOGIN = (401, "AuthenticationRequired", "Invalid identifier or password")
TAKEN_DOWN = (401, "AccountTakedown", "Account has been taken down")
REVOKED = (400, "ExpiredToken", "Token has been revoked")
EXPIRED = (400, "ExpiredToken", "Token has expired")
UNVERIFIED = (400, "InvalidToken", "Token could not be verified")
UNRESOLVED = (400, "InvalidRequest", "Unable to resolve handle")


def client(origin: str) -> httpx.AsyncClient:
    # no verification: loading the system's roots takes longer than a test
    return httpx.AsyncClient(base_url=origin, verify=False, trust_env=False)

"""Sessions: logins that can be refreshed.

Tokens are signed with a constant secret, so tokens of an earlier process stay valid unless the app
password was revoked since. For that, the id of a refresh token contains a hash of the app
password's name; it looks as random as the real server's.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.sandbox.accounts import Account, AppPassword
from service.sandbox.refusals import ExpiredToken, InvalidToken
from service.sandbox.tokens import ACCESS, REFRESH, Tokens, sign, verify

SERVER_DID = "did:web:localhost"

ACCESS_SECONDS = 120 * 60
REFRESH_SECONDS = 90 * 24 * 3600
REFRESH_GRACE_SECONDS = 2 * 3600

ACCESS_SCOPE = "com.atproto.access"
APP_SCOPE = "com.atproto.appPass"
PRIVILEGED_SCOPE = "com.atproto.appPassPrivileged"
REFRESH_SCOPE = "com.atproto.refresh"
TAKENDOWN_SCOPE = "com.atproto.takendown"


@dataclass(slots=True)
class Session:
    """The state of one refresh token."""

    did: str
    app_password: str | None
    expires_at: float
    next_id: str | None = None


class Sessions:
    """The refresh tokens of one world. *now* returns seconds since 1970."""

    def __init__(self, secret: bytes, now: Callable[[], float]) -> None:
        self._secret = secret
        self._now = now
        self._open: dict[str, Session] = {}
        self._closed: set[str] = set()
        self._revoked: set[tuple[str, str | None]] = set()

    def open(self, account: Account, app_password: AppPassword | None) -> Tokens:
        """Open a session of *account*, with an app password or (None) the main password."""
        name = app_password.name if app_password else None
        token_id = self._new_id(account.did, name)
        if account.taken_down:
            # it shows the owner that the account exists; it can be neither used nor refreshed
            self._closed.add(token_id)
            return self._tokens(account.did, TAKENDOWN_SCOPE, token_id)
        self._remember(token_id, account.did, name)
        return self._tokens(account.did, _scope(app_password), token_id)

    def rotate(self, claims: Mapping[str, Any], account: Account) -> Tokens:
        """Return the successors of the refresh token with *claims*; raise ExpiredToken.

        The old token stays valid for two hours and always has the same successor.
        """
        session = self._find(claims, account)
        now = self._now()
        if session is None or session.expires_at <= now:
            raise ExpiredToken("Token has been revoked")
        session.expires_at = min(session.expires_at, now + REFRESH_GRACE_SECONDS)
        session.next_id = session.next_id or self._new_id(session.did, session.app_password)
        self._remember(session.next_id, session.did, session.app_password)
        app_password = account.app_passwords.get(session.app_password or "")
        return self._tokens(session.did, _scope(app_password), session.next_id)

    def close(self, token_id: str) -> None:
        """Revoke a refresh token. Its predecessor can restore it, as with the real server."""
        self._open.pop(token_id, None)
        self._closed.add(token_id)

    def close_all(self, did: str, app_password: str | None = None) -> None:
        """End the sessions of *did*: those of one app password, or all."""
        self._revoked.add((did, app_password))
        for token_id, session in list(self._open.items()):
            if session.did == did and app_password in (None, session.app_password):
                self.close(token_id)

    def read_access(self, token: str) -> str:
        """Return the DID of an access token; raise InvalidToken or ExpiredToken."""
        claims = verify(self._secret, token, ACCESS, now=self._now())
        if claims["scope"] not in (ACCESS_SCOPE, APP_SCOPE, PRIVILEGED_SCOPE):
            raise InvalidToken("Bad token scope")
        return str(claims["sub"])

    def read_refresh(self, token: str, *, allow_expired: bool = False) -> dict[str, Any]:
        """Return the claims of a refresh token; raise InvalidToken or ExpiredToken."""
        return verify(self._secret, token, REFRESH, now=self._now(), allow_expired=allow_expired)

    def _find(self, claims: Mapping[str, Any], account: Account) -> Session | None:
        token_id = str(claims["jti"])
        if token_id not in self._open and token_id not in self._closed:
            self._adopt(token_id, account, float(claims["exp"]))
        return self._open.get(token_id)

    def _adopt(self, token_id: str, account: Account, expires_at: float) -> None:
        # a token of an earlier process: every revocation in this process is newer
        nonce = b64decode(token_id + "=")[:16]
        for name in (None, *account.app_passwords):
            revoked = {(account.did, None), (account.did, name)} & self._revoked
            if self._id(nonce, account.did, name) == token_id and not revoked:
                self._open[token_id] = Session(account.did, name, expires_at)

    def _remember(self, token_id: str, did: str, app_password: str | None) -> None:
        # setdefault: to reissue a token does not extend its lifetime
        self._open.setdefault(token_id, Session(did, app_password, self._now() + REFRESH_SECONDS))

    def _new_id(self, did: str, app_password: str | None) -> str:
        return self._id(secrets.token_bytes(16), did, app_password)

    def _id(self, nonce: bytes, did: str, app_password: str | None) -> str:
        digest = hmac.digest(
            self._secret, repr((nonce, did, app_password)).encode(), hashlib.sha256
        )
        return b64encode(nonce + digest[:16]).rstrip(b"=").decode()

    def _tokens(self, did: str, scope: str, token_id: str) -> Tokens:
        now = int(self._now())
        access = {"scope": scope, "aud": SERVER_DID, "sub": did}
        refresh = {"scope": REFRESH_SCOPE, "aud": SERVER_DID, "sub": did, "jti": token_id}
        return Tokens(
            sign(self._secret, ACCESS, {**access, "iat": now, "exp": now + ACCESS_SECONDS}),
            sign(self._secret, REFRESH, {**refresh, "iat": now, "exp": now + REFRESH_SECONDS}),
        )


def _scope(app_password: AppPassword | None) -> str:
    if app_password is None:
        return ACCESS_SCOPE
    return PRIVILEGED_SCOPE if app_password.privileged else APP_SCOPE

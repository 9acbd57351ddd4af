"""Bluesky: accounts joined by handle and app password.

The SDK makes the raw `com.atproto.server.*` calls on our guarded transport, with none of its
session state: its own login would follow redirects and move to whatever server an answer names.
Its errors and models print what they hold, the password included, so none leaves this file.
"""

import asyncio
import base64
import importlib
import json
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

import structlog

from service.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.model import (
    SECOND,
    Account,
    AuthMethod,
    CredentialFault,
    CredentialField,
    Credentials,
    Login,
    Micros,
    PlatformCard,
    Session,
)
from service.platforms.egress import OneOrigin, Origin
from service.platforms.handles import is_handle, tidy_handle
from service.platforms.identity import Identity, NoSuchAccount
from service.platforms.names import NameNotFound
from service.platforms.outside import Outside

APP_PASSWORD = re.compile(r"[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}", re.ASCII)
"""Looser than Bluesky's own `[a-z2-7]`: other server software may use other letters."""
MAIN_PASSWORD_SCOPE = "com.atproto.access"  # noqa: S105 - a scope's name
TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
OPAQUE_TOKEN_LIFE = 30 * 60 * SECOND
LATEST_EXPIRY = 253_402_300_799
"""The end of the year 9999, in seconds: no Timestamp tells a later one."""
LOG_OUT_SECONDS = 2.0
"""What ending a refused session may take: a server that hangs must not cost the verdict."""
LONGEST_PAUSE = 24 * 3600.0
USUAL_PAUSE = 60.0
LONGEST_DISPLAY_NAME = 640
HELP_URL = "https://bsky.app/settings/app-passwords"

CARD = PlatformCard(
    "bluesky",
    "Bluesky",
    AuthMethod.CREDENTIALS,
    fields=(
        CredentialField(
            "handle",
            "Bluesky handle",
            placeholder="user.bsky.social",
            pattern=r"^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+"
            r"[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$",
            help="The full handle with its domain: user.bsky.social, or a domain of your own.",
        ),
        CredentialField(
            "appPassword",
            "App password",
            placeholder="xxxx-xxxx-xxxx-xxxx",
            pattern=r"^[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}$",
            secret=True,
            help="For security: this is not your main password, and you can revoke it anytime in "
            "your Bluesky settings.",
        ),
    ),
    help_url=HELP_URL,
    instructions=(
        "Open bsky.app/settings/app-passwords in your Bluesky settings.",
        'Click "Add App Password".',
        "Name it after this app, so that you remember what it is for.",
        "Copy the generated password immediately: it won't be shown again.",
        "Enter your handle, including its domain, and the app password here.",
    ),
)

log = structlog.get_logger()


class BlueskyPlatform:
    """Logs in at the server that the account's own DID document names."""

    card = CARD

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._identity = Identity(outside)
        self._sdk: Any = None

    async def warm_up(self) -> None:
        # in a thread: the SDK takes a second to load, and other calls go on meanwhile
        if self._sdk is None:
            self._sdk = await asyncio.to_thread(_load_sdk)

    def tidy(self, credentials: Credentials) -> Credentials:
        handle = tidy_handle(credentials["handle"])
        if not is_handle(handle, test_names=self._outside.handle_resolver is not None):
            raise _invalid(CredentialFault.MALFORMED_HANDLE)
        app_password = credentials["appPassword"].strip()
        if not APP_PASSWORD.fullmatch(app_password):
            raise _invalid(CredentialFault.MALFORMED_APP_PASSWORD)
        return Credentials(handle=handle, appPassword=app_password)

    async def identify(self, credentials: Credentials) -> Account:
        try:
            account = await self._identity.account(credentials["handle"])
        except NoSuchAccount:
            raise _invalid(CredentialFault.HANDLE_NOT_FOUND) from None
        # a server that may not be reached is refused before the password is near the network
        self._transport(account.origin)
        return account

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        transport = self._transport(account.origin)
        try:
            answer = await (await self._server(transport)).create_session(
                {"identifier": account.account_id, "password": credentials["appPassword"]}
            )
        except Exception as error:
            # from None: what the SDK raises holds the request, and so the password
            self._refuse(error)
        session = self._session(answer.access_jwt, answer.refresh_jwt)
        try:
            if not (TOKEN.fullmatch(answer.access_jwt) and TOKEN.fullmatch(answer.refresh_jwt)):
                raise PlatformUnavailable("wrong_shape", retry_after=None)
            if answer.did != account.account_id:
                raise PlatformUnavailable("another_account", retry_after=None)
            if _claims(session.access_token).get("scope") == MAIN_PASSWORD_SCOPE:
                raise _invalid(CredentialFault.MAIN_PASSWORD)
            if answer.active is False:
                raise AccountInactive(CARD.platform, _status(answer.status))
        except ServiceError:
            await self._end_quietly(session, account.origin)
            raise
        pause_until = self._pause_until(transport.headers)
        return Login(account, session, credentials["appPassword"], pause_until)

    async def display_name(self, account: Account) -> str | None:
        # a public record of the account's own repository
        origin = Origin.parse(account.origin)
        where = {
            "repo": account.account_id,
            "collection": "app.bsky.actor.profile",
            "rkey": "self",
        }
        try:
            answer = await self._outside.egress.get(
                origin,
                "/xrpc/com.atproto.repo.getRecord",
                where,
                trusted=origin in self._outside.account_servers,
            )
        except NameNotFound:
            return None
        return _display_name(answer.content) if answer.status_code == 200 else None

    async def log_out(self, session: Session, origin: str) -> None:
        if not TOKEN.fullmatch(session.refresh_token):
            raise PlatformUnavailable("wrong_shape", retry_after=None)
        try:
            # the refresh token ends the session; an access token is refused here
            await (await self._server(self._transport(origin))).delete_session(
                headers={"authorization": f"Bearer {session.refresh_token}"}
            )
        except Exception as error:
            self._refuse(error)

    async def _end_quietly(self, session: Session, origin: str) -> None:
        try:
            async with asyncio.timeout(LOG_OUT_SECONDS):
                await self.log_out(session, origin)
        except (ServiceError, TimeoutError) as error:
            log.warning("session not ended at the server", why=getattr(error, "why", "timeout"))

    def _transport(self, origin: str) -> OneOrigin:
        parsed = Origin.parse(origin)
        return self._outside.egress.transport(
            parsed, trusted=parsed in self._outside.account_servers
        )

    async def _server(self, transport: OneOrigin) -> Any:
        await self.warm_up()
        request = self._sdk.AsyncRequest(transport=transport, trust_env=False, timeout=None)
        client = self._sdk.AsyncClientRaw(str(transport.origin), request=request)
        return client.com.atproto.server

    def _session(self, access_token: str, refresh_token: str) -> Session:
        """A session of tokens that are opaque: what a JWT says of itself is a hint, no more."""
        expiry = _claims(access_token).get("exp")
        # True is an int, too
        if type(expiry) is int and 0 < expiry <= LATEST_EXPIRY:
            return Session(access_token, refresh_token, expiry * SECOND)
        return Session(access_token, refresh_token, self._outside.clock.now() + OPAQUE_TOKEN_LIFE)

    def _refuse(self, error: Exception) -> NoReturn:
        """Say what a failed call means, by its status and XRPC error and never by class alone."""
        if isinstance(error, ServiceError):
            raise error
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if status is None:
            raise PlatformUnavailable(type(error).__name__) from None
        name = getattr(getattr(response, "content", None), "error", None)
        if status == 401 and name == "AuthenticationRequired":
            raise _invalid(CredentialFault.REJECTED_BY_PLATFORM) from None
        if status == 401 and name == "AuthFactorTokenRequired":
            # asked for main passwords only
            raise _invalid(CredentialFault.MAIN_PASSWORD) from None
        if status == 401 and name == "AccountTakedown":
            raise AccountInactive(CARD.platform, "takendown") from None
        if status == 429:
            pause = self._pause(getattr(response, "headers", {}))
            raise PlatformRateLimited(CARD.platform, CARD.display_name, pause) from None
        raise PlatformUnavailable(f"status_{status}") from None

    def _pause(self, headers: Mapping[str, str]) -> float:
        """How long a 429 asks us to wait, in seconds."""
        reset = _reset(headers)
        if reset is None:
            return USUAL_PAUSE
        return min(max((reset - self._outside.clock.now()) / SECOND, 1.0), LONGEST_PAUSE)

    def _pause_until(self, headers: Mapping[str, str]) -> Micros | None:
        """Until when a login that worked was the last one allowed, if it was."""
        reset = _reset(headers)
        if headers.get("ratelimit-remaining") != "0" or reset is None:
            return None
        return reset if reset > self._outside.clock.now() else None


def _load_sdk() -> Any:
    client = importlib.import_module("atproto_client.client.async_raw")
    request = importlib.import_module("atproto_client.request")
    return SimpleNamespace(AsyncClientRaw=client.AsyncClientRaw, AsyncRequest=request.AsyncRequest)


def _invalid(cause: CredentialFault) -> InvalidCredentials:
    return InvalidCredentials(CARD.platform, CARD.display_name, cause, help_url=HELP_URL)


def _reset(headers: Mapping[str, str]) -> Micros | None:
    reset = headers.get("ratelimit-reset", "")
    return int(reset) * SECOND if re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII) else None


def _display_name(record: bytes) -> str | None:
    try:
        name = json.loads(record)["value"]["displayName"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(name, str):
        return None
    shown = "".join(character for character in name if character.isprintable()).strip()
    return shown[:LONGEST_DISPLAY_NAME] or None


def _status(told: object) -> str:
    known = ("deactivated", "suspended", "takendown", "deleted")
    return told if isinstance(told, str) and told in known else "inactive"


def _claims(token: str) -> Mapping[str, Any]:
    """What a JWT says, unverified; nothing, where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}

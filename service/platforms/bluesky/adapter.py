"""Bluesky: the adapter for accounts with a handle and an app password.

The SDK makes the raw `com.atproto.server.*` calls on our guarded transport, without its session
state: its own login follows redirects and moves to the server that an answer names. Its models
reject fields that we do not use, and its errors print the password. So this module reads the raw
answers, and no object of the SDK leaves it.
"""

import asyncio
import importlib
import json
import re
from types import SimpleNamespace
from typing import Any

import httpx

from service.domain.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.domain.logout import end_session
from service.domain.model import (
    Account,
    AccountStatus,
    Credentials,
    InvalidCredentialsCause,
    Lease,
    Login,
    PlatformUnavailableCause,
    PlatformUnavailableStep,
    Refreshed,
    Session,
)
from service.domain.steps import at_step
from service.platforms.bluesky import answers
from service.platforms.bluesky.answers import XrpcAnswer
from service.platforms.bluesky.card import CARD
from service.platforms.bluesky.handles import is_handle, tidy_handle
from service.platforms.bluesky.identity import Identity, NoSuchAccount
from service.platforms.bluesky.tokens import is_usable
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.egress import Answer
from service.platforms.egress.origin import Origin
from service.platforms.egress.transport import OriginTransport
from service.platforms.limits import pause_until
from service.platforms.typed import without_marks
from service.platforms.unavailable import unexpected

APP_PASSWORD = re.compile(r"[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}", re.ASCII)
"""Wider than Bluesky's own `[a-z2-7]`: other servers may use other letters."""
CREATE_SESSION = "com.atproto.server.createSession"
REFRESH_SESSION = "com.atproto.server.refreshSession"
DELETE_SESSION = "com.atproto.server.deleteSession"
BLUESKY_SERVER = re.compile(
    r"https://(bsky\.social|[a-z0-9-]+(\.[a-z0-9-]+)*\.host\.bsky\.network)", re.ASCII
)
"""Bluesky's own servers. The entryway accepts logins for all of them."""


class BlueskyPlatform:
    """Logs in at the server that the account's DID document names."""

    card = CARD

    def __init__(self, context: EgressContext) -> None:
        self._context = context
        self._identity = Identity(context)
        self._sdk: Any = None
        self._loading = asyncio.Lock()

    async def warm_up(self) -> None:
        if self._sdk is not None:
            return
        async with self._loading:  # concurrent callers share one load
            if self._sdk is None:
                # in a thread: the SDK takes a second to load
                self._sdk = await asyncio.to_thread(_load_sdk)

    def tidy(self, credentials: Credentials) -> Credentials:
        handle = self._tidy_handle(credentials["handle"])
        app_password = without_marks(credentials["appPassword"])
        if not APP_PASSWORD.fullmatch(app_password):
            raise InvalidCredentials.malformed(CARD, "appPassword")
        return Credentials(handle=handle, appPassword=app_password)

    def _tidy_handle(self, typed: str) -> str:
        handle = tidy_handle(typed)
        if not is_handle(handle, test_names=self._context.handle_resolver is not None):
            raise InvalidCredentials.malformed(CARD, "handle")
        return handle

    def asked_host(self, credentials: Credentials) -> str:
        return credentials["handle"]

    async def knows_handle(self, handle: str) -> bool:
        try:
            await self._identity.account(self._tidy_handle(handle))
        except NoSuchAccount:
            return False
        return True

    async def identify(self, credentials: Credentials) -> Account:
        try:
            account = await self._identity.account(credentials["handle"])
        except NoSuchAccount:
            raise InvalidCredentials(CARD, InvalidCredentialsCause.HANDLE_NOT_FOUND) from None
        # reject a forbidden server before the password is sent anywhere
        self._transport(account.origin)
        return account

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        return await self._log_in(credentials["appPassword"], account, is_proof=False)

    async def log_in_again(self, secret: str, account: Account) -> Login:
        return await self._log_in(secret, account, is_proof=True)

    async def _log_in(self, secret: str, account: Account, *, is_proof: bool) -> Login:
        body = {"identifier": account.account_id, "password": secret}
        with at_step(PlatformUnavailableStep.SERVER):
            answer = await self._call(account.origin, CREATE_SESSION, body=body)
            now = self._context.clock.now()
            pause = pause_until(answer.headers, now)
            try:
                session = answers.login_session(answer, account.account_id, now, is_proof=is_proof)
            except ServiceError as error:
                error.pause_until = max(filter(None, (pause, error.pause_until)), default=None)
                for unwanted in answers.opened_sessions(answer):
                    self._end_later(unwanted, account.origin)
                raise
        return Login(account, session, secret, pause, answers.reported_username(answer))

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        with at_step(PlatformUnavailableStep.SERVER):
            answer = await self._call(account.origin, REFRESH_SESSION, token=session.refresh_token)
            try:
                return answers.refreshed(answer, account.account_id, self._context.clock.now())
            except ServiceError:
                # End a session of another account. Keep an unreadable one of this account: it is
                # the successor of the stored session, so ending it ends the stored session too.
                if answers.is_of_another_account(answer, account.account_id):
                    for unwanted in answers.opened_sessions(answer):
                        if unwanted.refresh_token != session.refresh_token:
                            self._end_later(unwanted, account.origin)
                raise

    async def resolve_account(self, account: Account) -> Account:
        return await self._identity.resolve_account(account)

    async def account_status(self, account: Account) -> AccountStatus:
        params = {"did": account.account_id}
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                answer = XrpcAnswer.of(
                    await self._get(account, "com.atproto.sync.getRepoStatus", params)
                )
            except PlatformUnavailable as error:
                # an answer that cannot be read is an answer; one that was cut off is not
                if (
                    error.cause is PlatformUnavailableCause.UNEXPECTED_ANSWER
                    and error.retry_after is None
                ):
                    return AccountStatus.UNKNOWN
                raise
            if answer.is_rate_limit:
                answers.raise_status(answer, self._context.clock.now())
            return answers.account_status(answer, account.account_id)

    def may_share_credentials(self, origin: str, other: str) -> bool:
        return origin == other or bool(
            BLUESKY_SERVER.fullmatch(origin) and BLUESKY_SERVER.fullmatch(other)
        )

    async def display_name(self, account: Account) -> str | None:
        # a public record of the account's own repository
        answer = await self._get(
            account,
            "com.atproto.repo.getRecord",
            {"repo": account.account_id, "collection": "app.bsky.actor.profile", "rkey": "self"},
        )
        return answers.display_name(answer.content) if answer.status_code == 200 else None

    def lend(self, session: Session, account: Account) -> Lease:
        token = session.access_token
        return Lease(token, f"Bearer {token}", account, account.origin, session.expires_at)

    async def log_out(self, session: Session, account: Account) -> None:
        origin = account.origin
        # most servers expect the refresh token here; others the access token
        answer = await self._call(origin, DELETE_SESSION, token=session.refresh_token)
        if answers.wants_access_token(answer) and is_usable(session.access_token):
            answer = await self._call(origin, DELETE_SESSION, token=session.access_token)
        answers.check_logged_out(answer, self._context.clock.now())

    def _end_later(self, session: Session, origin: str) -> None:
        """End a session in the background: a server that hangs delays no verdict."""
        self._context.spawn(end_session(self, session, Account("", "", origin)))

    async def _get(self, account: Account, method: str, params: dict[str, str]) -> Answer:
        """Call a method of the account's server without authentication."""
        origin = Origin.parse(account.origin)
        try:
            return await self._context.egress.get(
                origin,
                f"/xrpc/{method}",
                params,
                trusted=origin in self._context.account_servers,
            )
        except NameNotFound as error:
            answers.raise_call(error)

    def _transport(self, origin: str) -> OriginTransport:
        parsed = Origin.parse(origin)
        with at_step(PlatformUnavailableStep.SERVER):
            return self._context.egress.transport(
                parsed, trusted=parsed in self._context.account_servers
            )

    async def _call(
        self, origin: str, method: str, *, token: str = "", body: dict[str, str] | None = None
    ) -> XrpcAnswer:
        """Return the answer of an account's server, with any status.

        Raises PlatformUnavailable if no answer arrives, or *token* cannot be sent in a header.
        """
        content, headers = None, {}
        if body is not None:
            content, headers = json.dumps(body), {"content-type": "application/json"}
        elif is_usable(token):
            headers = {"authorization": f"Bearer {token}"}
        else:
            raise unexpected("wrong_shape")
        await self.warm_up()
        kept = _KeptAnswer(self._transport(origin))
        request = self._sdk.AsyncRequest(transport=kept, trust_env=False, timeout=None)
        client = self._sdk.AsyncClientRaw(str(kept.origin), request=request)
        try:
            await client.invoke_procedure(method, content=content, headers=headers)
        except BaseException as error:
            # ignore the SDK's errors about an answer that did arrive
            if kept.answer is None and method == CREATE_SESSION:
                # the part of the answer that did arrive may contain a session
                for unwanted in answers.opened_sessions(kept.part):
                    self._end_later(unwanted, origin)
            if not isinstance(error, Exception):
                raise
            if kept.answer is None:
                answers.raise_call(error)
        assert kept.answer is not None, "a call that returns has been answered"
        return kept.answer


class _KeptAnswer(httpx.AsyncBaseTransport):
    """Keeps the raw answer, before the SDK parses it."""

    def __init__(self, transport: OriginTransport) -> None:
        self.origin = transport.origin
        self.answer: XrpcAnswer | None = None
        self._transport = transport

    @property
    def part(self) -> XrpcAnswer:
        """The part of an answer that has arrived."""
        return XrpcAnswer(
            self._transport.received.status, httpx.Headers(), bytes(self._transport.received.body)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        self.answer = XrpcAnswer.of(response)
        return response


def _load_sdk() -> Any:
    client = importlib.import_module("atproto_client.client.async_raw")
    request = importlib.import_module("atproto_client.request")
    return SimpleNamespace(AsyncClientRaw=client.AsyncClientRaw, AsyncRequest=request.AsyncRequest)

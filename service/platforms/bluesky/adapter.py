"""Bluesky: accounts joined by handle and app password.

The SDK makes the raw `com.atproto.server.*` calls on our guarded transport, with none of its
session state: its own login would follow redirects and move to whatever server an answer names.
Its models judge fields that we do not use, and its errors print what they hold, the password
included. So answers are judged as they came, and nothing else of the SDK leaves this file.
"""

import asyncio
import importlib
import json
import re
from types import SimpleNamespace
from typing import Any

import httpx

from service.domain.errors import PlatformUnavailable, ServiceError
from service.domain.logout import end_session
from service.domain.model import (
    Account,
    AccountStatus,
    Credentials,
    InvalidCredentialsCause,
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
from service.platforms.bluesky.limits import pause_until
from service.platforms.bluesky.tokens import is_usable
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.egress import Answer, OneOrigin
from service.platforms.egress.origin import Origin

APP_PASSWORD = re.compile(r"[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}", re.ASCII)
"""Looser than Bluesky's own `[a-z2-7]`: other server software may use other letters."""
CREATE_SESSION = "com.atproto.server.createSession"
REFRESH_SESSION = "com.atproto.server.refreshSession"
DELETE_SESSION = "com.atproto.server.deleteSession"
HOUSE = re.compile(
    r"https://(bsky\.social|[a-z0-9-]+(\.[a-z0-9-]+)*\.host\.bsky\.network)", re.ASCII
)
"""Bluesky's own servers: the entryway takes logins for all the others."""


class BlueskyPlatform:
    """Logs in at the server that the account's own DID document names."""

    card = CARD

    def __init__(self, outside: EgressContext) -> None:
        self._outside = outside
        self._identity = Identity(outside)
        self._sdk: Any = None
        self._loading = asyncio.Lock()

    async def warm_up(self) -> None:
        if self._sdk is not None:
            return
        async with self._loading:  # and not in as many threads as there are who wait for it
            if self._sdk is None:
                # in a thread: the SDK takes a second to load, and other calls go on meanwhile
                self._sdk = await asyncio.to_thread(_load_sdk)

    def tidy(self, credentials: Credentials) -> Credentials:
        handle = tidy_handle(credentials["handle"])
        if not is_handle(handle, test_names=self._outside.handle_resolver is not None):
            raise answers.invalid(InvalidCredentialsCause.MALFORMED_HANDLE)
        app_password = credentials["appPassword"].strip()
        if not APP_PASSWORD.fullmatch(app_password):
            raise answers.invalid(InvalidCredentialsCause.MALFORMED_APP_PASSWORD)
        return Credentials(handle=handle, appPassword=app_password)

    def asked_host(self, credentials: Credentials) -> str:
        # the last two labels: any number of names below them may lead to the same servers. Where
        # the public can register names below two labels, they share a budget; tenants that ask
        # little pass all the same
        return ".".join(credentials["handle"].split(".")[-2:])

    async def identify(self, credentials: Credentials) -> Account:
        try:
            account = await self._identity.account(credentials["handle"])
        except NoSuchAccount:
            raise answers.invalid(InvalidCredentialsCause.HANDLE_NOT_FOUND) from None
        # a server that may not be reached is refused before the password is near the network
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
            now = self._outside.clock.now()
            pause = pause_until(answer.headers, now)
            try:
                session = answers.login(answer, account.account_id, now, is_proof=is_proof)
            except ServiceError as error:
                error.pause_until = max(filter(None, (pause, error.pause_until)), default=None)
                for opened in answers.opened(answer):
                    self._end_later(opened, account.origin)
                raise
        return Login(account, session, secret, pause, answers.username(answer))

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        with at_step(PlatformUnavailableStep.SERVER):
            answer = await self._call(account.origin, REFRESH_SESSION, token=session.refresh_token)
            try:
                return answers.refreshed(answer, account.account_id, self._outside.clock.now())
            except ServiceError:
                # Another account's session is nothing that we keep. One of this account that we
                # cannot read stays: it is the next step of the stored session, whose token is asked
                # for it again. To end it would end the stored session, too.
                if answers.is_of_another_account(answer, account.account_id):
                    for opened in answers.opened(answer):
                        if opened.refresh_token != session.refresh_token:
                            self._end_later(opened, account.origin)
                raise

    async def resolve_account(self, account: Account) -> Account:
        return await self._identity.as_named(account)

    async def account_status(self, account: Account) -> AccountStatus:
        question = {"did": account.account_id}
        with at_step(PlatformUnavailableStep.SERVER):
            try:
                answer = XrpcAnswer.of(
                    await self._ask(account, "com.atproto.sync.getRepoStatus", question)
                )
            except PlatformUnavailable as error:
                # one that was cut off is no answer; others are, though they cannot be taken
                if (
                    error.cause is PlatformUnavailableCause.UNEXPECTED_ANSWER
                    and error.retry_after is None
                ):
                    return AccountStatus.UNKNOWN
                raise
            if answer.is_limit:
                answers.refuse_status(answer, self._outside.clock.now())
            return answers.account_status(answer, account.account_id)

    def may_share_credentials(self, origin: str, other: str) -> bool:
        return origin == other or bool(HOUSE.fullmatch(origin) and HOUSE.fullmatch(other))

    async def display_name(self, account: Account) -> str | None:
        # a public record of the account's own repository
        answer = await self._ask(
            account,
            "com.atproto.repo.getRecord",
            {"repo": account.account_id, "collection": "app.bsky.actor.profile", "rkey": "self"},
        )
        return answers.display_name(answer.content) if answer.status_code == 200 else None

    async def log_out(self, session: Session, origin: str) -> None:
        # the refresh token ends the session at most servers; at others, the access token does
        answer = await self._call(origin, DELETE_SESSION, token=session.refresh_token)
        if answers.wants_access_token(answer) and is_usable(session.access_token):
            answer = await self._call(origin, DELETE_SESSION, token=session.access_token)
        answers.check_logged_out(answer, self._outside.clock.now())

    def _end_later(self, session: Session, origin: str) -> None:
        """End a session in the background: a server that hangs delays no verdict."""
        self._outside.leave(end_session(self, session, origin))

    async def _ask(self, account: Account, method: str, question: dict[str, str]) -> Answer:
        """What the account's server answers anybody."""
        origin = Origin.parse(account.origin)
        try:
            return await self._outside.egress.get(
                origin,
                f"/xrpc/{method}",
                question,
                trusted=origin in self._outside.account_servers,
            )
        except NameNotFound as error:
            answers.refuse_call(error)

    def _transport(self, origin: str) -> OneOrigin:
        parsed = Origin.parse(origin)
        with at_step(PlatformUnavailableStep.SERVER):
            return self._outside.egress.transport(
                parsed, trusted=parsed in self._outside.account_servers
            )

    async def _call(
        self, origin: str, method: str, *, token: str = "", body: dict[str, str] | None = None
    ) -> XrpcAnswer:
        """The answer of an account's server, whatever it is.

        Raises PlatformUnavailable where none came, or *token* cannot be sent.
        """
        content, headers = None, {}
        if body is not None:
            content, headers = json.dumps(body), {"content-type": "application/json"}
        elif is_usable(token):
            headers = {"authorization": f"Bearer {token}"}
        else:
            raise PlatformUnavailable(
                PlatformUnavailableCause.UNEXPECTED_ANSWER, "wrong_shape", retry_after=None
            )
        await self.warm_up()
        kept = _KeptAnswer(self._transport(origin))
        request = self._sdk.AsyncRequest(transport=kept, trust_env=False, timeout=None)
        client = self._sdk.AsyncClientRaw(str(kept.origin), request=request)
        try:
            await client.invoke_procedure(method, content=content, headers=headers)
        except BaseException as error:
            # what the SDK makes of an answer that came is of no account
            if kept.answer is None and method == CREATE_SESSION:
                # it was cut off, or is too large: what has come of it may hold the session
                for opened in answers.opened(kept.part):
                    self._end_later(opened, origin)
            if not isinstance(error, Exception):
                raise
            if kept.answer is None:
                answers.refuse_call(error)
        assert kept.answer is not None, "a call that returns has been answered"
        return kept.answer


class _KeptAnswer(httpx.AsyncBaseTransport):
    """Keeps the answer as it came, before the SDK reads it."""

    def __init__(self, transport: OneOrigin) -> None:
        self.origin = transport.origin
        self.answer: XrpcAnswer | None = None
        self._transport = transport

    @property
    def part(self) -> XrpcAnswer:
        """What has come of an answer so far."""
        return XrpcAnswer(self._transport.status, httpx.Headers(), bytes(self._transport.body))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        self.answer = XrpcAnswer.of(response)
        return response


def _load_sdk() -> Any:
    client = importlib.import_module("atproto_client.client.async_raw")
    request = importlib.import_module("atproto_client.request")
    return SimpleNamespace(AsyncClientRaw=client.AsyncClientRaw, AsyncRequest=request.AsyncRequest)

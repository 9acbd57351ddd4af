"""Bluesky: accounts joined by handle and app password.

The SDK makes the raw `com.atproto.server.*` calls on our guarded transport, with none of its
session state: its own login would follow redirects and move to whatever server an answer names.
Its errors and models print what they hold, the password included, so none leaves this file.
"""

import asyncio
import importlib
import re
from types import SimpleNamespace
from typing import Any

import structlog

from service.errors import PlatformUnavailable, ServiceError
from service.model import (
    Account,
    CredentialFault,
    Credentials,
    Login,
    PlatformFault,
    PlatformStep,
    Refreshed,
    Session,
    Standing,
)
from service.platforms import bluesky_answers as answers
from service.platforms.bluesky_card import CARD
from service.platforms.egress import Answer, OneOrigin, Origin
from service.platforms.handles import is_handle, tidy_handle
from service.platforms.identity import Identity, NoSuchAccount
from service.platforms.names import NameNotFound
from service.platforms.outside import Outside
from service.steps import at_step

APP_PASSWORD = re.compile(r"[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}", re.ASCII)
"""Looser than Bluesky's own `[a-z2-7]`: other server software may use other letters."""
MAIN_PASSWORD_SCOPE = "com.atproto.access"  # noqa: S105 - a scope's name
LOG_OUT_SECONDS = 5.0
"""What ending a refused session may take, while nobody waits for it."""
HOUSE = re.compile(
    r"https://(bsky\.social|[a-z0-9-]+(\.[a-z0-9-]+)*\.host\.bsky\.network)", re.ASCII
)
"""Bluesky's own servers: the entryway takes logins for all the others."""

log = structlog.get_logger()


class BlueskyPlatform:
    """Logs in at the server that the account's own DID document names."""

    card = CARD

    def __init__(self, outside: Outside) -> None:
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
            raise answers.invalid(CredentialFault.MALFORMED_HANDLE)
        app_password = credentials["appPassword"].strip()
        if not APP_PASSWORD.fullmatch(app_password):
            raise answers.invalid(CredentialFault.MALFORMED_APP_PASSWORD)
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
            raise answers.invalid(CredentialFault.HANDLE_NOT_FOUND) from None
        # a server that may not be reached is refused before the password is near the network
        self._transport(account.origin)
        return account

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        return await self.log_in_again(credentials["appPassword"], account)

    async def log_in_again(self, secret: str, account: Account) -> Login:
        transport = self._transport(account.origin)
        try:
            with at_step(PlatformStep.SERVER):
                return await self._logged_in(secret, account, transport)
        except ServiceError as error:
            now = self._outside.clock.now()
            error.pause_until = answers.pause_until(transport.headers, now)
            raise

    async def _logged_in(self, secret: str, account: Account, transport: OneOrigin) -> Login:
        try:
            answer = await (await self._server(transport)).create_session(
                {"identifier": account.account_id, "password": secret}
            )
        except Exception as error:
            # from None: what the SDK raises holds the request, and so the password
            answers.refuse(error, self._outside.clock.now())
        now = self._outside.clock.now()
        session = answers.session(answer.access_jwt, answer.refresh_jwt, now)
        try:
            answers.check_shape(session)
            if answer.did != account.account_id:
                raise PlatformUnavailable(
                    PlatformFault.UNEXPECTED_ANSWER, "another_account", retry_after=None
                )
            if answers.claims(session.access_token).get("scope") == MAIN_PASSWORD_SCOPE:
                raise answers.invalid(CredentialFault.MAIN_PASSWORD)
            if answer.active is False:
                raise answers.inactive(answers.inactive_status(answer.status))
        except ServiceError:
            # not waited for: a server that hangs here must not cost the caller the verdict
            self._outside.leave(self._end_quietly(session, account.origin))
            raise
        return Login(account, session, secret, answers.pause_until(transport.headers, now))

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        try:
            answer = await (await self._server(self._transport(account.origin))).refresh_session(
                headers=_bearer(session.refresh_token)
            )
        except Exception as error:
            answers.refuse_refresh(error, self._outside.clock.now())
        following = answers.session(
            answer.access_jwt, answer.refresh_jwt, self._outside.clock.now()
        )
        answers.check_shape(following)
        if answer.did != account.account_id:
            self._outside.leave(self._end_quietly(following, account.origin))
            raise PlatformUnavailable(
                PlatformFault.UNEXPECTED_ANSWER, "another_account", retry_after=None
            )
        status = "" if answer.active is not False else answers.inactive_status(answer.status)
        return Refreshed(following, status)

    async def look_up(self, account: Account) -> Account:
        return await self._identity.as_named(account)

    async def standing(self, account: Account) -> Standing:
        answer = await self._ask(
            account, "com.atproto.sync.getRepoStatus", {"did": account.account_id}
        )
        standing = answers.standing(answer.status_code, answer.content, account.account_id)
        if standing is None:
            answers.refuse_status(answer.status_code, answer.headers, self._outside.clock.now())
        return standing

    def is_one_house(self, origin: str, other: str) -> bool:
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
        if not answers.TOKEN.fullmatch(session.refresh_token):
            raise PlatformUnavailable(
                PlatformFault.UNEXPECTED_ANSWER, "wrong_shape", retry_after=None
            )
        try:
            # the refresh token ends the session; an access token is refused here
            await (await self._server(self._transport(origin))).delete_session(
                headers=_bearer(session.refresh_token)
            )
        except Exception as error:
            answers.refuse(error, self._outside.clock.now())

    async def _end_quietly(self, session: Session, origin: str) -> None:
        try:
            async with asyncio.timeout(LOG_OUT_SECONDS):
                await self.log_out(session, origin)
        except (ServiceError, TimeoutError) as error:
            log.warning("session not ended at the server", why=getattr(error, "why", "timeout"))

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
            answers.refuse(error, self._outside.clock.now())

    def _transport(self, origin: str) -> OneOrigin:
        parsed = Origin.parse(origin)
        with at_step(PlatformStep.SERVER):
            return self._outside.egress.transport(
                parsed, trusted=parsed in self._outside.account_servers
            )

    async def _server(self, transport: OneOrigin) -> Any:
        await self.warm_up()
        request = self._sdk.AsyncRequest(transport=transport, trust_env=False, timeout=None)
        client = self._sdk.AsyncClientRaw(str(transport.origin), request=request)
        return client.com.atproto.server


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _load_sdk() -> Any:
    client = importlib.import_module("atproto_client.client.async_raw")
    request = importlib.import_module("atproto_client.request")
    return SimpleNamespace(AsyncClientRaw=client.AsyncClientRaw, AsyncRequest=request.AsyncRequest)

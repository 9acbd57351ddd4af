"""Connect: a proven login becomes a profile's connection. The heart of the service."""

import asyncio
import re
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field

import structlog

from service.access.api_keys import ApiKeys
from service.access.idempotency import Idempotency, check_key
from service.connections.concurrency import ConcurrencyLimit
from service.connections.logins import Logins
from service.connections.logouts import Logouts
from service.connections.lookup_limits import LookupLimits
from service.connections.schedule import Schedule
from service.connections.timeouts import Timeouts
from service.crypto.vault import Vault
from service.domain.clock import Clock
from service.domain.errors import InvalidRequest, ProfileAlreadyExists, ServiceError
from service.domain.ids import new_profile_key
from service.domain.model import Account, Caller, Connected, Credentials, Login
from service.domain.names import required_platform_id, well_formed_profile_key
from service.domain.platform import CredentialPlatform
from service.domain.records import LoginPurpose, LoginWrite, Purpose, Reservation, SecretAddress
from service.domain.steps import PlatformTime, platform_time
from service.domain.store import Store
from service.platforms.registry import Registry
from service.runtime.tasks import OwnedTasks

DISPLAY_NAME_SECONDS = 5.0
KEY_SECONDS = 2.0
"""The age of what is known of the caller's key when a login is made, and when it is saved."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """*profile_key* None: make a profile. *idempotency_key* empty: none was given."""

    profile_key: str | None
    platform: str
    credentials: Credentials = field(repr=False)
    idempotency_key: str = field(default="", repr=False)


class Connect:
    """Connects profiles to accounts. Only a saved login makes a profile."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        vault: Vault,
        idempotency: Idempotency,
        logins: Logins,
        shares: ConcurrencyLimit,
        schedule: Schedule,
        logouts: Logouts,
        clock: Clock,
        tasks: OwnedTasks,
        access: ApiKeys,
        lookups: LookupLimits,
        timeouts: Timeouts,
    ) -> None:
        self._store = store
        self._registry = registry
        self._vault = vault
        self._idempotency = idempotency
        self._logins = logins
        self._shares = shares
        self._schedule = schedule
        self._logouts = logouts
        self._clock = clock
        self._tasks = tasks
        self._access = access
        self._lookups = lookups
        self.timeouts = timeouts

    async def connect(self, caller: Caller, request: ConnectRequest) -> Connected:
        """Prove the credentials, seal them, and connect the profile to their account.

        What can be refused without the platform is refused first, then what costs no login. The
        same account again replaces the secret in place. Raises ServiceError.
        """
        platform = self._registry.by_credentials(required_platform_id(request.platform))
        _check_fields(platform, request.credentials)
        if request.profile_key == "":
            raise InvalidRequest("profile_key", "must not be empty; leave it out to make a profile")
        check_key(request.idempotency_key)
        if request.profile_key is not None:
            await self._account_of(caller, request)
        credentials = platform.tidy(request.credentials)

        parts = [str(request.profile_key is not None), request.profile_key or "", request.platform]
        parts += [text for item in sorted(credentials.items()) for text in item]
        reservation, reply = await self._idempotency.claim(
            caller, "ConnectProfile", request.idempotency_key, parts
        )
        if reply is not None:
            return Connected(*map(str, reply))
        limit = PlatformTime.of(caller, self.timeouts.connect)
        async with self._idempotency.released_on_failure(reservation):
            with ExitStack() as taken:
                taken.enter_context(self._shares.taken(caller.tenant_id))
                self._lookups.take(caller.tenant_id, platform.asked_host(credentials))
                async with platform_time(limit):
                    account = await platform.identify(credentials)
                connected = request.profile_key and await self._account_of(caller, request)
                if connected and connected != account.account_id:
                    raise ProfileAlreadyExists(request.platform)
                at_server = self._shares.taken_at(caller.tenant_id, account.origin)
                taken.enter_context(at_server)
                share = taken.pop_all()

        async def log_in_and_save() -> Connected:
            async with self._idempotency.released_on_failure(reservation):
                with share:
                    # this goes on although the call has ended, as it does once a key is revoked
                    await self._access.require_valid(caller.key_id, KEY_SECONDS)
                    login = await self._log_in(caller, platform, credentials, account, limit)
                    try:
                        await self._logins.heed(account, login)
                        await self._access.require_valid(caller.key_id, KEY_SECONDS)
                        saved = self._sealed(caller, request, login, reservation)
                        replaced = await self._store.save_login(saved)
                    except BaseException:
                        self._logouts.unsaved(platform, login.session, account.origin)
                        raise
            if replaced is not None:
                self._logouts.later(replaced)
            self._tasks.leave(self._learn_display_name(platform, account, saved.context))
            return Connected(saved.context.profile_key, request.platform, saved.username)

        # goes to its end even if the caller does not wait for it: a login is saved whole, or its
        # session is ended
        return await self._tasks.finish(log_in_and_save())

    async def _log_in(
        self,
        caller: Caller,
        platform: CredentialPlatform,
        credentials: Credentials,
        account: Account,
        limit: PlatformTime,
    ) -> Login:
        async def attempt() -> Login:
            async with platform_time(limit):
                return await platform.log_in(credentials, account)

        return await self._logins.spend(
            caller.tenant_id, platform, account, LoginPurpose.CONNECT, attempt
        )

    def _sealed(
        self,
        caller: Caller,
        request: ConnectRequest,
        login: Login,
        reservation: Reservation | None,
    ) -> LoginWrite:
        context = SecretAddress(
            caller.tenant_id,
            request.profile_key or new_profile_key(),
            request.platform,
            login.account.account_id,
            login.account.origin,
            # drawn, not counted: never met again, and known before the transaction that saves it
            secrets.randbits(63),
        )
        now = self._clock.now()
        return LoginWrite(
            context,
            login.account.username,
            self._vault.seal(login.secret, Purpose.CREDENTIAL, context),
            self._vault.seal_session(login.session, context),
            login.session.expires_at,
            self._schedule.after_proof(now),
            create_profile=request.profile_key is None,
            reservation=reservation,
            at=now,
        )

    async def _account_of(self, caller: Caller, request: ConnectRequest) -> str | None:
        key = well_formed_profile_key(request.profile_key or "")
        return await self._store.connected_account(caller.tenant_id, key, request.platform)

    async def _learn_display_name(
        self, platform: CredentialPlatform, account: Account, context: SecretAddress
    ) -> None:
        try:
            async with asyncio.timeout(DISPLAY_NAME_SECONDS):
                display_name = await platform.display_name(account)
            if display_name:
                await self._store.save_display_name(context, display_name)
        except (ServiceError, TimeoutError) as error:
            log.info("display name not learnt", exception=type(error).__name__)


def _check_fields(platform: CredentialPlatform, credentials: Credentials) -> None:
    known = [credential.name for credential in platform.card.fields]
    for name in known:
        if not credentials.get(name):
            raise InvalidRequest(f"credentials.{snake_case(name)}", "is required")
    for name in credentials:
        if name not in known:
            fault = f"is not a credential of {platform.card.platform}"
            raise InvalidRequest(f"credentials.{snake_case(name)}", fault)


def snake_case(name: str) -> str:
    """A JSON name in the contract's own spelling: `appPassword` as `app_password`."""
    return re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)

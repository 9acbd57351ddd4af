"""Connect: prove credentials, and save them as a profile's connection."""

import asyncio
import secrets
from dataclasses import dataclass, field

import structlog

from service.access.api_keys import ApiKeys
from service.access.idempotency import Idempotency, check_idempotency_key
from service.connections.concurrency import ConcurrencyLimit
from service.connections.logins import Logins
from service.connections.logouts import Logouts
from service.connections.lookup_limits import LookupLimits, domain_of
from service.connections.platform_calls import PlatformCall, PlatformCalls
from service.connections.schedule import Schedule
from service.connections.timeouts import Timeouts
from service.crypto.vault import Vault
from service.domain.clock import Clock
from service.domain.errors import InvalidRequest, ProfileAlreadyExists, ServiceError, snake_case
from service.domain.ids import new_profile_key
from service.domain.model import Account, Caller, Connected, Credentials, Login
from service.domain.names import required_platform_id, well_formed_profile_key
from service.domain.platform import CredentialPlatform, DisplayNames, HandleLookup
from service.domain.records import LoginWrite, Purpose, Reservation, SecretAddress
from service.domain.steps import PlatformDeadline
from service.domain.store import ConnectionStore
from service.platforms.registry import Registry
from service.platforms.unavailable import unexpected
from service.runtime.tasks import OwnedTasks

DISPLAY_NAME_SECONDS = 5.0
MAX_KEY_AGE_SECONDS = 2.0
"""Maximum age of the cached record of the API key, before the login and before its save."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """*profile_key* None: create a profile. *idempotency_key* empty: none was given. *link_id*: the
    connect link that a success uses up, if any."""

    profile_key: str | None
    platform: str
    credentials: Credentials = field(repr=False)
    idempotency_key: str = field(default="", repr=False)
    link_id: str = ""


@dataclass(slots=True)
class _Attempt:
    """A request that passed all local checks.

    *connected_to*: the account that the profile is already connected to, if any. *link_id*: as of
    the request. *is_login_begun*: from then on, the attempt runs to its end even if the call is
    cancelled.
    """

    caller: Caller
    profile_key: str | None
    platform: CredentialPlatform
    credentials: Credentials = field(repr=False)
    connected_to: str | None
    reservation: Reservation | None
    deadline: PlatformDeadline
    link_id: str = ""
    is_login_begun: bool = False


class Connect:
    """Connects profiles to accounts. Creates a profile only together with its connection."""

    def __init__(
        self,
        store: ConnectionStore,
        registry: Registry,
        vault: Vault,
        idempotency: Idempotency,
        logins: Logins,
        concurrency: ConcurrencyLimit,
        schedule: Schedule,
        logouts: Logouts,
        clock: Clock,
        tasks: OwnedTasks,
        api_keys: ApiKeys,
        lookups: LookupLimits,
        timeouts: Timeouts,
        calls: PlatformCalls,
    ) -> None:
        self._calls = calls
        self._store = store
        self._registry = registry
        self._vault = vault
        self._idempotency = idempotency
        self._logins = logins
        self._concurrency = concurrency
        self._schedule = schedule
        self._logouts = logouts
        self._clock = clock
        self._tasks = tasks
        self._api_keys = api_keys
        self._lookups = lookups
        self.timeouts = timeouts

    async def connect(self, caller: Caller, request: ConnectRequest) -> Connected:
        """Prove the credentials, seal them, and connect the profile to their account.

        Checks in this order: the fields, the store, the form of the credentials, the look-up, the
        login. If the profile is connected to the same account, replaces its secret. Raises
        ServiceError.
        """
        platform = self._with_fields(request.platform, request.credentials)
        if request.profile_key == "":
            raise InvalidRequest("profile_key", "must not be empty; leave it out to make a profile")
        check_idempotency_key(request.idempotency_key)
        connected_to = await self._connected_account(caller, request)
        credentials = platform.tidy(request.credentials)

        parts = [str(request.profile_key is not None), request.profile_key or "", request.platform]
        parts += [text for item in sorted(credentials.items()) for text in item]
        reservation, reply = await self._idempotency.claim(
            caller, "ConnectProfile", request.idempotency_key, parts
        )
        if reply is not None:
            return Connected(*map(str, reply[:3]))  # a newer version may have added elements
        deadline = PlatformDeadline.of(caller, self.timeouts.connect)
        attempt = _Attempt(
            caller,
            request.profile_key,
            platform,
            credentials,
            connected_to,
            reservation,
            deadline,
            request.link_id,
        )
        task = self._tasks.start(self._prove_and_commit(attempt))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not attempt.is_login_begun:
                task.cancel()
                await asyncio.wait([task])
            raise

    def check_form(self, platform_id: str, credentials: Credentials) -> None:
        """Raise what `connect` would, if the platform and the form of *credentials* show it."""
        self._with_fields(platform_id, credentials).tidy(credentials)

    async def knows_handle(self, caller: Caller, platform_id: str, handle: str) -> bool | None:
        """Return whether *handle* leads to an account; None where the platform does not say so
        without a login. Raises ServiceError.
        """
        platform = self._registry.by_credentials(required_platform_id(platform_id))
        if not isinstance(platform, HandleLookup):
            return None
        self._lookups.take(caller.tenant_id, domain_of(handle))
        deadline = PlatformDeadline.of(caller, self.timeouts.connect)
        with self._concurrency.slot(caller.tenant_id):
            async with self._calls.within(deadline, platform, PlatformCall.IDENTIFY):
                return await platform.knows_handle(handle)

    def _with_fields(self, platform_id: str, credentials: Credentials) -> CredentialPlatform:
        """Return the platform. Raises InvalidRequest unless *credentials* has its fields."""
        platform = self._registry.by_credentials(required_platform_id(platform_id))
        _check_fields(platform, credentials)
        return platform

    async def _connected_account(self, caller: Caller, request: ConnectRequest) -> str | None:
        if request.profile_key is None:
            return None
        key = well_formed_profile_key(request.profile_key)
        return await self._store.connected_account(caller.tenant_id, key, request.platform)

    async def _prove_and_commit(self, attempt: _Attempt) -> Connected:
        tenant_id = attempt.caller.tenant_id
        async with self._idempotency.released_on_failure(attempt.reservation):
            with self._concurrency.slot(tenant_id):
                account = await self._identify(attempt)
                with self._concurrency.slot_at(tenant_id, account.origin):
                    attempt.is_login_begun = True
                    login = await self._prove(attempt, account)
                    return await self._commit(attempt, login)

    async def _identify(self, attempt: _Attempt) -> Account:
        """Return the account that the credentials name. Spends no login.

        Raises ProfileAlreadyExists if the profile is connected to another account.
        """
        platform = attempt.platform
        domain = domain_of(platform.asked_host(attempt.credentials))
        self._lookups.take(attempt.caller.tenant_id, domain)
        async with self._calls.within(attempt.deadline, platform, PlatformCall.IDENTIFY):
            account = await platform.identify(attempt.credentials)
        is_other = attempt.connected_to not in (None, account.account_id)
        if is_other and not account.is_provisional:
            raise ProfileAlreadyExists(platform.card.platform)
        return account

    async def _prove(self, attempt: _Attempt, account: Account) -> Login:
        """Log in. Raises InvalidApiKey if the API key was revoked since the call began."""
        caller = attempt.caller
        await self._api_keys.require_valid(caller.key_id, MAX_KEY_AGE_SECONDS)
        return await self._logins.log_in(
            caller.tenant_id, attempt.platform, attempt.credentials, account, attempt.deadline
        )

    async def _commit(self, attempt: _Attempt, login: Login) -> Connected:
        """Save the login in one transaction. If that fails, end its session."""
        caller, platform = attempt.caller, attempt.platform
        try:
            account = login.account
            if _repeats_secret(f"{account.account_id} {account.username}", attempt, login):
                raise unexpected("repeats_secret")
            await self._logins.note_pause(login)
            await self._api_keys.require_valid(caller.key_id, MAX_KEY_AGE_SECONDS)
            write = self._sealed(attempt, login)
            # raises ProfileAlreadyExists if another call connected the profile meanwhile
            replaced = await self._store.save_login(write)
        except BaseException:
            self._logouts.unsaved(platform, login.session, login.account)
            raise
        if replaced is not None:
            self._logouts.later(replaced)
        self._tasks.spawn(self._learn_display_name(attempt, login, write.address))
        return Connected(write.address.profile_key, platform.card.platform, write.username)

    def _sealed(self, attempt: _Attempt, login: Login) -> LoginWrite:
        address = SecretAddress(
            attempt.caller.tenant_id,
            attempt.profile_key or new_profile_key(),
            attempt.platform.card.platform,
            login.account.account_id,
            login.account.origin,
            # random: known before the transaction, and with 63 bits in practice never reused
            secrets.randbits(63),
        )
        now = self._clock.now()
        return LoginWrite(
            address,
            login.account.username,
            self._vault.seal(login.secret, Purpose.CREDENTIAL, address),
            self._vault.seal_session(login.session, address),
            login.session.expires_at,
            self._schedule.after_proof(now),
            create_profile=attempt.profile_key is None,
            reservation=attempt.reservation,
            at=now,
            link_id=attempt.link_id,
        )

    async def _learn_display_name(
        self, attempt: _Attempt, login: Login, address: SecretAddress
    ) -> None:
        platform = attempt.platform
        display_name: str | None = login.display_name
        try:
            if not display_name and isinstance(platform, DisplayNames):
                async with asyncio.timeout(DISPLAY_NAME_SECONDS):
                    display_name = await platform.display_name(login.account)
            if display_name and not _repeats_secret(display_name, attempt, login):
                await self._store.save_display_name(address, display_name)
        except (ServiceError, TimeoutError) as error:
            log.info("display name not learnt", exception=type(error).__name__)


def _repeats_secret(stated: str, attempt: _Attempt, login: Login) -> bool:
    """Whether a server states, as a name, a secret of the login: names are stored as plain text."""
    fields = attempt.platform.card.fields
    known = [attempt.credentials[each.name] for each in fields if each.secret]
    known.append(login.session.access_token)
    bare = "".join(stated.split()).casefold()
    return any(secret and secret.casefold() in bare for secret in known)


def _check_fields(platform: CredentialPlatform, credentials: Credentials) -> None:
    known = [credential.name for credential in platform.card.fields]
    for name in known:
        if not credentials.get(name):
            raise InvalidRequest(f"credentials.{snake_case(name)}", "is required")
    for name in credentials:
        if name not in known:
            fault = f"is not a credential of {platform.card.platform}"
            raise InvalidRequest(f"credentials.{snake_case(name)}", fault)

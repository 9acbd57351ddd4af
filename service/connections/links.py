"""Connect links: made for a tenant, and used by a person who connects an account with one."""

from dataclasses import dataclass, field

from service.access.api_keys import CACHE_SECONDS, ApiKeys
from service.access.idempotency import Idempotency, check_idempotency_key
from service.connections.connect import Connect, ConnectRequest
from service.crypto.tokens import InvalidToken, Tokens
from service.domain.clock import Clock
from service.domain.errors import (
    ConnectLinkNotFound,
    InvalidApiKey,
    InvalidRequest,
    ServiceError,
    ServiceUnavailable,
)
from service.domain.ids import random_id
from service.domain.links import (
    MAX_APP_NAME_LENGTH,
    MAX_TRIES,
    ConnectLink,
    LinkState,
    NewLink,
    TenantPage,
    fault_of_name,
    origin_of,
)
from service.domain.model import SECOND, Caller, Connected, Connection, Credentials, Micros
from service.domain.names import required_platform_id, well_formed_profile_key
from service.domain.store import ConnectLinkStore, ProfileStore
from service.platforms.registry import Registry
from service.runtime.metrics import Metrics
from service.runtime.token_buckets import Buckets

DEFAULT_SECONDS, MAX_SECONDS = 1800, 86_400
MAX_STATE_LENGTH = 500
LOOKUPS_PER_SECOND, MAX_LOOKUPS_AT_ONCE = 0.2, 10
"""Handles that a page may look up while a person types, of one link in one process."""
MAX_LOCALE_LENGTH = 35
PATH = "/connect/"


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """*profile_key* None: the first success creates a profile. *expires_in* is in seconds."""

    profile_key: str | None
    platform: str
    app_name: str
    return_url: str
    state: str
    locale: str
    expires_in: int
    idempotency_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CreatedLink:
    """A new link. Its *url* is secret."""

    link_id: str
    url: str = field(repr=False)
    expires_at: Micros


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A link as its page shows it. *connections*: those of its profile."""

    link: ConnectLink
    page: TenantPage
    state: LinkState
    connections: tuple[Connection, ...] = ()

    def connection(self, platform: str) -> Connection | None:
        """Return the profile's connection to *platform*, if it has one."""
        return next((each for each in self.connections if each.platform == platform), None)


class ConnectLinks:
    """Makes, revokes and opens links, and connects by them."""

    def __init__(
        self,
        store: ConnectLinkStore,
        profiles: ProfileStore,
        registry: Registry,
        connect: Connect,
        tokens: Tokens,
        api_keys: ApiKeys,
        idempotency: Idempotency,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._profiles = profiles
        self._registry = registry
        self._connect = connect
        self._tokens = tokens
        self._api_keys = api_keys
        self._idempotency = idempotency
        self._clock = clock
        self._count = metrics.connect_links
        self._lookups = Buckets(LOOKUPS_PER_SECOND, MAX_LOOKUPS_AT_ONCE)
        self.public_url = ""
        """The origin at which people reach the page; set once the server has its address."""

    def serve_at(self, address: str, *, is_tls: bool) -> None:
        """Have links lead to *address*: an origin, or the HOST:PORT of the HTTP server."""
        scheme = "https" if is_tls else "http"
        self.public_url = address if "://" in address else f"{scheme}://{address}"

    async def create(self, caller: Caller, request: LinkRequest) -> CreatedLink:
        """Make a link. Raises ServiceError, with the field of a bad request."""
        if request.platform:
            self._registry.by_credentials(required_platform_id(request.platform))
        if request.profile_key is not None:
            if not request.profile_key:
                fault = "must not be empty; leave it out to make a profile"
                raise InvalidRequest("profile_key", fault)
            well_formed_profile_key(request.profile_key)
        if fault := fault_of_name(request.app_name, MAX_APP_NAME_LENGTH):
            raise InvalidRequest("app_name", fault)
        if len(request.state) > MAX_STATE_LENGTH or not _is_printable_ascii(request.state):
            fault = f"must be at most {MAX_STATE_LENGTH} printable ASCII characters"
            raise InvalidRequest("state", fault)
        if len(request.locale) > MAX_LOCALE_LENGTH or not _is_printable_ascii(request.locale):
            raise InvalidRequest("locale", "is not the name of a language")
        if not 0 <= request.expires_in <= MAX_SECONDS:
            raise InvalidRequest("expires_in", f"must be 1 to {MAX_SECONDS}, or 0 for the default")
        check_idempotency_key(request.idempotency_key)
        await self._check_return_url(caller, request.return_url)
        if not self.public_url:
            raise ServiceUnavailable("starting")

        parts = [str(request.profile_key is not None), request.profile_key or "", request.platform]
        parts += [request.app_name, request.return_url, request.state, request.locale]
        reservation, reply = await self._idempotency.claim(
            caller, "CreateConnectLink", request.idempotency_key, [*parts, str(request.expires_in)]
        )
        if reply is not None:
            link_id, expires_at, key_id = map(str, reply[:3])
            return self._created(link_id, int(expires_at), self._tokens.link(link_id, key_id)[0])
        async with self._idempotency.released_on_failure(reservation):
            now = self._clock.now()
            link = ConnectLink(
                link_id=f"link_{random_id(22)}",
                tenant_id=caller.tenant_id,
                key_id=caller.key_id,
                profile_key=request.profile_key,
                platform=request.platform,
                app_name=request.app_name.strip(),
                return_url=request.return_url,
                state=request.state,
                locale=request.locale,
                created_at=now,
                expires_at=now + (request.expires_in or DEFAULT_SECONDS) * SECOND,
            )
            token, secret = self._tokens.link(link.link_id)
            await self._store.add(NewLink(link, secret, reservation))
        self._count.labels("created").inc()
        return self._created(link.link_id, link.expires_at, token)

    async def revoke(self, caller: Caller, link_id: str) -> None:
        """End a link of the tenant. Raises InvalidRequest or ConnectLinkNotFound."""
        if not link_id:
            raise InvalidRequest("link_id", "is required")
        if not _is_printable_ascii(link_id):
            raise ConnectLinkNotFound
        await self._store.revoke(caller.tenant_id, link_id, self._clock.now())
        self._count.labels("revoked").inc()

    async def open(self, token: str) -> OpenedLink:
        """Return the link of *token*, of any tenant. Changes nothing.

        Raises ConnectLinkNotFound, without a read of the store if the token was never made.
        """
        try:
            found = await self._store.get(self._tokens.link_digest(token))
        except InvalidToken:
            found = None
        if found is None:
            raise ConnectLinkNotFound
        link, page = found
        state = link.state_at(self._clock.now())
        if state is LinkState.OPEN:
            try:
                await self._api_keys.require_valid(link.key_id, CACHE_SECONDS)
            except InvalidApiKey:
                state = LinkState.REVOKED
        connections: tuple[Connection, ...] = ()
        if link.profile_key is not None and state in (LinkState.OPEN, LinkState.USED):
            profile = await self._profiles.get(link.tenant_id, link.profile_key)
            connections = profile.connections
        return OpenedLink(link, page, state, connections)

    async def take_try(self, link: ConnectLink, platform: str, credentials: Credentials) -> bool:
        """Count a try of *link*; return False if it has had all of them.

        Raises what the form of the request alone shows, and counts none then.
        """
        if link.platform not in ("", platform):
            raise InvalidRequest("platform", "is not the one of the link")
        self._connect.check_form(platform, credentials)
        is_left = await self._store.take_try(
            link.tenant_id, link.link_id, MAX_TRIES, self._clock.now()
        )
        self._count.labels("tried" if is_left else "spent").inc()
        return is_left

    async def connect(
        self, caller: Caller, link: ConnectLink, platform: str, credentials: Credentials
    ) -> Connected:
        """Connect the profile of *link*, and use the link up. Raises ServiceError.

        A second try with the same credentials while the first is under way gets its reply.
        """
        request = ConnectRequest(
            link.profile_key, platform, credentials, f"connect link {link.link_id}", link.link_id
        )
        connected = await self._connect.connect(caller, request)
        self._count.labels("used").inc()
        return connected

    async def knows_handle(
        self, caller: Caller, link: ConnectLink, platform: str, handle: str
    ) -> bool | None:
        """Return whether *handle* leads to an account of *platform*; None if that is not known.

        A link has few of these look-ups, and tries are not counted for them.
        """
        if self._lookups.take(link.link_id):
            return None
        try:
            return await self._connect.knows_handle(caller, platform, handle)
        except ServiceError:
            return None  # the try itself says what is wrong

    async def _check_return_url(self, caller: Caller, return_url: str) -> None:
        if not return_url:
            return
        try:
            origin = origin_of(return_url)
        except ValueError as error:
            raise InvalidRequest("return_url", str(error)) from None
        page = await self._store.page(caller.tenant_id)
        if page is None or origin not in page.origins:
            raise InvalidRequest(
                "return_url", "is at an origin that is not registered: postcore tenants set"
            )

    def _created(self, link_id: str, expires_at: Micros, token: str) -> CreatedLink:
        return CreatedLink(link_id, f"{self.public_url}{PATH}{token}", expires_at)


def _is_printable_ascii(text: str) -> bool:
    return text.isascii() and (not text or text.isprintable())

"""Row 8: another tenant's resources are answered like missing ones, and stay unchanged."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from postcore.profiles.v1 import webhook_service_pb2 as webhooks_pb
from service.access.audit import WRITE_EVERY_SECONDS
from service.domain.ids import random_id
from service.domain.model import Scope
from service.sandbox.sites import SITES
from service.sandbox.sites.mastodon import ACCESS_TOKEN
from service.sandbox.sites.site import Site
from service.storage.migrations import migrate_apart
from service.transport.http.routes import METHODS, ROUTES
from tests.attack.foreign_resources import NAME, Fields, Owner, Reach, reaches
from tests.attack.hosted_sites import connected as connected_by
from tests.attack.hosted_sites import entry, started
from tests.attack.row import Figure, Ground, share
from tests.support.bluesky import SESSION, SandboxBluesky
from tests.support.postgres import Cluster
from tests.support.running import Running, running
from tests.support.watcher import DEADLINE

TABLES = (
    *("tenants", "api_keys", "profiles", "connections", "credentials", "sessions", "events"),
    *("idempotency_records", "login_debits", "audit", "webhooks"),
)
OF_WEBHOOKS = ("webhook_secrets", "webhook_deliveries")
SCOPES = tuple(
    some for count in (1, 2, 3) for some in combinations(sorted(Scope), count)
)  # a key has at least one scope
SPELLINGS = ("mastodon", "Mastodon", "mastodon ", "mastodon\u200b", "mastodon\0")
SIGNED = (
    *("GET /wp-json/wp", "POST /wp-json/wp", "DELETE /wp-json/wp", "GET /api/v1"),
    "GET /ghost/api/admin/users",
)
"""Requests with a credential, by their beginning."""
ROUNDS = 10
CLOCKS = {"date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"}
"""Headers and trailers that differ for each call: they depend on the clock or are a request id.

The caller's own remaining calls grow with the clock: by one in a microsecond at CALLS_PER_SECOND.
"""
PROFILE = re.compile(rb"prof_[a-z0-9]{16}")

Reply = tuple[object, ...]


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        databases = {"SQLite": f"sqlite:///{ground.folder / 'postcore.db'}"}
        if part == 1:
            cluster = Cluster.started(ground.postgres)
            stack.callback(cluster.remove)
            databases["PostgreSQL"] = cluster.url(await cluster.new_database())
        for engine, url in databases.items():
            ground.say(engine)
            assert migrate_apart(url)
            sandbox = await stack.enter_async_context(SandboxBluesky.started())
            sites = [await started(kind, stack) for kind in SITES]
            origins = sandbox.origin, *(site.origin for site in sites)
            settings = {
                **sandbox.settings(),
                "DATABASE_URL": url,
                "CALLS_PER_SECOND": "1000000",
                "TRUSTED_ORIGINS": ",".join(origins),
            }
            async with running(ground.folder / "postcore.db", settings) as service:
                platforms = Platforms(sandbox, sites)
                figures += await _reach(engine, service, platforms, share(ROUNDS, part))
    return figures


@dataclass(frozen=True)
class Platforms:
    """Bluesky, and a site of each other platform."""

    bluesky: SandboxBluesky
    sites: Sequence[Site]

    @property
    def counts(self) -> Counter[str]:
        """The requests to all of them, by path."""
        return sum((site.counts for site in self.sites), Counter(self.bluesky.server.counts))


async def _reach(engine: str, service: Running, platforms: Platforms, rounds: int) -> list[Figure]:
    theirs = await _owner(service, platforms)
    ours = await _owner(service, platforms)
    keys = [(await service.new_key(*some, tenant_id=ours.tenant_id))[0] for some in SCOPES]
    await _settled(service)
    before, asked = _rows(service, theirs.tenant_id), platforms.counts
    replies, equal = {"gRPC": 0, "HTTP": 0}, {"gRPC": 0, "HTTP": 0}
    unequal: dict[str, set[str]] = {"gRPC": set(), "HTTP": set()}
    async with _http(service) as http:
        for _ in range(rounds):
            for reach in reaches(ours, theirs):
                ways = {"gRPC": partial(_over_grpc, service)}
                if any(route.method == reach.method for route in ROUTES):
                    ways["HTTP"] = partial(_over_http, http)
                for (way, call), key in ((each, key) for each in ways.items() for key in keys):
                    absent = _without_new(await call(reach, reach.missing, key), theirs)
                    reply = _without_new(await call(reach, reach.theirs, key), theirs)
                    replies[way] += 1
                    equal[way] += reply == absent
                    if reply != absent:
                        unequal[way].add(f"{reach.method}.{reach.field}")
    await _settled(service)
    after, asked_since = _rows(service, theirs.tenant_id), platforms.counts - asked
    sessions_asked = sum(
        count for path, count in asked_since.items() if SESSION in path or path.startswith(SIGNED)
    )
    return [
        *(
            Figure(
                f"{way}, {engine}: another tenant's profile keys, tokens, cursors, idempotency keys"
                f" and webhooks × {len({reach.method for reach in reaches(ours, theirs)})} methods"
                f" × {len(keys)} sets of scopes",
                f"{equal[way]} of {replies[way]} replies are those for what there is not"
                + "".join(f"; not {each}" for each in sorted(unequal[way])),
                equal[way] == replies[way] > 0,
            )
            for way in replies
        ),
        Figure(
            f"{engine}: rows of the other tenant, all tables, before and after",
            f"{sum(map(len, after.values()))} of {sum(map(len, before.values()))} there, "
            f"{'equal' if before == after else 'NOT equal'}",
            before == after,
        ),
        Figure(
            f"{engine}: logins and refreshes at the platforms caused by it",
            f"{sessions_asked}",
            sessions_asked == 0,
        ),
        await _lent(engine, service, ours, theirs),
    ]


async def _lent(engine: str, service: Running, ours: Owner, theirs: Owner) -> Figure:
    """Ask for Mastodon's token by every set of scopes, spelling and pair of keys."""
    full, _ = await service.new_key(*Scope, tenant_id=theirs.tenant_id)
    needed = {Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE}
    lent = permitted = tries = 0
    for scopes in SCOPES:
        key, _ = await service.new_key(*scopes, tenant_id=ours.tenant_id)
        for headers in ((key,), (key, full), (full, key)):
            for platform, rejected in product(SPELLINGS, ("", ACCESS_TOKEN, "x")):
                is_permitted = needed <= set(scopes)
                request = sessions_pb.LeaseSessionRequest(
                    profile_key=ours.profiles[0], platform=platform, rejected_access_token=rejected
                )
                metadata = tuple(("x-api-key", each) for each in headers)
                tries += 1
                with suppress(grpc.aio.AioRpcError):
                    reply = await service.sessions.LeaseSession(
                        request, metadata=metadata, timeout=DEADLINE
                    )
                    assert ACCESS_TOKEN in reply.authorization
                    lent, permitted = lent + (not is_permitted), permitted + is_permitted
    return Figure(
        f"{engine}: Mastodon's token lent to a key without sessions:lease and credentials:lease, "
        f"by {len(SCOPES)} sets of scopes, {len(SPELLINGS)} spellings and another tenant's key",
        f"{lent} of {tries}; to keys with both: {permitted}",
        lent == 0 < permitted,
    )


async def _over_grpc(service: Running, reach: Reach, value: str, key: str) -> Reply:
    """Return the whole reply: messages, or status, details and trailers to the byte."""
    method = METHODS[reach.method]
    request = ParseDict(reach.request(value), GetMessageClass(method.input_type)())
    path = f"/{method.containing_service.full_name}/{method.name}"
    channel: Any = service.channel
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = kind(path)(request.SerializeToString(), metadata=service.metadata(key), timeout=DEADLINE)
    replies: list[bytes] = []
    try:
        replies.append(await (call.read() if method.server_streaming else call))
        call.cancel()
    except grpc.aio.AioRpcError as error:
        return (
            *(error.code(), error.details(), *_same(error.initial_metadata())),
            *_same(error.trailing_metadata()),
        )
    return (*replies, *_same(await call.initial_metadata()))


async def _over_http(http: httpx.AsyncClient, reach: Reach, value: str, key: str) -> Reply:
    """Return status, headers and body to the byte, with *value* in path, query or body."""
    [route] = [route for route in ROUTES if route.method == reach.method]
    fields, path = reach.request(value), route.path
    for name in list(fields):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", quote(fields.pop(name), safe=""))
    texts = {
        name: str(text).lower() if text in (True, False) else text for name, text in fields.items()
    }
    sent: Fields = {"json": fields} if route.body else {"params": texts}
    answer = await http.request(route.verb, path, headers={"x-api-key": key}, **sent)
    head = [
        (name, text) for name, text in answer.headers.raw if name.decode().lower() not in CLOCKS
    ]
    return (answer.status_code, answer.reason_phrase, *head, answer.content)


def _same(metadata: Any) -> list[object]:
    return [(key, value) for key, value in metadata or () if key not in CLOCKS]


def _without_new(reply: Reply, theirs: Owner) -> Reply:
    """Replace all profile keys of *reply* but theirs: the keys of new profiles are random."""

    def named(found: re.Match[bytes]) -> bytes:
        return found[0] if found[0].decode() in theirs.profiles else b"prof_new"

    return tuple(PROFILE.sub(named, part) if isinstance(part, bytes) else part for part in reply)


@asynccontextmanager
async def _http(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://{service.http}", timeout=DEADLINE, trust_env=False
    ) as client:
        yield client


async def _owner(service: Running, platforms: Platforms) -> Owner:
    person = await platforms.bluesky.person()
    tenant_id = await service.new_tenant()
    key, _ = await service.new_key(*Scope, tenant_id=tenant_id)
    metadata, idempotency_key = service.metadata(key), random_id()
    connected = await service.connect(
        person.handle, person.app_password, api_key=key, idempotency_key=idempotency_key
    )
    for site in platforms.sites:
        await connected_by(service, entry(site), profile_key=connected.profile_key, api_key=key)
    created = await service.profiles.CreateProfile(
        pb.CreateProfileRequest(profile_name=NAME, idempotency_key=idempotency_key),
        metadata=metadata,
    )
    page = await service.profiles.ListProfiles(
        pb.ListProfilesRequest(page_size=1), metadata=metadata
    )
    watch: Any = service.profiles.WatchConnections(
        pb.WatchConnectionsRequest(from_oldest=True), metadata=metadata
    )
    cursor = (await watch.read()).cursor
    watch.cancel()
    lease = await service.lease(connected.profile_key, api_key=key)
    created_webhook = await service.webhooks.CreateWebhook(
        webhooks_pb.CreateWebhookRequest(url="https://hooks.invalid/in"), metadata=metadata
    )
    return Owner(
        tenant_id,
        (connected.profile_key, created.profile_key),
        page.next_page_token,
        cursor,
        idempotency_key,
        lease.access_token,
        created_webhook.webhook.webhook_id,
    )


def _rows(service: Running, tenant_id: str) -> dict[str, list[Fields]]:
    webhooks = "webhook_id IN (SELECT webhook_id FROM webhooks WHERE tenant_id = ?)"
    where = dict.fromkeys(TABLES, "tenant_id = ?") | dict.fromkeys(OF_WEBHOOKS, webhooks)
    return {
        table: sorted(service.rows(f"SELECT * FROM {table} WHERE {condition}", tenant_id), key=repr)
        for table, condition in where.items()
    }


async def _settled(service: Running) -> None:
    """Wait for pending writes: the audit of leases is written every half second."""
    async with asyncio.timeout(DEADLINE):
        before: object = None
        while before != (now := [service.rows(f"SELECT * FROM {table}") for table in TABLES]):
            before = now
            await asyncio.sleep(2 * WRITE_EVERY_SECONDS)

"""Row 8: another tenant's resources are answered like missing ones, and stay unchanged."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import combinations
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.connections.lease_audit import WRITE_EVERY_SECONDS
from service.domain.ids import random_id
from service.domain.model import Scope
from service.storage.migrations import migrate_apart
from service.transport.http.routes import METHODS, ROUTES
from tests.attack.foreign_resources import NAME, Fields, Owner, Reach, reaches
from tests.attack.row import Figure, Ground, share
from tests.support.bluesky import SESSION, Person, SandboxBluesky
from tests.support.postgres import Cluster
from tests.support.running import Running, running
from tests.support.watcher import DEADLINE

TABLES = (
    *("tenants", "api_keys", "profiles", "connections", "credentials", "sessions", "events"),
    *("idempotency_records", "login_debits", "leases"),
)
SCOPES = tuple(
    some for count in (1, 2, 3) for some in combinations(sorted(Scope), count)
)  # a key has at least one scope
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
            settings = {**sandbox.settings(), "DATABASE_URL": url, "CALLS_PER_SECOND": "1000000"}
            async with running(ground.folder / "postcore.db", settings) as service:
                figures += await _reach(engine, service, sandbox, share(ROUNDS, part))
    return figures


async def _reach(
    engine: str, service: Running, sandbox: SandboxBluesky, rounds: int
) -> list[Figure]:
    theirs = await _owner(service, await sandbox.person())
    ours = await _owner(service, await sandbox.person())
    keys = [(await service.new_key(*some, tenant_id=ours.tenant_id))[0] for some in SCOPES]
    await _settled(service)
    before, asked = _rows(service, theirs.tenant_id), sandbox.server.counts.copy()
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
    after, asked_since = _rows(service, theirs.tenant_id), sandbox.server.counts - asked
    sessions_asked = sum(count for path, count in asked_since.items() if SESSION in path)
    return [
        *(
            Figure(
                f"{way}, {engine}: another tenant's profile keys, tokens, cursors, idempotency keys"
                f" × {len({reach.method for reach in reaches(ours, theirs)})} methods"
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
            f"{engine}: logins and refreshes at the platform caused by it",
            f"{sessions_asked}",
            sessions_asked == 0,
        ),
    ]


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


async def _owner(service: Running, person: Person) -> Owner:
    tenant_id = await service.new_tenant()
    key, _ = await service.new_key(*Scope, tenant_id=tenant_id)
    metadata, idempotency_key = service.metadata(key), random_id()
    connected = await service.connect(
        person.handle, person.app_password, api_key=key, idempotency_key=idempotency_key
    )
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
    return Owner(
        tenant_id,
        (connected.profile_key, created.profile_key),
        page.next_page_token,
        cursor,
        idempotency_key,
        lease.access_token,
    )


def _rows(service: Running, tenant_id: str) -> dict[str, list[Fields]]:
    return {
        table: sorted(
            service.rows(f"SELECT * FROM {table} WHERE tenant_id = ?", tenant_id), key=repr
        )
        for table in TABLES
    }


async def _settled(service: Running) -> None:
    """Wait for pending writes: the audit of leases is written every half second."""
    async with asyncio.timeout(DEADLINE):
        before: object = None
        while before != (now := [service.rows(f"SELECT * FROM {table}") for table in TABLES]):
            before = now
            await asyncio.sleep(2 * WRITE_EVERY_SECONDS)

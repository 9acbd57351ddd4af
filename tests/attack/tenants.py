"""Row 8: what another tenant owns is answered as what there is not, and stays as it is.

Every field of every request is known to be harmless or to be a place where another tenant's things
can be named: a method or a field that is new has to be put down here.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.access import random_id
from service.model import Scope
from service.storage.migrations import migrate_apart
from service.transport.routes import METHODS, ROUTES
from tests.bluesky import Person, SandboxBluesky
from tests.postgres import Cluster
from tests.running import Running, running
from tests.watcher import DEADLINE

from .row import Figure, Ground, share

HARMLESS = {"platform", "handle", "app_password", "profile_name", "page_size"} | {
    "needs_reconnect_only",
    "from_oldest",
}
"""Fields that name nothing of anybody's."""
ALSO = {
    "ConnectProfile": {
        "platform": "bluesky",
        "credentials": {"handle": "nobody.test", "appPassword": "abcd-efgh-ijkl-mnop"},
    },
    "CreateProfile": {"profileName": ""},
    "DisconnectPlatform": {"platform": "bluesky"},
    "VerifyConnection": {"platform": "bluesky"},
    "LeaseSession": {"platform": "bluesky"},
}
"""What a request needs beside that field to get as far as to look it up, and no further."""
TABLES = (
    *("tenants", "api_keys", "profiles", "connections", "credentials", "sessions", "events"),
    *("idempotency_records", "login_debits", "leases"),
)
SCOPES = tuple(
    some for count in (1, 2, 3) for some in combinations(sorted(Scope), count)
)  # a key without any there cannot be
ROUNDS = 10
CLOCKS = {"date", "x-request-id", "x-ratelimit-reset"}
"""Headers and trailers that are another's on every call."""

Reply = tuple[object, ...]
Fields = dict[str, Any]


@dataclass(frozen=True)
class Reach:
    """A value of *field* that is another tenant's, and one of the same kind that is nobody's;
    *beside*: more that the request holds."""

    method: str
    field: str
    theirs: str
    nobodys: str
    beside: Mapping[str, Any]

    def request(self, value: str) -> Fields:
        return {**ALSO.get(self.method, {}), **self.beside, _json_name(self.field): value}


@dataclass(frozen=True)
class Owner:
    """A tenant, and one of everything that can be named."""

    tenant_id: str
    key: str
    profiles: tuple[str, str]
    """Connected, and not."""
    token: str
    cursor: str
    idempotency_key: str
    access_token: str


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
    told, equal = {"gRPC": 0, "HTTP": 0}, {"gRPC": 0, "HTTP": 0}
    unequal: list[str] = []
    async with _http(service) as http:
        for _ in range(rounds):
            for reach in _reaches(ours, theirs):
                ways = {"gRPC": partial(_over_grpc, service)}
                if any(route.method == reach.method for route in ROUTES):
                    ways["HTTP"] = partial(_over_http, http)
                for (way, call), key in ((each, key) for each in ways.items() for key in keys):
                    absent = await call(reach, reach.nobodys, key)
                    reply = await call(reach, reach.theirs, key)
                    told[way] += 1
                    equal[way] += reply == absent
                    if reply != absent:
                        unequal.append(f"{reach.method}.{reach.field} over {way}")
    await _settled(service)
    after, asked_since = _rows(service, theirs.tenant_id), sandbox.server.counts - asked
    spoilt = sorted(set(unequal))
    return [
        *(
            Figure(
                f"{way}, {engine}: another tenant's profile keys, tokens, cursors, idempotency keys"
                f" × {len({reach.method for reach in _reaches(ours, theirs)})} methods"
                f" × {len(keys)} sets of scopes",
                f"{equal[way]} of {told[way]} replies are those for what there is not"
                + (f"; not: {', '.join(spoilt)}" if spoilt else ""),
                equal[way] == told[way] > 0,
            )
            for way in told
        ),
        Figure(
            f"{engine}: rows of the other tenant, all tables, before and after",
            f"{sum(map(len, after.values()))} of {sum(map(len, before.values()))} there, "
            f"{'equal' if before == after else 'NOT equal'}",
            before == after,
        ),
        Figure(
            f"{engine}: questions about the other's account at its server",
            # our own lease with a token that was refused renews our own session, once
            f"{asked_since.total()} calls, {_of(asked_since, 'createSession')} logins",
            _of(asked_since, "createSession") == 0,
        ),
    ]


def _reaches(ours: Owner, theirs: Owner) -> Iterator[Reach]:
    """Whatever can be tried with each field of each method; raises on a field nobody thought of."""
    for method in METHODS.values():
        for field in _fields(method.input_type):
            match field:
                case "profile_key":
                    for theirs_ in theirs.profiles:
                        for nobodys in (f"prof_{random_id()}", "prof_Ill-Formed"):
                            yield Reach(method.name, field, theirs_, nobodys, {})
                case "page_token":
                    for to_reconnect in (False, True):
                        beside = {"needsReconnectOnly": to_reconnect}
                        yield Reach(method.name, field, theirs.token, random_id(64), beside)
                case "cursor":
                    yield Reach(method.name, field, theirs.cursor, random_id(64), {})
                case "idempotency_key":
                    yield Reach(method.name, field, theirs.idempotency_key, random_id(), {})
                case "rejected_access_token":
                    beside = {"profileKey": ours.profiles[0]}
                    yield Reach(method.name, field, theirs.access_token, random_id(64), beside)
                case _ if field not in HARMLESS:
                    raise AssertionError(f"{method.name}.{field}: can it name another's things?")


def _fields(kind: Descriptor) -> Iterator[str]:
    for field in kind.fields:
        if field.message_type:
            yield from _fields(field.message_type)
        else:
            yield field.name


async def _over_grpc(service: Running, reach: Reach, value: str, key: str) -> Reply:
    """All that comes back: messages, or status, details and trailers to the byte."""
    method = METHODS[reach.method]
    request = ParseDict(reach.request(value), GetMessageClass(method.input_type)())
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = service.channel.unary_stream if method.server_streaming else service.channel.unary_unary
    call: Any = kind(path)(
        request.SerializeToString(), metadata=service.metadata(key), timeout=DEADLINE
    )
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
    """Status, head and body to the byte, for a request with that value in path, query or body."""
    [route] = [route for route in ROUTES if route.method == reach.method]
    fields, path = reach.request(value), route.path
    for name in list(fields):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", quote(fields.pop(name), safe=""))
    texts = {name: str(text).lower() if text in (True, False) else text for name, text in fields.items()}
    sent: Fields = {"json": fields} if route.body else {"params": texts}
    answer = await http.request(route.verb, path, headers={"x-api-key": key}, **sent)
    head = [(name, text) for name, text in answer.headers.raw if name.decode().lower() not in CLOCKS]
    return (answer.status_code, answer.reason_phrase, *head, answer.content)


def _same(metadata: Any) -> list[object]:
    return [(key, value) for key, value in metadata or () if key not in CLOCKS]


def _json_name(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


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
        pb.CreateProfileRequest(profile_name="mine", idempotency_key=idempotency_key),
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
        key,
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
    """Until the trail of leases is written, and names are learnt."""
    async with asyncio.timeout(DEADLINE):
        before = None
        while before != (before := service.rows("SELECT * FROM leases")):
            await asyncio.sleep(1.5)


def _of(asked: Any, method: str) -> int:
    return sum(count for path, count in asked.items() if path.endswith(method))


def unused(_: object) -> str:
    return MessageToDict.__name__

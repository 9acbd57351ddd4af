"""Row 12: calls that are cancelled midway leave nothing behind."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from time import perf_counter
from typing import Any

import grpc.aio
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from service.domain.model import Scope
from service.sandbox.call import Answer, Call, Gone
from service.sandbox.faults import Hang
from service.settings import Settings
from service.transport.http.routes import METHODS, ROUTES
from tests.attack.measured_process import BYTE_BY_BYTE, Held
from tests.attack.row import Figure, Ground, share
from tests.bench.processes import Server, started
from tests.bench.seed import plant, settings
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.running import Running
from tests.support.watcher import DEADLINE
from tests.transport.http.edge import Wire

CALLS = 20_000
MAX_BYTES = 150
"""Bytes that a cancelled call may leave behind."""
BESIDE = 1_000_000
"""The difference in bytes between two readings of an idle process: grown tables, and the C
library's free lists."""
WARM_UP_CALLS = 50
"""The least number of calls of each kind before the first reading."""
CALM_SECONDS, CALM_BYTES = 3.0, 20_000
AT_ONCE = 24
PEOPLE = 40
HANGING = 4
"""The people whose server does not answer."""
AT_FIRST = 0.3
"""The initial estimate of a call's seconds, as an upper bound."""
NAME = "made"

Fields = dict[str, Any]


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    async with SandboxBluesky.started() as sandbox:
        read = settings(
            ground.folder,
            f"sqlite:///{ground.folder / 'postcore.db'}",
            {
                **sandbox.settings(),
                **dict.fromkeys(
                    ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"),
                    "1000000,1000000",
                ),
            },
        )
        await plant(read, 1, 0)
        socket = ground.folder / "held"
        module = ("tests.attack.measured_process", str(socket), "serve")
        async with started(module, read, "", ground.folder / "log", BYTE_BY_BYTE) as server:
            callers = await _Callers.of(read, server, sandbox)
            return await _measured(ground, callers, str(socket), share(CALLS, part))


async def _measured(ground: Ground, callers: "_Callers", socket: str, count: int) -> list[Figure]:
    # everything that is made once or grows to a cap: caches, channels, pools, log buffers
    await callers.cancel_calls(max(count // 2, WARM_UP_CALLS * len(callers.kinds)))
    before = await _settled(socket)
    ground.say(f"{before.bytes:,} bytes and {before.tasks.total()} tasks before")
    began = perf_counter()
    callers.ended.clear()
    await callers.cancel_calls(count)
    ground.say(f"{count} calls in {perf_counter() - began:.0f} s")
    after = await _settled(socket)
    await callers.close()
    more = after.tasks - before.tasks
    ground.say(f"{after.bytes:,} bytes and {after.tasks.total()} tasks after")
    grown = max(0, after.bytes - before.bytes)
    cut = callers.ended["cancelled"]
    unkept, astray = callers.unkept(), callers.astray()
    lost = callers.lost((ground.folder / "log").read_text())
    return [
        Figure(
            f"{count} calls cancelled at random moments, {len(callers.kinds)} kinds over gRPC and "
            "HTTP: bytes in use afterwards, as the C library counts them",
            f"{grown / count:.0f} a call ({cut} cut off, the others had ended)",
            # with few calls, memory that exists anyway would dominate
            grown <= max(MAX_BYTES * count, BESIDE) and cut > count // 4,
        ),
        Figure(
            "tasks of the process, before and after",
            f"{before.tasks.total()} and {after.tasks.total()}"
            + "".join(f"; {count} more {name}" for name, count in more.items()),
            not more,
        ),
        *(Figure(what, f"{found}", found == 0) for what, found in unkept.items()),
        Figure(
            "sessions at the server beyond those that are kept",
            f"{astray}, where {lost} answers of the platform came too late to be known",
            # a login or a refresh may have succeeded although its answer was lost
            astray == 0 or (None if astray <= lost else False),
        ),
    ]


async def _settled(socket: str) -> Held:
    """Return the process's resources, once they no longer shrink for some seconds."""
    await asyncio.sleep(CALM_SECONDS)
    seen = await Held.by(socket)
    async with asyncio.timeout(4 * DEADLINE):
        while True:
            await asyncio.sleep(CALM_SECONDS)
            now = await Held.by(socket)
            if now.tasks.total() >= seen.tasks.total() and now.bytes > seen.bytes - CALM_BYTES:
                return seen
            seen = now


class _Hanging(Hang):
    """Counts the calls that had no effect because their caller hung up first."""

    def __init__(self) -> None:
        self.undone: Counter[str] = Counter()

    async def answer(self, call: Call) -> Answer:
        try:
            return await super().answer(call)
        except Gone:
            self.undone[call.method] += 1
            raise


class _Callers:
    """Call every method, and hang up before or near the answer."""

    def __init__(
        self, service: Running, read: Settings, sandbox: SandboxBluesky, http: str
    ) -> None:
        self._service = service
        self._read = read
        self._sandbox = sandbox
        self._http = http
        self._chance = Random(1)
        self._people: list[Person] = []
        self._profiles: list[str] = []
        self._usual: dict[str, float] = {}
        self._hanging = _Hanging()
        self.ended: Counter[str] = Counter()
        self.kinds: list[tuple[str, Callable[[str, Fields], Coroutine[Any, Any, None]]]] = [
            *((method, self._over_grpc) for method in METHODS),
            *((route.method, self._over_http) for route in ROUTES),
        ]

    @classmethod
    async def of(cls, read: Settings, server: Server, sandbox: SandboxBluesky) -> "_Callers":
        channel = grpc.aio.insecure_channel(server.address)
        service = Running(read, server.address, channel)
        [tenant] = service.rows("SELECT tenant_id FROM tenants")
        service.tenant_id = tenant["tenant_id"]
        service.api_key, _ = await service.new_key(*Scope)
        service.leasing_key = service.api_key
        callers = cls(service, read, sandbox, server.http)
        for _ in range(PEOPLE):
            person = await sandbox.person()
            callers._people.append(person)
            reply = await service.connect(person.handle, person.app_password, timeout=DEADLINE)
            callers._profiles.append(reply.profile_key)
        return callers

    async def cancel_calls(self, count: int) -> None:
        """Cancel *count* calls; return once every server answers again and no call hangs."""
        left = iter(range(count))
        for person in self._people[:HANGING]:
            self._sandbox.server.breakages.add(self._hanging, account=person.did)

        async def one_after_the_other() -> None:
            for number in left:
                method, over = self.kinds[number % len(self.kinds)]
                await over(method, self._request(method))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_after_the_other())
        async with asyncio.timeout(4 * DEADLINE):
            # answered now, some would arrive just too late
            while any(each.held_up for each in self._sandbox.server.breakages):
                await asyncio.sleep(0.05)
        self._sandbox.server.breakages.clear()
        gc.collect()

    async def close(self) -> None:
        await self._service.channel.close()

    def unkept(self) -> dict[str, int]:
        """Count the leftovers of half-done work: reservations, claims, and profiles without
        content."""
        rows = self._service.rows
        return {
            "reservations of idempotency keys that are left": len(
                rows("SELECT 1 FROM idempotency_records WHERE profile_key IS NULL")
            ),
            "claims on sessions that are left": len(
                rows("SELECT 1 FROM sessions WHERE claimed_until > 0")
            ),
            "profiles that a connect has made without a connection": len(
                rows(
                    "SELECT 1 FROM profiles p WHERE profile_name IS NULL AND NOT EXISTS"
                    " (SELECT 1 FROM events e WHERE e.profile_key = p.profile_key)"
                )
            ),
        }

    def astray(self) -> int:
        """Count the refresh tokens that the server accepts, that no later one replaces, and that
        are not stored."""
        sessions = self._sandbox.world.sessions._open.values()
        live = Counter(session.did for session in sessions if session.next_id is None)
        rows = self._service.rows("SELECT account_id FROM connections")
        return (live - Counter(row["account_id"] for row in rows)).total()

    def lost(self, log: str) -> int:
        """Return how many sessions may stem from answers that came too late, according to the
        log."""
        late: Counter[str] = Counter()
        for line in map(json.loads, log.splitlines()):
            if line["event"] == "login failed" and line["why"] == "timeout":
                late["createSession"] += 1
            elif line["event"] == "verdict" and line["doubt"] == "timeout":
                late["refreshSession"] += 1
        return (late - self._hanging.undone).total()

    def _request(self, method: str) -> Fields:
        """Return a request that changes nothing which the other calls need."""
        chance = self._chance
        person, profile = chance.choice(self._people), chance.choice(self._profiles)
        bluesky, known = {"platform": "bluesky"}, {"profileKey": profile}
        absent = {"profileKey": f"prof_{chance.randrange(10**9)}"}
        key = {"idempotencyKey": f"k{chance.randrange(10**9)}"} if chance.random() < 0.5 else {}
        credentials = {"handle": person.handle, "appPassword": person.app_password}
        own = {"profileKey": self._profiles[self._people.index(person)]}
        again = own if chance.random() < 0.8 else {}
        requests: dict[str, Fields] = {
            "ConnectProfile": {**bluesky, "credentials": credentials, **again, **key},
            "CreateProfile": {"profileName": NAME, **key},
            "DeleteProfile": absent,
            "DisconnectPlatform": {**absent, **bluesky},
            "VerifyConnection": {**known, **bluesky},
            "LeaseSession": {**known, **bluesky},
            "GetProfile": known,
            "CreateConnectLink": {**known, **bluesky, "appName": NAME, **key},
            "RevokeConnectLink": {"linkId": f"link_{chance.randrange(10**9)}"},
            # it has nothing to send; the 21st is refused
            "CreateWebhook": {
                "url": "https://hooks.invalid/",
                "eventTypes": ["connection.unverified"],
            },
            "WatchConnections": {"fromOldest": True},
            "ListProfiles": {},
            "ListPlatforms": {},
            "ListWebhooks": {},
        }
        return requests.get(method, {"webhookId": f"wh_{chance.randrange(10**9)}"})

    def _moment(self, call: str) -> float:
        """Return a random moment within the time that such a call takes."""
        return self._chance.uniform(0, 1.5) * self._usual.get(call, AT_FIRST)

    def _ended(self, call: str, seconds: float, *, whole: bool) -> None:
        self.ended["whole" if whole else "cancelled"] += 1
        usual = self._usual.get(call, AT_FIRST)
        # a call that was cut off would have taken longer; a hanging one has no end
        self._usual[call] = 0.9 * usual + 0.1 * seconds if whole else min(1.03 * usual, AT_FIRST)

    async def _over_grpc(self, method: str, request: Fields) -> None:
        contract = METHODS[method]
        channel: Any = self._service.channel
        kind = channel.unary_stream if contract.server_streaming else channel.unary_unary
        encoded = ParseDict(request, GetMessageClass(contract.input_type)()).SerializeToString()
        began = perf_counter()
        call = kind(f"/{contract.containing_service.full_name}/{method}")(
            encoded, metadata=self._service.metadata(), timeout=DEADLINE
        )
        answer = asyncio.ensure_future(call.read() if contract.server_streaming else call.code())
        await asyncio.wait([answer], timeout=self._moment(method))
        whole = answer.done()
        call.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        self._ended(method, perf_counter() - began, whole=whole)

    async def _over_http(self, method: str, request: Fields) -> None:
        [route] = [route for route in ROUTES if route.method == method]
        path, fields = route.path, dict(request)
        for name in list(fields):
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", fields.pop(name))
        body = b""
        if route.body:
            body = json.dumps(fields).encode()
        head = (
            f"{route.verb} {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {self._service.api_key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        began = perf_counter()
        async with Wire.to(self._http) as wire:
            await wire.send(head.encode() + body)
            answer = asyncio.ensure_future(wire.answer())
            await asyncio.wait([answer], timeout=self._moment(f"{method} over HTTP"))
            whole = answer.done()
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
        self._ended(f"{method} over HTTP", perf_counter() - began, whole=whole)

"""Row 3: a secret appears in a log, a status, a header, a body, a `repr` or a dump.

A `serve` process runs at debug level on PostgreSQL, once with each log format. Secrets are planted
at every layer; calls over gRPC and HTTP fail in every way; every output is searched at the end.
"""

import asyncio
import base64
import json
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import webhook_service_pb2 as webhooks_pb
from service.crypto.keyring import create_keyring, new_keys
from service.domain.model import Scope
from service.settings import Settings
from service.storage.migrations import migrate_apart
from tests.attack import echo_sites
from tests.attack.echo_cases import cases as site_cases
from tests.attack.echo_server import SHAPES, STATUSES, EchoServer, handle_of, silent
from tests.attack.echo_sites import EchoSite
from tests.attack.failing_process import CONNECT, ERRORS, LEASE, VERIFY, name_of
from tests.attack.link_cases import cases as link_cases
from tests.attack.row import Figure, Ground
from tests.attack.rows.row_01_theft import KEPT_FOR_A_WHILE, TABLES
from tests.support.bluesky import some_password
from tests.support.engines import rows
from tests.support.leasing import ROOT, environ_of
from tests.support.postgres import Cluster
from tests.support.running import Running

FORMS = ("json", "console")
PROFILES = "/postcore.profiles.v1.ProfileService/"
Case = Callable[[], Awaitable[None]]


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    cluster = await asyncio.to_thread(Cluster.started, ground.postgres)
    trials = []
    try:
        for form in FORMS:
            ground.say(f"log as {form}")
            (ground.folder / form).mkdir()
            async with EchoServer.started() as echo_server, echo_sites.started() as sites:
                servers = Servers(echo_server, sites)
                trial = await _tried(ground.folder / form, cluster, servers, form, part)
            trials.append(trial)
            ground.say(f"{trial.failed} calls failed")
    finally:
        await asyncio.to_thread(cluster.remove)
    failed = sum(trial.failed for trial in trials)
    looked = sum(len(text) for trial in trials for text in trial.sinks.values())
    leaks = [f"{name} ({what})" for trial in trials for name, what in trial.leaks()]
    spilt = sum(trial.spilt for trial in trials)
    objects = sum(trial.objects for trial in trials)
    dumps = [word for trial in trials for word in trial.dumps]
    return [
        Figure(
            "secrets in logs, statuses, trailers, bodies, headers, the database and reprs of "
            f"{objects} objects, after {failed} calls that failed, at {spilt} of them with secrets "
            "in an error's text",
            f"{len(leaks)} in {looked / 1e6:.1f} MB {' '.join(sorted(set(leaks))[:9])}".strip(),
            not leaks and failed >= 200 * part and spilt > 0 and objects > 0,
        ),
        Figure(
            "core dumps of the live process: limit, and whether it may be dumped",
            ", ".join(sorted(set(dumps))),
            set(dumps) == {"limit 0 0", "dumpable 0"},
        ),
    ]


@dataclass(frozen=True)
class Servers:
    """Bluesky, and one site of each other platform."""

    bluesky: EchoServer
    sites: list[EchoSite]


@dataclass
class Trial:
    """A service with forced failures, its secrets, and the outputs where they could appear."""

    service: Running
    echo_server: EchoServer
    orders: Path
    http: httpx.AsyncClient
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    sinks: dict[str, str] = field(default_factory=dict, repr=False)
    failed: int = 0
    worked: int = 0
    spilt: int = 0
    objects: int = 0
    dumps: list[str] = field(default_factory=list)
    ahead: int = 0
    replies: list[str] = field(default_factory=list, repr=False)
    numbers: Iterator[int] = field(default_factory=count)

    def order(self, seam: str = "", error: str = "ValueError") -> None:
        _order(self.orders, seam, error, " ".join(self.secrets.values()), self.ahead)

    def secret(self, name: str, value: str = "") -> str:
        """Return *value*, or a new value, and treat it as a secret from now on."""
        value = value or f"{name.replace(' ', '-')}-{secrets.token_hex(12)}"
        self.secrets[f"{name} {len(self.secrets)}"] = value
        return value

    def leaks(self) -> list[tuple[str, str]]:
        """Return each output that shows a secret, with the kind: whole or half, plain or
        encoded."""
        found = []
        for what, secret in self.secrets.items():
            half = len(secret) // 2
            shown = {secret, secret[half:], quote(secret, safe="")}
            shown.add(base64.b64encode(secret.encode()).decode().rstrip("=")[:-2])
            found += [
                (sink, re.sub(r" \d+$", "", what))
                for sink, text in self.sinks.items()
                # a caller's name for a request, which is stored as it is
                if not (sink == "database" and what.startswith("idempotency key"))
                and any(form in text for form in shown)
            ]
        return found

    async def grpc(self, call: Any) -> None:
        """Make a call that must fail, and record what its caller receives."""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            self.failed += 1
            seen = [repr(error), str(error), error.details(), error.debug_error_string()]
            seen += [
                value.decode("latin-1") if isinstance(value, bytes) else value
                for pair in (error.trailing_metadata() or (), error.initial_metadata() or ())
                for _, value in pair
            ]
            self.replies += map(str, seen)
        except asyncio.CancelledError:
            self.failed += 1
        else:
            self.worked += 1

    async def post(self, method: str, path: str, **request: Any) -> None:
        headers = {"x-api-key": self.service.api_key, **request.pop("headers", {})}
        try:
            answer = await self.http.request(method, path, headers=headers, **request)
        except httpx.TransportError:
            self.failed += 1
            return
        self.failed += answer.status_code >= 400
        self.worked += answer.status_code < 400
        self.replies += [answer.text, str(answer.headers.raw), answer.reason_phrase]

    def person(self) -> tuple[str, str]:
        return handle_of(next(self.numbers)), self.secret("password", some_password())

    async def connect(self, transport: str = "grpc", **more: Any) -> None:
        handle, password = self.person()
        key = self.secret("idempotency key")
        if transport == "grpc":
            more = {"timeout": 20, "idempotency_key": key, **more}
            await self.grpc(self.service.connect(handle, password, **more))
            return
        body = {"platform": "bluesky", "credentials": {"handle": handle, "appPassword": password}}
        await self.post(
            "POST", "/profiles/connect", json=body, headers={"idempotency-key": key}, **more
        )

    async def connected(self) -> tuple[str, str]:
        """Connect a profile; return its key and its access token."""
        handle, password = self.person()
        reply = await self.service.connect(handle, password, timeout=20)
        return reply.profile_key, self.echo_server.tokens[-2]

    async def lease(self, **more: Any) -> None:
        profile, token = await self.connected()
        self.ahead += 120
        self.order()
        await self.grpc(self.service.lease(profile, rejected=token, **more))

    async def verify(self, transport: str = "grpc") -> None:
        profile, _ = await self.connected()
        self.ahead += 120
        self.order()
        if transport == "grpc":
            await self.grpc(self.service.verify(profile))
        else:
            await self.post("POST", f"/profiles/{profile}/platforms/bluesky/verify")


def _limit(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file")]
    return f"limit {' '.join(line.split()[4:6])}"


def _order(orders: Path, seam: str = "", error: str = "", text: str = "", ahead: int = 0) -> None:
    draft = orders.with_suffix(".draft")
    draft.write_text(json.dumps({"seam": seam, "error": error, "text": text, "ahead": ahead}))
    draft.rename(orders)


async def _tried(folder: Path, cluster: Cluster, servers: Servers, form: str, part: float) -> Trial:
    echo_server = servers.bluesky
    origins = echo_server.origin, *(site.origin for site in servers.sites)
    url = cluster.url(await cluster.new_database())
    assert await asyncio.to_thread(migrate_apart, url)
    create_keyring(folder / "keyring.json", new_keys("test"))
    read = Settings.read(
        {
            "POSTCORE_DATABASE_URL": url,
            "POSTCORE_KEYRING_FILE": str(folder / "keyring.json"),
            "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
            "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
            "POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0",
            "POSTCORE_LOG_FORMAT": form,
            "POSTCORE_LOG_LEVEL": "debug",
            "POSTCORE_PLC_URL": echo_server.origin,
            "POSTCORE_HANDLE_RESOLVER_URL": echo_server.origin,
            "POSTCORE_TRUSTED_ORIGINS": ",".join(origins),
            "POSTCORE_DRAIN_PAUSE_SECONDS": "0",
            "POSTCORE_DRAIN_SECONDS": "3",
        }
    )
    orders, report = folder / "orders", folder / "report"
    _order(orders)
    async with (
        _serve(read, orders, report, folder) as (pid, address, http),
        grpc.aio.insecure_channel(address) as channel,
        httpx.AsyncClient(base_url=f"http://{http}", trust_env=False, timeout=30) as client,
    ):
        trial = Trial(Running(read, address, channel, http=http), echo_server, orders, client)
        await _prepare(trial, url)
        every = [*_cases(trial), *site_cases(trial, servers.sites), *link_cases(trial)]
        for case in _spread(every, part):
            echo_server.how.clear()
            for site in servers.sites:
                site.reset()
            trial.order()
            await case()
        echo_server.how.clear()
        for site in servers.sites:
            site.reset()
        trial.order()
        await _without_store(trial, cluster)
        trial.dumps.append(_limit(pid))
    seen = report.read_text()
    trial.dumps += re.findall(r"^dumpable \d", seen, re.MULTILINE)
    trial.objects = sum(map(int, re.findall(r"^objects (\d+)$", seen, re.MULTILINE)))
    trial.spilt = len(re.findall(r"^objects ", seen, re.MULTILINE))
    for token in echo_server.tokens:
        trial.secret("token", token.rpartition(".")[2])
    for site in servers.sites:
        for text in site.seen:
            trial.secret(f"credential at {site.platform}", text)
    stored = [
        repr(await asyncio.to_thread(rows, url, f"SELECT * FROM {table}"))
        for table in (*TABLES, *KEPT_FOR_A_WHILE)
    ]
    trial.sinks = {
        "database": "\n".join(stored),
        "reprs": seen,
        "callers": "\n".join(trial.replies),
        **{name: (folder / name).read_text() for name in ("stdout", "stderr")},
    }
    assert "call failed" in trial.sinks["stderr"]
    return trial


async def _prepare(trial: Trial, url: str) -> None:
    service = trial.service
    service.tenant_id = await service.new_tenant()
    scopes = Scope.PROFILES_READ, Scope.PROFILES_WRITE, Scope.WEBHOOKS_WRITE
    service.api_key, _ = await service.new_key(*scopes)
    leasing = Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE
    service.leasing_key, _ = await service.new_key(*leasing)
    for key in (service.api_key, service.leasing_key):
        # the key's id stands before it and is no secret
        trial.secret("API key", key.rpartition("_")[2])
    trial.secret("DATABASE_URL's password", url.split(":")[2].partition("@")[0])
    for key in json.loads(service.settings.keyring_file.read_text())["keys"]:
        trial.secret("keyring key", key["key"])
    # Listing all objects breaks half-built ones, such as a library during its import. The first
    # login imports the SDK.
    await trial.connected()


@asynccontextmanager
async def _serve(
    read: Settings, orders: Path, report: Path, folder: Path
) -> AsyncIterator[tuple[int, str, str]]:
    with (folder / "stderr").open("wb") as errors, (folder / "stdout").open("w") as out:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "tests.attack.failing_process",
                str(orders),
                str(report),
                "serve",
            ),
            cwd=ROOT,
            env=environ_of(read),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            assert process.stdout
            async with asyncio.timeout(60):
                ready = (await process.stdout.readline()).decode()
            [addresses] = re.findall(
                r"^ready grpc=(\S+) http=(\S+) admin=\S+$", ready, re.MULTILINE
            )
            yield process.pid, *addresses
        finally:
            if process.returncode is None:
                process.terminate()
            rest, _ = await process.communicate()
            out.write(rest.decode())


def _cases(trial: Trial) -> Iterator[Case]:
    yield from _forced(trial)
    yield from _echoed(trial)
    yield from _bad(trial)
    yield from _given_up(trial)
    yield from _webhooks(trial)


def _forced(trial: Trial) -> Iterator[Case]:
    """Raise an exception at every seam, with every secret in its text."""
    errors = [name for name in ERRORS if name != "PlatformUnavailable"]
    kinds = ((CONNECT, "connect"), (LEASE, "lease"), (VERIFY, "verify"))
    numbers = count()
    for seams, call in kinds:
        for seam, turn in product(seams, range(4)):
            number = next(numbers)

            async def case(
                call: str = call,
                seam: str = name_of(seam),
                error: str = errors[(number + turn) % len(errors)],
                transport: str = ("grpc", "http")[turn % 2],
            ) -> None:
                if call == "connect":
                    trial.order(seam, error)
                    await trial.connect(transport)
                    return
                profile, token = await trial.connected()
                trial.ahead += 120
                trial.order(seam, error)
                if call == "lease":
                    await trial.grpc(trial.service.lease(profile, rejected=token))
                else:
                    await trial.grpc(trial.service.verify(profile))

            yield case


def _echoed(trial: Trial) -> Iterator[Case]:
    """Let a server echo what it received, in every form."""
    methods = ("createSession", "refreshSession", "getRepoStatus", "deleteSession")
    for number, (shape, status, method) in enumerate(product(SHAPES, STATUSES, methods)):
        if method != "createSession" and number % 3:
            continue

        async def case(
            shape: str = shape,
            status: int = status,
            method: str = method,
            transport: str = ("grpc", "http")[number // len(methods) % 2],
        ) -> None:
            if method == "createSession":
                trial.echo_server.how[method] = lambda said: SHAPES[shape](said, status)
                await trial.connect(transport)
                return
            profile, token = await trial.connected()
            trial.echo_server.how[method] = lambda said: SHAPES[shape](said, status)
            if method == "getRepoStatus":
                trial.echo_server.how["refreshSession"] = lambda said: SHAPES["error"](said, 400)
            trial.ahead += 120
            trial.order()
            if method == "deleteSession":
                request = pb.DeleteProfileRequest(profile_key=profile)
                delete = trial.service.profiles.DeleteProfile
                await trial.grpc(delete(request, metadata=trial.service.metadata()))
            else:
                await trial.grpc(trial.service.lease(profile, rejected=token))

        yield case


def _bad(trial: Trial) -> Iterator[Case]:
    """Send requests with secrets in the wrong fields."""
    service = trial.service

    async def grpc_connect(**wrong: Any) -> None:
        handle, password = trial.person()
        given = {"handle": handle, "app_password": password, **wrong}
        await trial.grpc(service.connect(given.pop("handle"), given.pop("app_password"), **given))

    async def http_connect(body: bytes, **more: Any) -> None:
        headers = {"content-type": "application/json", **more}
        await trial.post("POST", "/profiles/connect", content=body, headers=headers)

    new = trial.secret

    def grpc_case(**wrong: Any) -> Case:
        return lambda: grpc_connect(**wrong)

    def http_case(body: bytes, **more: str) -> Case:
        return lambda: http_connect(body, **more)

    yield grpc_case(handle=new("password", some_password()))
    yield grpc_case(app_password=f"{new('password', some_password())}x")
    yield grpc_case(app_password=new("password") * 100)
    yield grpc_case(app_password="")
    yield grpc_case(profile_key=new("password"))
    yield grpc_case(idempotency_key=new("idempotency key") * 20)
    yield grpc_case(idempotency_key=f"\n{new('idempotency key')}\n")
    yield grpc_case(api_key=f"{service.api_key}x")
    yield grpc_case(api_key=new("API key"))
    yield grpc_case(platform="linkedin", idempotency_key=new("idempotency key"))
    for body in (
        f'{{"credentials": {{"appPassword": "{new("password")}"',
        f'{{"platform": "bluesky", "credentials": "{new("password")}"}}',
        f'{{"platform": ["{new("password")}"]}}',
        f'{{"platform": "bluesky", "credentials": {{"{new("password")}": "x"}}}}',
        new("password"),
        f'["{new("password")}"]',
        f'{{"credentials": {{"appPassword": {{"{new("password")}": 1}}}}}}',
        new("password") * 3000,
    ):
        yield http_case(body.encode())
    yield http_case(new("password").encode("utf-16"))
    yield http_case(b"\xff" + new("password").encode())
    yield http_case(new("password").encode(), **{"content-type": "text/plain"})
    for path in ("/profiles/{}", "/profiles?pageToken={}", "/{}", "/profiles/connect?apiKey={}"):

        async def case(path: str = path) -> None:
            await trial.post("GET", path.format(trial.secret("token")))

        yield case

    async def undecodable() -> None:
        raw: Any = service.channel.unary_unary(f"{PROFILES}ConnectProfile")
        wire = b"\x0a\xff" + trial.secret("password").encode()
        await trial.grpc(raw(wire, metadata=service.metadata()))

    async def page() -> None:
        request = pb.ListProfilesRequest(page_token=trial.secret("token"))
        await trial.grpc(service.profiles.ListProfiles(request, metadata=service.metadata()))

    async def rejected(length: int = 1) -> None:
        token = trial.secret("rejected access token")
        await trial.grpc(service.lease("prof_none", rejected=token * length))

    yield from (undecodable, page, rejected, lambda: rejected(500))


def _webhooks(trial: Trial) -> Iterator[Case]:
    """Make, rotate and test webhooks whose receiver is away, and send malformed secrets."""
    calls, url = trial.service.webhooks, "https://hooks.invalid/in"

    async def rotated_and_tested() -> None:
        metadata = trial.service.metadata()
        made = await calls.CreateWebhook(
            webhooks_pb.CreateWebhookRequest(url=url), metadata=metadata
        )
        trial.secret("webhook secret", made.secret)
        webhook_id = made.webhook.webhook_id
        rotate = webhooks_pb.RotateWebhookSecretRequest(webhook_id=webhook_id)
        rotated = await calls.RotateWebhookSecret(rotate, metadata=metadata)
        trial.secret("webhook secret", rotated.secret)
        test = webhooks_pb.TestWebhookRequest(webhook_id=webhook_id)
        await trial.grpc(calls.TestWebhook(test, metadata=metadata))

    async def malformed() -> None:
        secret = f"whsec_{trial.secret('webhook secret')}!"
        given = {"url": url, "secret": secret}
        request = webhooks_pb.CreateWebhookRequest(**given)
        await trial.grpc(calls.CreateWebhook(request, metadata=trial.service.metadata()))
        await trial.post("POST", "/webhooks", json=given)

    async def misplaced() -> None:
        secret = trial.secret("webhook secret")
        for path in (f"/webhooks/{secret}", f"/webhooks/{secret}/failed?pageToken={secret}"):
            await trial.post("GET", path)
        for url_ in (f"https://user:{secret}@hooks.invalid/", f"http://hooks.invalid/{secret}"):
            await trial.post("POST", "/webhooks", json={"url": url_, "eventTypes": [secret]})

    for case in (rotated_and_tested, malformed, misplaced):
        yield from (case,) * 10


def _given_up(trial: Trial) -> Iterator[Case]:
    """Let calls time out or be cancelled while a server is silent."""
    for method, how in product(("createSession", "refreshSession"), ("late", "cancelled") * 4):

        async def case(method: str = method, how: str = how) -> None:
            profile, token = await trial.connected()
            trial.echo_server.how[method] = silent
            trial.ahead += 120
            trial.order()
            before = trial.echo_server.times(f"/xrpc/com.atproto.server.{method}")
            seconds = 0.6 if how == "late" else 20
            if method == "createSession":
                call = asyncio.ensure_future(trial.connect(timeout=seconds))
            else:
                lease = trial.service.lease(profile, rejected=token, timeout=seconds)
                call = asyncio.ensure_future(trial.grpc(lease))
            if how == "cancelled":
                await trial.echo_server.called(f"/xrpc/com.atproto.server.{method}", before + 1)
                call.cancel()
            await asyncio.gather(call, return_exceptions=True)

        yield case


async def _without_store(trial: Trial, cluster: Cluster) -> None:
    """Stop the database during calls, and make others while it is stopped."""
    profile, token = await trial.connected()
    trial.ahead += 120
    trial.order()
    calls = [asyncio.ensure_future(trial.connect()) for _ in range(5)]
    await asyncio.to_thread(cluster.stop, "immediate")
    await asyncio.gather(*calls, return_exceptions=True)
    for transport in ("grpc", "http"):
        await trial.connect(transport)
    await trial.grpc(trial.service.lease(profile, rejected=token))
    await trial.grpc(trial.service.verify(profile))
    await trial.post("GET", f"/profiles/{profile}")
    await asyncio.to_thread(cluster.start)


def _spread(all_of_them: Sequence[Case], part: float) -> Sequence[Case]:
    """Return that part of the cases, spread from first to last."""
    return all_of_them[:: max(1, round(1 / part))]

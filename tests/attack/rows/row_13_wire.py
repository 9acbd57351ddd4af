"""Row 13: old TLS versions, plain text, client certificates, and new certificates under load."""

import asyncio
import ssl
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic

import grpc.aio
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.attack.row import Figure, Ground, share
from tests.attack.service_process import sentence
from tests.attack.tls_service import SECONDS, Shown, Wire, is_shown, wired
from tests.bench.seed import settings
from tests.support.authority import HOUR, Authority
from tests.transport.test_tls import shown_by

ROTATIONS = 100
FRESH, AT_ONCE, FRESH_SECONDS = 1000, 40, 2.0
WORKERS = 3
"""Workers of each kind of call, beside the rotations."""
PLAIN = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"",
)
"""Plain-text beginnings; the last one is incomplete."""


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    authority = Authority(ground.folder)
    async with wired(ground, authority) as wire:
        figures = [await _old(wire), await _plain(wire)]
        figures += [
            await _fresh(wire, share(FRESH, part), version)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        ]
        figures += await _unusable(wire)
    figures.append(await _callers(ground, authority))
    figures += await _replaced(ground, authority, share(ROTATIONS, part))
    return [*figures, await _exposed(ground)]


async def _old(wire: Wire) -> Figure:
    """Offer old TLS versions with a client that accepts every version."""
    let_in = []
    for address in (wire.at.grpc, wire.at.http):
        for version in (
            *(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1),
            *(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ):
            context = ssl.create_default_context(cadata=wire.authority.root.decode())
            context.set_alpn_protocols(["h2", "http/1.1"])
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore"):
                context.minimum_version = context.maximum_version = version
            try:
                assert await shown_by(address, context)
            except (ssl.SSLError, ConnectionError):
                continue
            let_in.append(version)
    good = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3] * 2
    return Figure(
        "TLS 1.0, 1.1, 1.2 and 1.3, on both ports",
        f"taken: {', '.join(sorted({version.name for version in let_in}))}",
        let_in == good,
    )


async def _plain(wire: Wire) -> Figure:
    """Send plain text: no byte may come back except a TLS alert."""
    answered = tries = 0
    for address in (wire.at.grpc, wire.at.http):
        for said in PLAIN:
            tries += 1
            answered += await _is_answered(address, said)
    async with grpc.aio.insecure_channel(wire.at.grpc) as channel:
        tries += 1
        try:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=3
            )
        except grpc.aio.AioRpcError:
            pass
        else:
            answered += 1
    return Figure("plain text, on both ports", f"{answered} of {tries} answered", answered == 0)


async def _fresh(wire: Wire, count: int, version: ssl.TLSVersion) -> Figure:
    """Open connections with an immediate hello, AT_ONCE of them at a time."""
    context = ssl.create_default_context(cadata=wire.authority.root.decode())
    context.minimum_version = context.maximum_version = version
    host, _, port = wire.at.http.rpartition(":")
    left, taken, failed = iter(range(count)), list[float](), 0

    async def one_after_the_other() -> None:
        nonlocal failed
        for _ in left:
            began = monotonic()
            try:
                async with asyncio.timeout(SECONDS):
                    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
                    writer.write(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    good = (await reader.readline()).startswith(b"HTTP/1.1 200")
                    writer.close()
            except (OSError, TimeoutError):
                good = False
            failed += not good
            taken.append(monotonic() - began)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    slow = sum(seconds > FRESH_SECONDS for seconds in taken)
    return Figure(
        f"{count} fresh HTTPS connections, hello at once, {version.name}",
        f"{failed} failed or hung, {slow} took more than {FRESH_SECONDS:.0f} s, the longest"
        f" {max(taken):.2f} s",
        not failed and not slow,
    )


async def _is_answered(address: str, said: bytes) -> bool:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(SECONDS):
            answer = await reader.read()
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    alert = 21
    return bool(answer) and answer[0] != alert


async def _callers(ground: Ground, authority: Authority) -> Figure:
    """Require client certificates."""
    clients, others = Authority(ground.folder, "clients"), Authority(ground.folder, "others")
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    good = [clients.issue("caller"), clients.issue("client", purpose=client)]
    bad: dict[str, Shown] = {
        "no certificate": None,
        "wrong authority": others.issue("other"),
        "its own": _self_signed(ground.folder),
        "expired": clients.issue("late", begins=-2 * HOUR, ends=-HOUR),
        "not yet": clients.issue("early", begins=HOUR, ends=2 * HOUR),
        "wrong purpose": clients.issue("wrong", purpose=server),
    }
    let_in: list[str] = []
    turned_away = 0
    async with wired(ground, authority, clients.file) as wire:
        for call in (wire.over_grpc, wire.over_http):
            turned_away += sum([not await call(shown) for shown in good])
            let_in += [what for what, shown in bad.items() if await call(shown)]
    return Figure(
        f"callers' certificates on both ports: {', '.join(bad)}",
        f"let in: {', '.join(let_in) or '0'}; of good ones turned away: {turned_away}",
        not let_in and turned_away == 0,
    )


def _self_signed(folder: Path) -> Shown:
    """Return a root used as a client certificate: the right name with another key."""
    (folder / "impostor").mkdir()
    return Authority(folder / "impostor", "clients").issue("caller")


async def _unusable(wire: Wire) -> list[Figure]:
    """Install unusable files: the previous ones stay in use, and the log reports an error."""
    cert, key = (wire.authority.file.with_name(f"server.{end}") for end in ("pem", "key"))
    good = cert.read_bytes(), key.read_bytes()
    other = [file.read_bytes() for file in wire.authority.issue("another")]
    over = _content(wire.authority.issue("over", begins=-2 * HOUR, ends=-HOUR))
    early = _content(wire.authority.issue("early", begins=HOUR, ends=2 * HOUR))
    spoils: dict[str, tuple[bytes | None, bytes | None]] = {
        "empty": (b"", b""),
        "half a certificate": (good[0][: len(good[0]) // 2], good[1]),
        "half a key": (good[0], good[1][: len(good[1]) // 2]),
        "another's key": (good[0], other[1]),
        "another's certificate": (other[0], good[1]),
        "no PEM": (b"\0" * 100, good[1]),
        "gone": (None, None),
        "expired": over,
        "not yet good": early,
    }
    served = logged = 0
    first = x509.load_pem_x509_certificate(good[0])
    for spoil in spoils.values():
        before = wire.logged("certificates cannot be used")
        for file, content in zip((cert, key), spoil, strict=True):
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)
        served += all([await is_shown(wire, first), await wire.over_grpc(None)])
        logged += wire.logged("certificates cannot be used") > before
    for file, content in zip((cert, key), good, strict=True):
        file.write_bytes(content)
    again = await wire.over_grpc(None) and await wire.over_http(None)
    return [
        Figure(
            f"a new pair that is {', '.join(spoils)}",
            f"the former served {served} of {len(spoils)} times, {logged} logged; "
            f"good ones {'taken up' if again else '**not taken up**'} after that",
            served == logged == len(spoils) and again,
        )
    ]


def _content(files: tuple[Path, Path]) -> tuple[bytes, bytes]:
    cert, key = files
    return cert.read_bytes(), key.read_bytes()


async def _replaced(ground: Ground, authority: Authority, rotations: int) -> list[Figure]:
    """Replace certificate, key and client authorities beside calls on new connections and an old
    one."""
    clients = Authority(ground.folder, "clients")
    caller = clients.issue("caller")
    both = ground.folder / "both.pem"
    both.write_bytes(clients.root)
    outcomes: Counter[tuple[str, bool]] = Counter()
    newest = 0
    async with wired(ground, authority, both) as wire:
        credentials = grpc.ssl_channel_credentials(
            authority.root, caller[1].read_bytes(), caller[0].read_bytes()
        )

        async def stands() -> bool:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

        async def repeat(what: str, call: Callable[[], Awaitable[bool]]) -> None:
            while True:
                try:
                    well = await call()
                except grpc.aio.AioRpcError:
                    well = False
                outcomes[what, well] += 1

        async with grpc.aio.secure_channel(wire.at.grpc, credentials) as standing:
            stub = health_pb2_grpc.HealthStub(standing)
            assert await stands()
            calls: dict[str, Callable[[], Awaitable[bool]]] = {
                "standing": stands,
                "new over gRPC": lambda: wire.over_grpc(caller),
                "new over HTTP": lambda: wire.over_http(caller),
            }
            tasks = [
                asyncio.create_task(repeat(what, call))
                for what, call in calls.items()
                for _ in range(WORKERS)
            ]
            for number in range(rotations):
                cert, _ = authority.issue("server")
                draft = both.with_suffix(".draft")
                draft.write_bytes(clients.root + Authority(ground.folder, f"more{number}").root)
                draft.rename(both)
                issued = x509.load_pem_x509_certificate(cert.read_bytes())
                newest += await is_shown(wire, issued, caller)
                so_far = sum(outcomes.values())
                async with asyncio.timeout(SECONDS):
                    while sum(outcomes.values()) < so_far + len(tasks):
                        await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    failed = sum(count for (_, well), count in outcomes.items() if not well)
    each = ", ".join(f"{outcomes[what, True]} {what}" for what in calls)
    return [
        Figure(
            f"certificate, key and callers' authorities replaced {rotations} times under load",
            f"{failed} calls failed ({each} did not); "
            f"the newest shown at once {newest} of {rotations} times",
            failed == 0 and newest == rotations and all(outcomes[what, True] for what in calls),
        )
    ]


async def _exposed(ground: Ground) -> Figure:
    """Serve plain text on an address that other machines can reach."""
    read = settings(ground.folder, f"sqlite:///{ground.folder / 'postcore.db'}")
    names = ("POSTCORE_GRPC_ADDRESS", "POSTCORE_HTTP_ADDRESS")
    errors = [
        await sentence(read, ground.folder / "log", more={name: "0.0.0.0:0"}) for name in names
    ]
    refused = [
        f"{name}: other machines can reach it" in said
        for name, said in zip(names, errors, strict=True)
    ]
    allowed = await sentence(
        read,
        ground.folder / "log",
        more={**dict.fromkeys(names, "0.0.0.0:0"), "POSTCORE_ALLOW_PLAINTEXT": "true"},
    )
    return Figure(
        "plain text at a public address, without POSTCORE_ALLOW_PLAINTEXT; with it",
        f"{sum(refused)} of {len(names)} starts refused; {allowed or 'started'}",
        all(refused) and not allowed,
    )

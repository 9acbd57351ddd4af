"""TLS: server and client certificates, and their replacement without a restart."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from service.app.serving import serving
from service.crypto.keyring import create_keyring, new_keys
from service.settings import ConfigError, Settings
from service.transport.certificates import CertificateError, Certificates
from tests.support.authority import HOUR, Authority
from tests.transport.test_clients import run

ROUNDS = 5


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def served(database: Path, **settings: object) -> AsyncIterator[str]:
    """Run a service with *settings*, and yield its address."""
    keyring = database.with_name("keyring.json")
    if not keyring.exists():
        create_keyring(keyring, new_keys("test"))
    read = Settings.read(
        {
            "POSTCORE_DATABASE_URL": f"sqlite:///{database}",
            "POSTCORE_KEYRING_FILE": str(keyring),
            "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
            "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
            "POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0",
            "POSTCORE_DRAIN_PAUSE_SECONDS": "0",
            **{f"POSTCORE_{name}": str(value) for name, value in settings.items()},
        }
    )
    async with serving(read) as started:
        yield started.grpc


async def health(
    address: str, root: bytes, shown: tuple[Path, Path] | None = None, **options: Any
) -> str:
    """Return the health status over a new connection, or the code that it fails with."""
    chain, key = (file.read_bytes() for file in shown) if shown else (None, None)
    credentials = grpc.ssl_channel_credentials(root, key, chain)
    # a connection of its own, not one that is shared with other channels
    alone = [("grpc.use_local_subchannel_pool", 1), *options.items()]
    async with grpc.aio.secure_channel(address, credentials, alone) as channel:
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=20
            )
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


async def shown_by(address: str, context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a new connection gets."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


async def test_calls_go_through_tls(database: Path, authority: Authority, tmp_path: Path) -> None:
    """Clients that trust another root, or use plain text, fail."""
    cert, key = authority.issue("server")
    other = Authority(tmp_path, "other")
    async with served(database, TLS_CERT_FILE=cert, TLS_KEY_FILE=key) as address:
        assert await health(address, authority.root) == "SERVING"
        assert await health(address, other.root) == "UNAVAILABLE"
        async with grpc.aio.insecure_channel(address) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=5
                )


@pytest.mark.parametrize(
    ("version", "let_in"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.slow
async def test_tls_is_1_2_or_later(
    database: Path, authority: Authority, version: ssl.TLSVersion, let_in: bool
) -> None:
    """Older versions are rejected although the client offers them."""
    cert, key = authority.issue("server")
    context = ssl.create_default_context(cadata=authority.root.decode())
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    # Python itself warns of what it is asked to do here
    with nullcontext() if let_in else pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = version
    async with served(database, TLS_CERT_FILE=cert, TLS_KEY_FILE=key) as address:
        if let_in:
            assert await shown_by(address, context)
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shown_by(address, context)


async def test_callers_present_a_certificate(
    database: Path, authority: Authority, tmp_path: Path
) -> None:
    """With POSTCORE_TLS_CLIENT_CA_FILE, none or one of another authority is rejected."""
    cert, key = authority.issue("server")
    clients, others = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    settings = {"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "TLS_CLIENT_CA_FILE": clients.file}
    async with served(database, **settings) as address:
        assert await health(address, authority.root, clients.issue("caller")) == "SERVING"
        assert await health(address, authority.root) == "UNAVAILABLE"
        assert await health(address, authority.root, others.issue("other")) == "UNAVAILABLE"


@pytest.mark.slow
async def test_certificates_are_replaced_under_load(
    database: Path, authority: Authority, tmp_path: Path
) -> None:
    """Certificate, key and client authority are replaced repeatedly. No call on an open or new
    connection fails, and the newest certificate is used."""
    cert, key = authority.issue("server")
    clients = Authority(tmp_path, "clients")
    caller = clients.issue("caller")
    both = tmp_path / "both.pem"
    both.write_bytes(clients.root)
    outcomes: list[str] = []
    context = ssl.create_default_context(cadata=authority.root.decode())
    context.load_cert_chain(*caller)
    context.set_alpn_protocols(["h2"])

    async def call_again_and_again() -> None:
        while True:
            outcomes.append(await health(address, authority.root, caller))

    settings = {"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "TLS_CLIENT_CA_FILE": both}
    async with served(database, **settings) as address:
        credentials = grpc.ssl_channel_credentials(
            authority.root, caller[1].read_bytes(), caller[0].read_bytes()
        )
        async with grpc.aio.secure_channel(address, credentials) as standing:
            stub = health_pb2_grpc.HealthStub(standing)
            tasks = [asyncio.create_task(call_again_and_again()) for _ in range(4)]
            shown = set()
            for number in range(ROUNDS):
                authority.issue("server")
                both.write_bytes(clients.root + Authority(tmp_path, f"more{number}").root)
                shown.add(await shown_by(address, context))
                reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
                assert reply.status == health_pb2.HealthCheckResponse.SERVING
                seen = len(outcomes)
                while len(outcomes) < seen + 4:
                    await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        newer = Authority(tmp_path, "newer")
        both.write_bytes(newer.root)
        assert await health(address, authority.root, newer.issue("newcomer")) == "SERVING"
        assert await health(address, authority.root, caller) == "UNAVAILABLE"
    assert set(outcomes) == {"SERVING"}
    assert len(shown) == ROUNDS


async def test_mismatched_files_keep_the_previous_certificate(
    database: Path, authority: Authority
) -> None:
    """The mismatch is logged once, and matching files are loaded again."""
    cert, key = authority.issue("server")
    good = cert.read_bytes(), key.read_bytes()
    async with served(database, TLS_CERT_FILE=cert, TLS_KEY_FILE=key) as address:
        with capture_logs() as lines:
            for spoil in (b"nothing", b""):
                key.write_bytes(spoil)
                for _ in range(2):
                    assert await health(address, authority.root) == "SERVING"
            key.unlink()
            assert await health(address, authority.root) == "SERVING"
            key.write_bytes(good[1])
            assert await health(address, authority.root) == "SERVING"
    errors = [line for line in lines if line["event"] == "certificates cannot be used"]
    assert [line["log_level"] for line in errors] == ["error"] * 3
    assert [line["event"] for line in lines].count("certificates loaded") == 1
    assert "PRIVATE" not in str(lines)


@pytest.mark.parametrize(("begins", "ends"), [(-2 * HOUR, -HOUR), (HOUR, 2 * HOUR)])
async def test_an_expired_certificate_keeps_the_previous_one(
    database: Path, authority: Authority, begins: timedelta, ends: timedelta
) -> None:
    """An expired certificate, or one that is not valid yet, would make every caller fail; at the
    start it is an error."""
    cert, key = authority.issue("server")
    async with served(database, TLS_CERT_FILE=cert, TLS_KEY_FILE=key) as address:
        with capture_logs() as lines:
            authority.issue("server", begins=begins, ends=ends)
            assert await health(address, authority.root) == "SERVING"
    reasons = [line["why"] for line in lines if line["event"] == "certificates cannot be used"]
    assert reasons
    assert all(f"{cert} is good from" in why for why in reasons)
    with pytest.raises(CertificateError, match=r"POSTCORE_TLS_CERT_FILE: .* and not now"):
        async with served(database, TLS_CERT_FILE=cert, TLS_KEY_FILE=key):
            pass


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("cert missing", "POSTCORE_TLS_CERT_FILE: .* cannot be read"),
        ("cert", "POSTCORE_TLS_CERT_FILE: .* holds no certificate"),
        ("key missing", "POSTCORE_TLS_KEY_FILE: .* cannot be read"),
        ("key", "POSTCORE_TLS_KEY_FILE: .* holds no private key"),
        ("another key", "POSTCORE_TLS_KEY_FILE: .* does not belong to the certificate"),
        ("ca missing", "POSTCORE_TLS_CLIENT_CA_FILE: .* cannot be read"),
        ("ca", "POSTCORE_TLS_CLIENT_CA_FILE: .* holds no certificate"),
    ],
)
async def test_unusable_certificates_fail_the_start(
    database: Path, authority: Authority, spoilt: str, message: str
) -> None:
    """The error names the setting and quotes nothing from the files."""
    cert, key = authority.issue("server")
    files = {"cert": cert, "key": key, "ca": authority.file}
    what, _, how = spoilt.partition(" ")
    if how == "missing":
        files[what].unlink()
    elif what == "another":
        key.write_bytes(authority.issue("other")[1].read_bytes())
    else:
        files[what].write_text("-----BEGIN hunter2-----")
    with pytest.raises(CertificateError, match=message) as caught:
        async with served(
            database, TLS_CERT_FILE=cert, TLS_KEY_FILE=key, TLS_CLIENT_CA_FILE=authority.file
        ):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["GRPC_ADDRESS", "HTTP_ADDRESS"])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0"])
async def test_plain_text_needs_a_loopback_address(
    database: Path, authority: Authority, name: str, address: str
) -> None:
    """Other addresses fail at the start, naming the setting, unless they are allowed explicitly.
    With TLS any address is accepted."""
    with pytest.raises(ConfigError, match=f"POSTCORE_{name}: other machines can reach it"):
        async with served(database, **{name: address}):
            pass
    cert, key = authority.issue("server")
    for settings in (
        {"POSTCORE_ALLOW_PLAINTEXT": "true"},
        {"POSTCORE_TLS_CERT_FILE": str(cert), "POSTCORE_TLS_KEY_FILE": str(key)},
    ):
        assert Settings.read({f"POSTCORE_{name}": address, **settings})
    async with served(database, GRPC_ADDRESS="0.0.0.0:0", ALLOW_PLAINTEXT="true") as allowed:
        assert allowed.startswith("0.0.0.0:")


@pytest.mark.parametrize(
    ("given", "missing"),
    [("CERT", "KEY"), ("KEY", "CERT"), ("CLIENT_CA", "CERT")],
)
def test_tls_settings_require_each_other(given: str, missing: str) -> None:
    """The error names the missing setting."""
    with pytest.raises(ConfigError) as caught:
        Settings.read({f"POSTCORE_TLS_{given}_FILE": "x"})
    assert caught.value.faults == [
        f"POSTCORE_TLS_{missing}_FILE: must be set where POSTCORE_TLS_{given}_FILE is"
    ]


async def test_grpcurl_over_tls(
    database: Path, authority: Authority, grpcurl: Path, tmp_path: Path
) -> None:
    """With -cacert, and with -cert and -key if callers present a certificate."""
    cert, key = authority.issue("server")
    clients = Authority(tmp_path, "clients")
    caller, caller_key = clients.issue("caller")
    settings = {"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "TLS_CLIENT_CA_FILE": clients.file}
    async with served(database, **settings) as address:
        trusting = ("-cacert", str(authority.file))
        shown = ("-cert", str(caller), "-key", str(caller_key))
        code, output, errors = await run(grpcurl, *trusting, *shown, address, "list")
        assert code == 0, errors
        assert "postcore.profiles.v1.ProfileService" in output.split()
        code, *_ = await run(grpcurl, *trusting, "-max-time", "5", address, "list")
        assert code != 0


@pytest.mark.parametrize("names", [(), ("postcore.example",), ("*.postcore.example",)])
@pytest.mark.parametrize("asks_callers", [False, True])
async def test_the_server_itself_can_be_called(
    database: Path, authority: Authority, names: tuple[str, ...], asks_callers: bool
) -> None:
    """`healthcheck` uses the server's own files, with any name in the certificate."""
    cert, key = authority.issue("server", *names)
    settings: dict[str, object] = {"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key}
    if asks_callers:
        settings["TLS_CLIENT_CA_FILE"] = authority.file
    async with served(database, **settings) as address:
        credentials, name = Certificates(
            cert, key, authority.file if asks_callers else None
        ).grpc_client()
        options = [("grpc.ssl_target_name_override", name)]
        async with grpc.aio.secure_channel(address, credentials, options) as channel:
            reply = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=20
            )
        assert reply.status == health_pb2.HealthCheckResponse.SERVING

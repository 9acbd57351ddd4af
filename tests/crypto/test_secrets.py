"""Secrets planted at every layer appear in no log, status or file."""

import logging
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from service.connections.connect import Connect, ConnectRequest
from service.connections.leases import LeaseRequest
from service.domain.errors import ServiceUnavailable
from service.domain.model import Credentials
from service.domain.records import Reservation
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.runtime import log
from service.storage.connections import SqlConnections
from service.storage.idempotency import SqlIdempotency
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running


@pytest.fixture
def debug_log(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Configure the log as `serve` does, at debug level."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    log.configure("json", "debug")
    yield
    log.configure("console", "info")  # as at the start of every test
    root.handlers, root.level = handlers, level


def plant(error: Exception) -> object:
    async def raise_it(*_: object, **__: object) -> object:
        raise error

    return raise_it


async def test_no_sink_holds_a_secret(
    sandboxed: Running,
    sandbox: SandboxBluesky,
    debug_log: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Passwords, tokens, API keys and the keyring's keys appear neither in log lines at debug level
    nor in statuses, trailers and files of the data folder, on success and on each failure."""
    person, other = await sandbox.person("main-pass-word-zzzz"), await sandbox.person()
    secrets = {person.app_password, other.app_password, person.main_password, sandboxed.api_key}
    statuses: list[str] = []

    async def refused(*arguments: str, **more: object) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sandboxed.connect(*arguments, **more)  # type: ignore[arg-type]
        statuses.append(repr(caught.value))
        statuses.append(repr(caught.value.trailing_metadata()))

    reply = await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    session = sandboxed.session()
    secrets |= {session.access_token, session.refresh_token}
    await sandboxed.connect(person.handle, person.app_password, profile_key=reply.profile_key)
    session = sandboxed.session()
    secrets |= {session.access_token, session.refresh_token}
    await refused(other.handle, other.app_password, profile_key=reply.profile_key)
    await refused(person.handle, other.app_password)
    await refused(person.handle, person.main_password)
    await refused(person.handle, f"x{person.app_password}")
    await refused(person.app_password, person.app_password)
    await refused(person.handle, person.app_password, platform="linkedin")
    await refused(person.handle, person.app_password, api_key=f"{sandboxed.api_key}x")
    await refused(person.handle, other.app_password, idempotency_key="k")
    layers: list[tuple[object, str]] = [
        (Connect, "connect"),
        (BlueskyPlatform, "identify"),
        (BlueskyPlatform, "log_in"),
        (SqlConnections, "save_login"),
        (SqlConnections, "connected_account"),
        (SqlIdempotency, "reserve"),
    ]
    for where, name in layers:
        for error in (
            ValueError(f"planted {person.app_password} {session.refresh_token}"),
            ServiceUnavailable(),
        ):
            error.__context__ = RuntimeError(person.app_password)
            with monkeypatch.context() as patched:
                patched.setattr(where, name, plant(error))
                await refused(
                    person.handle,
                    person.app_password,
                    profile_key=reply.profile_key,
                    idempotency_key=f"{name}{error!r}"[:20],
                )
    logging.getLogger("some.library").error("planted %s", person.app_password)
    try:
        raise ValueError(person.app_password)
    except ValueError:
        logging.getLogger("asyncio").exception(f"planted {person.app_password}")  # noqa: G004

    output = capsys.readouterr()
    assert "call failed" in output.err
    assert "some.library" in output.err
    assert len(statuses) > 30
    sinks = {"stdout": output.out, "stderr": output.err, "statuses": "".join(statuses)}
    for path in sandboxed.database.parent.iterdir():
        if path != sandboxed.settings.keyring_file:
            sinks[path.name] = path.read_bytes().decode("latin-1")
    assert "postcore.db-wal" in sinks
    keyring = sandboxed.settings.keyring_file.read_text()
    secrets |= {line.split('"')[3] for line in keyring.splitlines() if '"key"' in line}
    assert len(secrets) >= 10  # two sessions of one second may share their access token
    for name, text in sinks.items():
        for secret in secrets:
            assert secret not in text, f"a secret in {name}"


def test_only_its_owner_may_read_the_keyring(sandboxed: Running) -> None:
    """The file has mode 0600."""
    path: Path = sandboxed.settings.keyring_file
    assert path.stat().st_mode & 0o777 == 0o600


def test_requests_show_no_secret() -> None:
    """Their reprs hide credentials, tokens and idempotency keys."""
    for request in (
        ConnectRequest("prof_a", "bluesky", Credentials(appPassword="planted"), "planted"),
        Reservation("ten_a", "ConnectProfile", "planted", "holder"),
        LeaseRequest("prof_a", "bluesky", "planted"),
    ):
        assert "planted" not in repr(request)

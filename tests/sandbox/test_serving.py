"""`serve --sandbox`: what it opens, what it trusts, and where it refuses to."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from service.access.api_keys import ApiKeys
from service.app import sandbox as playground
from service.app import serving as app
from service.app.sandbox import SANDBOX_TENANT
from service.app.startup import StartError, open_store
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.model import DEFAULT_SCOPES
from service.sandbox.remote import Remote
from service.sandbox.sandbox import Sandbox
from service.settings import Settings


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each sandbox that opens says of itself in the log."""
    lines: list[dict[str, Any]] = []

    class Noting:
        def info(self, line: str, **fields: Any) -> None:
            if line == "sandbox is open":
                lines.append(fields)

    monkeypatch.setattr(playground, "log", Noting())
    return lines


@asynccontextmanager
async def serving(database: Path, **given: str) -> AsyncIterator[tuple[Settings, app.Serving]]:
    """The service in sandbox mode, on *database*."""
    usual = {
        "DATABASE_URL": f"sqlite:///{database}",
        "KEYRING_FILE": str(database.with_suffix(".keyring")),
        "GRPC_ADDRESS": "127.0.0.1:0",
        "HTTP_ADDRESS": "127.0.0.1:0",
        "ADMIN_ADDRESS": "127.0.0.1:0",
        "SANDBOX_ADDRESS": "127.0.0.1:0",
        "DRAIN_PAUSE_SECONDS": "0",
    }
    settings = Settings.read(
        {f"POSTCORE_{name}": value for name, value in {**usual, **given}.items()}
    )
    create_keyring(settings.keyring_file, new_keys("test"))
    async with app.serving(settings, sandbox=True) as running:
        yield settings, running


async def asked(fields: dict[str, Any], *question: str) -> dict[str, Any]:
    """What a sandbox that runs in this very process answers."""
    return await asyncio.to_thread(Remote(fields["control"]).ask, *question)


async def test_both_servers_are_open_and_trusted(
    database: Path, opened: list[dict[str, Any]]
) -> None:
    """An account that moves to the second one can be connected there."""
    async with serving(database) as (settings, running):
        [fields] = opened
        moved = await asked(fields, "POST", "accounts", "user.bsky.social", "migrate")
        assert moved["server"] == fields["servers"][1] != fields["servers"][0]
        made = await asked(fields, "POST", "accounts", moved["did"], "app-passwords")
        async with open_store(settings) as store:
            access = ApiKeys(store.api_keys, Keyring(settings.keyring_file), SystemClock())
            key, stored = access.mint(SANDBOX_TENANT, "test", DEFAULT_SCOPES)
            assert await store.api_keys.add(stored)
        async with grpc.aio.insecure_channel(running.grpc) as channel:
            reply = await profiles_grpc.ProfileServiceStub(channel).ConnectProfile(
                pb.ConnectProfileRequest(
                    platform="bluesky",
                    credentials=pb.Credentials(
                        handle="user.bsky.social", app_password=made["password"]
                    ),
                ),
                metadata=(("x-api-key", key),),
                timeout=10,
            )
        assert reply.username == "user.bsky.social"


async def test_two_sandboxes_stand_side_by_side(
    database: Path, opened: list[dict[str, Any]]
) -> None:
    """With a free port for the sandbox, the control surface has a free port too, by default."""
    other = Path(shutil.copy(database, database.with_name("other.db")))
    async with serving(database), serving(other, SANDBOX_CONTROL_ADDRESS="127.0.0.1:0"):
        one, two = opened
        await asked(one, "DELETE", "accounts", "user.bsky.social")
        assert await asked(two, "GET", "accounts", "user.bsky.social")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:2581", "example.com:1", "[::]:0"])
async def test_the_control_surface_is_for_this_machine(database: Path, address: str) -> None:
    """It shows every password."""
    with pytest.raises(StartError, match=r"is for this machine alone; .* is not loopback"):
        async with serving(database, SANDBOX_CONTROL_ADDRESS=address):
            pass


async def test_an_address_that_is_taken_is_named(database: Path) -> None:
    """In a sentence for the operator."""
    async with Sandbox() as sandbox:
        taken = sandbox.control.address
        with pytest.raises(StartError, match=f"cannot listen on {taken}; is the port taken"):
            async with serving(database, SANDBOX_CONTROL_ADDRESS=taken):
                pass

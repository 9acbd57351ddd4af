"""Runs a real Bluesky server and PLC directory for tests, and does there what account owners do."""

import asyncio
import base64
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Self

import httpx

SCRIPT = Path(__file__).with_name("start.mjs")
# All that the server sees of the environment: no setting reaches it by accident.
INHERITED = ("PATH", "HOME", "TMPDIR")


class RealServerError(Exception):
    """The server did not start, or refused what a test asked of it."""


@dataclass(frozen=True, slots=True)
class Account:
    did: str
    handle: str
    access_token: str = field(repr=False)


class RealServer:
    """One running server and its directory. `folder` is what `tests/pds/install` prints.

        async with await RealServer.start(folder, login_floor=False) as server:
            account = await server.create_account("alice.test", "main password")
            app_password = await server.create_app_password(account, "postcore")

    It is tied to no event loop: tests that each have their own can share one server.
    """

    def __init__(
        self, ready: dict[str, Any], process: subprocess.Popen[bytes], resources: ExitStack
    ) -> None:
        self.pds: str = ready["pds"]
        self.plc: str = ready["plc"]
        admin = f"{ready['admin']['user']}:{ready['admin']['password']}"
        self._admin = f"Basic {base64.b64encode(admin.encode()).decode()}"
        self._process = process
        self._resources = resources

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        rate_limits: bool = False,
        did_doc: bool = True,
        login_floor: bool = True,
        second_factor: Mapping[str, str] | None = None,
        app_view: bool = False,
        data: Path | None = None,
        pds_port: int = 0,
        plc_port: int = 0,
        deadline: float = 60,
    ) -> Self:
        """Start it and wait until it takes calls. `start.mjs` documents the switches."""
        codes = [f"{handle}:{code}" for handle, code in (second_factor or {}).items()]
        switches = {
            "PDS_MODULES": str(folder),
            "PDS_RATE_LIMITS": "1" if rate_limits else "0",
            "PDS_DID_DOC": "1" if did_doc else "0",
            "PDS_LOGIN_FLOOR": "1" if login_floor else "0",
            "PDS_2FA": ",".join(codes),
            "STUB_APPVIEW": "1" if app_view else "0",
            "PDS_DATA": str(data or ""),
            "PDS_PORT": str(pds_port),
            "PLC_PORT": str(plc_port),
        }
        with ExitStack() as resources:
            # a file, since a pipe without a reader would fill and block the server
            output = resources.enter_context(tempfile.TemporaryFile())
            process = _spawn(switches, output)
            resources.callback(_end, process)
            ready = await _ready(process, output, time.monotonic() + deadline)
            return cls(ready, process, resources.pop_all())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop it; the second time does nothing."""
        await asyncio.to_thread(self._resources.close)

    def signal(self, number: int) -> None:
        """Stop it in its tracks (SIGSTOP), let it go on, or kill it."""
        self._process.send_signal(number)

    async def create_account(self, handle: str, password: str) -> Account:
        """Create an account; its handle ends in `.test`. No login is spent on it."""
        new = {"handle": handle, "password": password, "email": f"{handle}@example.com"}
        answer = await self._call("com.atproto.server.createAccount", new)
        return Account(answer["did"], answer["handle"], answer["accessJwt"])

    async def create_app_password(
        self, account: Account, name: str, privileged: bool = False
    ) -> str:
        """Create an app password; each of an account's needs a name of its own."""
        new = {"name": name, "privileged": privileged}
        answer = await self._call("com.atproto.server.createAppPassword", new, account)
        return str(answer["password"])

    async def revoke_app_password(self, account: Account, name: str) -> None:
        await self._call("com.atproto.server.revokeAppPassword", {"name": name}, account)

    async def deactivate(self, account: Account) -> None:
        await self._call("com.atproto.server.deactivateAccount", {}, account)

    async def activate(self, account: Account) -> None:
        await self._call("com.atproto.server.activateAccount", None, account)

    async def update_handle(self, account: Account, handle: str) -> Account:
        await self._call("com.atproto.identity.updateHandle", {"handle": handle}, account)
        return replace(account, handle=handle)

    async def take_down(self, did: str) -> None:
        await self._set_takedown(did, applied=True)

    async def lift(self, did: str) -> None:
        """Undo a takedown."""
        await self._set_takedown(did, applied=False)

    async def delete_account(self, did: str) -> None:
        """Delete it as an administrator does: its DID document goes on naming this server."""
        await self._call_as_admin("com.atproto.admin.deleteAccount", {"did": did})

    async def move(self, did: str, endpoint: str) -> None:
        """Let the DID document name another server, as a migration does."""
        await _post(f"{self.pds}/__move", {"did": did, "endpoint": endpoint})

    async def tombstone(self, did: str) -> None:
        """Let the directory mark the DID as gone for good."""
        await _post(f"{self.pds}/__tombstone", {"did": did})

    async def counts(self) -> dict[str, int]:
        """How often each path was called since the start, on both ports; this call is left out."""
        total: Counter[str] = Counter()
        async with _client() as client:
            for origin in (self.pds, self.plc):
                total.update((await client.get(f"{origin}/__counts")).json())
        return dict(total)

    async def _set_takedown(self, did: str, *, applied: bool) -> None:
        change = {
            "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": did},
            "takedown": {"applied": applied, "ref": "test"},
        }
        await self._call_as_admin("com.atproto.admin.updateSubjectStatus", change)

    async def _call(
        self, method: str, body: dict[str, Any] | None, account: Account | None = None
    ) -> dict[str, Any]:
        authorization = f"Bearer {account.access_token}" if account else None
        return await _post(f"{self.pds}/xrpc/{method}", body, authorization)

    async def _call_as_admin(self, method: str, body: dict[str, Any]) -> None:
        await _post(f"{self.pds}/xrpc/{method}", body, self._admin)


def _spawn(switches: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.Popen(
        ["node", str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**environment, **switches, "EXIT_WITH_STDIN": "1"},
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:
        try:
            assert process.stdin is not None
            process.stdin.close()  # on which it removes its data and ends
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


async def _ready(
    process: subprocess.Popen[bytes], output: IO[bytes], deadline: float
) -> dict[str, Any]:
    while True:
        ended = process.poll()
        # unlike a read, this leaves alone the position where the server writes
        printed = os.pread(output.fileno(), 1 << 20, 0).decode(errors="replace")
        for line in printed.splitlines(keepends=True):
            if line.startswith('{"ready":true') and line.endswith("\n"):
                ready: dict[str, Any] = json.loads(line)
                return ready
        if ended is not None:
            raise RealServerError(f"node ended with {ended} before it was ready:\n{printed}")
        if time.monotonic() > deadline:
            raise RealServerError(f"the server was not ready in time; it printed:\n{printed}")
        await asyncio.sleep(0.02)


def _client() -> httpx.AsyncClient:
    # plain HTTP on loopback: no proxy, and no certificates to load
    return httpx.AsyncClient(trust_env=False, verify=False, timeout=30)


async def _post(
    url: str, body: dict[str, Any] | None, authorization: str | None = None
) -> dict[str, Any]:
    headers = {"authorization": authorization} if authorization else {}
    async with _client() as client:
        answer = await client.post(url, json=body, headers=headers)
    if answer.is_error:
        raise RealServerError(f"{url}: {answer.status_code} {answer.text}")
    result: dict[str, Any] = answer.json() if answer.content else {}
    return result

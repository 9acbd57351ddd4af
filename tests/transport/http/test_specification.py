"""The specification's three clients as printed, except for the base address and the key."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.access.api_keys import ApiKeys
from service.app.sandbox import SANDBOX_PROFILE, SANDBOX_TENANT
from service.app.serving import serving
from service.app.startup import open_store
from service.crypto.keyring import Keyring
from service.domain.clock import SystemClock
from service.domain.model import DEFAULT_SCOPES
from tests.cli.home import Home
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.running import Running, running
from tests.transport.http.edge import LONG

pytestmark = pytest.mark.process

PAGE = (Path(__file__).parent / "specification.md").read_text()
CLIENTS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ADDRESS = "https://api.postcore.dev"
HANDLE, PASSWORD = "user.bsky.social", "abcd-efgh-ijkl-mnop"
REPLY = {"profileKey": "prof_abc123", "platform": "bluesky", "username": HANDLE}
# what stands around an excerpt, and what it is run by
BEFORE = {"python": "import os\nimport requests\n"}
# for the tests of errors: their excerpts print the username alone
AFTER = {
    "javascript": "console.log(JSON.stringify([response.status, data]));",
    "python": "import json\nprint(json.dumps([response.status_code, data]))",
}


def command(client: str) -> list[str]:
    """Return the program that runs *client*, which it reads from standard input."""
    if client == "python":
        return [sys.executable, "-"]
    program = {"javascript": "node", "sh": "bash"}[client]
    for needed in (program, "curl") if client == "sh" else (program,):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    return [program, "--input-type=module", "-"] if client == "javascript" else [program, "-e"]


async def run(client: str, address: str, key: str, changes: dict[str, str] | None = None) -> str:
    """Return the output of the client."""
    code = CLIENTS[client]
    assert code.count(ADDRESS) == 1
    code = code.replace(ADDRESS, f"http://{address}").replace("YOUR_API_KEY", key)
    for old, new in (changes or {}).items():
        assert code.count(old) == 1
        code = code.replace(old, new)
    process = await asyncio.create_subprocess_exec(
        *command(client),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "POSTCORE_API_KEY": key},
    )
    async with asyncio.timeout(LONG):
        out, errors = await process.communicate((BEFORE.get(client, "") + code).encode())
    assert process.returncode == 0, errors.decode()
    return out.decode()


@dataclass
class Served:
    """An address, a key, and the account that is connected."""

    address: str
    api_key: str
    handle: str
    app_password: str
    profile_key: str

    @property
    def changes(self) -> dict[str, str]:
        """Return the replacements of the specification's values by the account's."""
        own = {
            HANDLE: self.handle,
            PASSWORD: self.app_password,
            SANDBOX_PROFILE: self.profile_key,
        }
        return {old: new for old, new in own.items() if old != new}


@pytest.fixture
async def sandboxed_served(home: Home) -> AsyncIterator[Served]:
    """`serve --sandbox`, with the sample account and profile of the specification."""
    settings = home.settings()
    async with serving(settings, sandbox=True) as started, open_store(settings) as store:
        keyring = Keyring(settings.keyring_file)
        plain, key = ApiKeys(store.api_keys, keyring, SystemClock()).mint(
            SANDBOX_TENANT, "t", DEFAULT_SCOPES
        )
        assert await store.api_keys.add(key)
        yield Served(started.http, plain, HANDLE, PASSWORD, SANDBOX_PROFILE)


@pytest.fixture
async def really_served(pds: RealServer, database: Path) -> AsyncIterator[Served]:
    """The service with an account on the real Bluesky server."""
    bluesky = RealBluesky(pds)
    person = await bluesky.person()
    async with running(database, bluesky.settings()) as service:
        key = await service.new_profile()
        yield Served(service.http, service.api_key, person.handle, person.app_password, key)


@pytest.fixture(params=["sandboxed_served", "really_served"])
def served(request: pytest.FixtureRequest) -> Served:
    served: Served = request.getfixturevalue(request.param)
    return served


@pytest.mark.parametrize("client", CLIENTS)
async def test_it_connects(served: Served, client: str) -> None:
    """On the sandbox only address and key are changed; on the real server also the account."""
    printed = await run(client, served.address, served.api_key, served.changes)
    if client == "sh":
        assert json.loads(printed) == {
            "profileKey": served.profile_key,
            "platform": "bluesky",
            "username": served.handle,
        }
    else:
        assert printed == f"Connected: {served.handle}\n"


ERRORS = {
    "a wrong password": (
        {PASSWORD: "wxyz-wxyz-wxyz-wxyz"},
        401,
        {"error": "INVALID_CREDENTIALS", "message": "Invalid Bluesky credentials"},
    ),
    "no such profile": (
        {"prof_abc123": "prof_absent"},
        404,
        {"error": "PROFILE_NOT_FOUND", "message": "Profile not found"},
    ),
    "an OAuth platform": (
        {"bluesky": "linkedin"},
        400,
        {
            "error": "USE_GET_FOR_OAUTH",
            "message": "linkedin requires OAuth. Use GET /profiles/connect?platform=linkedin"
            "&apiKey=YOUR_KEY&returnUrl=YOUR_URL",
        },
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ERRORS)
async def test_it_gets_the_errors_of_the_specification(
    sandboxed_served: Served, client: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status and body are those that the specification prints."""
    changes, status, body = ERRORS[name]
    printing = {
        "javascript": {"console.log('Connected:', data.username);": AFTER["javascript"]},
        "python": {"print(f\"Connected: {data['username']}\")": AFTER["python"]},
        "sh": {"curl -X POST": "curl -w '\\n%{http_code}' -X POST"},
    }[client]
    printed = await run(
        client, sandboxed_served.address, sandboxed_served.api_key, {**changes, **printing}
    )
    if client == "sh":
        shown, _, code = printed.rpartition("\n")
        assert (int(code), json.loads(shown)) == (status, body)
    else:
        assert json.loads(printed) == [status, body]


@pytest.mark.parametrize("client", CLIENTS)
async def test_it_creates_a_profile_if_none_is_named(sandboxed: Running, client: str) -> None:
    """ "Or omit to auto-create": the line is left out."""
    [line] = re.findall(r"^.*profileKey.*\n", CLIENTS[client], re.MULTILINE)
    printed = await run(client, sandboxed.http, sandboxed.api_key, {line: ""})
    assert HANDLE in printed
    [profile] = sandboxed.rows("SELECT * FROM profiles")
    if client == "sh":
        assert json.loads(printed)["profileKey"] == profile["profile_key"]

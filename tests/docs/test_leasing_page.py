"""docs/leasing.md: the service on it posts at a real server, at the second go where it has to."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from service.crypto.keyring import Keyring
from service.crypto.vault import Vault
from service.domain.records import SecretAddress
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.leasing import MINUTE, ROOT, Counted
from tests.support.running import Running, running

PAGE = ROOT / "docs/leasing.md"
CREATE_RECORD = "/xrpc/com.atproto.repo.createRecord"


@pytest.fixture
def bluesky(pds: RealServer) -> RealBluesky:
    return RealBluesky(pds)


@pytest.fixture
async def service(bluesky: RealBluesky, database: Path) -> AsyncIterator[Running]:
    async with running(database, bluesky.settings()) as started:
        yield started


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The page's one Python block, as the page says."""
    [block] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "post.py"
    path.write_text(block)
    return path


async def run(script: Path, service: Running, *arguments: str) -> tuple[int, str, str]:
    """How it ends, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        *arguments,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "generated"),
            "POSTCORE_API_KEY": service.leasing_key,
            "POSTCORE_GRPC_ADDRESS": service.address,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def texts(bluesky: RealBluesky, did: str) -> list[str]:
    """What the account has posted, as anybody can read it."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        answer = await http.get(
            f"{bluesky.origin}/xrpc/com.atproto.repo.listRecords",
            params={"repo": did, "collection": "app.bsky.feed.post"},
        )
    return [record["value"]["text"] for record in answer.json()["records"]]


async def test_it_posts(service: Running, bluesky: RealBluesky, script: Path) -> None:
    """A real record at the account's server, and no login for it."""
    person = await bluesky.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    await service.lease(key)
    spent = await Counted.at(bluesky)
    code, out, err = await run(script, service, key, "Hello from a lease")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"at://{person.did}/app\.bsky\.feed\.post/\w+\n", out)
    assert await texts(bluesky, person.did) == ["Hello from a lease"]
    assert await spent() == (0, 0)


async def test_it_gets_over_a_token_that_is_refused(
    service: Running, bluesky: RealBluesky, script: Path
) -> None:
    """By one refresh; the post is there once."""
    person = await bluesky.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    await service.lease(key)
    await spoil(service)
    spent = await Counted.at(bluesky)
    before = (await bluesky.counts()).get(CREATE_RECORD, 0)
    code, out, err = await run(script, service, key, "Hello again")
    assert (code, err) == (0, "")
    assert out.startswith(f"at://{person.did}/")
    assert await texts(bluesky, person.did) == ["Hello again"]
    assert (await bluesky.counts())[CREATE_RECORD] == before + 2
    assert await spent() == (0, 1)


async def spoil(service: Running) -> None:
    """Store an access token that the server will not take, as one of two minutes ago."""
    session = service.session()
    head, claims, signature = session.access_token.split(".")
    [row] = service.rows("SELECT * FROM connections")
    address = SecretAddress(
        row["tenant_id"],
        row["profile_key"],
        row["platform"],
        row["account_id"],
        row["origin"],
        row["generation"],
    )
    spoilt = replace(session, access_token=f"{head}.{claims}.{signature[::-1]}")
    sealed = Vault(Keyring(service.settings.keyring_file)).seal_session(spoilt, address)
    await service.execute(
        "UPDATE sessions SET ring_key_id = ?, envelope = ?, refreshed_at = refreshed_at - ?",
        sealed.ring_key_id,
        sealed.envelope,
        2 * MINUTE,
    )


async def test_it_tells_why_it_does_not_post(
    service: Running, bluesky: RealBluesky, script: Path
) -> None:
    """A connection that is gone: nothing is posted, and no token is printed."""
    person = await bluesky.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    await service.lease(key)
    token = service.session().access_token
    await bluesky.deactivate(person)
    code, out, err = await run(script, service, key, "Hello?")
    assert (code, out) == (1, "")
    assert "not posted" in err
    assert token not in err

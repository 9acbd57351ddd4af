"""Row 10: key rotation under load, interrupted, too early, or with a bad keyring."""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc.aio
import pytest
from structlog.testing import capture_logs

from service.app import build as app
from service.app.startup import StartError
from service.connections import monitor
from service.crypto.keyring import KeyPurpose, Keyring, KeyringError, create_keyring, new_keys
from service.crypto.vault import Unreadable
from service.settings import Settings
from service.storage.migrations import migrate_apart
from tests.attack.row import Figure, Ground, share
from tests.support.bluesky import SandboxBluesky
from tests.support.live_changes import age, command, done, opened, people, plant, started
from tests.support.rotating import Load, activated, active, sealed_elsewhere, sealed_under, standing
from tests.support.running import Running, refusal_of, running

PLANTED = 1500
STRANGERS = 8
"""Connections that a process with an outdated keyring meets."""
UNLIMITED = dict.fromkeys(
    ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "1000000,1000000"
)


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    figures: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "MAX_REST_SECONDS", 0.05)
        async with SandboxBluesky.started() as sandbox:
            async with _service(ground.folder / "load", sandbox) as service:
                figures += await _under_load(service, sandbox, share(10, part))
                ground.say("rotated under load")
                figures += await _too_early(service)
                ground.say("retired too early")
                figures += await _bad_keyrings(service, part)
                ground.say("started with bad keyrings")
            async with _service(ground.folder / "killed", sandbox) as service:
                figures += await _killed(service, share(20, part))
                ground.say("killed")
            async with _service(ground.folder / "old", sandbox) as service:
                figures += await _old_keyring(service, sandbox, ground.folder / "newer.json")
    return figures


@asynccontextmanager
async def _service(folder: Path, sandbox: SandboxBluesky) -> AsyncIterator[Running]:
    folder.mkdir()  # noqa: ASYNC240 - a quick call
    assert migrate_apart(f"sqlite:///{folder / 'postcore.db'}")
    async with running(folder / "postcore.db", {**sandbox.settings(), **UNLIMITED}) as service:
        yield service


async def _under_load(service: Running, sandbox: SandboxBluesky, times: int) -> list[Figure]:
    """Run whole rotations beside leases, refreshes, reconnects and reads."""
    load = Load(service, await people(service, sandbox, 8))
    left = 0
    async with load.under_way():
        for _ in range(times):
            before = active(service)
            added = await done(service, "keyring", "add")
            await done(service, "keyring", "activate", added, "--at-once")
            await done(service, "keyring", "rewrap")
            age(service.settings.keyring_file)
            await done(service, "keyring", "retire", before)
            left += sealed_under(service)[before]
    answered = load.answered.total()
    good = not load.failed and len(load.answered) == 4
    return [
        Figure(
            f"calls that failed during {times} rotations",
            f"{len(load.failed)} of {answered + len(load.failed)}",
            good and len(opened(service)) == 16 and left == 0,
        )
    ]


async def _too_early(service: Running) -> list[Figure]:
    """Retire the active key, keys that rows name, and keys that running calls may hold."""
    before, secrets = active(service), opened(service).keys()
    tries = [await command(service, "keyring", "retire", before)]
    added = await done(service, "keyring", "add")
    await done(service, "keyring", "activate", added, "--at-once")
    tries.append(await command(service, "keyring", "retire", before))
    age(service.settings.keyring_file)
    tries.append(await command(service, "keyring", "retire", before))
    await done(service, "keyring", "rewrap")
    of_api_keys = Keyring(service.settings.keyring_file).active(KeyPurpose.API_KEY).key_id
    await activated(service, "api_key")
    tries.append(await command(service, "keyring", "retire", of_api_keys))
    refused = [one for one in tries if one.code == 1 and one.err.splitlines()[-1][:7] == "Error: "]
    return [
        Figure(
            "refused retirements of a key in use",
            f"{len(refused)} of {len(tries)}",
            len(refused) == len(tries) and opened(service).keys() == secrets,
        )
    ]


async def _killed(service: Running, times: int) -> list[Figure]:
    """Kill the rewrap at its start, after some rows, or some time later."""
    await plant(service, PLANTED)
    secrets, former = opened(service), active(service)
    after = await activated(service)
    killed, lost = 0, 0
    for turn in range(times):
        async with started(service, "keyring", "rewrap") as process, asyncio.timeout(60):
            already = sealed_under(service)[after]
            while sealed_under(service)[after] == already and process.returncode is None:
                if turn % 4 == 3 and random.random() < 0.02:  # before it has begun
                    break
                await asyncio.sleep(0.005)
            await asyncio.sleep(random.uniform(0, 0.02) * (turn % 3))
            killed += process.returncode is None
            if process.returncode is None:
                process.kill()
            await process.wait()
        lost += _lost(service, secrets)
    on_the_way = sealed_under(service)[former]
    ended = await command(service, "keyring", "rewrap")
    done_ = ended.code == 0 and sealed_under(service) == {after: 2 * PLANTED}
    lost += _lost(service, secrets)
    return [
        Figure(
            f"secrets changed after {killed} kill -9 of the rewrap",
            f"{lost} of {2 * PLANTED * (times + 1)}",
            lost == 0 < killed,
        ),
        Figure(
            "rows still under the former key, after the last kill and at the end",
            f"{on_the_way} and {sealed_under(service)[former]}",
            done_,
        ),
    ]


def _lost(service: Running, secrets: Mapping[tuple[str, str], str]) -> int:
    """Count the changed secrets; return the count of all if one does not open."""
    try:
        found = opened(service)
    except Unreadable:
        return len(secrets)
    return sum(found.get(place) != secret for place, secret in secrets.items())


async def _old_keyring(service: Running, sandbox: SandboxBluesky, newer: Path) -> list[Figure]:
    """Seal every secret with a key that the process does not have."""
    keyed = await people(service, sandbox, STRANGERS)
    create_keyring(newer, new_keys("2026-01-02T03:04:05+00:00"))
    await sealed_elsewhere(service, Keyring(newer))
    logins, before = sandbox.logins, standing(service)
    reasons: Counter[str] = Counter()
    with capture_logs() as lines:
        for ask in (service.verify, service.lease):
            for key in keyed:
                try:
                    await ask(key)
                    reasons["answered"] += 1
                except grpc.aio.AioRpcError as error:
                    reasons[refusal_of(error).reason] += 1
        before_round = _checked(lines)
        await service.execute("UPDATE connections SET next_check_at = 1")
        async with asyncio.timeout(60):
            while _checked(lines) < before_round + STRANGERS:
                await asyncio.sleep(0.01)
    verdicts = sum(one != other for one, other in zip(before, standing(service), strict=True))
    alarms = sum(
        line["event"] == "key not in the keyring" and line["log_level"] == "error" for line in lines
    )
    asked = 3 * STRANGERS
    return [
        Figure(
            f"verdicts of a process with an old keyring, asked {asked} times",
            f"{verdicts}, with {sandbox.logins - logins} logins",
            verdicts == 0 and sandbox.logins == logins and reasons == {"INTERNAL": 2 * STRANGERS},
        ),
        Figure("its alarms", f"{alarms} for {asked}", alarms >= asked),
    ]


def _checked(lines: Sequence[Mapping[str, object]]) -> int:
    return sum(line["event"] in ("check not finished", "verdict") for line in lines)


async def _bad_keyrings(service: Running, part: float) -> list[Figure]:
    """Start beside a copy of the database with each kind of wrong keyring."""
    folder = service.database.parent / "bad"
    folder.mkdir()
    with (
        closing(sqlite3.connect(service.database)) as source,
        closing(sqlite3.connect(folder / "postcore.db")) as copy,
    ):
        source.backup(copy)
    settings = service.settings.model_copy(
        update={
            "database_url": f"sqlite:///{folder / 'postcore.db'}",
            "keyring_file": folder / "keyring.json",
        }
    )
    keyring, step = service.settings.keyring_file.read_bytes(), max(1, round(1 / part))
    secrets = [key["key"] for key in json.loads(keyring)["keys"]]
    create_keyring(folder / "another", new_keys("another"))
    another = json.loads((folder / "another").read_bytes())
    keyrings: dict[str, list[tuple[bytes | None, int]]] = {
        "missing": [(None, 0)],
        "another's": [((folder / "another").read_bytes(), 0o600)],
        "open to others": [(keyring, mode) for mode in (0o601, 0o604, 0o640, 0o644, 0o660, 0o666)],
        "cut short": [(keyring[:length], 0o600) for length in range(0, len(keyring) - 2, step)],
        "one key of it another's": [
            (keyring.replace(secret.encode(), other["key"].encode()), 0o600)
            for secret in secrets
            for other in another["keys"]
        ],
        "a byte of a key flipped": [
            (keyring[:place] + bytes([keyring[place] ^ 1 << bit]) + keyring[place + 1 :], 0o600)
            for secret in secrets
            for place in range(
                keyring.index(secret.encode()), keyring.index(secret.encode()) + 43, step
            )
            for bit in (0, 5)
        ],
    }
    figures = []
    for what, some in keyrings.items():
        errors = [await _start(settings, content, mode) for content, mode in some]
        figures.append(
            Figure(
                f"starts with a wrong keyring: {what}",
                f"{sum(one is None for one in errors)} of {len(errors)}",
                all(one is not None and _is_a_sentence(one, secrets) for one in errors),
            )
        )
    right = await _start(settings, keyring, 0o600)
    return [
        *figures,
        Figure("a start with the right one", "made" if right is None else right, not right),
    ]


async def _start(settings: Settings, content: bytes | None, mode: int) -> str | None:
    """Return the error with which the service refuses to start; None if it starts."""
    file = settings.keyring_file
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    try:
        async with app.build(settings, "live"):
            return None
    except (KeyringError, StartError) as error:
        return str(error)


def _is_a_sentence(text: str, secrets: Sequence[str]) -> bool:
    return len(text.split()) > 4 and "keyring" in text and not any(one in text for one in secrets)

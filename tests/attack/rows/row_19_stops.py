"""Row 19: stop signals at any moment of a node's first second, as PID 1."""

import asyncio
from collections.abc import Sequence
from random import Random

from service.crypto.keyring import create_keyring, new_keys
from tests.attack.row import Figure, Ground, share
from tests.cli.home import Home
from tests.cli.pid_one import End, end_as_pid_1, has_namespaces

TRIES = 50
MIN_DELAY, MAX_DELAY = 0.05, 1.0
MAX_SECONDS = 5.0


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    what = f"{share(TRIES, part)} × SIGTERM to PID 1, {MIN_DELAY} to {MAX_DELAY} s after its start"
    if not await asyncio.to_thread(has_namespaces):
        return [Figure(what, "PID namespaces cannot be made on this machine", None)]
    home = Home(ground.folder)
    create_keyring(home.keyring, new_keys("test"))
    chance = Random(1)
    ends: list[End] = []
    for _ in range(share(TRIES, part)):
        delay = chance.uniform(MIN_DELAY, MAX_DELAY)
        ends.append(await asyncio.to_thread(end_as_pid_1, home, delay, within=MAX_SECONDS))
    late = sum(end.seconds is None for end in ends)
    clean = sum(end.is_clean for end in ends)
    longest = max(end.seconds or MAX_SECONDS for end in ends)
    return [
        Figure(
            what,
            f"{late} still there after {MAX_SECONDS:.0f} s, the longest took {longest:.2f} s;"
            f" {clean} of {len(ends)} with exit code 0",
            not late and clean == len(ends),
        )
    ]

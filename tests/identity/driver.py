"""Driver: runs inside the namespaces and asks both sides about all situations, many at once.

    python -m tests.identity.driver FOLDER PACKAGES

FOLDER is an empty folder, PACKAGES the one with the reference. It prints the results as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.domain.clock import SystemClock
from service.domain.errors import PlatformUnavailable
from service.platforms.bluesky.identity import Identity, NoSuchAccount
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from service.runtime.tasks import OwnedTasks
from tests.identity import namespace_setup
from tests.identity.network import Network
from tests.identity.places import DIRECTORY
from tests.identity.reference import Reference
from tests.identity.situation import ACCOUNT, ERROR, NONE, Names, Situation
from tests.identity.table import SITUATIONS

AT_ONCE = 10
"""Situations; those that wait for a deadline make room for others."""
ROOM_SECONDS = 1.5
REFERENCE_SECONDS = 14.0
"""After which its answer counts as an error: it has no deadline of its own."""


async def main(folder: Path, packages: Path) -> None:
    namespace_setup.set_up(folder)
    async with (
        Network.started(folder) as network,
        Reference.started(packages, f"https://{DIRECTORY}", network.authority.roots) as reference,
    ):
        names = Resolver()
        egress = Egress(names, Roots(proxy=network.authority.roots))
        context = EgressContext(
            egress,
            names,
            SystemClock(),
            Origin("https", DIRECTORY, 443),
            None,
            frozenset(),
            OwnedTasks().spawn,
        )
        results = await Comparison(network, context, reference).all(SITUATIONS)
        await egress.close()
    report = {"version": reference.version, "results": results}
    sys.stdout.write(f"{json.dumps(report)}\n")


class Comparison:
    """Of both sides, each with a handle of its own."""

    def __init__(self, network: Network, context: EgressContext, reference: Reference) -> None:
        self._network = network
        self._context = context
        self._reference = reference
        self._room = asyncio.Semaphore(AT_ONCE)

    async def all(self, situations: Sequence[Situation]) -> list[dict[str, Any]]:
        return await asyncio.gather(*map(self._one, range(len(situations)), situations))

    async def _one(self, number: int, situation: Situation) -> dict[str, Any]:
        await self._room.acquire()
        leaving = asyncio.create_task(asyncio.sleep(ROOM_SECONDS))
        leaving.add_done_callback(lambda _: self._room.release())
        product = Names.of("p", number, situation.did)
        rival = Names.of("r", number, situation.did)
        self._network.arrange(situation, product)
        self._network.arrange(situation, rival)
        (ours, our_time), (theirs, their_time) = await asyncio.gather(
            _timed(self._ours, product, situation), _timed(self._theirs, rival, situation)
        )
        leaving.cancel()
        return {
            "name": situation.name,
            "reference": theirs,
            "ours": ours,
            "seconds": [round(our_time, 2), round(their_time, 2)],
        }

    async def _ours(self, names: Names) -> str:
        try:
            account = await Identity(self._context).account(names.handle)
            # what a connect does next, before the password is near the network
            self._context.egress.transport(Origin.parse(account.origin))
        except NoSuchAccount:
            return "NoSuchAccount"
        except PlatformUnavailable as error:
            return f"PlatformUnavailable({error.why})"
        return _account(names, account.account_id, account.origin)

    async def _theirs(self, names: Names) -> str:
        try:
            async with asyncio.timeout(REFERENCE_SECONDS):
                answer = await self._reference.resolve(names.handle)
        except TimeoutError:
            return ERROR
        if "error" in answer:
            return ERROR
        if "none" in answer:
            return NONE
        return _account(names, answer["did"], answer["server"])


async def _timed(ask: Any, names: Names, situation: Situation) -> tuple[str, float]:
    begun = time.monotonic()
    result = await ask(names)
    if situation.twice:
        result = await ask(names)
    return result, time.monotonic() - begun


def _account(names: Names, did: str, server: str) -> str:
    """The account in words in which no name of one situation is."""
    if (did, normal(server)) == (names.did, names.server):
        return ACCOUNT
    return names.out_of(f"{ACCOUNT}: {did} at {normal(server)}")


def normal(url: str) -> str:
    """*url* as two clients that take it would both use it."""
    parts = urlsplit(url.strip(" "))
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    user = parts.netloc.rpartition("@")[0]
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    rest = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{user}{'@' if user else ''}{host}{port}{rest}"


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

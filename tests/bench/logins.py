"""Logins: the cost of a connect beside a raw login, the SDK's login, and a lease, at a real
server."""

from collections.abc import Awaitable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar

import grpc.aio
import httpx

from tests.bench.figure import Figure
from tests.bench.load import WrongReplies
from tests.bench.processes import started
from tests.bench.seed import plant, settings
from tests.bench.usual import MODULE, like
from tests.support.bluesky import CREATE, Person, RealBluesky
from tests.support.leasing import Counted
from tests.support.running import Running

T = TypeVar("T")
LEASES_A_LOGIN = 10
BUDGETS = ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET")
ANY_NUMBER = "100000,100000"


async def logins(folder: Path, bluesky: RealBluesky, rounds: int) -> list[Figure]:
    """Alternate a raw login, the SDK's, a connect's look-ups, a connect, and leases.

    The leases are of the session that the connect has stored.
    """
    read = settings(
        folder,
        f"sqlite:///{folder / 'logins.db'}",
        {**bluesky.settings(), **dict.fromkeys(BUDGETS, ANY_NUMBER)},
    )
    [owner] = await plant(read, 1, 1)
    person = await bluesky.person()
    counted = await Counted.at(bluesky)
    raw: list[float] = []
    sdk: list[float] = []
    found: list[float] = []
    ours: list[float] = []
    lease: list[float] = []
    usual: list[float] = []
    more = await like(read, [owner])
    async with (
        started(("service", "serve"), read, "", folder / "log") as server,
        started((*MODULE, bluesky.origin), read, "", folder / "log", more) as other,
        grpc.aio.insecure_channel(other.address) as theirs,
        httpx.AsyncClient(trust_env=False, verify=False) as kept,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        service = Running(read, server.address, channel, owner.tenant_id)
        service.api_key, _ = await service.new_key()
        beside = Running(read, other.address, theirs, owner.tenant_id)
        beside.api_key = owner.keys[0]
        # once each, to load what only the first call loads
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await _raw(kept, bluesky, person)
        await _sdk(bluesky, person)
        await _looked_up(kept, bluesky, person)
        other_key = (await beside.connect(person.handle, person.app_password)).profile_key
        for _ in range(rounds):
            raw.append((await _timed(_raw(kept, bluesky, person)))[0])
            sdk.append((await _timed(_sdk(bluesky, person)))[0])
            found.append((await _timed(_looked_up(kept, bluesky, person)))[0])
            took, reply = await _timed(
                service.connect(person.handle, person.app_password, profile_key=key)
            )
            ours.append(took)
            if (reply.profile_key, reply.username) != (key, person.handle):
                raise WrongReplies("a connect answered for another account")
            took, reply = await _timed(
                beside.connect(person.handle, person.app_password, profile_key=other_key)
            )
            usual.append(took)
            if (reply.profile_key, reply.username) != (other_key, person.handle):
                raise WrongReplies("the usual design answered for another account")
            stored = service.session(key).access_token
            leases = [await _timed(service.lease(key)) for _ in range(LEASES_A_LOGIN)]
            lease.append(median(took for took, _ in leases))
            if {lent.access_token for _, lent in leases} != {stored}:
                raise WrongReplies("a lease returned another token than the stored one")
    if await counted() != (4 * (rounds + 1), 0):
        raise WrongReplies("the server has counted another number of logins")
    return [
        Figure("ConnectProfile, over a raw createSession", "ms", _apart(ours, raw), most=5),
        Figure("ConnectProfile, beside the SDK's login()", "× SDK", _ratios(ours, sdk), most=1),
        Figure("ConnectProfile, beside the usual", "× usual", _ratios(ours, usual)),
        Figure("leasing, as often as the SDK logs in once", "×", _ratios(sdk, lease), least=300),
        *(
            Figure(name, "ms", [second * 1000 for second in seconds])
            for name, seconds in (
                ("a raw createSession", raw),
                ("what a connect looks up before it, raw", found),
                ("the SDK's login()", sdk),
                ("ConnectProfile", ours),
                ("the usual design's ConnectProfile", usual),
                ("LeaseSession, one at a time", lease),
            )
        ),
    ]


async def _raw(kept: httpx.AsyncClient, bluesky: RealBluesky, person: Person) -> None:
    """Log in on a kept connection: the minimum cost of a login."""
    answer = await kept.post(
        f"{bluesky.origin}{CREATE}",
        json={"identifier": person.did, "password": person.app_password},
    )
    if answer.json().get("did") != person.did:
        raise WrongReplies("createSession answered for another account")


async def _looked_up(kept: httpx.AsyncClient, bluesky: RealBluesky, person: Person) -> None:
    """Look up the handle's DID and its document at the same servers, on kept connections."""
    named = await kept.get(
        f"{bluesky.origin}/xrpc/com.atproto.identity.resolveHandle",
        params={"handle": person.handle},
    )
    document = await kept.get(f"{bluesky.server.plc}/{person.did}")
    if (named.json().get("did"), document.json().get("id")) != (person.did, person.did):
        raise WrongReplies("a handle or a DID led to another account")


async def _sdk(bluesky: RealBluesky, person: Person) -> None:
    from atproto import AsyncClient, AsyncRequest  # a second and 40 MB, for this figure alone

    client = AsyncClient(bluesky.origin, request=AsyncRequest(trust_env=False))
    profile = await client.login(person.handle, person.app_password)
    await client.request.close()
    if profile.did != person.did:
        raise WrongReplies("login() answered for another account")


async def _timed(call: Awaitable[T]) -> tuple[float, T]:
    """Return the seconds and the result."""
    begun = perf_counter()
    result = await call
    return perf_counter() - begun, result


def _ratios(values: list[float], others: list[float]) -> list[float]:
    return [value / other for value, other in zip(values, others, strict=True)]


def _apart(values: list[float], others: list[float]) -> list[float]:
    """Return the differences of *values* and *others* (seconds) in milliseconds."""
    return [(value - other) * 1000 for value, other in zip(values, others, strict=True)]

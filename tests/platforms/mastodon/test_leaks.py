"""No secret in any error, log line or repr."""

import asyncio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import NEVER, Account, Login, Session
from service.platforms.mastodon.adapter import MastodonPlatform
from service.sandbox.sites.mastodon import Token, User
from tests.platforms.watch import Watch
from tests.support.running import Refusal

from .connected import Connected, connect, publish, refused
from .servers import StandIn
from .test_handles import Context

WRONG = "wrongSecret0123456789wrongSecret0123456789"


async def test_nothing_secret_is_logged(connected: Connected, watch: Watch) -> None:
    """In connects that work and that fail, checks, leases and outages."""
    assert isinstance(connected.server, StandIn)
    site, service, person = connected.server.site, connected.service, connected.person
    refusals: list[Refusal] = []
    await connect(service, person.handle, person.token)
    refusals += [await refused(service, person.handle, WRONG)]
    refusals += [await refused(service, f"unknown@{connected.server.host}", WRONG)]
    refusals += [await refused(service, f"{WRONG}", person.token)]
    assert (await publish(await connected.lease(), "hello")).status_code == 200
    for change in ("drop-header", "switch-off", "demote"):
        site.change(change, person.name)
        await connected.verdict()
        refusals += [await refused(service, person.handle, person.token)]
        site.reset()
        site.users[person.name] = User(person.name, person.name)
        site.tokens.append(Token(person.name, person.token))
    site.break_(502)
    await connected.verdict()
    refusals += [await refused(service, person.handle, person.token)]
    site.break_(None)
    site.change("revoke", person.name)
    await connected.verdict()
    refusals += [await connected.lease_refused()]
    site.change("limit", "")
    refusals += [await refused(service, person.handle, person.token)]
    await connected.disconnect()
    assert watch.events
    assert watch.finds([person.token, WRONG]) == []
    for secret in (person.token, WRONG):
        for refusal in refusals:
            assert secret not in repr(refusal)
            assert secret.encode() not in refusal.wire


async def test_a_token_is_no_display_name(connected: Connected) -> None:
    """A server that states it as the name does not make it public, nor stored as plain text."""
    assert isinstance(connected.server, StandIn)
    site, service, person = connected.server.site, connected.service, connected.person

    async def name_of(key: str) -> str:
        request = pb.GetProfileRequest(profile_key=key)
        profile = await service.profiles.GetProfile(request, metadata=service.metadata())
        return profile.profile.connected_platforms[0].display_name

    keys = []
    for name in (f"I am {person.token}", "Alice"):
        site.users[person.name].display_name = name
        keys.append((await connect(service, person.handle, person.token)).profile_key)
    async with asyncio.timeout(10):
        # names are saved in the background, one after the other
        while await name_of(keys[1]) != "Alice":
            await asyncio.sleep(0.02)
    assert await name_of(keys[0]) == person.handle.removeprefix("@")


def test_reprs_hide_the_token() -> None:
    account = Account("https://example.social/users/alice", "alice@example.social", "https://x")
    session = Session(WRONG, "", NEVER)
    platform = MastodonPlatform(Context())  # type: ignore[arg-type]
    lease = platform.lend(session, account)
    assert lease.authorization == f"Bearer {WRONG}"
    assert lease.expires_at is None
    for each in (session, lease, Login(account, session, WRONG), platform):
        assert WRONG not in repr(each)


def test_reprs_of_the_stand_in() -> None:
    """It holds tokens too."""
    assert WRONG not in repr(Token("alice", WRONG))

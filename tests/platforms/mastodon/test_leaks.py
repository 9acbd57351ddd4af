"""No secret in any error, log line or repr."""

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

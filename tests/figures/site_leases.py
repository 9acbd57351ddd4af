"""Site leases: how often leases use the owner's credential at the sandbox's stand-ins."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from postcore.profiles.v1.session_service_pb2 import LeaseSessionResponse
from service.domain.model import Scope
from service.sandbox.sites.site import Site
from service.sandbox.sites.wordpress import WordPressSite
from service.storage.migrations import migrate_apart
from tests.support.leasing import MINUTE
from tests.support.running import MovedClock, Running, running

from .connecting import USES, connect
from .site_breaks import STAND_INS

LEASES, EXPIRIES = 10_000, 24
BETWEEN = 51 * MINUTE
"""WordPress sessions of an hour are renewed ten minutes before their end. All expiries come before
the first check."""
POSTS = {
    "ghost": ("/posts/", {"posts": [{"title": "By a lease"}]}),
    "mastodon": ("/api/v1/statuses", {"status": "By a lease"}),
    "wordpress": ("/wp/v2/posts", {"title": "By a lease"}),
}
PLAIN, REJECTED, DELETED = "nothing else", "each token reported", "every second session deleted"
"""What happens beside leases and expiries: callers report each token as rejected by the site, or
the owner deletes the session there."""
WAYS = {
    "ghost": (PLAIN, REJECTED),
    "mastodon": (PLAIN, REJECTED),
    "wordpress": (PLAIN, REJECTED, DELETED),
}


@dataclass(frozen=True)
class Spent:
    """*uses*: of the owner's credential at the site, the connect's included. *calls*: all but
    posts. *renewals*: claims on the session."""

    uses: int
    calls: int
    renewals: int
    posts: int

    @property
    def is_right(self) -> bool:
        """Whether no renewal has used the credential more than once."""
        return self.uses - 1 <= self.renewals


async def life(
    platform: str, way: str, database: Path, leases: int = LEASES, expiries: int = EXPIRIES
) -> Spent:
    """Lend one connection *leases* times, while its token expires *expiries* times.

    The last lease before each expiry posts.
    """
    clock, site = MovedClock(), STAND_INS[platform]()
    await site.start()
    settings = {"TRUSTED_ORIGINS": site.origin, "CHECK_HOURS": "24", "CALLS_PER_SECOND": "100000"}
    try:
        async with running(database, settings, clock) as service:
            key = (await connect(service, platform, site.credentials())).profile_key
            leasing_key, _ = await service.new_key(Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE)
            before, lent = _fence(service), ""
            for expired in range(expiries + 1):
                clock.ahead = expired * BETWEEN
                for _ in range(leases // (expiries + 1) + (expired < leases % (expiries + 1))):
                    lease = await service.lease(
                        key,
                        platform=platform,
                        api_key=leasing_key,
                        rejected=lent if way == REJECTED else "",
                    )
                    lent = lease.access_token
                await _post(platform, lease)
                if way == DELETED and expired % 2:
                    assert isinstance(site, WordPressSite)
                    site.change("end-sessions", "")
            renewals = _fence(service) - before
            assert not service.rows("SELECT 1 FROM connections WHERE reconnect_reason IS NOT NULL")
        counted = service.rows("SELECT COUNT(*) AS number FROM audit WHERE lent <> ''")
        assert counted == [{"number": leases}]
        return _spent(platform, site, renewals)
    finally:
        await site.stop()


async def table(platform: str) -> bool:
    """Print the figures; return whether no renewal used the credential more than once."""
    right = True
    click.echo(f"{LEASES} leases, {EXPIRIES} expiries, and {'':12} uses  renewals  calls  posts")
    for way in WAYS[platform]:
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "postcore.db"
            assert migrate_apart(f"sqlite:///{database}")
            spent = await life(platform, way, database)
        right &= spent.is_right
        click.echo(
            f"{way:42} {spent.uses:>5} {spent.renewals:>9} {spent.calls:>6} {spent.posts:>6}"
            f"{'' if spent.is_right else '  MISSED'}"
        )
    return right


def _fence(service: Running) -> int:
    [row] = service.rows("SELECT fence FROM sessions")
    return int(row["fence"])


async def _post(platform: str, lease: LeaseSessionResponse) -> None:
    path, body = POSTS[platform]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{lease.service_endpoint}{path}",
            headers={"authorization": lease.authorization},
            json=body,
        )
    assert answer.is_success, answer.status_code


def _spent(platform: str, site: Site, renewals: int) -> Spent:
    def count(end: str) -> int:
        return sum(times for path, times in site.counts.items() if path.endswith(end))

    posts = count(POSTS[platform][0])
    return Spent(count(USES[platform]), site.counts.total() - posts, renewals, posts)

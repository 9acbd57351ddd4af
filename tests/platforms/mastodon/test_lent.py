"""What is lent is the credential itself: who may lease it, what it costs, and what is stored."""

import asyncio
import json

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from postcore.profiles.v1.platform_service_pb2 import LENT_CREDENTIAL, ListPlatformsRequest
from service.cli.main import cli
from service.domain.model import DAY, NEVER, SECOND, Scope
from tests.support.running import Running

from .connected import HEALTHY, HOUR, MINUTE, REVOKED, UNVERIFIED, Connected
from .servers import VERIFY, StandIn, ask


def verifications(connected: Connected) -> int:
    assert isinstance(connected.server, StandIn)
    return connected.server.site.counts[f"GET {VERIFY}"]


def calls(connected: Connected) -> int:
    assert isinstance(connected.server, StandIn)
    return connected.server.site.counts.total()


async def test_the_platform_says_what_it_lends(service: Running) -> None:
    """Before anybody connects."""
    listed = await service.platforms.ListPlatforms(
        ListPlatformsRequest(), metadata=service.metadata()
    )
    [mastodon] = [each for each in listed.platforms if each.id == "mastodon"]
    assert mastodon.lends == LENT_CREDENTIAL
    assert [each.name for each in mastodon.fields] == ["handle", "accessToken"]
    assert [each.secret for each in mastodon.fields] == [False, True]


@pytest.mark.parametrize("scope", [Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE])
async def test_a_lease_needs_both_scopes(connected: Connected, scope: Scope) -> None:
    """A key with one of them is refused, with the other one's name."""
    key, _ = await connected.service.new_key(scope)
    before = calls(connected)
    refusal = await connected.service.lease_refused(connected.key, platform="mastodon", api_key=key)
    assert refusal.reason == "INSUFFICIENT_SCOPE"
    both = {"sessions:lease", "credentials:lease"}
    assert {refusal.metadata["requiredScope"]} == both - {scope.value}
    assert calls(connected) == before
    assert connected.service.rows("SELECT * FROM audit WHERE lent <> ''") == []


async def test_leases_never_renew(connected: Connected) -> None:
    """Not even years later: no call to the server."""
    before = calls(connected)
    for _ in range(5):
        connected.clock.ahead += 700 * DAY
        assert (await connected.lease()).access_token == connected.person.token
    assert calls(connected) == before


async def test_a_rejected_token_is_proved_once_a_minute(connected: Connected) -> None:
    """And lent again, since it works; the stored session is as before."""
    connected.clock.ahead += 2 * MINUTE
    before = verifications(connected)
    for _ in range(5):
        lease = await connected.lease(rejected=connected.person.token)
        assert lease.access_token == connected.person.token
        connected.clock.ahead += 5 * SECOND
    assert verifications(connected) - before == 1
    connected.clock.ahead += MINUTE
    await connected.lease(rejected=connected.person.token)
    assert verifications(connected) - before == 2
    together = [connected.lease(rejected=connected.person.token) for _ in range(20)]
    connected.clock.ahead += 2 * MINUTE
    await asyncio.gather(*together)
    assert verifications(connected) - before == 3
    assert connected.service.session(connected.key).expires_at == NEVER
    assert connected.service.rows("SELECT * FROM login_debits WHERE purpose = 'UPKEEP'") == []


async def test_a_rejected_token_that_was_revoked(connected: Connected) -> None:
    """The verdict is in the reply."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change("revoke", connected.person.name)
    connected.clock.ahead += 2 * MINUTE
    refusal = await connected.lease_refused(rejected=connected.person.token)
    assert refusal.reason == "NEEDS_RECONNECT"
    assert refusal.metadata["reconnectReason"] == "APP_PASSWORD_REVOKED"
    assert await connected.verdict(3 * SECOND) == REVOKED


async def test_a_rejected_token_while_the_server_is_away(connected: Connected) -> None:
    """It is not lent again: nothing is known of it."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.break_(503)
    connected.clock.ahead += 2 * MINUTE
    refusal = await connected.lease_refused(rejected=connected.person.token)
    assert refusal.reason == "PLATFORM_UNAVAILABLE"
    assert (await connected.lease()).access_token == connected.person.token


async def test_a_session_is_healed_after_a_suspension(connected: Connected) -> None:
    """While the login is disabled the session has ended; later it never ends again."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change("switch-off", connected.person.name)
    assert await connected.verdict() == UNVERIFIED
    assert connected.service.session(connected.key).expires_at == 0
    refusal = await connected.lease_refused()
    assert refusal.reason in ("ACCOUNT_INACTIVE", "RATE_LIMIT_EXCEEDED")
    connected.server.site.change("switch-on", connected.person.name)
    assert await connected.verdict(25 * HOUR) == HEALTHY
    assert connected.service.session(connected.key).expires_at == NEVER


async def test_never_is_shown_as_no_end(connected: Connected) -> None:
    """In the database, the log, the audit and JSON."""
    service = connected.service
    with capture_logs() as lines:
        await connected.lease()
    [line] = [each for each in lines if each["event"] == "lease"]
    assert (line["expires_at"], line["lent"]) == (None, "CREDENTIAL")
    [stored] = service.rows("SELECT expires_at FROM sessions")
    assert stored["expires_at"] == NEVER

    async def is_written() -> bool:
        return bool(service.rows("SELECT * FROM audit WHERE lent <> ''"))

    async with asyncio.timeout(10):
        while not await is_written():
            await asyncio.sleep(0.05)
    env = {
        "POSTCORE_DATABASE_URL": service.settings.database_url,
        "POSTCORE_KEYRING_FILE": str(service.settings.keyring_file),
    }
    listed = await asyncio.to_thread(
        CliRunner().invoke,
        cli,
        ["audit", "--tenant", service.tenant_id, "--method", "LeaseSession"],
        env=env,
    )
    assert listed.exit_code == 0, listed.output
    row = json.loads(listed.stdout)
    assert (row["account_id"], row["lent"]) == (connected.person.actor, "CREDENTIAL")
    assert "expires_at" not in row
    answer = await ask(
        f"http://{service.http}/profiles/{connected.key}", headers={"x-api-key": service.api_key}
    )
    [connection] = answer.json()["connectedPlatforms"]
    assert (connection["expiresAt"], connection["daysUntilExpiry"]) == (None, None)

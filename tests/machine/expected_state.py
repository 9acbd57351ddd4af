"""Expected state: the real state of a connection, as known to the tests that control the world."""

from dataclasses import dataclass

from service.domain.model import DAY, SECOND, Micros, ReconnectReason
from service.sandbox.accounts import Status
from service.sandbox.breakages import EVERY
from service.sandbox.faults import AnotherEndpoint

from .fake_platform import FakePlatform, Password

MOVED_FOR: Micros = 10 * 60 * SECOND
INACTIVE_REASONS = {
    Status.DEACTIVATED: ReconnectReason.ACCOUNT_DEACTIVATED,
    Status.SUSPENDED: ReconnectReason.ACCOUNT_SUSPENDED,
    Status.TAKENDOWN: ReconnectReason.ACCOUNT_TAKEN_DOWN,
}


@dataclass
class Held:
    """The credentials of a connection, and later changes outside the platform."""

    did: str
    origin: str
    password: Password
    spoiled: bool = False
    moved_at: Micros | None = None
    """The time since which the document has named another server."""


@dataclass(frozen=True)
class ExpectedState:
    """*reasons*: everything that could be proved now.

    *hidden*: reasons from the document alone, which may go unnoticed until the stored one is a day
    old.
    """

    reasons: frozenset[ReconnectReason]
    hidden: frozenset[ReconnectReason]

    def allows_healthy(self, document_at: Micros, now: Micros) -> bool:
        """Return whether a check that read the document then may still report healthy."""
        return not self.reasons or (self.reasons <= self.hidden and now - document_at < DAY)


def expected_state(platform: FakePlatform, held: Held, now: Micros) -> ExpectedState:
    """Return the expected state of a connection now."""
    world, entry = platform.world_at(held.origin), platform.network.ledger[held.did]
    account = world.account(held.did)
    document, rest = set(), set()
    if entry.tombstoned:
        document.add(ReconnectReason.ACCOUNT_DELETED)
    elif held.moved_at is not None and now - held.moved_at >= MOVED_FOR and is_away(platform, held):
        document.add(ReconnectReason.SERVER_MOVED)
    if account.status is Status.DELETED:
        rest.add(ReconnectReason.ACCOUNT_DELETED)
    elif account.status in INACTIVE_REASONS:
        rest.add(INACTIVE_REASONS[account.status])
    elif account.app_passwords[held.password.name].revoked and not is_away(platform, held):
        rest.add(ReconnectReason.APP_PASSWORD_REVOKED)
    if held.spoiled:
        rest.add(ReconnectReason.CREDENTIAL_UNREADABLE)
    return ExpectedState(frozenset(document | rest), frozenset(document - rest))


def is_away(platform: FakePlatform, held: Held) -> bool:
    """Return whether the directory names another server for the account, truthfully or not."""
    lies = (
        breakage
        for breakage in platform.network.breakages
        if isinstance(breakage.fault, AnotherEndpoint)
        and breakage.method in (EVERY, "plc")
        and breakage.account in (None, held.did)
    )
    moved = platform.network.ledger[held.did].home is not platform.world_at(held.origin).home
    return moved or any(lies)

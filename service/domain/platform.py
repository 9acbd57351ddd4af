"""The port of a platform: what every adapter can do, and raises."""

from typing import Protocol

from service.domain.model import (
    Account,
    AccountStatus,
    Credentials,
    Login,
    PlatformCard,
    Refreshed,
    Session,
)


class SessionEnded(Exception):
    """A session that can be refreshed no more. That proves nothing of the credential."""


class AccountGone(Exception):
    """An account that its platform's directory has ended for good."""


class CredentialPlatform(Protocol):
    """A platform that an account's owner joins with credentials.

    Every method but `tidy` and `may_share_credentials` may raise PlatformUnavailable (the answer
    proves nothing) or PlatformRateLimited. None retries a login, and none sends credentials or
    tokens anywhere but to the origin that it is given.
    """

    @property
    def card(self) -> PlatformCard:
        """What callers are told of the platform. Every field of its form is required."""

    async def warm_up(self) -> None:
        """Load what the first call would otherwise wait for.."""

    def tidy(self, credentials: Credentials) -> Credentials:
        """*credentials* without what people paste by accident; no call is made.

        Raises InvalidCredentials where their shape alone shows that they cannot be right.
        """

    def asked_host(self, credentials: Credentials) -> str:
        """The host or domain whose servers `identify` asks about tidied *credentials*."""

    async def identify(self, credentials: Credentials) -> Account:
        """The account that tidied *credentials* name, and its server, proved both ways.

        Costs no login. Raises InvalidCredentials where there is no such account.
        """

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        """Prove *credentials* for *account*; exactly one login is spent.

        Raises InvalidCredentials or AccountInactive; no session is left open at the server then.
        """

    async def log_in_again(self, secret: str, account: Account) -> Login:
        """Prove `Login.secret` for *account* once more, as `log_in` does."""

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        """The next tokens of *session*; no login is spent. Raises SessionEnded."""

    async def resolve_account(self, account: Account) -> Account:
        """*account* as its platform's directory names it now; neither server nor login is asked.

        Its username changes only where the new one is proved both ways. Raises AccountGone.
        """

    async def account_status(self, account: Account) -> AccountStatus:
        """What the account's server tells anybody of it."""

    def may_share_credentials(self, origin: str, other: str) -> bool:
        """Whether what was proved at the one origin may be sent to the other."""

    async def display_name(self, account: Account) -> str | None:
        """The account's own name, where its server tells it without a login."""

    async def log_out(self, session: Session, origin: str) -> None:
        """End *session* at the server that gave it."""

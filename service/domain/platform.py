"""CredentialPlatform: the port that the adapter of a platform implements, and its errors."""

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
    """The session can no longer be refreshed. This proves nothing about the credentials."""


class AccountGone(Exception):
    """The platform's directory says that the account is gone for good."""


class CredentialPlatform(Protocol):
    """A platform to which the owner of an account connects with credentials.

    Every async method may raise PlatformUnavailable (the answer proves nothing) and
    PlatformRateLimited. No method retries a login. Credentials and tokens are sent to the given
    origin only.
    """

    @property
    def card(self) -> PlatformCard:
        """The platform's description for callers. Every field of its form is required."""

    async def warm_up(self) -> None:
        """Load what the first call otherwise waits for. Idempotent."""

    def tidy(self, credentials: Credentials) -> Credentials:
        """Return *credentials* without what people paste by accident. Makes no call.

        Raises InvalidCredentials if their form alone shows that they are wrong.
        """

    def asked_host(self, credentials: Credentials) -> str:
        """Return the host or domain that `identify` queries for tidied *credentials*.

        It is the key of the limit on lookups per host.
        """

    async def identify(self, credentials: Credentials) -> Account:
        """Return the account that tidied *credentials* name, with its server.

        Proved both ways: the name leads to the account, and the account to the name. Spends no
        login. Raises InvalidCredentials if there is no such account.
        """

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        """Prove *credentials* for *account*. Spends exactly one login.

        Raises InvalidCredentials or AccountInactive, and then leaves no session at the server.
        """

    async def log_in_again(self, secret: str, account: Account) -> Login:
        """Prove a stored `Login.secret` for *account*, as `log_in` does.

        InvalidCredentials invalidates the stored credential, so it needs a proof.
        """

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        """Return the next tokens of *session*. Spends no login. Raises SessionEnded."""

    async def resolve_account(self, account: Account) -> Account:
        """Return *account* with the username and server that the platform's directory names now.

        Does not query the account's server, and spends no login. The username changes only if the
        new one is proved both ways. Raises AccountGone.
        """

    async def account_status(self, account: Account) -> AccountStatus:
        """Return the status that the account's server states without authentication."""

    def may_share_credentials(self, origin: str, other: str) -> bool:
        """Whether credentials that were proved at *origin* may be sent to *other*."""

    async def display_name(self, account: Account) -> str | None:
        """Return the account's display name, if its server states it without authentication."""

    async def log_out(self, session: Session, origin: str) -> None:
        """End *session* at the server that opened it."""

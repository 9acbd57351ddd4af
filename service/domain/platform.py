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

    `Account.username` is lower-case. `Account.origin` (`https://host`) differs between platforms:
    login budgets and pauses are kept by account id and origin. Times are microseconds since 1970.
    """

    @property
    def card(self) -> PlatformCard:
        """The platform's description for callers. Every field of its form is required.

        A field's name is a JSON name of the contract's `Credentials`; its pattern is one that RE2,
        ECMAScript and Python read alike.
        """

    async def warm_up(self) -> None:
        """Load what the first call otherwise waits for. Idempotent."""

    def tidy(self, credentials: Credentials) -> Credentials:
        """Return *credentials* without what people paste by accident. Makes no call.

        Raises InvalidCredentials if their form alone shows that they are wrong.
        """

    def asked_host(self, credentials: Credentials) -> str:
        """Return the host or domain that `identify` queries for tidied *credentials*.

        It is the key of the limit on lookups per host. One constant is fine for a platform with one
        server: tenants that ask little are not limited by what others ask.
        """

    async def identify(self, credentials: Credentials) -> Account:
        """Return the account that tidied *credentials* name, with its server.

        Proved both ways: the name leads to the account, and the account to the name. Spends no
        login. Raises InvalidCredentials if there is no such account.
        """

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        """Prove *credentials* for *account*. Spends exactly one login.

        Raises InvalidCredentials or AccountInactive, and then leaves no session at the server. The
        status of an AccountInactive is one that the contract's ACCOUNT_INACTIVE lists.
        """

    async def log_in_again(self, secret: str, account: Account) -> Login:
        """Prove a stored `Login.secret` for *account*, as `log_in` does.

        Only the cause REJECTED_BY_PLATFORM, with `account_status` ACTIVE before and after, proves
        that the credential was revoked. Anything else is a doubt.
        """

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        """Return the next tokens of *session*. Spends no login. Raises SessionEnded.

        The refresh token may be the same or a new one. A lease renews a token with less than 10
        minutes left. `inactive_status` has the words of AccountInactive's status.
        """

    async def resolve_account(self, account: Account) -> Account:
        """Return *account* with the username and server that the platform's directory names now.

        Does not query the account's server, and spends no login. The username changes only if the
        new one is proved both ways. Raises AccountGone.
        """

    async def account_status(self, account: Account) -> AccountStatus:
        """Return the status that the account's server states without authentication.

        NOT_FOUND if the server does not know the account, UNKNOWN if it states nothing. With
        UNKNOWN no refusal proves that a credential was revoked.
        """

    def may_share_credentials(self, origin: str, other: str) -> bool:
        """Whether credentials that were proved at *origin* may be sent to *other*."""

    async def display_name(self, account: Account) -> str | None:
        """Return the account's display name, if its server states it without authentication."""

    async def log_out(self, session: Session, origin: str) -> None:
        """End *session* at the server that opened it. No-op if it has ended."""

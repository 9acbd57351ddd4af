"""CredentialPlatform: the port that the adapter of a platform implements, and its errors."""

from typing import Protocol, runtime_checkable

from service.domain.model import (
    Account,
    AccountStatus,
    Credentials,
    Lease,
    Login,
    PlatformCard,
    Refreshed,
    Session,
)


class SessionEnded(Exception):
    """The session can no longer be refreshed. This proves nothing about the credentials."""


class AccountGone(Exception):
    """The platform's directory says that the account is gone for good."""


class CredentialRevoked(Exception):
    """The platform states that the credential no longer exists. This is proof at once."""


class PermissionLost(Exception):
    """The credential works, and the platform states that it does not permit to publish."""


class CredentialPlatform(Protocol):
    """A platform to which the owner of an account connects with credentials.

    A platform whose accounts can move or be renamed is a Directory too; one that states display
    names without a login is a DisplayNames; one whose access tokens are signed here is a
    TokenSigner; one that finds an account by its handle alone is a HandleLookup.

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

        Its last two labels are the key of the limit on look-ups. One constant is fine for a
        platform with one server: tenants that ask little are not limited by what others ask.
        """

    async def identify(self, credentials: Credentials) -> Account:
        """Return the account that tidied *credentials* name, with its server.

        Proved both ways: the name leads to the account, and the account to the name. Spends no
        login. Raises InvalidCredentials if there is no such account. If only a login returns the
        permanent id, the account is provisional, with an id that is the same each time.
        """

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        """Prove *credentials* for *account*. Spends exactly one login.

        Raises InvalidCredentials or AccountInactive, and then leaves no session at the server. The
        status of an AccountInactive is one that the contract's ACCOUNT_INACTIVE lists.
        """

    async def log_in_again(self, secret: str, account: Account) -> Login:
        """Prove a stored `Login.secret` for *account*, as `log_in` does.

        The cause REJECTED_BY_PLATFORM, with `account_status` ACTIVE before and after, proves that
        the credential was revoked, after as many rejections as `card.refusals_for_proof` says. An
        adapter that has proof raises CredentialRevoked or PermissionLost. Anything else is a doubt.
        """

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        """Return the next tokens of *session*. Spends no login.

        Raises SessionEnded, and CredentialRevoked or PermissionLost with proof. The refresh token
        may be the same or a new one. A lease renews a session with less than `card.min_lease_left`
        left. `inactive_status` has the words of AccountInactive's status. Of a platform without
        sessions, proves the credential and returns it as it is.
        """

    async def account_status(self, account: Account) -> AccountStatus:
        """Return the status that the account's server states without authentication.

        NOT_FOUND if the server does not know the account, UNKNOWN if it states nothing. With
        UNKNOWN no refusal proves that a credential was revoked. A platform whose API states nothing
        of any account returns ACTIVE when it answers, and its card requires more refusals.
        """

    def lend(self, session: Session, account: Account) -> Lease:
        """Return what is lent of *session*. Makes no call."""

    async def log_out(self, session: Session, account: Account) -> None:
        """End *session* at the server that opened it. No-op if it has ended.

        Of *account*, only the id and the origin are known.
        """


@runtime_checkable
class Directory(Protocol):
    """A platform whose directory states an account's server and name without a login."""

    async def resolve_account(self, account: Account) -> Account:
        """Return *account* with the username and server that the platform's directory names now.

        Does not send the credential, and spends no login. The username changes only if the new one
        is proved both ways. Raises AccountGone.
        """

    def may_share_credentials(self, origin: str, other: str) -> bool:
        """Whether credentials that were proved at *origin* may be sent to *other*."""


@runtime_checkable
class HandleLookup(Protocol):
    """A platform that finds an account by its handle alone."""

    async def knows_handle(self, handle: str) -> bool:
        """Return whether a typed *handle* leads to an account, proved both ways.

        Sends no credential, and spends no login. Raises InvalidCredentials if it is malformed.
        """


@runtime_checkable
class DisplayNames(Protocol):
    """A platform that states an account's display name without a login."""

    async def display_name(self, account: Account) -> str | None:
        """Return the account's display name, if its server states it."""


@runtime_checkable
class TokenSigner(Protocol):
    """A platform whose access tokens are signed here: `lend` returns a new one each time."""

    def was_lent(self, session: Session, token: str) -> bool:
        """Whether *token* was lent of *session* and has not expired. Makes no call."""

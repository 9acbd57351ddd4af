"""Toy: a platform without a server, whose answers a test sets."""

from collections import Counter
from dataclasses import replace
from itertools import count

from service.domain.errors import InvalidCredentials
from service.domain.model import (
    NEVER,
    SECOND,
    Account,
    AccountStatus,
    AuthMethod,
    CredentialField,
    Credentials,
    InvalidCredentialsCause,
    Lease,
    Lent,
    Login,
    PlatformCard,
    Refreshed,
    Session,
)
from service.platforms.egress.context import EgressContext

CARD = PlatformCard(
    "toy",
    "Toy",
    AuthMethod.CREDENTIALS,
    fields=(CredentialField("handle", "Name"), CredentialField("appPassword", "Word")),
)
REJECTED = InvalidCredentials(CARD, InvalidCredentialsCause.REJECTED_BY_PLATFORM)


class Toy:
    """It is no Directory, and states no display names.

    *refresh_error*, *login_error*: what the next calls raise; *statuses*: what is stated, the last
    one forever; *account_id*: whose the credentials are, once a login says so.
    """

    def __init__(self, card: PlatformCard = CARD) -> None:
        self.card = card
        self.refresh_error: Exception | None = None
        self.login_error: Exception | None = None
        self.statuses = [AccountStatus.ACTIVE]
        self.account_id = "toy:1"
        self.is_provisional = False
        self.counts: Counter[str] = Counter()
        self.ended: list[str] = []
        self._numbers = count(1)

    def adapter(self, _: EgressContext) -> "Toy":
        return self

    async def warm_up(self) -> None: ...

    def tidy(self, credentials: Credentials) -> Credentials:
        return credentials

    def asked_host(self, credentials: Credentials) -> str:
        return "toy.example"

    async def identify(self, credentials: Credentials) -> Account:
        name = credentials["handle"]
        if self.is_provisional:
            return Account(f"toy:named:{name}", name, "https://toy.example", is_provisional=True)
        return Account(self.account_id, name, "https://toy.example")

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        return await self.log_in_again(credentials["appPassword"], account)

    async def log_in_again(self, secret: str, account: Account) -> Login:
        self.counts["logins"] += 1
        _raise(self.login_error)
        proved = replace(account, account_id=self.account_id, is_provisional=False)
        return Login(proved, self._session(secret), secret)

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        self.counts["refreshes"] += 1
        _raise(self.refresh_error)
        return Refreshed(self._session(session.refresh_token))

    async def account_status(self, account: Account) -> AccountStatus:
        self.counts["statuses"] += 1
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def lend(self, session: Session, account: Account) -> Lease:
        token, lent = session.access_token, self.card.lends
        ends = None if lent is Lent.CREDENTIAL else session.expires_at
        return Lease(token, f"Toy {token}", account, f"{account.origin}/api", ends, lent)

    async def log_out(self, session: Session, account: Account) -> None:
        self.ended.append(session.access_token)

    def _session(self, secret: str) -> Session:
        if self.card.lends is Lent.CREDENTIAL:
            return Session(secret, secret, NEVER)
        return Session(f"access-{next(self._numbers)}", secret, 4_000_000_000 * SECOND)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error.with_traceback(None)

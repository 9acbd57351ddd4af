"""World: the accounts of one server, what they can be put through, and who may log in."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from service.sandbox.accounts import Account, AppPassword, Status, did_for
from service.sandbox.ledger import Home, Ledger
from service.sandbox.refusals import AccountTakedown, AuthenticationRequired, InvalidRequest
from service.sandbox.sessions import Sessions
from service.sandbox.tokens import Tokens

# not a secret: what it signs opens nothing but a sandbox
SIGNING_SECRET = b"postcore sandbox: signs nothing of worth"


class World:
    """Accounts, their passwords and their sessions.

    *now* is the clock, in seconds since 1970. Tokens signed with the same *secret* by an earlier
    World of the same accounts stay good. *login_wait*, in seconds, is what each login takes at
    least: the real server's is 0.35. Worlds that share a *ledger* share the directory.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        secret: bytes = SIGNING_SECRET,
        login_wait: float = 0.0,
        ledger: Ledger | None = None,
    ) -> None:
        self.now = now
        self.login_wait = login_wait
        self.ledger = Ledger() if ledger is None else ledger
        self.home = Home()
        self._secret = secret
        self.clear()

    def clear(self) -> None:
        """Forget every account and session; the ledger is another house."""
        self.sessions = Sessions(self._secret, self.now)
        self._accounts: dict[str, Account] = {}

    def create(
        self,
        handle: str,
        password: str,
        *,
        email: str | None = None,
        display_name: str = "",
        status: Status = Status.ACTIVE,
    ) -> Account:
        """A new account, its DID derived from *handle*; ValueError if handle or e-mail is taken."""
        handle = handle.lower()
        email = (email or f"{handle}@mail.test").lower()
        self._require_free(handle, email)
        did = next(did for turn in count() if (did := did_for(handle, turn)) not in self.ledger)
        account = Account(did, handle, email, password, display_name, status)
        self._accounts[did] = account
        self.ledger.enter(did, handle, self.home)
        return account

    def take_in(self, account: Account) -> Account:
        """Let *account* of another server live here from now on, with its main password alone.

        One that has lived here before finds its old app passwords again.
        """
        ours = self._accounts.setdefault(
            account.did, replace(account, app_passwords={}, status=Status.ACTIVE)
        )
        ours.handle, ours.email, ours.status = account.handle, account.email, Status.ACTIVE
        self.ledger.enter(account.did, account.handle, self.home)
        return ours

    def account(self, did: str) -> Account:
        """The account, deleted ones too; KeyError if there never was one."""
        return self._accounts[did]

    def accounts(self) -> list[Account]:
        """All that are not deleted, oldest first."""
        return [each for each in self._accounts.values() if each.status is not Status.DELETED]

    def find(self, name: str) -> Account | None:
        """The account of a handle, a DID or an e-mail address, in lower case, unless deleted."""
        for account in self.accounts():
            if name in (account.did, account.handle, account.email):
                return account
        return None

    def did_of(self, name: str) -> str | None:
        """The DID that *name* leads to, whichever server keeps it, and deleted or not."""
        account = self.find(name)
        return account.did if account else self.ledger.find(name)

    def add_app_password(
        self, did: str, name: str, password: str | None = None, *, privileged: bool = False
    ) -> str:
        """Make an app password and return it; ValueError if *name* is in use."""
        account = self._accounts[did]
        if name in account.app_passwords and not account.app_passwords[name].revoked:
            raise ValueError(f"{account.handle} has an app password named {name}")
        password = password or made_up()
        account.app_passwords[name] = AppPassword(name, password, privileged)
        return password

    def revoke_app_password(self, did: str, name: str) -> None:
        """End an app password and its sessions; access tokens that are out live to their end."""
        self._accounts[did].app_passwords[name].revoked = True
        self.sessions.close_all(did, name)

    def change_password(self, did: str, password: str) -> None:
        """Change the main password, which ends every session; app passwords survive it."""
        self._accounts[did].password = password
        self.sessions.close_all(did)

    def set_status(self, did: str, status: Status) -> None:
        """Deactivate, take down, suspend, delete or restore; all but the first end sessions."""
        account = self._accounts[did]
        account.status = status
        if account.taken_down or status is Status.DELETED:
            self.sessions.close_all(did)

    def rename(self, did: str, handle: str) -> None:
        """Change the handle, here and in the directory; ValueError if it is taken."""
        handle = handle.lower()
        self._require_free(handle)
        self._accounts[did].handle = self.ledger[did].handle = handle

    def delete(self, did: str) -> None:
        """Delete the account here. The directory keeps its document, as it does for real."""
        self.set_status(did, Status.DELETED)

    def tombstone(self, did: str) -> None:
        """End the DID itself, in the directory; the account's server is not told."""
        self.ledger[did].tombstoned = True

    def log_in(
        self, identifier: str, password: str, *, allow_takendown: bool = False
    ) -> tuple[Account, Tokens]:
        """A new session; raise AuthenticationRequired or AccountTakedown."""
        account = self.find(identifier.lower())
        if account is None:
            raise AuthenticationRequired()
        app_password = None
        if password != account.password:
            app_password = account.app_password(password)
            if app_password is None or account.taken_down:
                raise AuthenticationRequired()
        if account.taken_down and not allow_takendown:
            raise AccountTakedown()
        return account, self.sessions.open(account, app_password)

    def refresh(self, token: str) -> tuple[Account, Tokens]:
        """The session's next pair; raise InvalidToken, ExpiredToken, or as the account stands."""
        claims = self.sessions.read_refresh(token)
        account = self._require(str(claims["sub"]))
        if account.taken_down:
            raise AccountTakedown()
        return account, self.sessions.rotate(claims, account)

    def read(self, token: str) -> Account:
        """The account that an access token speaks for, though its password may be revoked."""
        account = self._require(did := self.sessions.read_access(token))
        if account.taken_down:
            raise InvalidRequest(f"Could not find user info for account: {did}")
        return account

    def log_out(self, token: str) -> None:
        """End the session of a refresh token, be it lapsed or ended before."""
        self.sessions.close(str(self.sessions.read_refresh(token, lapsed_too=True)["jti"]))

    def _require(self, did: str) -> Account:
        account = self.find(did)
        if account is None:
            raise InvalidRequest(f"Could not find user info for account: {did}")
        return account

    def _require_free(self, *names: str) -> None:
        for name in names:
            if self.find(name):
                raise ValueError(f"{name} is taken")


def made_up() -> str:
    """A new app password, in the alphabet of the real ones."""
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))

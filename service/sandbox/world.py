"""World: the accounts of one server, their changes, and their logins."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from service.sandbox.accounts import SEEDS, Account, AppPassword, Status, did_for
from service.sandbox.plc import Home, Ledger
from service.sandbox.refusals import AccountTakedown, AuthenticationRequired, InvalidRequest
from service.sandbox.sessions import Sessions
from service.sandbox.tokens import Tokens

# not a secret: its tokens are accepted by sandboxes only
SIGNING_SECRET = b"postcore sandbox: signs nothing of worth"


class World:
    """Accounts, their passwords and their sessions.

    *now* returns seconds since 1970. Tokens that an earlier World with the same accounts signed
    with the same *secret* stay valid. *login_wait* is the minimum duration of a login in seconds;
    the real server's is 0.35. Worlds that share a *ledger* share the directory.
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
        """Remove every account and session, but not the entries of the ledger."""
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
        """Create an account; derive its DID from *handle*. Raises ValueError if a name is taken."""
        handle = handle.lower()
        email = (email or f"{handle}@mail.test").lower()
        self._require_free(handle, email)
        did = next(did for turn in count() if (did := did_for(handle, turn)) not in self.ledger)
        account = Account(did, handle, email, password, display_name, status)
        self._accounts[did] = account
        self.ledger.enter(did, handle, self.home)
        return account

    def take_in(self, account: Account) -> Account:
        """Move *account* here from another server, with its main password only.

        An account that was here before gets its old app passwords back.
        """
        ours = self._accounts.setdefault(
            account.did, replace(account, app_passwords={}, status=Status.ACTIVE)
        )
        ours.handle, ours.email, ours.status = account.handle, account.email, Status.ACTIVE
        self.ledger.enter(account.did, account.handle, self.home)
        return ours

    def account(self, did: str) -> Account:
        """Return the account, even if it is deleted; raise KeyError if there never was one."""
        return self._accounts[did]

    def accounts(self) -> list[Account]:
        """Return the accounts that are not deleted, oldest first."""
        return [each for each in self._accounts.values() if each.status is not Status.DELETED]

    def find(self, name: str) -> Account | None:
        """Return the account of a handle, DID or e-mail address in lower case, unless deleted."""
        for account in self.accounts():
            if name in (account.did, account.handle, account.email):
                return account
        return None

    def did_of(self, name: str) -> str | None:
        """Return the DID of *name*, at any server, even if it is deleted."""
        account = self.find(name)
        return account.did if account else self.ledger.find(name)

    def add_app_password(
        self, did: str, name: str, password: str | None = None, *, privileged: bool = False
    ) -> str:
        """Create an app password and return it; raise ValueError if *name* is in use."""
        account = self._accounts[did]
        if name in account.app_passwords and not account.app_passwords[name].revoked:
            raise ValueError(f"{account.handle} has an app password named {name}")
        password = password or _random_app_password()
        account.app_passwords[name] = AppPassword(name, password, privileged)
        return password

    def revoke_app_password(self, did: str, name: str) -> None:
        """Revoke an app password and end its sessions. Access tokens stay valid to their end."""
        self._accounts[did].app_passwords[name].revoked = True
        self.sessions.close_all(did, name)

    def change_password(self, did: str, password: str) -> None:
        """Change the main password and end every session. App passwords stay valid."""
        self._accounts[did].password = password
        self.sessions.close_all(did)

    def set_status(self, did: str, status: Status) -> None:
        """Change the status. A takedown, suspension or deletion ends every session."""
        account = self._accounts[did]
        account.status = status
        if account.taken_down or status is Status.DELETED:
            self.sessions.close_all(did)

    def rename(self, did: str, handle: str) -> None:
        """Change the handle, here and in the directory; raise ValueError if it is taken."""
        handle = handle.lower()
        self._require_free(handle)
        self._accounts[did].handle = self.ledger[did].handle = handle

    def delete(self, did: str) -> None:
        """Delete the account. The directory keeps its document, as with the real server."""
        self.set_status(did, Status.DELETED)

    def tombstone(self, did: str) -> None:
        """Tombstone the DID in the directory. The account at the server is unchanged."""
        self.ledger[did].tombstoned = True

    def log_in(
        self, identifier: str, password: str, *, allow_takendown: bool = False
    ) -> tuple[Account, Tokens]:
        """Open a session; raise AuthenticationRequired or AccountTakedown."""
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
        """Return the session's next tokens; raise InvalidToken, ExpiredToken or AccountTakedown."""
        claims = self.sessions.read_refresh(token)
        account = self._require(str(claims["sub"]))
        if account.taken_down:
            raise AccountTakedown()
        return account, self.sessions.rotate(claims, account)

    def read(self, token: str) -> Account:
        """Return the account of an access token, even if its app password is revoked."""
        account = self._require(did := self.sessions.read_access(token))
        if account.taken_down:
            raise InvalidRequest(f"Could not find user info for account: {did}")
        return account

    def log_out(self, token: str) -> None:
        """End the session of a refresh token, even if the token has expired. Idempotent."""
        self.sessions.close(str(self.sessions.read_refresh(token, allow_expired=True)["jti"]))

    def _require(self, did: str) -> Account:
        account = self.find(did)
        if account is None:
            raise InvalidRequest(f"Could not find user info for account: {did}")
        return account

    def _require_free(self, *names: str) -> None:
        for name in names:
            if self.find(name):
                raise ValueError(f"{name} is taken")


def plant(world: World) -> World:
    """Create the accounts of SEEDS in *world* and return it."""
    for seed in SEEDS:
        account = world.create(
            seed.handle, seed.password, display_name=seed.display_name, status=seed.status
        )
        world.add_app_password(
            account.did, "sandbox", seed.app_password, privileged=seed.privileged
        )
    return world


def _random_app_password() -> str:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))

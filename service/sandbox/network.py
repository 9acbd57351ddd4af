"""Network: the state of two servers and their directory, and the operations on it."""

import secrets
import time
from collections.abc import Callable, Iterator
from itertools import count

from service.sandbox.accounts import Account, Status
from service.sandbox.breakages import EVERY, Breakage, Breakages
from service.sandbox.faults import Fault
from service.sandbox.methods import HANDLE, METHODS
from service.sandbox.plc import Ledger
from service.sandbox.refusals import (
    InvalidValue,
    Taken,
    UnknownAccount,
    UnknownAppPassword,
    UnknownFault,
    UnknownMethod,
    WrongState,
)
from service.sandbox.world import World, plant

# not SIGNING_SECRET: each server rejects the sessions of the other
SECOND_SECRET = b"postcore sandbox: the second server's, worth as little"
DEFAULT_NAME = "sandbox"


class Network:
    """The world of each server, and the breakages of both.

    Operations take an account's handle, DID or e-mail address, change it at its current server, and
    raise a Refusal if they fail.
    """

    def __init__(self, *, now: Callable[[], float] = time.time, login_wait: float = 0.0) -> None:
        self.ledger = Ledger()
        self.first = World(now=now, login_wait=login_wait, ledger=self.ledger)
        self.second = World(
            now=now, secret=SECOND_SECRET, login_wait=login_wait, ledger=self.ledger
        )
        self.breakages = Breakages()
        plant(self.first)

    def reset(self) -> None:
        """Restore the state at the start: the accounts of SEEDS, and no breakages."""
        self.breakages.clear()
        for clearable in (self.ledger, self.first, self.second):
            clearable.clear()
        plant(self.first)

    def accounts(self) -> Iterator[Account]:
        """Yield every account, as at its current server."""
        for world in (self.first, self.second):
            for account in world.accounts():
                if self.world_of(account) is world:
                    yield account

    def account(self, name: str) -> Account:
        """Return the account of a handle, DID or e-mail address; raise UnknownAccount."""
        for account in self.accounts():
            if name.lower() in (account.did, account.handle, account.email):
                return account
        raise UnknownAccount(name)

    def world_of(self, account: Account) -> World:
        """Return the world of the account's current server."""
        home = self.ledger[account.did].home
        return self.first if home is self.first.home else self.second

    def create(
        self, handle: str, *, password: str = "", app_password: str = "", email: str = ""
    ) -> Account:
        """Create an account at the first server, with an app password; generate missing values."""
        self._require_free(handle)
        password = password or secrets.token_urlsafe(12)
        try:
            account = self.first.create(handle, password, email=email or None)
        except ValueError as error:
            raise Taken(str(error)) from None
        self.first.add_app_password(account.did, DEFAULT_NAME, app_password or None)
        return account

    def delete(self, name: str) -> None:
        """Delete the account; the directory keeps its document."""
        account = self.account(name)
        self.world_of(account).delete(account.did)

    def create_app_password(
        self, name: str, *, called: str = "", password: str = "", privileged: bool = False
    ) -> tuple[str, str]:
        """Create an app password; return its name and itself. Generates missing values."""
        account = self.account(name)
        names = (f"{DEFAULT_NAME}-{number}" if number else DEFAULT_NAME for number in count())
        called = called or next(each for each in names if each not in account.app_passwords)
        try:
            password = self.world_of(account).add_app_password(
                account.did, called, password or None, privileged=privileged
            )
        except ValueError as error:
            raise Taken(str(error)) from None
        return called, password

    def revoke_app_password(self, name: str, called: str) -> None:
        """Revoke an app password and end its sessions."""
        account = self.account(name)
        if called not in account.app_passwords or account.app_passwords[called].revoked:
            raise UnknownAppPassword(account.handle, called)
        self.world_of(account).revoke_app_password(account.did, called)

    def change_password(self, name: str, password: str = "") -> str:
        """Change the main password, by default to a generated one, and return it."""
        account = self.account(name)
        password = password or secrets.token_urlsafe(12)
        self.world_of(account).change_password(account.did, password)
        return password

    def take_down(self, name: str) -> None:
        """Close the account, as moderators do."""
        self._change(name, Status.TAKENDOWN)

    def suspend(self, name: str) -> None:
        """Close the account for a while, as moderators do."""
        self._change(name, Status.SUSPENDED)

    def lift(self, name: str) -> None:
        """Undo a takedown or a suspension."""
        self._change(name, Status.ACTIVE, Status.TAKENDOWN, Status.SUSPENDED)

    def deactivate(self, name: str) -> None:
        """Deactivate the account, as its owner does."""
        self._change(name, Status.DEACTIVATED, Status.ACTIVE)

    def activate(self, name: str) -> None:
        """Undo a deactivation."""
        self._change(name, Status.ACTIVE, Status.DEACTIVATED)

    def tombstone(self, name: str) -> None:
        """Tombstone the DID in the directory. The account at its server is unchanged."""
        account = self.account(name)
        self.world_of(account).tombstone(account.did)

    def rename(self, name: str, handle: str) -> None:
        """Change the handle, at the server and in the directory."""
        account = self._not_tombstoned(name)
        self._require_free(handle, to=account.did)
        if account.handle != handle.lower():
            self.world_of(account).rename(account.did, handle)

    def migrate(self, name: str) -> str:
        """Move the account to the other server; return that server's origin.

        The main password moves; app passwords and sessions do not. The old server keeps the account
        as deactivated, and its app passwords still open sessions there, with that status.
        """
        account = self._not_tombstoned(name)
        old = self.world_of(account)
        new = self.second if old is self.first else self.first
        new.take_in(account)
        if not account.taken_down:
            old.set_status(account.did, Status.DEACTIVATED)
        return new.home.origin

    def break_(
        self, fault: Fault, method: str = EVERY, account: str = "", calls: int | None = None
    ) -> Breakage:
        """Put *fault* in force, for the next *calls* or until it is mended."""
        short = method.rpartition(".")[2]
        known = {each.rpartition(".")[2]: each for each in METHODS} | {"plc": "plc", EVERY: EVERY}
        if method not in (short, known.get(short)) or short not in known:
            names = ", ".join(sorted(known, key=str.lower))
            raise UnknownMethod(f"there is no method {method} here; there are {names}")
        if calls is not None and calls < 1:
            raise InvalidValue("calls must be at least 1")
        did = self.account(account).did if account else None
        return self.breakages.add(fault, method=short, account=did, calls=calls)

    def mend(self, number: int | None = None) -> None:
        """Mend the breakage with that number, or all."""
        try:
            self.breakages.clear(number)
        except KeyError:
            raise UnknownFault(f"no fault of the number {number} is in force") from None

    def _change(self, name: str, status: Status, *before: Status) -> None:
        account = self.account(name)
        if before and account.status not in before:
            raise WrongState(f"{account.handle} is {account.status}, not {' or '.join(before)}")
        self.world_of(account).set_status(account.did, status)

    def _not_tombstoned(self, name: str) -> Account:
        account = self.account(name)
        if self.ledger[account.did].tombstoned:
            raise WrongState(f"{account.handle}: the directory has a tombstone for its DID")
        return account

    def _require_free(self, handle: str, to: str = "") -> None:
        if not HANDLE.fullmatch(handle):
            raise InvalidValue(f"{handle} is no full handle, such as alice.test")
        for world in (self.first, self.second):
            holder = world.find(handle.lower())
            if holder and holder.did != to:
                raise Taken(f"{handle} is taken")

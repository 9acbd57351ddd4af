"""Network: two servers and the directory between them, and every switch that they have."""

import secrets
import time
from collections.abc import Callable, Iterator
from itertools import count

from service.sandbox.accounts import Account, Status
from service.sandbox.breakages import EVERY, Breakage, Breakages
from service.sandbox.fault import Fault
from service.sandbox.ledger import Ledger
from service.sandbox.methods import HANDLE, METHODS
from service.sandbox.mistakes import (
    InvalidValue,
    Taken,
    UnknownAccount,
    UnknownAppPassword,
    UnknownFault,
    UnknownMethod,
    WrongState,
)
from service.sandbox.seed import plant
from service.sandbox.world import World

# not SIGNING_SECRET: a session of one server is none at the other
SECOND_SECRET = b"postcore sandbox: the second server's, worth as little"
USUAL_NAME = "sandbox"


class Network:
    """A world to begin with, a second one to move to, and what is broken in both.

    Accounts are named by handle, DID or e-mail address, and changed where they live now. Every
    switch raises a Refusal with a sentence where it does not turn.
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
        """Begin anew, as a new start would: the accounts of the seed, and nothing broken."""
        self.breakages.clear()
        for clearable in (self.ledger, self.first, self.second):
            clearable.clear()
        plant(self.first)

    def accounts(self) -> Iterator[Account]:
        """Every account, where it lives now."""
        for world in (self.first, self.second):
            for account in world.accounts():
                if self.world_of(account) is world:
                    yield account

    def account(self, name: str) -> Account:
        """The account of that handle, DID or e-mail address; raises UnknownAccount."""
        for account in self.accounts():
            if name.lower() in (account.did, account.handle, account.email):
                return account
        raise UnknownAccount(name)

    def world_of(self, account: Account) -> World:
        """Where *account* lives."""
        home = self.ledger[account.did].home
        return self.first if home is self.first.home else self.second

    def create(
        self, handle: str, *, password: str = "", app_password: str = "", email: str = ""
    ) -> Account:
        """A new account at the first server, with an app password; passwords are made up."""
        self._require_free(handle)
        password = password or secrets.token_urlsafe(12)
        try:
            account = self.first.create(handle, password, email=email or None)
        except ValueError as error:
            raise Taken(str(error)) from None
        self.first.add_app_password(account.did, USUAL_NAME, app_password or None)
        return account

    def delete(self, name: str) -> None:
        """Delete the account; the directory keeps its document."""
        account = self.account(name)
        self.world_of(account).delete(account.did)

    def create_app_password(
        self, name: str, *, called: str = "", password: str = "", privileged: bool = False
    ) -> tuple[str, str]:
        """A new app password, as its name and itself; both are made up where not given."""
        account = self.account(name)
        names = (f"{USUAL_NAME}-{number}" if number else USUAL_NAME for number in count())
        called = called or next(each for each in names if each not in account.app_passwords)
        try:
            password = self.world_of(account).add_app_password(
                account.did, called, password or None, privileged=privileged
            )
        except ValueError as error:
            raise Taken(str(error)) from None
        return called, password

    def revoke_app_password(self, name: str, called: str) -> None:
        """End an app password and its sessions."""
        account = self.account(name)
        if called not in account.app_passwords or account.app_passwords[called].revoked:
            raise UnknownAppPassword(account.handle, called)
        self.world_of(account).revoke_app_password(account.did, called)

    def change_password(self, name: str, password: str = "") -> str:
        """Change the main password, to a made-up one where none is given, and return it."""
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
        """End the DID in the directory; the server is not told."""
        account = self.account(name)
        self.world_of(account).tombstone(account.did)

    def rename(self, name: str, handle: str) -> None:
        """Give the account another handle, at its server and in the directory."""
        account = self._not_tombstoned(name)
        self._require_free(handle, to=account.did)
        if account.handle != handle.lower():
            self.world_of(account).rename(account.did, handle)

    def migrate(self, name: str) -> str:
        """Move the account to the other server, whose origin is returned.

        Its main password goes with it; app passwords and sessions do not. Where it was, it stays
        behind deactivated, and its old app passwords still open sessions that say so.
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
        """Undo what `break_` did: once, by its number, or all of it."""
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

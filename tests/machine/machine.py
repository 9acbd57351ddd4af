"""The machine: the rules, which can run in any order."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import SECOND, Micros
from service.sandbox.accounts import Status
from service.sandbox.faults import Fault
from tests.support.running import Refusal

from .driver import HOUR, MINUTE, Driver, latest, one
from .outages import outages
from .running_service import DEADLINE_SECONDS

MAX_PEOPLE = 4
MAX_PROFILES = 4
ANY = st.integers(0, 3)
LOOK = st.booleans()
OPEN = (Status.ACTIVE, Status.DEACTIVATED)
CLOSED = (Status.TAKENDOWN, Status.SUSPENDED)
STEPS_OF_TIME = (3 * SECOND, 2 * MINUTE, 11 * MINUTE, 2 * HOUR, 7 * HOUR, 25 * HOUR, 2200 * HOUR)
"""Longer than, in order: a shared verdict, a renewal, a second look, an access token, a round, a
document, a refresh token."""


class Machine(Driver):
    """Drives a service through its stub, and the platform behind it through its faults."""

    # calls of the service

    @rule(person=ANY, password=ANY, profile=st.none() | ANY)
    def connect(self, person: int, password: int, profile: int | None) -> None:
        """Connect a profile again, to any account, or a new profile."""
        key = one(profile, self.profiles) if profile is not None and self.profiles else None
        if key is None and len(self.profiles) >= MAX_PROFILES:
            key = one(person, self.profiles)
        self._connect(one(person, self.platform.people), password, key)

    @precondition(lambda self: self.held)
    @rule(profile=ANY, password=ANY)
    def reconnect(self, profile: int, password: int) -> None:
        """Connect a profile again to its own account."""
        key = one(profile, self.held)
        did = self.held[key].did
        self._connect(next(who for who in self.platform.people if who.did == did), password, key)

    @precondition(lambda self: self.profiles)
    @rule(profile=ANY)
    def verify(self, profile: int) -> None:
        self._verify(one(profile, self.held or self.profiles))

    @precondition(lambda self: self.profiles)
    @rule(profile=ANY, refused=st.booleans())
    def lease(self, profile: int, refused: bool) -> None:
        """*refused*: report that the server rejected the token of the last lease."""
        key = one(profile, self.profiles)
        rejected = self.lent.get(key, "") if refused else ""
        call = self.running.service.lease(key, rejected=rejected, timeout=DEADLINE_SECONDS)
        answer = self._call(call, checked=[key])
        self.checks.leased(key, answer)
        if not isinstance(answer, Refusal):
            self.lent[key] = answer.access_token

    @precondition(lambda self: self.profiles)
    @rule(profile=ANY, whole=st.booleans())
    def leave(self, profile: int, whole: bool) -> None:
        """Disconnect, or delete the *whole* profile."""
        key, service = one(profile, self.profiles), self.running.service
        if whole:
            deleting = pb.DeleteProfileRequest(profile_key=key)
            call: Any = service.profiles.DeleteProfile(deleting, metadata=service.metadata())
            self.profiles.remove(key)
        else:
            request = pb.DisconnectPlatformRequest(profile_key=key, platform="bluesky")
            call = service.profiles.DisconnectPlatform(request, metadata=service.metadata())
        answer = self._call(call, remade=[key])
        assert isinstance(answer, Refusal) == (not whole and key not in self.held)
        self.held.pop(key, None)

    @rule()
    def monitor_round(self) -> None:
        self._call(self.running.round(), checked=self.held)

    @rule()
    def settle(self) -> None:
        self._settle()

    # two rules for one action, which doubles its probability: most effects show only here
    @rule()
    def settle_again(self) -> None:
        self._settle()

    def _settle(self) -> None:
        """Run a whole round without faults, and another for connections that need a second look."""
        self._turn(self.platform.mend())
        for wait in (25 * HOUR, 7 * HOUR):
            self.clock.at += wait
            before = len(self.platform.logins)
            self._call(self.running.round(), checked=self.held)
        self.checks.settled(self.platform.logins[before:])

    # changes of accounts, at their servers and in the directory; some verify at once

    @precondition(lambda self: self.platform.those())
    @rule(person=ANY, look=LOOK)
    def migrate(self, person: int, look: bool) -> None:
        self._put(one(person, self.platform.those()), self.platform.network.migrate, look)

    @precondition(lambda self: self.platform.those(*OPEN))
    @rule(person=ANY, look=LOOK)
    def take_down(self, person: int, look: bool) -> None:
        self._put(one(person, self.platform.those(*OPEN)), self.platform.network.take_down, look)

    @precondition(lambda self: self.platform.those(Status.ACTIVE))
    @rule(person=ANY, look=LOOK)
    def suspend(self, person: int, look: bool) -> None:
        self._put(
            one(person, self.platform.those(Status.ACTIVE)), self.platform.network.suspend, look
        )

    @precondition(lambda self: self.platform.those(*CLOSED))
    @rule(person=ANY, look=LOOK)
    def lift(self, person: int, look: bool) -> None:
        self._put(one(person, self.platform.those(*CLOSED)), self.platform.network.lift, look)

    @precondition(lambda self: self.platform.those(Status.ACTIVE))
    @rule(person=ANY, look=LOOK)
    def deactivate(self, person: int, look: bool) -> None:
        self._put(
            one(person, self.platform.those(Status.ACTIVE)), self.platform.network.deactivate, look
        )

    @precondition(lambda self: self.platform.those(Status.DEACTIVATED))
    @rule(person=ANY, look=LOOK)
    def activate(self, person: int, look: bool) -> None:
        self._put(
            one(person, self.platform.those(Status.DEACTIVATED)),
            self.platform.network.activate,
            look,
        )

    @precondition(lambda self: self.platform.those())
    @rule(person=ANY, look=LOOK)
    def change_main_password(self, person: int, look: bool) -> None:
        self._put(one(person, self.platform.those()), self.platform.network.change_password, look)

    @rule(person=ANY, password=ANY, look=LOOK)
    def revoke(self, person: int, password: int, look: bool) -> None:
        who = one(person, self.platform.people)
        self._put(who, lambda _: self.platform.revoke(who, latest(who, password)), look)

    @precondition(lambda self: self.platform.those())
    @rule(person=ANY)
    def new_password(self, person: int) -> None:
        self.platform.new_password(one(person, self.platform.those()))

    @precondition(lambda self: self.platform.those())
    @rule(person=ANY, look=LOOK)
    def rename(self, person: int, look: bool) -> None:
        who = one(person, self.platform.those())
        self._put(who, lambda _: self.platform.rename(who), look)

    @precondition(lambda self: len(self.platform.people) < MAX_PEOPLE)
    @rule(person=ANY, how=st.sampled_from(("delete", "tombstone")), look=LOOK)
    def end_account(self, person: int, how: str, look: bool) -> None:
        """End the account for good, and add a new one."""
        self._put(one(person, self.platform.those()), getattr(self.platform.network, how), look)
        self.platform.newcomer()

    # faults, and time

    @rule(what=outages(), person=st.none() | ANY, calls=st.none() | st.integers(1, 3))
    def break_something(
        self, what: tuple[Fault, str], person: int | None, calls: int | None
    ) -> None:
        fault, method = what
        whose = None if person is None else one(person, self.platform.people)
        self.platform.break_(fault, method, whose, calls)
        self._happened()

    @rule(server=st.integers(0, 2))
    def switch_a_host(self, server: int) -> None:
        """Stop the server, or start it again."""
        servers = (self.platform.first, self.platform.second, self.platform.directory)
        self._turn(self.platform.toggle(servers[server]))

    @rule()
    def mend(self) -> None:
        self._turn(self.platform.mend())

    @rule(by=st.sampled_from(STEPS_OF_TIME))
    def time_passes(self, by: Micros) -> None:
        self.clock.at += by
        self._happened()

    @precondition(lambda self: self.held and not any(each.spoiled for each in self.held.values()))
    @rule(profile=ANY, table=st.sampled_from(("credentials", "sessions")))
    def spoil(self, profile: int, table: str) -> None:
        """Truncate a secret in the store."""
        key = one(profile, self.held)
        shortened = "envelope = substr(envelope, 1, length(envelope) - 1)"
        statement = f"UPDATE {table} SET {shortened} WHERE profile_key = ?"
        self._turn(self.running.service.execute(statement, key))
        self.held[key].spoiled |= table == "credentials"

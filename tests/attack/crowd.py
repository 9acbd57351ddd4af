"""Crowd: callers that use every method, and the replies that they received.

Each caller has its own profiles and one call in progress at a time. The expected state of every
profile is therefore known, except for the effect of a last call that was cut off.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.running import Running, refusal_of

CALLERS = 6
ACCOUNTS = 3
"""Accounts of each caller."""
MAX_PROFILES = 8
SECOND_PASSWORD = "second"
CALL_SECONDS = 60.0
DONE_ALREADY = {
    "DisconnectPlatform": "PLATFORM_NOT_CONNECTED",
    "DeleteProfile": "PROFILE_NOT_FOUND",
}


@dataclass(frozen=True)
class Promise:
    """The expected state of a profile: connected to this account with this password, or to none."""

    did: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Action:
    """A call: its request, its profile (empty: a new one), and the state it leaves that profile
    in."""

    method: str
    request: Any = field(repr=False)
    profile_key: str = ""
    becomes: Promise | None = None

    @property
    def makes_a_profile(self) -> bool:
        return not self.profile_key

    async def send(self, service: Running) -> Any:
        """Return the reply; raise AioRpcError."""
        leases = self.method == "LeaseSession"
        stub = service.sessions if leases else service.profiles
        return await getattr(stub, self.method)(
            self.request,
            metadata=service.metadata(service.leasing_key if leases else None),
            timeout=CALL_SECONDS,
        )


class Caller:
    """One caller and the state that it expects.

    *profiles*: the expected state of each. *gone*: deleted profiles. *doubt*: the call that was cut
    off. *kept*: calls with an idempotency key, and their replies, since the last repeat. *refused*:
    the reasons of unexpected errors.
    """

    def __init__(
        self, people: Sequence[tuple[Person, str]], chance: Random, now: Callable[[], float]
    ) -> None:
        self._people = people
        self._chance = chance
        self._now = now
        self._since = 0.0
        self.profiles: dict[str, Promise] = {}
        self.gone: set[str] = set()
        self.doubt: Action | None = None
        self.kept: list[tuple[float, Action, Any]] = []
        self.acknowledged: Counter[str] = Counter()
        self.leases: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def make_calls(self, service: Running) -> None:
        """Make one call after another, until one is cut off."""
        while await self.settle(service):
            self.doubt, self._since = self._next(), self._now()

    async def settle(self, service: Running) -> bool:
        """Repeat the call in doubt; return whether it was answered."""
        action = self.doubt
        if action is None:
            return True
        try:
            reply = await action.send(service)
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            if not refusal.reason:
                return False  # no server answered
            if refusal.reason != DONE_ALREADY.get(action.method):
                self.refused[f"{action.method} {refusal.reason}"] += 1
                self.doubt = None
                return True
            reply = None
        self._note(action, reply)
        self.doubt = None
        return True

    def _note(self, action: Action, reply: Any) -> None:
        self.acknowledged[action.method] += 1
        if action.method == "LeaseSession":
            self.leases[action.profile_key] += 1
        elif action.method == "DeleteProfile":
            del self.profiles[action.profile_key]
            self.gone.add(action.profile_key)
        elif action.becomes is not None:
            key = action.profile_key or reply.profile_key
            self.profiles[key] = action.becomes
            if action.method in ("ConnectProfile", "CreateProfile"):
                self.kept.append((self._since, action, reply))

    def _next(self) -> Action:
        connected = [key for key, promise in self.profiles.items() if promise.did]
        kinds = ["connect", "create", "connect"]
        if connected:
            kinds += ["lease"] * 3 + ["reconnect", "disconnect", "verify"]
        if self.profiles:
            kinds += ["delete"]
        if len(self.profiles) > MAX_PROFILES:
            kinds = ["delete", "lease", "reconnect"] if connected else ["delete"]
        kind = self._chance.choice(kinds)
        if kind == "create":
            request = pb.CreateProfileRequest(idempotency_key=secrets.token_hex(8))
            return Action("CreateProfile", request, becomes=Promise())
        if kind == "connect":
            # connect an existing profile without a connection, or a new one
            empty = [key for key, promise in self.profiles.items() if not promise.did]
            return self._connect(
                self._chance.choice(["", *empty]), self._chance.choice(self._people)
            )
        if kind == "delete":
            key = self._chance.choice(list(self.profiles))
            return Action("DeleteProfile", pb.DeleteProfileRequest(profile_key=key), key)
        return self._of_a_connection(kind, self._chance.choice(connected))

    def _of_a_connection(self, kind: str, key: str) -> Action:
        named = {"profile_key": key, "platform": "bluesky"}
        if kind == "lease":
            return Action("LeaseSession", sessions_pb.LeaseSessionRequest(**named), key)
        if kind == "verify":
            return Action("VerifyConnection", pb.VerifyConnectionRequest(**named), key)
        if kind == "disconnect":
            return Action(
                "DisconnectPlatform", pb.DisconnectPlatformRequest(**named), key, Promise()
            )
        same = [each for each in self._people if each[0].did == self.profiles[key].did]
        return self._connect(key, same[0])

    def _connect(self, key: str, of: tuple[Person, str]) -> Action:
        person, second = of
        secret = self._chance.choice((person.app_password, second))
        request = pb.ConnectProfileRequest(
            profile_key=key or None,
            platform="bluesky",
            credentials=pb.Credentials(handle=person.handle, app_password=secret),
            idempotency_key=secrets.token_hex(8),
        )
        return Action("ConnectProfile", request, key, Promise(person.did, secret))


SAME, TOO_OLD = "the same", "not asked, being a day old"
KEPT_SECONDS = 24 * 3600 - 60
"""The promised lifetime of an idempotency key, by a clock that each kill sets forward."""


class Crowd:
    """All callers, and the accounts that they connect."""

    def __init__(self, sandbox: SandboxBluesky, people: Sequence[Person], chance: Random) -> None:
        self._sandbox = sandbox
        self._chance = chance
        self.people = people
        self._turn = 0
        twice = [
            (person, sandbox.world.add_app_password(person.did, SECOND_PASSWORD))
            for person in people
        ]
        self.callers = [
            Caller(twice[start : start + ACCOUNTS], chance, sandbox.world.now)
            for start in range(0, len(people), ACCOUNTS)
        ]

    @classmethod
    async def created(cls, sandbox: SandboxBluesky, chance: Random) -> "Crowd":
        people = [await sandbox.person() for _ in range(CALLERS * ACCOUNTS)]
        for person in people:
            await sandbox.show_name(person, f"The owner of {person.handle}")
        return cls(sandbox, people, chance)

    async def make_calls(self, service: Running) -> None:
        """Make calls until every caller is cut off."""
        await asyncio.gather(*(caller.make_calls(service) for caller in self.callers))

    async def settle(self, service: Running) -> bool:
        """Repeat the calls that were cut off; return whether all were answered."""
        return all([await caller.settle(service) for caller in self.callers])

    async def ask_again(self, service: Running) -> Counter[str]:
        """Repeat calls by their idempotency keys and count the outcomes.

        The outcome is SAME (the same reply, without a login) or a description of the difference.
        """
        answers: Counter[str] = Counter()
        for caller in self.callers:
            for since, action, reply in caller.kept:
                if self._sandbox.world.now() - since > KEPT_SECONDS:
                    answers[TOO_OLD] += 1
                    continue
                # deleting the profile also deletes the key's reply
                if reply.profile_key not in caller.profiles:
                    continue
                spent = _newest_login(service)
                try:
                    again = await action.send(service)
                except grpc.aio.AioRpcError as error:
                    reason = refusal_of(error).reason
                    if not reason:
                        return answers
                    answers[reason] += 1
                    continue
                if again != reply:
                    answers["another reply"] += 1
                else:
                    answers[SAME if _newest_login(service) == spent else "after a login"] += 1
            caller.kept.clear()
        return answers

    def end_some_sessions(self) -> None:
        """Change the main password of half of the accounts, which ends all their sessions.

        The halves alternate: an account whose sessions end repeatedly, without a successful refresh
        in between, is throttled at login.
        """
        self._turn = 1 - self._turn
        for person in list(self.people)[self._turn :: 2]:
            self._sandbox.world.change_password(person.did, secrets.token_hex(8))

    def profiles(self) -> set[str]:
        """The keys of all profiles that must or may exist."""
        return {key for caller in self.callers for key in caller.profiles}

    def count(self, methods: Sequence[str]) -> int:
        """Count the acknowledged calls of *methods*."""
        return sum(caller.acknowledged[method] for caller in self.callers for method in methods)


def _newest_login(service: Running) -> int:
    """Return the number of the newest login that a connect has spent."""
    [row] = service.rows("SELECT MAX(rowid) AS number FROM login_debits WHERE purpose = 'connect'")
    return row["number"] or 0

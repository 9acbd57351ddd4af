"""Breakage: a fault that is in force, for some calls or all; and Breakages: those of a sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from service.sandbox.call import Call, Gone
from service.sandbox.faults import Fault
from service.sandbox.world import World

EVERY = "all"


@dataclass(eq=False, slots=True)
class Breakage:
    """*fault* in force for a method (or `all`), an account's DID (None: all accounts), and the next
    *left* calls (None: until it is mended)."""

    number: int
    fault: Fault
    method: str
    account: str | None
    left: int | None
    _calls: set[Call] = field(default_factory=set)

    @property
    def held_up(self) -> int:
        """The number of calls in progress that it answers."""
        return len(self._calls)

    @property
    def in_force(self) -> bool:
        """Whether it may answer another call, or still answers one."""
        return self.left != 0 or self.held_up > 0

    def matches(self, call: Call) -> bool:
        """Whether it may answer *call*."""
        return (
            self.left != 0
            and self.method in (EVERY, call.method)
            and self.account in (None, call.account)
        )

    async def answer(self, call: Call) -> None:
        """Answer *call*; raise Gone if the caller disconnects first."""
        with self._counted(call):
            await self.fault.play(call)

    def mend(self) -> None:
        """End it, and let calls that wait continue."""
        self.left = 0
        for call in self._calls:
            call.mended.set()

    @contextmanager
    def _counted(self, call: Call) -> Iterator[None]:
        if self.left is not None:
            self.left -= 1
        self._calls.add(call)
        try:
            yield
        finally:
            self._calls.discard(call)


class Breakages:
    """The breakages in force. If several match a call, the latest answers it."""

    def __init__(self) -> None:
        self._all: list[Breakage] = []

    def __iter__(self) -> Iterator[Breakage]:
        """Iterate over the breakages in force, oldest first."""
        self._all = [each for each in self._all if each.in_force]
        return iter(list(self._all))

    def add(
        self,
        fault: Fault,
        *,
        method: str = EVERY,
        account: str | None = None,
        calls: int | None = None,
    ) -> Breakage:
        """Put *fault* in force. *method* is such as createSession; *account* is a DID.

        Its number is one more than the highest in force, as for the jobs of a shell.
        """
        number = max((each.number for each in self), default=0) + 1
        breakage = Breakage(number, fault, method, account, calls)
        self._all.append(breakage)
        return breakage

    def clear(self, number: int | None = None) -> None:
        """Mend one breakage, or all; raise KeyError if none has that number."""
        chosen = [each for each in self if number in (None, each.number)]
        if number is not None and not chosen:
            raise KeyError(number)
        for each in chosen:
            each.mend()

    def find(self, call: Call) -> Breakage | None:
        """Return the breakage that answers *call*, if any."""
        return next((each for each in reversed(list(self)) if each.matches(call)), None)


class Breakable:
    """An ASGI application that wraps another: *breakages* answer the calls that they match."""

    def __init__(self, application: ASGIApp, breakages: Breakages, world: World) -> None:
        self._application = application
        self._breakages = breakages
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not any(self._breakages):
            await self._application(scope, receive, send)
            return
        call = Call(self._application, self._world, scope, receive, send)
        try:
            await call.read()
            breakage = self._breakages.find(call)
            await (breakage.answer(call) if breakage else call.forward())
        except Gone:
            return

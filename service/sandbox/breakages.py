"""Breakage: a fault that is in force, for some calls or all; and Breakages: those of a sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from service.sandbox.call import Call, Gone
from service.sandbox.fault import Fault
from service.sandbox.world import World

EVERY = "all"


@dataclass(eq=False, slots=True)
class Breakage:
    """*fault*, for a method (or `all`), an account's DID (None: all), and the next *left* calls
    (None: until it is mended)."""

    number: int
    fault: Fault
    method: str
    account: str | None
    left: int | None
    _under_way: set[Call] = field(default_factory=set)

    @property
    def held_up(self) -> int:
        """How many calls it is answering."""
        return len(self._under_way)

    @property
    def in_force(self) -> bool:
        """Whether it may answer a call yet, or is about to."""
        return self.left != 0 or self.held_up > 0

    def concerns(self, call: Call) -> bool:
        """Whether it is for *call* to be answered by."""
        return (
            self.left != 0
            and self.method in (EVERY, call.method)
            and self.account in (None, call.account)
        )

    async def answer(self, call: Call) -> None:
        """Answer *call*; raises Gone when its caller hangs up first."""
        with self._counted(call):
            await self.fault.play(call)

    def mend(self) -> None:
        """Let the calls that wait go on."""
        self.left = 0
        for call in self._under_way:
            call.mended.set()

    @contextmanager
    def _counted(self, call: Call) -> Iterator[None]:
        if self.left is not None:
            self.left -= 1
        self._under_way.add(call)
        try:
            yield
        finally:
            self._under_way.discard(call)


class Breakages:
    """The breakages in force. Where several concern a call, the latest answers it."""

    def __init__(self) -> None:
        self._all: list[Breakage] = []

    def __iter__(self) -> Iterator[Breakage]:
        """Those in force, oldest first."""
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
        """Put *fault* in force. *method* is such as createSession; *account* a DID.

        Numbers go on from the highest in force, as a shell's jobs do.
        """
        number = max((each.number for each in self), default=0) + 1
        breakage = Breakage(number, fault, method, account, calls)
        self._all.append(breakage)
        return breakage

    def clear(self, number: int | None = None) -> None:
        """Mend one breakage, or all; KeyError if there is none of that number."""
        chosen = [each for each in self if number in (None, each.number)]
        if number is not None and not chosen:
            raise KeyError(number)
        for each in chosen:
            each.mend()

    def find(self, call: Call) -> Breakage | None:
        """The one that is to answer *call*."""
        return next((each for each in reversed(list(self)) if each.concerns(call)), None)


class Breakable:
    """An ASGI application around another, whose calls *breakages* answer where they are to."""

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
            await (breakage.answer(call) if breakage else call.pass_on())
        except Gone:
            return

"""Driver: calls of the service, and control of the platform's faults."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
from hypothesis.stateful import RuleBasedStateMachine, initialize

from service.domain.model import SECOND, Micros
from tests.support.running import Refusal, refusal_of

from .checks import SETTINGS, Checks
from .clock import START, HeldClock
from .expected_state import Held
from .fake_platform import FakePlatform, Password, Person
from .outages import SLOW
from .running_service import DEADLINE_SECONDS, FAULT_DEADLINE_SECONDS, RunningService

T = TypeVar("T")
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE


class Driver(RuleBasedStateMachine):
    """A service and two Bluesky servers, created for each example.

    The event loop runs only during a step; no task runs between two steps.
    """

    def __init__(
        self,
        database: Path,
        clock: HeldClock,
        runner: asyncio.Runner,
    ) -> None:
        super().__init__()
        clock.at = START
        self.clock = clock
        self._database = database
        self._runner = runner
        self._open = AsyncExitStack()
        self.profiles: list[str] = []
        self.held: dict[str, Held] = {}
        self.lent: dict[str, str] = {}
        self._patience = DEADLINE_SECONDS

    @initialize()
    def begin(self) -> None:
        self._runner.run(self._begin())
        self.checks = Checks(self.platform, self.running, self.held, self.clock)
        for who in self.platform.people:
            self._connect(who, 0, None)

    async def _begin(self) -> None:
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        database = Path(shutil.copy(self._database, folder / "postcore.db"))
        self.platform = FakePlatform(self.clock)
        await self.platform.start()
        self._open.push_async_callback(self.platform.stop)
        settings = {**self.platform.settings(), **SETTINGS}
        opened = RunningService.open(database, settings, self.clock)
        self.running = await self._open.enter_async_context(opened)
        for _ in range(2):
            self.platform.newcomer()

    def teardown(self) -> None:
        if hasattr(self, "platform"):
            # without this, hanging calls would be waited for
            self.platform.network.mend()
        self._runner.run(self._open.aclose())

    def _connect(self, who: Person, password: int, key: str | None) -> None:
        by = latest(who, password)
        good, disturbed = self.platform.opens(who, by), self.platform.disturbed
        call = self.running.service.connect(
            who.handle, by.text, profile_key=key, timeout=DEADLINE_SECONDS
        )
        answer = self._call(call, remade=[key] if key else [])
        if isinstance(answer, Refusal):
            self.checks.connect_refused(key, who.did, answer, good=good, disturbed=disturbed)
            return
        assert good, "connected with invalid credentials"
        if key is None:
            self.profiles.append(answer.profile_key)
        self.checks.connected(answer.profile_key, Held(who.did, by.server, by))

    def _verify(self, key: str) -> None:
        answer = self._call(self.running.service.verify(key), checked=[key])
        self.checks.verified(key, answer)

    def _put(self, who: Person, through: Callable[[str], Any], look: bool) -> None:
        """Apply a change to an account; with *look*, verify its connections."""
        through(who.did)
        self._happened()
        if look:
            self.clock.at += 3 * SECOND
            for key in [key for key, held in self.held.items() if held.did == who.did]:
                self._verify(key)

    def _turn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a change outside the service that takes time."""
        self._runner.run(work)
        self._happened()

    def _happened(self) -> None:
        """Check that a change outside has no effect inside yet."""
        late = any(isinstance(each.fault, SLOW) for each in self.platform.network.breakages)
        self._patience = FAULT_DEADLINE_SECONDS if late else DEADLINE_SECONDS
        self.running.set_deadline(self._patience)
        self.checks.nothing_changed()

    def _call(
        self,
        work: Any,
        *,
        checked: Iterable[str] = (),
        remade: Iterable[str] = (),
    ) -> Any:
        """Return the reply or the refusal of a call, and check its effects."""
        self.clock.at += SECOND
        self.checks.begin(checked, remade)
        answer = self._runner.run(self._answered(work))
        self.checks.end()
        return answer

    async def _answered(self, work: Any) -> Any:
        try:
            return await work
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        finally:
            await self.running.drain(self._patience)


def one(number: int, of: Iterable[T]) -> T:
    some = list(of)
    return some[number % len(some)]


def latest(person: Person, number: int) -> Password:
    """Return a password, counted from the latest."""
    return person.passwords[-1 - number % len(person.passwords)]

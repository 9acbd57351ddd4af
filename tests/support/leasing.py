"""Leasing: counters, holds, ended sessions and processes for the tests of leases."""

import asyncio
import os
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from service.domain.model import SECOND, Session
from service.settings import Settings
from tests.conformance.real import Real
from tests.conformance.sandbox import Sandbox
from tests.support.bluesky import CREATE, SESSION, Bluesky

ROOT = Path(__file__).parents[2]
MINUTE = 60 * SECOND
REFRESH = f"{SESSION}refreshSession"


class Counted:
    """Counts logins and refreshes at the server since its creation."""

    def __init__(self, bluesky: Bluesky, before: dict[str, int]) -> None:
        self._bluesky = bluesky
        self._before = before

    @classmethod
    async def at(cls, bluesky: Bluesky) -> Self:
        return cls(bluesky, await bluesky.counts())

    async def __call__(self) -> tuple[int, int]:
        now = await self._bluesky.counts()
        logins, refreshes = (
            now.get(path, 0) - self._before.get(path, 0) for path in (CREATE, REFRESH)
        )
        return logins, refreshes


class Held:
    """Makes a method wait, after its work, until it is released.

    *reached*: set when the method first waits. *results*: the method's results.
    """

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.reached = asyncio.Event()
        self.let_go = asyncio.Event()
        self.results: list[Any] = []
        method = getattr(owner, name)

        async def held(*arguments: Any, **named: Any) -> Any:
            self.results.append(await method(*arguments, **named))
            self.reached.set()
            await self.let_go.wait()
            return self.results[-1]

        patch.setattr(owner, name, held)


async def end_session(bluesky: Bluesky, session: Session) -> None:
    """End *session* at the server, which invalidates its refresh token."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        answer = await http.post(
            f"{bluesky.origin}{SESSION}deleteSession",
            headers={"authorization": f"Bearer {session.refresh_token}"},
        )
    assert answer.status_code == 200, answer.text


async def another_second(bluesky: Sandbox | Real) -> None:
    """Wait until the server issues different tokens: those of one second are equal."""
    begun = int(bluesky.now())
    while int(bluesky.now()) == begun:
        if isinstance(bluesky, Sandbox):
            bluesky.pass_time(1)
        await asyncio.sleep(0.01)


def environ_of(settings: Settings) -> dict[str, str]:
    """Return the environment of a process with the same settings."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        **{
            f"POSTCORE_{name.upper()}": (
                ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            )
            for name, value in settings
            if name in settings.model_fields_set
        },
    }

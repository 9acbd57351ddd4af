"""Run: a number of examples of the machine, made from a seed."""

import asyncio
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from .clock import HeldClock
from .machine import Machine
from .running_service import hold_time

STEPS = 40


def run(database: Path, seed: int, examples: int, *, shrink: bool = False) -> None:
    """Raise the exception of the first failing example; the same seed gives the same examples."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        clock = HeldClock()
        hold_time(clock, patch)

        @hypothesis.seed(seed)
        class Seeded(Machine):
            def __init__(self) -> None:
                super().__init__(database, clock, runner)

        phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
        run_state_machine_as_test(
            Seeded,
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                database=None,
                deadline=None,
                phases=phases,
                suppress_health_check=tuple(HealthCheck),
            ),
        )

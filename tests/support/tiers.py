"""Tiers: what a test needs beyond Python. `make test` runs the tests that need nothing: `quick`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

FIXTURES = {
    "pds": "real",
    "strict_pds": "real",
    "real_ghost": "real",
    "real_snac": "real",
    "real_wordpress": "real",
    "postgres_programs": "postgres",
    "chromium": "browser",
    "deploy_tools": "process",
    "grpcurl": "process",
    "protocs": "process",
    "webhook_libraries": "process",
    "shop": "process",
    "h2load": "slow",
    "image": "slow",
}
"""The tier of a test that uses one of these fixtures, directly or through another."""

FOLDERS = {
    "tests/attack/": "slow",
    "tests/bench/": "slow",
    "tests/fuzz/": "slow",
    "tests/machine/": "slow",
    "tests/identity/": "network",
}
"""The tier of all tests of a folder."""

PARAMETERS = {"real": "real", "really_served": "real", "postgres": "postgres"}
"""The tier of a fixture's parameter, by its value."""

TIERS = ("slow", "browser", "network", "real", "postgres", "process")
"""A test counts for the first of its tiers in this order."""


def mark(item: pytest.Item) -> None:
    """Mark *item* with every tier that it needs, or `quick`.

    A test that starts a process may be marked already.
    """
    for tier in dict.fromkeys(_needs(item)):
        item.add_marker(tier)
    if not any(item.get_closest_marker(tier) for tier in TIERS):
        item.add_marker("quick")


def _needs(item: pytest.Item) -> Iterator[str]:
    yield from (tier for folder, tier in FOLDERS.items() if item.nodeid.startswith(folder))
    fixtures = getattr(item, "fixturenames", ())
    yield from (tier for fixture, tier in FIXTURES.items() if fixture in fixtures)
    callspec: Any = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        words = [word for word in _each(value) if isinstance(word, str)]
        yield from (
            PARAMETERS[word] for word in words if isinstance(word, str) and word in PARAMETERS
        )


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def counted(items: Iterable[pytest.Item]) -> Counter[str]:
    """Count the *items* of each tier."""
    return Counter(
        next((tier for tier in TIERS if item.get_closest_marker(tier)), "other") for item in items
    )


def sentence(left: Counter[str]) -> str:
    """Describe the tests that `make test` leaves to `make check`."""
    parts = ", ".join(f"{left[tier]} {tier}" for tier in (*TIERS, "other") if left[tier])
    return f"left to `make check`: {left.total()} tests ({parts})"

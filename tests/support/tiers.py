"""Tiers: what each test needs beyond Python. `make test` runs those that need nothing: `quick`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

FIXTURES = {
    "pds": "real",
    "strict_pds": "real",
    "postgres_programs": "postgres",
    "chromium": "browser",
    "grpcurl": "process",
    "shop": "process",
    "h2load": "slow",
}
"""What a test needs that uses one of them, through another fixture or not."""

FOLDERS = {
    "tests/attack/": "slow",
    "tests/bench/": "slow",
    "tests/fuzz/": "slow",
    "tests/machine/": "slow",
    "tests/identity/": "network",
}
"""What all tests of a folder need."""

PARAMETERS = {"real": "real", "really_served": "real", "postgres": "postgres"}
"""What fixtures ask for by name, once they see their parameter."""

TIERS = ("slow", "browser", "network", "real", "postgres", "process")
"""A test is counted for the first that it has."""


def mark(item: pytest.Item) -> None:
    """Give *item* the marks of all that it needs, or `quick`; a test that starts a process may have
    said so itself."""
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
    """How many of *items* there are of each tier."""
    return Counter(
        next((tier for tier in TIERS if item.get_closest_marker(tier)), "other") for item in items
    )


def sentence(left: Counter[str]) -> str:
    """What `make test` has left to `make check`."""
    parts = ", ".join(f"{left[tier]} {tier}" for tier in (*TIERS, "other") if left[tier])
    return f"left to `make check`: {left.total()} tests ({parts})"

"""Callers whose stubs are of the contract as first released, at the service of today."""

import pytest

from tests.examples.build import built
from tests.examples.checks import checked
from tests.examples.languages import Language
from tests.examples.test_check import CHECKS
from tests.examples.world import World
from tests.support.leasing import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(1500)]

FIRST = ROOT / "tests/examples/first_release"
UNNAMED = {
    "go": "broken connection: 8",
    "typescript": "broken connection: 8",
    "java": "broken connection: 8",
    "rust": "broken connection: Err(UnknownEnumValue(8))",
    "python": "broken connection: 8",
}
"""How a value looks that the older stubs do not name."""


def test_an_older_client_keeps_working(language: Language, sandbox_world: World) -> None:
    """All checks pass, and an enum value that is newer than the stubs is a number."""
    checks = checked(built(language, FIRST, "first"), sandbox_world)

    assert checks.right, checks.text
    assert checks.names == CHECKS
    assert UNNAMED[language.name] in checks.text

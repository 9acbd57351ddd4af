"""Which forms of an address each language's client takes."""

import pytest

from tests.examples.build import built
from tests.examples.languages import Language
from tests.examples.reaching import reached
from tests.examples.world import World

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(1500)]

TAKEN = {
    "go": ["host:port", "a name", "dns"],
    "typescript": ["host:port", "a name", "dns", "ipv4", "ipv4 list"],
    "java": ["host:port", "a name", "dns"],
    "rust": ["host:port", "a name"],
    "python": ["host:port", "a name", "dns", "ipv4", "ipv4 list"],
}


def test_an_address_is_taken_as_the_page_says(language: Language, sandbox_world: World) -> None:
    """docs/languages.md has the same table."""
    found = reached([built(language)], sandbox_world.environ)

    assert found[language.name] == TAKEN[language.name]

"""What the tests of examples share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.build import Example, built
from tests.examples.languages import LANGUAGES
from tests.examples.world import World, world


@pytest.fixture(params=list(LANGUAGES))
def example(request: pytest.FixtureRequest) -> Example:
    """The built example of each language."""
    language = LANGUAGES[request.param]
    if language.missing:
        pytest.skip(f"{', '.join(language.missing)} not found; install {language.install}")
    return built(language)


@pytest.fixture
def sandbox_world(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as started:
        yield started

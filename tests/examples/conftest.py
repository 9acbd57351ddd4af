"""What the tests of examples share."""

from collections.abc import Iterator

import pytest

from tests.examples.languages import LANGUAGES, Language
from tests.examples.world import World, world


@pytest.fixture(params=list(LANGUAGES))
def language(request: pytest.FixtureRequest) -> Language:
    """Each language; the test is skipped where this machine lacks its tools."""
    language = LANGUAGES[request.param]
    require(language)
    return language


@pytest.fixture(scope="session")
def sandbox_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Shared by the tests of one worker: each run of an example makes a profile of its own."""
    with world(tmp_path_factory.mktemp("world")) as started:
        yield started


def require(language: Language) -> None:
    """Skip the test where a tool of *language* is missing."""
    if language.missing:
        pytest.skip(f"{', '.join(language.missing)} not found; install {language.install}")


def require_all() -> None:
    """Count a test as skipped that has passed with some of the languages only."""
    for language in LANGUAGES.values():
        require(language)

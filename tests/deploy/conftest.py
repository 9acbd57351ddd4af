"""What the tests of deploy/ share: the programs that read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import tool
from tests.deploy.image import Image


@pytest.fixture(scope="session")
def deploy_tools() -> Path:
    """The folder of tests/deploy/install."""
    return tool("tests/deploy/install")


@pytest.fixture(scope="session")
def image(deploy_tools: Path) -> Iterator[Image]:
    """The image of deploy/Containerfile, built and mounted."""
    with Image.built(deploy_tools) as image:
        yield image

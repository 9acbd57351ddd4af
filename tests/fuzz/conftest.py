"""Each module's target, opened once."""

from collections.abc import Iterator

import pytest

from .target import Read


@pytest.fixture(scope="module")
def read(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Read]:
    with request.module.TARGET.opened(tmp_path_factory.mktemp("fuzz")) as read:
        yield read

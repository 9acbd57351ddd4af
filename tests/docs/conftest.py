"""What the tests of pages share: a shell beside a running sandbox."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.shell import Shell, started


@pytest.fixture(scope="module")
def shell(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, grpcurl: Path
) -> Iterator[Shell]:
    for program in ("bash", "curl"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    with started(tmp_path_factory.mktemp("home"), empty_database, grpcurl) as shell:
        yield shell

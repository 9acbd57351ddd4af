"""The oldest protoc that compiles the contract is the one that the pages name."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.home import DEADLINE
from tests.conftest import tool

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT / "protos").as_posix() for path in ROOT.glob("protos/postcore/**/*.proto")
)


@pytest.fixture
def protocs() -> Path:
    return tool("tests/tools/install-protoc")


@pytest.mark.process
def test_protoc_22_compiles_the_contract_and_older_ones_do_not(
    protocs: Path, tmp_path: Path
) -> None:
    """`debug_redact` came with 22; Debian 12 has 3.21."""

    def compiled(version: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                protocs / version / "protoc/data/bin/protoc",
                f"-I{ROOT / 'protos'}",
                f"-I{protocs / version / 'protoc/data/include'}",
                f"--python_out={tmp_path}",
                f"--java_out={tmp_path}",
                f"--csharp_out={tmp_path}",
                *FILES,
            ],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    older = compiled("21.11")
    assert older.returncode != 0
    assert 'Option "debug_redact" unknown' in older.stderr
    least = compiled("22.0")
    assert (least.returncode, least.stderr) == (0, "")
    assert len(list(tmp_path.rglob("*_pb2.py"))) == len(FILES)


@pytest.mark.parametrize("page", ["README.md", "docs/clients.md", "docs/leasing.md"])
def test_pages_name_the_least_version(page: str) -> None:
    """Where a page speaks of any protoc or of stubs, it says 22."""
    assert re.search(r"protoc 22 or newer", (ROOT / page).read_text())

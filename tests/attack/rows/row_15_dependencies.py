"""Row 15: every dependency matches its lock file, byte for byte."""

import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path

from packaging.markers import Marker

from tests.attack.row import Figure, Ground
from tests.support.leasing import ROOT

PINNED = re.compile(r"([A-Za-z0-9._-]+(?:\[[^]]+\])?)==(\S+?)(?: ; (.+?))?(?: \\)?")
DIGEST = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    locked = [line for file in sorted(ROOT.glob("requirements*.txt")) for line in _locked(file)]
    hashed = [name for name, _, _, digests in locked if digests]
    figures = [
        Figure(
            "requirements pinned to one version, by SHA-256",
            f"{len(hashed)} of {len(locked)}",
            len(hashed) == len(locked) > 0,
        )
    ]
    runs = [one for one in _locked(ROOT / "requirements.txt") if _is_for_here(one[2])]
    same = [name for name, version, _, _ in runs if distribution(name).version == version]
    figures.append(
        Figure(
            "installed packages that match the lock file",
            f"{len(same)} of {len(runs)}",
            len(same) == len(runs) > 0,
        )
    )
    if part == 1:
        figures += await _audited()
    return figures


def _locked(file: Path) -> Iterator[tuple[str, str, str | None, int]]:
    """Yield name, version, marker and count of digests of each requirement; raise on any other
    line."""
    found: list[tuple[str, str, str | None, int]] = []
    for line in file.read_text().splitlines():
        if DIGEST.fullmatch(line):
            name, version, marker, digests = found.pop()
            found.append((name, version, marker, digests + 1))
            continue
        pinned = PINNED.fullmatch(line)
        if pinned is None:
            raise ValueError(f"{file.name}: {line}")
        found.append((pinned[1].partition("[")[0], pinned[2], pinned[3], 0))
    yield from found


def _is_for_here(marker: str | None) -> bool:
    return marker is None or Marker(marker).evaluate()


async def _audited() -> list[Figure]:
    """Return what `make audit` prints of vulnerabilities, licences and the bill of materials."""
    process = await asyncio.create_subprocess_exec(
        "make",
        "audit",
        f"PYTHON={sys.executable}",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(600):
        out, _ = await process.communicate()
    lines = out.decode().splitlines()
    [vulnerabilities] = [line for line in lines if line.startswith("vulnerabilities:")]
    [bill] = [line for line in lines if line.startswith("bill of materials")]
    unsaid = [line for line in lines if line.endswith(": not said")]
    unavailable = " in 0 of " in vulnerabilities or "not asked" in vulnerabilities
    return [
        Figure(
            "make audit",
            f"{vulnerabilities} that could be asked about",
            None if unavailable else process.returncode == 0,
        ),
        Figure(
            "make audit",
            f"{bill.rpartition(', ')[2]}, without a licence: {len(unsaid)}",
            not unsaid,
        ),
    ]

"""Start the driver in a network of its own, and read its results."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.identity.namespace import ROOT, command_inside
from tests.identity.page import Results
from tests.identity.table import GROUPS

SECONDS = 110


@dataclass(frozen=True)
class Outcome:
    """The results, and the reference's version that gave its half of them."""

    version: str
    results: Results


def ask(unshare: tuple[str, ...], folder: Path, packages: Path) -> Outcome:
    """Ask both sides about all situations; *folder* is an empty one."""
    done = subprocess.run(
        command_inside(unshare, "driver", folder, str(packages)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    report = json.loads(done.stdout)
    keys = [(group, each.name) for group, situations in GROUPS.items() for each in situations]
    found = [(each["reference"], each["ours"]) for each in report["results"]]
    return Outcome(report["version"], dict(zip(keys, found, strict=True)))

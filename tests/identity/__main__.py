"""`python -m tests.identity`: ask both sides about all situations, and print the tables.

It needs what the tests of this folder need. With `--write` it makes no query: the tables go into
docs/identity.md with the results that the situations state, which the tests hold it to.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.identity.namespace import KINDS, ROOT, fault
from tests.identity.page import expected, generated, write
from tests.identity.run_driver import ask


def main() -> None:
    if "--write" in sys.argv:
        write(generated(expected()))
        return
    packages = subprocess.run(
        [ROOT / "tests/pds/install"], stdout=subprocess.PIPE, text=True, check=True
    )
    unshare = next((command for command in KINDS.values() if not fault(command)), None)
    if unshare is None:
        sys.exit("no network namespace can be made on this machine")
    with tempfile.TemporaryDirectory() as folder:
        outcome = ask(unshare, Path(folder), Path(packages.stdout.strip()))
    sys.stdout.write(generated(outcome.results))


if __name__ == "__main__":
    main()

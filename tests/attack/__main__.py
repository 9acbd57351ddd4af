"""Run the attacks of SECURITY.md in full and print the table of results.

    python -m tests.attack [PART [ROW…]]

PART is the share of each attack to run; 1 runs all of it and takes up to an hour. Progress goes to
standard error, the table to standard output. The exit code is 1 if a promise is broken. The attacks
need what `.ci/run` installs: the real Bluesky server, PostgreSQL and grpcurl.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

import structlog

from tests.support.leasing import ROOT
from tests.support.postgres import binaries

from .row import HEAD, Figure, Ground
from .rows import ROWS


def main(part: str = "1", *numbers: str) -> None:
    programs = binaries()
    found = subprocess.run(
        [ROOT / "tests/pds/install", "--check"], stdout=subprocess.PIPE, text=True, check=False
    )
    if programs is None or found.returncode:
        sys.exit(__doc__)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    lines, holds = list(HEAD), True
    for row in ROWS:
        if numbers and str(row.number) not in numbers:
            continue
        began = monotonic()
        report(f"{row.number:2} {row.threat} …")
        with tempfile.TemporaryDirectory() as folder:
            ground = Ground(
                Path(folder),
                Path(found.stdout.strip()),
                programs,
                lambda word: report(f"   {word}"),
            )
            try:
                figures = list(asyncio.run(row.attack(ground, float(part))))
            except Exception as error:  # run the other rows anyway
                figures = [Figure("the attack", f"did not run: {type(error).__name__}", False)]
        for figure in figures:
            report(f"   {figure.what}: {figure.seen}, {figure.verdict}")
        report(f"   {monotonic() - began:.0f} s")
        lines += row.table_lines(figures)
        holds = holds and all(figure.holds is not False for figure in figures)
    print("\n".join(lines))  # noqa: T201 - this command's output
    if not holds:
        sys.exit(1)


def report(word: str) -> None:
    print(word, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

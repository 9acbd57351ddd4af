"""Runs the suite and prints, for every row, what the sandbox and the real server answer.

    python -m tests.conformance [further arguments of pytest, such as -n 2]

Ends with 0 only where both servers were asked, and differ in nothing but what is meant.
"""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from .table import Table


def main() -> int:
    table, output = Table(), io.StringIO()
    with redirect_stdout(output):
        suite = str(Path(__file__).parent)
        # what this module imports, pytest comes too late to rewrite
        late = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
        arguments = ["-W", late, suite, "--nothing-left-out", *sys.argv[1:]]
        code = pytest.main(arguments, plugins=[table])
    sys.stdout.writelines(f"{line}\n" for line in table.lines())
    verdicts = [table.verdict(name) for name in table.rows]
    unmeant = sum(verdict.startswith("**") for verdict in verdicts)
    sys.stderr.write(f"{len(verdicts)} rows, {unmeant} of them failed or not meant to differ\n")
    if code:
        sys.stderr.write(output.getvalue())
    return int(bool(code or unmeant))


if __name__ == "__main__":
    sys.exit(main())

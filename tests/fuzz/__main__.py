"""Fuzz: each target is handed bytes that lead on from those that reached new code, for a time.

    python -m tests.fuzz [SECONDS [TARGET…]]        a target is a module here, without test_

Printed is how many were tried and how many edges of code they reached. Exit code 1
where a promise was broken: with what was raised, the bytes, and the line that has the suite hand
them over from then on. What was found on the way is kept for no later run. It needs what
requirements-fuzz.txt installs (`make fuzz` sees to it).
"""

import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")))
LONGEST = 8192
SLOW_SECONDS = 60
START_SECONDS = 120
MOST_MEBIBYTES = 2048
ASKED = (
    *(f"-max_len={LONGEST}", f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MOST_MEBIBYTES}"),
    "-print_final_stats=1",
)


def main(seconds: str = "20", *names: str) -> None:
    broken = [name for name in names or NAMES if not holds(name, int(seconds))]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


def holds(name: str, seconds: int) -> bool:
    """Whether nothing was found; tells what was tried."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        corpus, found, ground = place / "corpus", place / "found", place / "ground"
        for each in (corpus, found, ground):
            each.mkdir()
        for number, seed in enumerate(import_module(f"tests.fuzz.test_{name}").TARGET.seeds):
            (corpus / f"{number}").write_bytes(seed)
        command = (sys.executable, "-m", "tests.fuzz.one", name, str(ground), str(corpus))
        limits = (*ASKED, f"-max_total_time={seconds}", f"-artifact_prefix={found}/")
        done = subprocess.run(
            (*command, *limits),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_SECONDS + seconds + SLOW_SECONDS,
            check=False,
        )
        told = done.stdout.decode(errors="replace")
        tries = last(r"stat::number_of_executed_units: (\d+)", told)
        edges = last(r" cov: (\d+) ", told)
        tell(f"{name:18} {tries:>9,} tries {edges:>6,} edges")
        cases = sorted(found.iterdir())
        for case in cases:
            tell(raised(told))
            tell(f"{case.name.partition('-')[0]}; add above the test in tests/fuzz/test_{name}.py:")
            tell(f"@example({case.read_bytes()!r})")
        if done.returncode and not cases:
            tell(told[-2000:])
        return done.returncode == 0


def last(number: str, told: str) -> int:
    return int([0, *re.findall(number, told)][-1])


def raised(told: str) -> str:
    """The exception in what the fuzzer told, if there was one."""
    found = re.search(r"=== Uncaught Python exception: ===\n(.*?)(?:\n\n|\Z)", told, re.DOTALL)
    return found[1] if found else "too slow, or too much memory"


def tell(word: str) -> None:
    print(word, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main(*sys.argv[1:])

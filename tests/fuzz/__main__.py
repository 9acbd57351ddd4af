"""Fuzz: coverage-guided fuzzing of each target for a fixed time.

    python -m tests.fuzz [SECONDS [TARGET…]]        a target is a module here, without test_

Prints the number of inputs tried and of code edges reached. On a broken promise, the exit code is
1, and the exception, the input, and the line that adds the input to the suite are printed. The
corpus is not kept between runs. The fuzzer needs requirements-fuzz.txt, which `make fuzz` installs.
"""

import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")))
MAX_BYTES = 8192
SLOW_SECONDS = 60
START_SECONDS = 120
MAX_MEBIBYTES = 2048
ASKED = (
    *(f"-max_len={MAX_BYTES}", f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MAX_MEBIBYTES}"),
    "-print_final_stats=1",
)


def main(seconds: str = "20", *names: str) -> None:
    broken = [name for name in names or NAMES if not holds(name, int(seconds))]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


def holds(name: str, seconds: int) -> bool:
    """Fuzz one target and report the counts; return whether it kept its promises."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        corpus, found, ground = place / "corpus", place / "found", place / "ground"
        for each in (corpus, found, ground):
            each.mkdir()
        for number, seed in enumerate(import_module(f"tests.fuzz.test_{name}").TARGET.seeds):
            (corpus / f"{number}").write_bytes(seed)
        command = (sys.executable, "-m", "tests.fuzz.run_target", name, str(ground), str(corpus))
        limits = (*ASKED, f"-max_total_time={seconds}", f"-artifact_prefix={found}/")
        done = subprocess.run(
            (*command, *limits),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_SECONDS + seconds + SLOW_SECONDS,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        tries = last(r"stat::number_of_executed_units: (\d+)", output)
        edges = last(r" cov: (\d+) ", output)
        report(f"{name:18} {tries:>9,} tries {edges:>6,} edges")
        cases = sorted(found.iterdir())
        for case in cases:
            report(raised(output))
            report(
                f"{case.name.partition('-')[0]}; add above the test in tests/fuzz/test_{name}.py:"
            )
            report(f"@example({case.read_bytes()!r})")
        if done.returncode and not cases:
            report(output[-2000:])
        return done.returncode == 0


def last(number: str, output: str) -> int:
    return int([0, *re.findall(number, output)][-1])


def raised(output: str) -> str:
    """Return the exception in the fuzzer's output, if there is one."""
    found = re.search(r"=== Uncaught Python exception: ===\n(.*?)(?:\n\n|\Z)", output, re.DOTALL)
    return found[1] if found else "too slow, or too much memory"


def report(word: str) -> None:
    print(word, flush=True)  # noqa: T201 - this command's output


if __name__ == "__main__":
    main(*sys.argv[1:])

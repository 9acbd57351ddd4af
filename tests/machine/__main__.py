"""Run the machine for longer: python -m tests.machine [EXAMPLES [SEED]]

Seeds increase by one and run a few examples each. A failure is reported with its seed and a minimal
list of steps.
"""

import logging
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import structlog

from service.storage.migrations import migrate_apart

from .run import run

AT_A_SEED = 25


def main(examples: int = 1000, first_seed: int = 0) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    started, done = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "empty.db"
        assert migrate_apart(f"sqlite:///{database}")
        for seed in count(first_seed):
            if done >= examples:
                break
            some = min(AT_A_SEED, examples - done)
            print(f"seed {seed}: {some} examples …", flush=True)  # noqa: T201
            run(database, seed, some, shrink=True)
            done += some
    print(f"{done} examples in {time.monotonic() - started:.0f} s: nothing found")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

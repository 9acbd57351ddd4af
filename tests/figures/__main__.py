"""Prints figures as tables: python -m tests.figures outages [HOW_MANY_OF_EACH_KIND]"""

import asyncio
import sys

from .outages import table

FIGURES = {"outages": table}


def main(name: str = "", *arguments: str) -> None:
    if name not in FIGURES:
        sys.exit(f"{__doc__}")
    print(asyncio.run(FIGURES[name](*map(int, arguments))))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

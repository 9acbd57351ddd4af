"""Fuzz one target in its own process, which the fuzzer ends."""

import sys
from importlib import import_module
from pathlib import Path

import atheris
import structlog

# of the libraries, the Python ones that parse remote input
INSTRUMENTED = ["service", "dns", "h11", "httpcore", "uvicorn"]


def main(name: str, folder: str, *arguments: str) -> None:
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = import_module(f"tests.fuzz.test_{name}").TARGET
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with target.opened(Path(folder)) as read:
        atheris.Setup([sys.argv[0], *arguments], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

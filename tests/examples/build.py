"""Builds the examples in a cache folder of the user's, so that the checkout stays clean."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.examples.languages import SCRIPTS, Command, Language
from tests.support.leasing import ROOT

MADE = {"gen", "node_modules", "dist", "build", "target", "__pycache__", ".mypy_cache"}
"""Folders that a build makes."""
LIMIT_SECONDS = 1200
"""Of one command: the first build on a machine fetches and compiles the libraries."""


class BuildFailed(Exception):
    """A command of the language's tools failed; the message is what it printed."""


@dataclass(frozen=True)
class Example:
    """A built example."""

    language: Language
    folder: Path

    @property
    def command(self) -> list[str]:
        return list(self.language.run)

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**_environ(self.language), **more}

    def start(self, mode: str, more: Mapping[str, str], **options: Any) -> subprocess.Popen[str]:
        """Start it in *mode*; its output is a pipe."""
        return subprocess.Popen(
            [*self.command, mode],
            cwd=self.folder,
            env=self.environ(more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **{"stdin": subprocess.DEVNULL, **options},
        )


def built(language: Language, protos: Path = ROOT / "protos", variant: str = "today") -> Example:
    """Build *language*'s example against *protos*, unless nothing has changed since it was built.

    That of today's contract is linted first. Raises BuildFailed.
    """
    place = _cache() / variant / language.name
    folder = place / "examples" / language.name
    stamp = place / "built"
    with _alone(_cache() / f"{language.name}.lock"):
        digest = _copied(protos, place / "protos")
        shutil.copy(ROOT / "protos/service_config.json", place / "protos")
        digest += _copied(ROOT / "examples" / language.name, folder)
        if not stamp.exists() or stamp.read_text() != digest:
            stamp.unlink(missing_ok=True)
            lint = language.lint if variant == "today" else ()
            silent = language.silent if variant == "today" else ()
            for command in (*language.build, *lint, *silent):
                said = _run(language, command, folder)
                if said and command in silent:
                    raise BuildFailed(f"{' '.join(command)}:\n{said}")
            stamp.write_text(digest)
    return Example(language, folder)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("POSTCORE_TEST_CACHE") or f"{base}/postcore").absolute() / "examples"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock: several checkouts share the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _copied(source: Path, target: Path) -> str:
    """Make *target* a copy of *source*, leaving what builds have made; return a digest of it.

    A file that has not changed keeps its time, so that the tools build only what has.
    """
    digest = hashlib.sha256()
    names = sorted(_files(source))
    for name in names:
        content = (source / name).read_bytes()
        digest.update(f"{name} {len(content)}\0".encode() + content)
        copy = target / name
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    for name in set(_files(target)) - set(names):
        (target / name).unlink()
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each not in MADE]
        for name in names:
            yield str((Path(path) / name).relative_to(folder))


def _environ(language: Language) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTCORE_")}
    return {
        **kept,
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        # all variants of the contract share the compiled libraries
        "CARGO_TARGET_DIR": str(_cache() / "cargo"),
        **language.environ,
    }


def _run(language: Language, command: Command, folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environ(language),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildFailed(f"{language.name}: {' '.join(command)}:\n{done.stdout}")
    return done.stdout

"""The resolver follows the machine, and the commands find accounts in the test network."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.identity.commands import CASES
from tests.identity.namespace import KINDS, ROOT, command_inside, fault, network
from tests.identity.resolver_changes import NAT64, STORIES

SECONDS = 120
Outcome = tuple[str, int, str, str, int]
"""The error of a connect; doctor's exit code, last step and cause; the logins."""


def refused(cause: str, at: str, step: str = "SERVER", logins: int = 0) -> Outcome:
    named = f"{cause} {step}"
    return f"PLATFORM_UNAVAILABLE {named}", 1, f"{at} failed", named, logins


EXPECTED = {
    "good": ("connected", 0, "account ok", "", 2),  # before and after
    "DNS_FAILURE": refused("DNS_FAILURE", "DID", "HANDLE"),
    "SERVER_UNREACHABLE": refused("SERVER_UNREACHABLE", "description"),
    "TLS_FAILURE": refused("TLS_FAILURE", "description"),
    "ADDRESS_NOT_ALLOWED": refused("ADDRESS_NOT_ALLOWED", "address"),
    "ADDRESS_NOT_ALLOWED (http)": refused("ADDRESS_NOT_ALLOWED", "server"),
    "UNEXPECTED_ANSWER": refused("UNEXPECTED_ANSWER", "description", logins=1),
    "SERVER_ERROR": refused("SERVER_ERROR", "description", logins=1),
    "TIMEOUT": refused("TIMEOUT", "description"),
}


@pytest.mark.parametrize("story", [*STORIES, NAT64])
def test_the_resolver_follows_the_machine(story: str, tmp_path: Path) -> None:
    """A change of resolv.conf is noticed within five seconds; a silent server is asked last."""
    ran = run("resolver_changes", tmp_path, story)
    assert ran.returncode == 0, ran.stderr


def test_the_commands_as_a_user_starts_them(tmp_path: Path) -> None:
    """`serve`, started with a silent name server, notices another one. For each cause, `doctor` and
    a connect name the same; doctor spends no login, a connect one at most."""
    ran = run("commands", tmp_path)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["before"] == "PLATFORM_UNAVAILABLE DNS_FAILURE HANDLE"
    assert report["noticed"] < 5
    assert {case: outcome(report, case) for case in CASES} == EXPECTED


@pytest.mark.parametrize("kind", [kind for kind, by in KINDS.items() if not fault(by)])
def test_each_kind_of_user_can_have_a_network(kind: str, tmp_path: Path) -> None:
    """Root without a user namespace, and anyone with one: each way that this machine allows."""
    ran = run("resolver_changes", tmp_path, "renamed", by=KINDS[kind])
    assert ran.returncode == 0, ran.stderr


def outcome(report: Any, case: str) -> Outcome:
    ran = report["doctors"][case]
    last = ran["out"].splitlines()[-1]
    name, fit = last[:14].strip(), last[14:].split()[0]
    causes = re.findall(r"(?:cause|step)=(\S+?):? ", ran["err"])
    said = " ".join(causes)
    return report["connects"][case], ran["code"], f"{name} {fit}", said, report["logins"][case]


def run(
    module: str, folder: Path, *more: str, by: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_inside(by or network(), module, folder, *more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

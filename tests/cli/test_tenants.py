"""Tenants and their API keys: names, scopes and lists."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli.main import cli
from service.domain.model import DEFAULT_SCOPES
from tests.cli.conftest import TENANT
from tests.cli.home import Home, Outcome

ODD = ("x" * 200, "Ünïcødé 東京 🎉", '--\'; DROP TABLE tenants; -- "%s" $1 \\ {x}')


def test_odd_names_are_listed_unchanged(run_here: Callable[..., Outcome]) -> None:
    """They are listed unchanged, in the order of creation."""
    ids = [run_here("tenants", "create", "--", name).out.strip() for name in ODD]
    lines = [line.split("\t") for line in run_here("tenants", "list").out.splitlines()]
    assert [(tenant_id, name) for tenant_id, _, name in lines] == list(zip(ids, ODD, strict=True))


@pytest.mark.process
def test_lists_are_printed_on_every_terminal(home: Home, run_here: Callable[..., Outcome]) -> None:
    """Without a locale all of it is printed; on a pipe declared as ASCII, all other characters
    are."""
    tenant_id = run_here("tenants", "create", ODD[1]).out.strip()
    home.more = {"LC_ALL": "C"}
    assert home.value("tenants", "list").endswith(f"\t{ODD[1]}")
    home.more = {"PYTHONIOENCODING": "ascii"}
    assert home.value("tenants", "list").startswith(f"{tenant_id}\t")


def test_unknown_ids_are_reported(run_here: Callable[..., Outcome]) -> None:
    """An unknown tenant or key is one sentence, in every command that names one."""
    no_tenant = "there is no such tenant; list them: postcore tenants list"
    assert run_here("api-keys", "create", "--tenant", "ten_nobody").sentence == no_tenant
    assert run_here("tenants", "delete", "ten_nobody").sentence == no_tenant
    assert run_here("api-keys", "revoke", "0" * 16).sentence == (
        "there is no such key; list them: postcore api-keys list --tenant ID"
    )
    nothing = run_here("tenants", "list")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "")


def test_a_key_has_the_scopes_it_was_given(
    home: Home, api_key: str, run_here: Callable[..., Outcome]
) -> None:
    """The default is to read and write; leasing is explicit. The secret is not stored, and no list
    shows it."""
    create = ("api-keys", "create", "--tenant", TENANT)
    plain = [
        run_here(*create, "--name", "no scope named").out.strip(),
        run_here(*create, "--scope", "sessions:lease", "--scope", "profiles:read").out.strip(),
    ]
    listed = run_here("api-keys", "list", "--tenant", TENANT)
    first, *lines = [line.split("\t") for line in listed.out.splitlines()]
    assert first[0] == api_key.split("_")[2]
    assert [[key_id, state, scopes, name] for key_id, state, _, scopes, name in lines] == [
        [plain[0].split("_")[2], "live", ",".join(sorted(DEFAULT_SCOPES)), "no scope named"],
        [plain[1].split("_")[2], "live", "profiles:read,sessions:lease", ""],
    ]
    with closing(sqlite3.connect(home.database)) as database:
        kept = "\n".join(database.iterdump())
    for key in plain:
        secret = key.split("_")[3]
        assert secret not in listed.out + kept
        assert secret[:43] not in kept


UNREADABLE = ("a\nb", "a\tb", "\x1b[31mred", "x" * 201, "x" * 300, "\u202eevil", "\udcff", "\u3000")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["tenants", "create", name] for name in ("", " ", *UNREADABLE)),
        *(["api-keys", "create", "--tenant", "ten_x", "--name", name] for name in UNREADABLE),
    ],
    ids=ascii,
)
def test_unreadable_names_are_rejected(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank names of tenants, control characters and long names are rejected with a sentence,
    before anything is made."""
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(cli, arguments)
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("Error: ")
    assert "200 printable characters" in outcome.stderr
    assert list(tmp_path.iterdir()) == []

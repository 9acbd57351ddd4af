"""Tenants and their keys: what a name may be, what a key may do, and how they are shown."""

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


def test_odd_names_are_kept_as_they_are(run_here: Callable[..., Outcome]) -> None:
    """And listed in the order of making."""
    ids = [run_here("tenants", "create", "--", name).out.strip() for name in ODD]
    lines = [line.split("\t") for line in run_here("tenants", "list").out.splitlines()]
    assert [(tenant_id, name) for tenant_id, _, name in lines] == list(zip(ids, ODD, strict=True))


@pytest.mark.process
def test_a_list_is_printed_whatever_the_terminal_can_show(
    home: Home, run_here: Callable[..., Outcome]
) -> None:
    """Without a locale all of it; where a pipe is said to take ASCII only, all of the rest."""
    tenant_id = run_here("tenants", "create", ODD[1]).out.strip()
    home.more = {"LC_ALL": "C"}
    assert home.value("tenants", "list").endswith(f"\t{ODD[1]}")
    home.more = {"PYTHONIOENCODING": "ascii"}
    assert home.value("tenants", "list").startswith(f"{tenant_id}\t")


def test_what_is_not_there_is_told(run_here: Callable[..., Outcome]) -> None:
    """In a sentence: a tenant that is to get a key or to go, and a key that is to be revoked."""
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
    """Reading and writing by default, leasing only when asked for; its secret is kept nowhere,
    and no list shows it."""
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
def test_names_that_could_not_be_read_are_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant's that is blank, and anything with control characters or without end: in a
    sentence, before anything is made."""
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, arguments)
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("Error: ")
    assert "200 printable characters" in told.stderr
    assert list(tmp_path.iterdir()) == []

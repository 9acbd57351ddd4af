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


def test_a_tenants_page_is_set_part_by_part(
    home: Home, run_here: Callable[..., Outcome], tmp_path: Path
) -> None:
    """What is not named stays; an empty value removes a part."""
    tenant_id = run_here("tenants", "create", "Mine").out.strip()
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    shown = run_here(
        *("tenants", "set", tenant_id, "--name", "My company", "--logo", str(logo)),
        *("--colour", "#0A5FB8", "--origin", "https://App.example.com:443"),
        *("--origin", "http://localhost:3000"),
    )
    assert shown.code == 0
    assert "name=My company" in shown.err
    assert "colour=#0a5fb8" in shown.err
    assert "origins=https://app.example.com http://localhost:3000" in shown.err
    shown = run_here("tenants", "set", tenant_id, "--colour", "", "--origin", "")
    assert "name=My company" in shown.err
    assert shown.err.splitlines()[-2:] == ["colour=", "origins="]
    assert "logo=0 characters" in run_here("tenants", "set", tenant_id, "--logo", "").err


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("--colour", "red", "must be a colour of the form #rrggbb"),
        ("--colour", "#ffcc00", "take a darker colour"),
        ("--colour", "#fff;}</style>", "must be a colour of the form #rrggbb"),
        ("--origin", "http://app.example.com", "must be https://HOST[:PORT]"),
        ("--origin", "https://app.example.com; script-src *", "must be https://HOST[:PORT]"),
        ("--name", "x" * 61, "must be 1 to 60 characters"),
        ("--name", "Ev\u202eil", "marks that are invisible"),
        ("--logo", "absent.png", "cannot be read"),
    ],
)
def test_what_no_page_may_show_is_refused(
    home: Home, run_here: Callable[..., Outcome], option: str, value: str, fault: str
) -> None:
    """With a sentence that says why."""
    assert fault in run_here("tenants", "set", TENANT, option, value).sentence


def test_a_logo_has_pixels_only(
    home: Home, run_here: Callable[..., Outcome], tmp_path: Path
) -> None:
    """An SVG, or a file that is too large, is refused; a JPEG and a WebP are accepted."""
    tenant_id = run_here("tenants", "create", "Mine").out.strip()
    file = tmp_path / "logo"
    for content, accepted in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", False),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 16_384, False),
        (b"\xff\xd8\xff\xe0", True),
        (b"RIFF\0\0\0\0WEBPVP8 ", True),
        (b"GIF89a", False),
        (b"", False),
    ):
        file.write_bytes(content)
        assert (run_here("tenants", "set", tenant_id, "--logo", str(file)).code == 0) == accepted

"""Settings: all errors at once, each with the variable's name and without its value."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.platforms.egress.origin import Origin
from service.settings import ConfigError, Settings
from tests.cli.home import Home


def read(**settings: str) -> Settings:
    return Settings.read({f"POSTCORE_{name}": value for name, value in settings.items()})


def faults(**settings: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(**settings)
    return caught.value.faults


@pytest.mark.process
def test_all_errors_are_reported_at_once(empty_home: Home) -> None:
    """`config check` prints a line for each variable at fault, and no value."""
    wrong = {
        "DATABASE_URL": "postgresql://postcore:hunter/2@db.internal/profiles",
        "GRPC_ADDRESS": "vhunter1",
        "PLC_URL": "ftp://vhunter3",
        "TRUSTED_ORIGINS": "https://good.example, vhunter4",
        "LOG_FORMAT": "vhunter5",
        "MAX_CONCURRENT_CALLS": "vhunter6",
        "LOGIN_BUDGET": "vhunter6,2",
        "TENANT_LOGIN_BUDGET": "1,2,3",
        "DRAIN_SECONDS": "-7",
        "GRPC_ADRESS": "vhunter8",
        "HTTP_ADDRESS": "vhunter9",
    }
    outcome = empty_home.run("config", "check", **wrong)
    assert (outcome.code, outcome.out) == (1, "")
    first, *lines = outcome.err.splitlines()
    assert first == "Error: the settings are not right:"
    assert sorted(line.split(":")[0].strip() for line in lines) == sorted(
        f"POSTCORE_{name}" for name in wrong
    )
    assert "  POSTCORE_GRPC_ADRESS: no such setting" in lines
    assert "hunter" not in outcome.err
    assert "-7" not in outcome.err


@pytest.mark.quick
@pytest.mark.process
def test_the_settings_in_force_are_shown(empty_home: Home) -> None:
    """`config check` prints them on standard error, except a URL that may hold a password."""
    shown = empty_home.run(
        "config",
        "check",
        DATABASE_URL="sqlite:///a:hunter2@b/postcore.db",
        TRUSTED_ORIGINS=" https://one.example/ ,, http://two.example:8080",
        PLATFORM_ORIGINS=" one = http://127.0.0.1:8080/ ,two=https://b.example",
        KEYRING_FILE="",
        API_KEY="pc_live_hunter2",
    )
    assert (shown.code, shown.out) == (0, "ok\n")
    lines = shown.err.splitlines()
    assert "POSTCORE_DATABASE_URL=set" in lines
    assert "POSTCORE_TRUSTED_ORIGINS=https://one.example,http://two.example:8080" in lines
    origins = "one=http://127.0.0.1:8080,two=https://b.example"
    assert f"POSTCORE_PLATFORM_ORIGINS={origins}" in lines
    assert "POSTCORE_KEYRING_FILE=data/keyring.json" in lines
    assert len(lines) == len(Settings.model_fields)
    assert "hunter2" not in shown.err


def test_unknown_variables_with_the_prefix_are_reported() -> None:
    """They are reported in order, with the other errors; the caller's POSTCORE_API_KEY is
    ignored."""
    assert faults(B="x", A="x", API_KEY="x", LOG_LEVEL="x") == [
        "POSTCORE_A: no such setting",
        "POSTCORE_B: no such setting",
        "POSTCORE_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'",
    ]
    assert read(API_KEY="x") == read()
    assert Settings.read({"PATH": "/bin", "postcore_a": "x", "MY_POSTCORE_A": "x"}) == read()


def test_an_error_does_not_hide_errors_in_combinations() -> None:
    """Errors in combinations of settings are reported too, unless a setting that could resolve one
    is itself invalid."""
    plain = "POSTCORE_GRPC_ADDRESS: other machines can reach it"
    level, address = faults(LOG_LEVEL="x", GRPC_ADDRESS="0.0.0.0:1")
    assert level.startswith("POSTCORE_LOG_LEVEL: ")
    assert address.startswith(plain)
    [message] = faults(ALLOW_PLAINTEXT="x", GRPC_ADDRESS="0.0.0.0:1")
    assert message.startswith("POSTCORE_ALLOW_PLAINTEXT: ")


def test_variables_are_in_capitals() -> None:
    """A name in small letters is unknown: otherwise one of two spellings would hide the other."""
    given = {"POSTCORE_LOG_LEVEL": "info", "POSTCORE_log_level": "x", "POSTCORE_Log_Level": "x"}
    with pytest.raises(ConfigError) as caught:
        Settings.read(given)
    assert caught.value.faults == [
        "POSTCORE_Log_Level: no such setting",
        "POSTCORE_log_level: no such setting",
    ]


def test_empty_values_count_as_unset() -> None:
    """This holds for every setting and for unknown variables."""
    empty = {name.upper(): "" for name in Settings.model_fields}
    assert read(**empty, DATABASE_URL_FILE="", NO_SUCH_THING="") == read()


def test_a_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    """White space around it is removed."""
    file = tmp_path / "url"
    file.write_text("\n sqlite:////srv/postcore.db\n")
    settings = read(DATABASE_URL_FILE=str(file))
    assert settings.database_file == Path("/srv/postcore.db")
    assert "srv" not in repr(settings)


@pytest.mark.parametrize("content", [None, b"\xff", b"", b"postgres://u:hunter2@h"])
def test_errors_in_a_file_with_a_secret_are_reported(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, not text, empty or invalid is reported without its content."""
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    [fault] = faults(DATABASE_URL_FILE=str(file))
    assert fault.startswith("POSTCORE_DATABASE_URL")
    assert "hunter2" not in fault


def test_a_secret_given_twice_is_an_error(tmp_path: Path) -> None:
    """With both a value and a file, it is unclear which is meant."""
    (tmp_path / "url").write_text("sqlite:///a.db")
    assert faults(DATABASE_URL_FILE=str(tmp_path / "url"), DATABASE_URL="sqlite:///a.db") == [
        "POSTCORE_DATABASE_URL and POSTCORE_DATABASE_URL_FILE are both set"
    ]


def test_only_secrets_can_be_read_from_files() -> None:
    """A _FILE beside another setting is unknown."""
    assert faults(PLC_URL_FILE="x") == ["POSTCORE_PLC_URL_FILE: no such setting"]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:data.db",
        "mysql://h/d",
        "data/postcore.db",
        # to the driver, to the migrations and to SQLite itself these would name different files
        "sqlite:///data/a?mode=ro",
        "sqlite:///data/a#b",
        "sqlite:///data/a%20b",
    ],
)
def test_a_database_is_a_plain_path(url: str) -> None:
    """The URL has three slashes and a path without special characters."""
    [fault] = faults(DATABASE_URL=url)
    assert fault.startswith("POSTCORE_DATABASE_URL: must be sqlite:///PATH")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql://host",
        "postgresql://host/",
        "postgresql://u:hunter2@host:0/d",
        "postgresql://u:hunter2@host:65536/d",
        "postgresql://u:hunter2@one:5432,two:0/d",
        "postgresql://u:hun/ter2@host/d",
        "postgresql://u:hun@ter2@host/d",
        "postgresql://u:hunter2@host/d#f",
        "postgresql://u:hunter2@host/d e",
        "postgresql+asyncpg://u:hunter2@host/d",
    ],
)
def test_a_database_on_a_server_has_host_and_name(url: str) -> None:
    """An invalid URL may have its password anywhere, so no part of it is shown."""
    [fault] = faults(DATABASE_URL=url)
    assert fault.startswith("POSTCORE_DATABASE_URL: must be ")
    assert "hun" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40%2F@db.internal:5432/profiles?sslmode=verify-full",
        "postgres://u@[::1]/profiles?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://u:p@one:5432,two:5433/d?target_session_attrs=any&sslmode=verify-full",
        "postgresql:///profiles?host=/var/run/postgresql",
    ],
)
def test_a_database_may_be_on_a_server(url: str) -> None:
    """It may have one host or several, or a socket of this machine."""
    settings = read(DATABASE_URL=url)
    assert settings.is_postgres
    assert settings.database_url == url
    assert not read().is_postgres


def test_paths_are_relative_or_absolute() -> None:
    """Three slashes start in the current folder, four in the root."""
    assert read(DATABASE_URL="sqlite:///data/ä b.db").database_file == Path("data/ä b.db")
    assert read(DATABASE_URL="sqlite:////srv/a.db").database_file == Path("/srv/a.db")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", ":1", "h:", "h:65536", "h:-1", "h:٣", "h:1x", "h:050", "h:+5", "h:00"),
        *("unix:/run/postcore:0", "unix:postcore.sock:0", "::1:50051", "[::1:1", "[127.0.0.1]:1"),
        *("http://127.0.0.1:8080", "[fe80::1%lo]:1", "*:1", "a b:1", "a.:1", "a_b:1", "1.2.3:1"),
    ],
)
def test_an_address_is_host_and_port(address: str) -> None:
    """Either one alone is rejected, as are invalid ports, and addresses that gRPC reads in another
    way."""
    for name in ("GRPC_ADDRESS", "HTTP_ADDRESS", "SANDBOX_ADDRESS", "SANDBOX_CONTROL_ADDRESS"):
        fault = "must be HOST:PORT, with an IPv6 address in brackets: [::1]:50051"
        assert faults(**{name: address}) == [f"POSTCORE_{name}: {fault}"]


@pytest.mark.parametrize("address", ["[::1]:0", "127.0.0.1:65535", "localhost:1", "LocalHost:1"])
def test_an_address_may_be_of_either_family_or_a_name(address: str) -> None:
    """Its text is kept unchanged."""
    assert read(GRPC_ADDRESS=address).grpc_address == address


@pytest.mark.parametrize("name", ["DRAIN_SECONDS", "DRAIN_PAUSE_SECONDS"])
@pytest.mark.parametrize("seconds", ["inf", "nan", "-1", "1e9", "soon"])
def test_a_drain_ends(name: str, seconds: str) -> None:
    """Its times are numbers of seconds, up to an hour."""
    [fault] = faults(**{name: seconds})
    assert fault.startswith(f"POSTCORE_{name}: ")


@pytest.mark.parametrize(
    "origin",
    [
        "plc.directory",
        "ftp://plc.directory",
        "https://",
        "https://plc.directory/path",
        "https://u:p@plc.directory",
        "https://plc.directory?q",
        "https://plc.directory#f",
        "https://plc directory",
        "https://plc\\directory",
        "https://plc.directory:0",
        "https://plc.directory:65536",
        "https://plc.directory:x",
        "https://[::1",
        "https://\u212aelvin.example",
        "//plc.directory",
    ],
)
def test_an_origin_is_scheme_host_and_port(origin: str) -> None:
    """It has nothing else; the same holds for each origin of a list."""
    message = "must be http(s)://HOST[:PORT] and no more"
    assert faults(PLC_URL=origin, HANDLE_RESOLVER_URL=origin, TRUSTED_ORIGINS=f"{origin},") == [
        f"POSTCORE_{name}: {message}"
        for name in ("PLC_URL", "HANDLE_RESOLVER_URL", "TRUSTED_ORIGINS")
    ]


@pytest.mark.parametrize("origins", ["=https://a.example", "https://a.example", "ghost="])
def test_an_origin_of_a_platform_has_its_name(origins: str) -> None:
    assert [fault.partition(":")[0] for fault in faults(PLATFORM_ORIGINS=origins)] == [
        "POSTCORE_PLATFORM_ORIGINS"
    ]


@given(st.text(st.sampled_from("htps:/[]0159af.-_@?#%\\ ,\u212a"), max_size=12))
def test_egress_accepts_every_valid_origin(rest: str) -> None:
    """Egress accepts every origin that the settings accept."""
    try:
        settings = read(PLC_URL=f"https://{rest}")
    except ConfigError:
        return
    Origin.parse(settings.plc_url)

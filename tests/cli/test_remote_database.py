"""PostgreSQL on another machine: the password is sent only after its certificate is verified."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.settings import ConfigError, Settings
from service.storage.engine import StoreError
from service.storage.postgres import PostgresEngine, schema_revision
from tests.cli.home import Home
from tests.support.authority import Authority
from tests.support.postgres import Cluster, apart

SENTENCE = (
    "POSTCORE_DATABASE_URL: leads to another machine without verified TLS, and the password would "
    "go there: add sslmode=verify-full (and sslrootcert=FILE) to the URL, or set "
    "POSTCORE_ALLOW_UNVERIFIED_DATABASE=true"
)


def faults(url: str, environ: Mapping[str, str] = {}) -> list[str]:
    try:
        Settings.read({"POSTCORE_DATABASE_URL": url, **environ})
    except ConfigError as error:
        return error.faults
    return []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@db.internal/d",
        "postgresql://u:hunter2@10.0.0.1/d",
        "postgresql://u:hunter2@[2001:db8::1]:5432/d",
        # neither a wildcard nor a short form is loopback
        "postgresql://u:hunter2@0.0.0.0/d",
        "postgresql://u:hunter2@127.1/d",
        "postgresql://u:hunter2@localhost.example/d",
        # one host of several is enough, in either place
        "postgresql://u:hunter2@127.0.0.1,db.internal:5433/d",
        "postgresql:///d?host=127.0.0.1,db.internal",
        "postgresql:///d?host=127.0.0.1%2Cdb.internal",
        "postgresql:///d?host=/var/run/postgresql&host=db.internal",
        "postgresql:///d?hostaddr=10.0.0.1&host=localhost",
        # a service's file may name any
        "postgresql:///d?service=other",
        # every mode that accepts any certificate or any name
        "postgresql://u:hunter2@db.internal/d?sslmode=disable",
        "postgresql://u:hunter2@db.internal/d?sslmode=require",
        "postgresql://u:hunter2@db.internal/d?sslmode=verify-ca",
        "postgresql://u:hunter2@db.internal/d?sslmode=verify-full&sslmode=require",
        "postgresql://u:hunter2@db.internal/d?SSLMODE=verify-full",
        "postgresql://u:hunter2@db.internal/d?sslmode=",
    ],
)
def test_another_machine_without_verified_tls_is_rejected(url: str) -> None:
    """The sentence says what to set; a setting allows it explicitly."""
    assert faults(url) == [SENTENCE]
    assert faults(url, {"POSTCORE_ALLOW_UNVERIFIED_DATABASE": "true"}) == []
    assert faults(url, {"POSTCORE_ALLOW_UNVERIFIED_DATABASE": "false"}) == [SENTENCE]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@db.internal/d?sslmode=verify-full",
        "postgresql://u:hunter2@one,two/d?sslmode=require&sslmode=verify%2Dfull",
        "postgresql:///d?host=db.internal&sslmode=verify-full",
        "postgresql://u:hunter2@127.0.0.1/d",
        "postgresql://u:hunter2@127.9.9.9:5433,LocalHost/d?sslmode=disable",
        "postgresql://u:hunter2@[::1]:5432/d",
        "postgresql:///d",
        "postgresql:///d?host=/var/run/postgresql",
        "postgresql:///d?host=%2Fvar%2Frun%2Fpostgresql,localhost",
        # the host of the URL wins
        "postgresql://localhost/d?host=db.internal",
    ],
)
def test_this_machine_and_verified_tls_are_accepted(url: str) -> None:
    """Loopback, a socket, and a certificate verified with the server's name are accepted."""
    assert faults(url) == []


def test_the_drivers_environment_counts() -> None:
    """Host and mode come from the environment if the URL has none."""
    remote = "postgresql://db.internal/d"
    assert faults("postgresql:///d", {"PGHOST": "db.internal"}) == [SENTENCE]
    assert faults("postgresql:///d", {"PGHOST": "/tmp,db.internal"}) == [SENTENCE]
    assert faults("postgresql:///d", {"PGHOST": "/tmp"}) == []
    assert faults("postgresql://localhost/d", {"PGHOST": "db.internal"}) == []
    assert faults(remote, {"PGSSLMODE": "verify-full"}) == []
    assert faults(remote, {"PGSSLMODE": "verify-ca"}) == [SENTENCE]
    assert faults(f"{remote}?sslmode=prefer", {"PGSSLMODE": "verify-full"}) == [SENTENCE]
    assert faults(f"{remote}?service=s", {"PGSSLMODE": "verify-full"}) == [SENTENCE]


def test_an_invalid_switch_is_the_only_error() -> None:
    """An invalid ALLOW_UNVERIFIED_DATABASE is the only error: the other sentence would mislead."""
    [fault] = faults(
        "postgresql://db.internal/d", {"POSTCORE_ALLOW_UNVERIFIED_DATABASE": "perhaps"}
    )
    assert fault.startswith("POSTCORE_ALLOW_UNVERIFIED_DATABASE: ")


@pytest.mark.process
@pytest.mark.parametrize(
    "command",
    [
        ("config", "check"),
        ("serve",),
        ("migrate",),
        ("tenants", "list"),
        ("keyring", "status"),
        ("healthcheck",),
    ],
)
def test_every_command_rejects_it(home: Home, command: tuple[str, ...]) -> None:
    """Every command fails before it connects, and shows no part of the URL."""
    outcome = home.run(*command, DATABASE_URL="postgresql://u:hunter2@db.internal/d")
    assert outcome.code == 1
    assert outcome.err == f"Error: the settings are not right:\n  {SENTENCE}\n"


HOSTS = st.sampled_from(
    (
        *("127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::2]", "db.internal", "10.0.0.1"),
        *("0.0.0.0", "127.1", "localhost.", "::1", "/tmp", "%2Ftmp", "db%2Einternal", ",", ""),
    )
)
HOST_LISTS = st.lists(HOSTS | st.builds("{}:5433".format, HOSTS), max_size=3).map(",".join)
MODES = st.sampled_from(
    ("", "disable", "prefer", "require", "verify-ca", "verify-full", "verify_full")
)
PARTS = st.one_of(
    HOST_LISTS.map("host={}".format),
    HOST_LISTS.map("hostaddr={}".format),
    MODES.map("sslmode={}".format),
    st.just("SSLMODE=verify-full"),
    st.just("service=s"),
)
URLS = st.builds(
    lambda hosts, parts: f"postgresql://u:p@{hosts}/d?{'&'.join(parts)}".rstrip("?").replace(
        "u:p@/", "/"
    ),
    HOST_LISTS,
    st.lists(PARTS, max_size=4),
)
ENVIRONS = st.fixed_dictionaries({}, optional={"PGHOST": HOST_LISTS, "PGSSLMODE": MODES})
LOOPBACK = {"127.0.0.1", "localhost", "LOCALHOST", "::1"}


@settings(max_examples=500, deadline=None)
@given(URLS, ENVIRONS, HOST_LISTS, MODES)
@example("postgresql:///d?service=s", {}, "db.internal", "disable")
@example("postgresql:///d?service=s&sslmode=verify-full", {}, "db.internal", "disable")
def test_the_driver_reads_accepted_settings_as_safe(
    tmp_path_factory: pytest.TempPathFactory,
    url: str,
    environ: dict[str, str],
    service_hosts: str,
    service_mode: str,
) -> None:
    """For all URLs, environments and service files that the settings accept, the driver connects to
    this machine, or verifies certificate and name."""
    if faults(url, environ):
        return
    folder = tmp_path_factory.getbasetemp()
    file = folder / "services"
    file.write_text(f"[s]\nhost={service_hosts}\nsslmode={service_mode or 'disable'}\n")
    root = folder / "root.pem"
    if not root.exists():
        Authority(folder, "root")
    driver = {"PGSERVICEFILE": str(file), "PGSSLROOTCERT": str(root), "HOME": str(folder)}
    try:
        with patch.dict("os.environ", {**driver, **environ}):
            addresses, parameters, _ = _parse(url)
    except Exception:
        return  # it connects nowhere
    remote = [each for each in addresses if not isinstance(each, str) and each[0] not in LOOPBACK]
    if remote:
        assert isinstance(parameters.ssl, ssl.SSLContext)
        assert parameters.ssl.check_hostname
        assert parameters.ssl.verify_mode is ssl.CERT_REQUIRED


def _parse(url: str) -> tuple[list[Any], Any, Any]:
    """Return how the driver reads *url*."""
    unset = "host port user password passfile database ssl service servicefile direct_tls"
    more = "server_settings target_session_attrs krbsrvname gsslib"
    found: tuple[list[Any], Any, Any] = _parse_connect_dsn_and_args(
        dsn=url,
        **dict.fromkeys(f"{unset} {more}".split()),
    )
    return found


@pytest.fixture
def over_tls(postgres_programs: Path, tmp_path: Path) -> Iterator[tuple[Cluster, Authority]]:
    """A PostgreSQL with a certificate for `localhost`, and the authority that signed it."""
    cluster = Cluster(postgres_programs)
    folder = cluster.new_folder()
    authority = Authority(tmp_path)
    files = authority.issue("server", "localhost")
    for file, name in zip(files, ("server.pem", "server.key"), strict=True):
        (folder / name).touch(0o600)
        (folder / name).write_bytes(file.read_bytes())
        cluster.give(folder / name)
    cluster.set(
        ssl="on", ssl_cert_file=str(folder / "server.pem"), ssl_key_file=str(folder / "server.key")
    )
    cluster.start()
    yield cluster, authority
    cluster.remove()


def test_verified_tls_is_verified(over_tls: tuple[Cluster, Authority], tmp_path: Path) -> None:
    """The right authority and name are accepted; another authority or name is rejected before the
    password is sent."""
    cluster, authority = over_tls
    other = Authority(tmp_path, "other")
    by_name = cluster.url().replace("127.0.0.1", "localhost")

    async def encrypted(url: str) -> bool:
        assert await schema_revision(url) is None
        engine = await PostgresEngine.open(url, 1)
        [row] = await engine.read("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await engine.close()
        return bool(row["ssl"])

    assert apart(encrypted(f"{by_name}?sslmode=verify-full&sslrootcert={authority.file}"))
    for url, root in ((by_name, other), (cluster.url(), authority)):
        with pytest.raises(StoreError, match="cannot be reached"):
            asyncio.run(schema_revision(f"{url}?sslmode=verify-full&sslrootcert={root.file}"))

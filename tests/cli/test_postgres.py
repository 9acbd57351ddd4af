"""Commands on PostgreSQL: migrations, starts, and errors that prevent them."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from alembic.config import Config

from service.storage import migrations
from service.storage.migrations import HEAD
from service.storage.migrations.postgres import upgrade
from service.storage.postgres import schema_revision
from tests.cli.calls import health, list_platforms
from tests.cli.home import Home
from tests.support.engines import rows
from tests.support.postgres import Cluster, apart

pytestmark = pytest.mark.process

THE_DATABASE = "the database of POSTCORE_DATABASE_URL"


@pytest.fixture
def empty(postgres: Cluster) -> Iterator[str]:
    """The URL of an empty database."""
    name = apart(postgres.new_database())
    yield postgres.url(name)
    apart(postgres.drop(name))


def migrate_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    asyncio.run(upgrade(config, url, revision))


def tables(url: str) -> list[dict[str, object]]:
    return rows(
        url,
        "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    )


def test_two_at_once_migrate_once(empty_home: Home, empty: str, postgres_url: str) -> None:
    """Of two commands at once on an empty database, both succeed; a later one is a no-op."""
    with ExitStack() as stack:
        both = [
            stack.enter_context(empty_home.started("migrate", DATABASE_URL=empty)) for _ in range(2)
        ]
        assert [each.end() for each in both] == [0, 0]
        assert [each.errors for each in both] == ["the schema is up to date\n"] * 2
    assert tables(empty) == tables(postgres_url)
    assert rows(empty, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]
    again = empty_home.run("migrate", DATABASE_URL=empty)
    assert (again.code, again.out, again.err) == (0, "", "the schema is up to date\n")


def test_many_at_once_migrate_an_older_schema_once(empty: str) -> None:
    """One process migrates, and the others wait for it."""
    migrate_to(empty, "0001")

    async def at_once() -> None:
        config = Config()
        config.set_main_option("script_location", migrations.__path__[0])
        await asyncio.gather(*(upgrade(config, empty, HEAD) for _ in range(5)))

    asyncio.run(at_once())
    assert rows(empty, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]


def test_a_failed_migration_is_reported_as_a_sentence(empty_home: Home, empty: str) -> None:
    """Without a traceback or the failed statement; the migration is rolled back."""
    rows(empty, "CREATE TABLE sessions (hunter2 TEXT)")
    outcome = empty_home.run("migrate", DATABASE_URL=empty)
    assert outcome.sentence == f"{THE_DATABASE} could not be migrated"
    for word in ("Traceback", "hunter2", "CREATE TABLE", empty):
        assert word not in outcome.err
    assert {row["table_name"] for row in tables(empty)} == {"sessions"}


def test_several_serve_from_one_database(home: Home, empty: str) -> None:
    """The first server migrates an older schema; an API key made with one server is valid at the
    other."""
    migrate_to(empty, "0001")
    settings = {"DATABASE_URL": empty}
    with home.serve(**settings) as one, home.serve(**settings) as other:
        assert asyncio.run(schema_revision(empty)) == HEAD
        tenant = home.value("tenants", "create", "A", **settings)
        key = home.value("api-keys", "create", "--tenant", tenant, **settings)
        for server in (one, other):
            assert health(server.address) == "SERVING"
            assert list_platforms(server.address, key) == "OK"
    assert not home.database.with_name("postcore.db.serve").exists()


def test_a_schema_of_a_newer_program_is_rejected(home: Home, postgres_url: str) -> None:
    """The error is one sentence, and nothing changes."""
    rows(postgres_url, "UPDATE alembic_version SET version_num = '9999'")
    before = tables(postgres_url)
    for command in ("serve", "migrate"):
        assert home.run(command, DATABASE_URL=postgres_url).sentence == (
            f"{THE_DATABASE} was made by a newer program (schema 9999, this one knows {HEAD}); "
            "run that one, or restore a backup"
        )
    assert tables(postgres_url) == before


def test_the_sandbox_needs_a_file(home: Home, postgres_url: str) -> None:
    """The sandbox rejects PostgreSQL, and a live server rejects a database marked as a sandbox."""
    assert home.run("serve", "--sandbox", DATABASE_URL=postgres_url).sentence == (
        "the sandbox is for a file of its own; name one in POSTCORE_DATABASE_URL, such as "
        "sqlite:///data/sandbox.db"
    )
    rows(postgres_url, "INSERT INTO facts VALUES ('mode', 'sandbox')")
    assert home.run("serve", DATABASE_URL=postgres_url).sentence == (
        "this database is a sandbox one, and the service was started in live mode; "
        "name another in POSTCORE_DATABASE_URL"
    )


@pytest.mark.parametrize("fault", ["password", "name", "port", "read-only"])
def test_an_unusable_database_is_reported(
    home: Home, postgres: Cluster, postgres_url: str, fault: str
) -> None:
    """The sentence shows no part of the URL, from any source."""
    password = secrets.token_hex(8)
    name = postgres_url.rpartition("/")[2]
    url, message = {
        "password": (postgres.url(name, password), "refuses its user or password"),
        "name": (postgres.url("nowhere"), "does not exist; make it first: createdb NAME"),
        "port": (
            f"postgresql://u:{password}@127.0.0.1:1/{name}?sslmode=disable",
            "cannot be reached (ConnectionRefusedError)",
        ),
        "read-only": (postgres_url, "is read-only; name the one that takes writes"),
    }[fault]
    if fault == "read-only":
        apart(postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    outcome = home.run("serve", DATABASE_URL=url)
    assert outcome.sentence == f"{THE_DATABASE} {message}"
    secret = url.split(":")[2].partition("@")[0]
    for part in (secret, "127.0.0.1", name):
        assert part not in outcome.err


def test_a_password_in_the_url_is_not_shown(empty_home: Home) -> None:
    """`config check` hides it in every part of the URL."""
    for url in (
        "postgresql://postcore:hunter2@db.internal/profiles?sslmode=verify-full",
        "postgres://127.0.0.1/profiles?user=postcore&password=hunter2",
    ):
        shown = empty_home.run("config", "check", DATABASE_URL=url)
        assert (shown.code, shown.out) == (0, "ok\n")
        assert "POSTCORE_DATABASE_URL=set" in shown.err.splitlines()
        assert "hunter2" not in shown.err

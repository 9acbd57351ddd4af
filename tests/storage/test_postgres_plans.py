"""How PostgreSQL finds a row by its key in a store without statistics, such as a new one.

With an index that merely begins with the tenant it would read, and lock, all rows of the tenant.
"""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.statements import every_statement

FOREIGN_KEYS = """
SELECT DISTINCT r.relname AS referenced, i.relname AS key,
    ARRAY(SELECT a.attname FROM unnest(c.confkey) AS n JOIN pg_attribute a
        ON a.attrelid = c.confrelid AND a.attnum = n) AS columns
FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid JOIN pg_class i ON i.oid = c.conindid
WHERE c.contype = 'f'
"""


@pytest.fixture
async def database(postgres_url: str) -> "AsyncIterator[asyncpg.Connection]":
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    yield connection
    await connection.close()


async def explained(database: "asyncpg.Connection", name: str, statement: str) -> str:
    """Return the plan for any parameters."""
    await database.execute(f"PREPARE {name} AS {statement}")
    count = max(map(int, re.findall(r"\$(\d+)", statement)), default=0)
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    return "\n".join(line[0] for line in await database.fetch(f"EXPLAIN EXECUTE {name}{values}"))


async def test_a_foreign_key_is_checked_by_its_own_index(database: "asyncpg.Connection") -> None:
    found = await database.fetch(FOREIGN_KEYS)
    assert {row["referenced"] for row in found} >= {"tenants", "profiles", "connections"}
    for number, row in enumerate(found):
        # as ri_triggers.c writes it
        where = " AND ".join(
            f"{column} OPERATOR(pg_catalog.=) ${place}"
            for place, column in enumerate(row["columns"], 1)
        )
        statement = f"SELECT 1 FROM ONLY {row['referenced']} x WHERE {where} FOR KEY SHARE OF x"
        plan = await explained(database, f"check_{number}", statement)
        assert f"using {row['key']} " in plan, plan
        assert "Filter" not in plan, plan


async def test_no_statement_reads_all_of_a_tenant_to_find_one_row(
    database: "asyncpg.Connection",
) -> None:
    wrong = {}
    for number, (name, statement) in enumerate(every_statement().items()):
        plan = await explained(database, f"statement_{number}", statement)
        if re.search(r"Index Cond: \(\w*\.?tenant_id = \$\d+\)\n *Filter: .*\w = \$", plan):
            wrong[name] = plan
    assert not wrong

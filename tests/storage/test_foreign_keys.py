"""How PostgreSQL checks foreign keys in a store without statistics, such as a new one."""

import asyncpg

FOREIGN_KEYS = """
SELECT DISTINCT r.relname AS referenced, i.relname AS key,
    ARRAY(SELECT a.attname FROM unnest(c.confkey) AS n JOIN pg_attribute a
        ON a.attrelid = c.confrelid AND a.attnum = n) AS columns
FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid JOIN pg_class i ON i.oid = c.conindid
WHERE c.contype = 'f'
"""


async def test_a_check_reads_the_key_alone(postgres_url: str) -> None:
    """With an index that begins with the tenant it would read, and lock, all rows of the tenant."""
    database = await asyncpg.connect(postgres_url)
    try:
        await database.execute("SET plan_cache_mode = force_generic_plan")
        found = await database.fetch(FOREIGN_KEYS)
        assert {row["referenced"] for row in found} >= {"tenants", "profiles", "connections"}
        for number, row in enumerate(found):
            # as ri_triggers.c writes it
            where = " AND ".join(
                f"{column} OPERATOR(pg_catalog.=) ${place}"
                for place, column in enumerate(row["columns"], 1)
            )
            await database.execute(
                f"PREPARE check_{number} AS SELECT 1 FROM ONLY {row['referenced']} x"
                f" WHERE {where} FOR KEY SHARE OF x"
            )
            values = ", ".join(["'a'"] * len(row["columns"]))
            plan = await database.fetch(f"EXPLAIN EXECUTE check_{number} ({values})")
            text = "\n".join(line[0] for line in plan)
            assert f"using {row['key']} " in text, text
            assert "Filter" not in text, text
    finally:
        await database.close()

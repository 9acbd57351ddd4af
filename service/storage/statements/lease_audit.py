"""The audit trail of leases."""

LEASE_COLUMNS = {
    "tenant_id": "TEXT",
    "at": "BIGINT",
    "key_id": "TEXT",
    "profile_key": "TEXT",
    "platform": "TEXT",
    "account_id": "TEXT",
    "expires_at": "BIGINT",
}
_LEASE = ", ".join(LEASE_COLUMNS)


def add_leases(count: int) -> str:
    """Return an insert of *count* rows that skips those of deleted tenants."""
    numbers = iter(range(1, count * len(LEASE_COLUMNS) + 1))
    rows = [
        ", ".join(f"CAST(${next(numbers)} AS {kind})" for kind in LEASE_COLUMNS.values())
        for _ in range(count)
    ]
    # the names that both engines give to the columns of VALUES
    named = ", ".join(f"column{number}" for number in range(1, len(LEASE_COLUMNS) + 1))
    return f"""
    INSERT INTO leases ({_LEASE}) SELECT {named} FROM (VALUES ({"), (".join(rows)})) lent
    WHERE EXISTS (SELECT 1 FROM tenants WHERE tenant_id = column1)
    """


# up to the time of the first row over the limit: rows of one microsecond stay together
LEASES = f"""
SELECT {_LEASE} FROM leases
WHERE tenant_id = $1 AND at >= $2 AND at <= COALESCE((SELECT at FROM leases
    WHERE tenant_id = $1 AND at >= $2 ORDER BY at LIMIT 1 OFFSET $3), 9223372036854775807)
ORDER BY at
"""
# of all tenants
DELETE_LEASES = """
DELETE FROM leases WHERE at < (SELECT MAX(at) + 1 FROM (
    SELECT at FROM leases WHERE at < $1 ORDER BY at LIMIT $2) oldest)
RETURNING 1
"""

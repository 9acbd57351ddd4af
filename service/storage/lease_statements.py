"""The SQL of the audit trail of leases, in the manner of statements.py."""

LEASE_COLUMNS = 7
_LEASE = "tenant_id, at, key_id, profile_key, platform, account_id, expires_at"


def add_leases(count: int) -> str:
    """An insert of so many rows at once."""
    numbers = iter(range(1, count * LEASE_COLUMNS + 1))
    rows = [", ".join(f"${next(numbers)}" for _ in range(LEASE_COLUMNS)) for _ in range(count)]
    return f"INSERT INTO leases ({_LEASE}) VALUES ({'), ('.join(rows)})"


# up to the time of the one that is one too many: those of one microsecond stay together
LEASES = f"""
SELECT {_LEASE} FROM leases
WHERE tenant_id = $1 AND at >= $2 AND at <= COALESCE((SELECT at FROM leases
    WHERE tenant_id = $1 AND at >= $2 ORDER BY at LIMIT 1 OFFSET $3), 9223372036854775807)
ORDER BY at
"""
# whoever they belong to: they are kept as long as the operator says
FORGET_LEASES = """
DELETE FROM leases WHERE at < (SELECT MAX(at) + 1 FROM (
    SELECT at FROM leases WHERE at < $1 ORDER BY at LIMIT $2) oldest)
RETURNING 1
"""

"""The audit trail."""

AUDIT_COLUMNS = {
    "at": "BIGINT",
    "tenant_id": "TEXT",
    "method": "TEXT",
    "outcome": "TEXT",
    "key_id": "TEXT",
    "operator": "TEXT",
    "peer": "TEXT",
    "profile_key": "TEXT",
    "platform": "TEXT",
    "account_id": "TEXT",
    "lent": "TEXT",
    "expires_at": "BIGINT",
    "request_id": "TEXT",
    "left_out": "BIGINT",
}
_COLUMNS = ", ".join(AUDIT_COLUMNS)
_WIDTH = len(AUDIT_COLUMNS)


def add_rows(count: int) -> str:
    """Return an insert of *count* rows that skips those of callers of deleted tenants."""
    numbers = iter(range(1, count * _WIDTH + 1))
    rows = [
        ", ".join(f"CAST(${next(numbers)} AS {kind})" for kind in AUDIT_COLUMNS.values())
        for _ in range(count)
    ]
    # the names that both engines give to the columns of VALUES
    named = ", ".join(f"column{number}" for number in range(1, _WIDTH + 1))
    return f"""
    INSERT INTO audit ({_COLUMNS}) SELECT {named} FROM (VALUES ({"), (".join(rows)})) added
    WHERE column2 = '' OR column6 <> ''
        OR EXISTS (SELECT 1 FROM tenants WHERE tenant_id = column2)
    """


# a change of the caller's own tenant, which the transaction has written or read
ADD_ROW = f"""
INSERT INTO audit ({_COLUMNS}) VALUES ({", ".join(f"${n}" for n in range(1, _WIDTH + 1))})
"""
_PAGE = f"""
SELECT {_COLUMNS}, number FROM audit
WHERE {{whose}} (at > $1 OR (at = $1 AND number > $2)) AND at < $3 ORDER BY at, number LIMIT $4
"""
# of all tenants, and of none
AUDIT = _PAGE.format(whose="")
AUDIT_OF_TENANT = _PAGE.format(whose="tenant_id = $5 AND")
# of all tenants, in the order of writing
AUDIT_AFTER = f"SELECT {_COLUMNS}, number FROM audit WHERE number > $1 ORDER BY number LIMIT $2"
# of all tenants
DELETE_AUDIT = """
DELETE FROM audit WHERE at < (SELECT MAX(at) + 1 FROM (
    SELECT at FROM audit WHERE at < $1 ORDER BY at LIMIT $2) oldest)
RETURNING 1
"""

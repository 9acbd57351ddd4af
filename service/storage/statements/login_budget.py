"""Logins spent on accounts, and pauses, of all tenants: a budget belongs to the account.

A debit later than now was written before the clock was set back, and counts as of now. A pause
that ends later than any can was written then, too, and does not count.
"""

REDATE_DEBITS = """
UPDATE login_debits SET at = $3 WHERE account_id = $1 AND origin = $2 AND at > $3
"""
DEBITS = """
SELECT tenant_id, purpose, at FROM login_debits
WHERE account_id = $1 AND origin = $2 AND at > $3
"""
DROP_INVALID_PAUSE = """
DELETE FROM login_pauses WHERE account_id = $1 AND origin = $2 AND until > $3
"""
PAUSE = "SELECT until FROM login_pauses WHERE account_id = $1 AND origin = $2 AND until > $3"
ADD_DEBIT = """
INSERT INTO login_debits (account_id, origin, tenant_id, purpose, at) VALUES ($1, $2, $3, $4, $5)
"""
SAVE_PAUSE = """
INSERT INTO login_pauses (account_id, origin, until) VALUES ($1, $2, $3)
ON CONFLICT (account_id, origin) DO UPDATE SET until = excluded.until
WHERE excluded.until > login_pauses.until OR login_pauses.until > $4
"""
CONNECTED_BY_TENANT = """
SELECT 1 FROM connections WHERE tenant_id = $1 AND account_id = $2 AND origin = $3 LIMIT 1
"""

# batches: about as many rows as the last value says, those of one microsecond together
REDATE_BATCH = """
UPDATE login_debits SET at = $1 WHERE at > $2 AND at <= (SELECT MAX(at) FROM (
    SELECT at FROM login_debits WHERE at > $2 ORDER BY at LIMIT $3) ahead)
RETURNING 1
"""
DELETE_DEBITS = """
DELETE FROM login_debits WHERE at <= (SELECT MAX(at) FROM (
    SELECT at FROM login_debits WHERE at <= $1 ORDER BY at LIMIT $2) oldest)
RETURNING 1
"""
DELETE_PAUSES = """
DELETE FROM login_pauses WHERE (account_id, origin) IN (
    SELECT account_id, origin FROM login_pauses WHERE until <= $1 OR until > $2
    ORDER BY until LIMIT $3)
RETURNING 1
"""

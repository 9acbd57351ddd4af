"""Logins spent on accounts, by all tenants."""

# whose logins they are is a matter of the account, not of one tenant
# where the clock was set back, debits that lie ahead are as of now; pauses that last longer than
# any can are none
REDATE_DEBITS = "UPDATE login_debits SET at = $1 WHERE at > $1"
FORGET_DEBITS = "DELETE FROM login_debits WHERE at <= $1"
FORGET_PAUSES = "DELETE FROM login_pauses WHERE until <= $1 OR until > $2"
DEBITS = "SELECT tenant_id, purpose, at FROM login_debits WHERE account_id = $1 AND origin = $2"
PAUSE = "SELECT until FROM login_pauses WHERE account_id = $1 AND origin = $2"
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

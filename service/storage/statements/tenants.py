"""Tenants."""

from service.storage.statements.connections import SESSIONS

ADD_TENANT = "INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, $2, $3)"
TENANTS = "SELECT tenant_id, name, created_at FROM tenants ORDER BY created_at, tenant_id"
TENANT_EXISTS = "SELECT 1 FROM tenants WHERE tenant_id = $1"
SESSIONS_OF_TENANT = f"""
{SESSIONS} AND c.profile_key IN (
    SELECT profile_key FROM profiles WHERE tenant_id = $1 ORDER BY profile_key LIMIT $2)
"""  # of the profiles that go next
# so many rows at once, in the order in which they go: a tenant may have more than a time-out allows
_DELETE_SOME = """
DELETE FROM {table} WHERE tenant_id = $1 AND ({row}) IN (
    SELECT {row} FROM {table} WHERE tenant_id = $1 ORDER BY {row} LIMIT $2) RETURNING 1
"""
DELETE_KEYS_OF_TENANT = _DELETE_SOME.format(table="api_keys", row="key_id")
DELETE_OF_TENANT = (
    _DELETE_SOME.format(table="profiles", row="profile_key"),
    _DELETE_SOME.format(table="idempotency_records", row="method, idempotency_key"),
    _DELETE_SOME.format(table="events", row="number"),
    _DELETE_SOME.format(table="leases", row="at"),  # those of one microsecond stay together
)  # what was spent on accounts stays spent, whichever tenant connects next
DELETE_TENANT = "DELETE FROM tenants WHERE tenant_id = $1"

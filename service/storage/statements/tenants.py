"""Tenants."""

from service.storage.statements.connections import SESSIONS

ADD_TENANT = "INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, $2, $3)"
TENANTS = "SELECT tenant_id, name, created_at FROM tenants ORDER BY created_at, tenant_id"
TENANT_EXISTS = "SELECT 1 FROM tenants WHERE tenant_id = $1"
SESSIONS_OF_TENANT = f"""
{SESSIONS} AND c.profile_key IN (
    SELECT profile_key FROM profiles WHERE tenant_id = $1 ORDER BY profile_key LIMIT $2)
"""  # of the next batch of profiles
# in batches: deleting all rows of a tenant at once may exceed the time-out
_DELETE_SOME = """
DELETE FROM {table} WHERE tenant_id = $1 AND ({row}) IN (
    SELECT {row} FROM {table} WHERE tenant_id = $1 ORDER BY {row} LIMIT $2) RETURNING 1
"""
DELETE_KEYS_OF_TENANT = _DELETE_SOME.format(table="api_keys", row="key_id")
DELETE_OF_TENANT = (
    _DELETE_SOME.format(table="connect_links", row="link_id"),
    _DELETE_SOME.format(table="tenant_pages", row="tenant_id"),
    _DELETE_SOME.format(table="profiles", row="profile_key"),
    _DELETE_SOME.format(table="idempotency_records", row="method, idempotency_key"),
    _DELETE_SOME.format(table="events", row="number"),
    # what its callers did; what operators did to it stays
    _DELETE_SOME.format(table="audit", row="number").replace(
        "tenant_id = $1", "tenant_id = $1 AND operator = ''"
    ),
    # with their secrets and deliveries
    _DELETE_SOME.format(table="webhooks", row="webhook_id"),
)  # login debits stay: the budget belongs to the account
DELETE_TENANT = "DELETE FROM tenants WHERE tenant_id = $1"

"""Profiles."""

from service.storage import rows
from service.storage.statements.connections import SESSIONS

# Only if the tenant exists. The key is unique by two indexes; ON CONFLICT names neither, or two
# processes that add one profile would violate the other.
ADD_PROFILE = """
INSERT INTO profiles (tenant_id, profile_key, profile_name, created_at)
SELECT tenant_id, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT)
FROM tenants WHERE tenant_id = $1
ON CONFLICT DO NOTHING RETURNING profile_key
"""
_CONNECTED = f"SELECT {rows.CONNECTION}, p.profile_key, p.profile_name, p.created_at"
_CONNECTIONS = """
LEFT JOIN connections c ON c.tenant_id = p.tenant_id AND c.profile_key = p.profile_key
"""
PROFILE = f"""
{_CONNECTED} FROM profiles p {_CONNECTIONS}
WHERE p.tenant_id = $1 AND p.profile_key = $2 ORDER BY c.platform
"""
_PAGE = """
SELECT tenant_id, profile_key, profile_name, created_at FROM profiles
WHERE tenant_id = $1 AND (created_at, profile_key) > ($2, $3)
"""
_IN_ORDER = "ORDER BY created_at, profile_key LIMIT $4"
PROFILES = f"""
{_CONNECTED} FROM ({_PAGE} {_IN_ORDER}) p {_CONNECTIONS}
ORDER BY p.created_at, p.profile_key, c.platform
"""
# Read from an index in the order of pages. A connection that a node of an older version found
# broken has no place in that index; the subquery finds it by key.
PROFILES_TO_RECONNECT = f"""
{_CONNECTED} FROM (
    SELECT created_at, profile_key FROM (
        SELECT DISTINCT profile_created_at AS created_at, profile_key FROM connections
        WHERE tenant_id = $1 AND reconnect_reason IS NOT NULL
            AND (profile_created_at, profile_key) > ($2, $3)
        ORDER BY profile_created_at, profile_key LIMIT $4) placed
    UNION
    SELECT created_at, profile_key FROM (
        SELECT (SELECT o.created_at FROM profiles o WHERE o.profile_key = b.profile_key)
            AS created_at, b.profile_key FROM connections b
        WHERE b.tenant_id = $1 AND b.reconnect_reason IS NOT NULL AND b.profile_created_at IS NULL
        ) unplaced WHERE (created_at, profile_key) > ($2, $3)
    {_IN_ORDER}) listed CROSS JOIN profiles p {_CONNECTIONS}
WHERE p.tenant_id = $1 AND p.profile_key = listed.profile_key
ORDER BY p.created_at, p.profile_key, c.platform
"""
DELETE_PROFILE = """
DELETE FROM profiles WHERE tenant_id = $1 AND profile_key = $2 RETURNING profile_key
"""  # connections, secrets and idempotency records go with it
SESSIONS_OF_PROFILE = f"{SESSIONS} AND c.profile_key = $2"

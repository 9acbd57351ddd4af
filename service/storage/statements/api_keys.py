"""API keys."""

ADD_API_KEY = """
INSERT INTO api_keys (key_id, tenant_id, name, scopes, ring_key_id, verifier, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_API_KEY = """
SELECT key_id, tenant_id, name, scopes, ring_key_id, verifier, created_at, revoked_at
FROM api_keys
"""
# not limited to a tenant: it finds the tenant. An unknown id gives a row without one
API_KEY = f"""
{_API_KEY} WHERE key_id = $1
UNION ALL SELECT 'nobodys', '', '', 'profiles:read profiles:write',
    'nobodys', $2, 1, NULL
WHERE NOT EXISTS (SELECT 1 FROM api_keys WHERE key_id = $1)
"""
API_KEYS = f"{_API_KEY} WHERE tenant_id = $1 ORDER BY created_at, key_id"
REVOKE_API_KEY = """
UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE key_id = $1 RETURNING key_id
"""  # an operator revokes a key by its id alone

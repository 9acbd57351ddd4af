"""The queue of checks, of all tenants."""

# the monitor's scan: of all tenants, one after the other
NEXT_DUE = "SELECT MIN(next_check_at) AS at FROM connections"
TENANTS_WITH_DUE = """
SELECT tenant_id FROM tenants t
WHERE tenant_id > $1 AND EXISTS (SELECT 1 FROM connections c
    WHERE c.tenant_id = t.tenant_id AND c.next_check_at <= $2)
ORDER BY tenant_id LIMIT $3
"""
DUE = """
SELECT tenant_id, profile_key, platform, origin FROM connections
WHERE tenant_id = $1 AND next_check_at <= $2 ORDER BY next_check_at LIMIT $3
"""
BRING_FORWARD = "UPDATE connections SET next_check_at = $1 WHERE next_check_at > $2"
PUT_OFF = """
UPDATE connections SET next_check_at = $4
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
"""

"""The SQL of connections in use, in the manner of statements.py."""

from service.storage import rows

STORED_CONNECTION = f"""
SELECT {rows.CONNECTION}, {rows.UPKEEP}, p.profile_key, c.origin, c.generation,
    r.generation AS credential_generation, r.ring_key_id AS credential_key, r.envelope,
    s.generation AS session_generation, s.ring_key_id AS session_key, s.envelope,
    s.refreshed_at, s.fence
FROM profiles p
LEFT JOIN connections c
  ON c.tenant_id = p.tenant_id AND c.profile_key = p.profile_key AND c.platform = $3
LEFT JOIN credentials r
  ON r.tenant_id = c.tenant_id AND r.profile_key = c.profile_key AND r.platform = c.platform
LEFT JOIN sessions s
  ON s.tenant_id = c.tenant_id AND s.profile_key = c.profile_key AND s.platform = c.platform
WHERE p.tenant_id = $1 AND p.profile_key = $2
"""
# of the connection's generation: that of a session which was tampered with says nothing
_HELD = """
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND fence = $5
    AND $4 = (SELECT c.generation FROM connections c WHERE c.tenant_id = sessions.tenant_id
        AND c.profile_key = sessions.profile_key AND c.platform = sessions.platform)
"""
# a claim that ends far later than any can was made by a clock that has been put back since
CLAIM = """
UPDATE sessions SET fence = fence + 1, claimed_until = $4
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
    AND (claimed_until <= $5 OR claimed_until > CAST($4 AS BIGINT) + 60000000)
RETURNING fence
"""
CLAIMED_UNTIL = """
SELECT claimed_until FROM sessions WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
"""
GIVE_UP_CLAIM = f"UPDATE sessions SET claimed_until = 0 {_HELD} RETURNING fence"
FORGET_CLAIMS = "UPDATE sessions SET claimed_until = 0 WHERE claimed_until > 0"  # of all tenants
REPLACE_SESSION = f"""
UPDATE sessions SET generation = $4, ring_key_id = $6, envelope = $7, expires_at = $8,
    refreshed_at = $9
{_HELD} RETURNING fence
"""
MOVE_SESSION = f"""
UPDATE sessions SET ring_key_id = $6, envelope = $7 {_HELD} RETURNING fence
"""
MOVE_CREDENTIAL = """
UPDATE credentials SET ring_key_id = $5, envelope = $6
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""
MOVE_CONNECTION = """
UPDATE connections SET origin = $5
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""
SAVE_VERDICT = """
UPDATE connections SET state = $5, reconnect_reason = $6, username = $7,
    display_name = CASE display_name WHEN username THEN $7 ELSE display_name END,
    last_verified_at = $8, next_check_at = $9, checked_at = $10, document_at = $11,
    moved_at = $12, doubts = $13, refusals = $14, login_after = $15,
    profile_created_at = (SELECT created_at FROM profiles WHERE tenant_id = $1 AND profile_key = $2)
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""

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

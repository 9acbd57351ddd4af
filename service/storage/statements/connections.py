"""Connections with their sealed secrets, and claims on them."""

from service.domain.records import MAX_CLAIM_SKEW
from service.storage import rows

# of all tenants, for the metrics alone: in pages, since a count would keep a connection for long
SURVEY = """
SELECT c.tenant_id, c.profile_key, c.platform, c.state, k.ring_key_id, s.ring_key_id
FROM connections c
JOIN credentials k
  ON k.tenant_id = c.tenant_id AND k.profile_key = c.profile_key AND k.platform = c.platform
JOIN sessions s
  ON s.tenant_id = c.tenant_id AND s.profile_key = c.profile_key AND s.platform = c.platform
WHERE (c.tenant_id, c.profile_key, c.platform) > ($1, $2, $3)
ORDER BY c.tenant_id, c.profile_key, c.platform LIMIT $4
"""
CONNECTED_ACCOUNT = """
SELECT p.profile_key, c.account_id
FROM profiles p
LEFT JOIN connections c
  ON c.tenant_id = p.tenant_id AND c.profile_key = p.profile_key AND c.platform = $3
WHERE p.tenant_id = $1 AND p.profile_key = $2
"""
SAVE_CONNECTION = f"""
INSERT INTO connections (tenant_id, profile_key, platform, account_id, username, display_name,
    origin, generation, state, connected_at, last_verified_at, document_at, next_check_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'HEALTHY', $9, $9, $9, $10)
ON CONFLICT (tenant_id, profile_key, platform) DO UPDATE SET
    username = excluded.username, origin = excluded.origin,
    display_name = CASE connections.display_name WHEN connections.username
        THEN excluded.display_name ELSE connections.display_name END,
    generation = excluded.generation, state = 'HEALTHY', reconnect_reason = NULL,
    last_verified_at = excluded.last_verified_at, document_at = excluded.document_at,
    next_check_at = excluded.next_check_at,
    checked_at = NULL, moved_at = NULL, doubts = 0, refusals = 0, login_after = NULL,
    rejections = 0
RETURNING {rows.SAVED_CONNECTION}
"""
SAVE_CREDENTIAL = """
INSERT INTO credentials (tenant_id, profile_key, platform, generation, ring_key_id, envelope)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, profile_key, platform) DO UPDATE SET
    generation = excluded.generation, ring_key_id = excluded.ring_key_id,
    envelope = excluded.envelope
"""
SAVE_SESSION = """
INSERT INTO sessions (tenant_id, profile_key, platform, generation, ring_key_id, envelope,
    expires_at, refreshed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, profile_key, platform) DO UPDATE SET
    generation = excluded.generation, ring_key_id = excluded.ring_key_id,
    envelope = excluded.envelope, expires_at = excluded.expires_at,
    refreshed_at = excluded.refreshed_at, fence = sessions.fence + 1, claimed_until = 0
"""
SAVE_DISPLAY_NAME = """
UPDATE connections SET display_name = $5
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""
DELETE_CONNECTION = """
DELETE FROM connections WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
"""  # secrets go with it
SESSIONS = """
SELECT c.profile_key, c.platform, c.account_id, c.origin, c.generation,
    s.generation AS sealed_generation, s.ring_key_id, s.envelope
FROM connections c
JOIN sessions s
  ON s.tenant_id = c.tenant_id AND s.profile_key = c.profile_key AND s.platform = c.platform
WHERE c.tenant_id = $1
"""
SESSION_OF_CONNECTION = f"{SESSIONS} AND c.profile_key = $2 AND c.platform = $3"
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
# the connection's generation: a session's own may have been tampered with
_HELD = """
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND fence = $5
    AND $4 = (SELECT c.generation FROM connections c WHERE c.tenant_id = sessions.tenant_id
        AND c.profile_key = sessions.profile_key AND c.platform = sessions.platform)
"""
CLAIM = f"""
UPDATE sessions SET fence = fence + 1, claimed_until = $4
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
    AND (claimed_until <= $5 OR claimed_until > CAST($4 AS BIGINT) + {MAX_CLAIM_SKEW})
RETURNING fence
"""
CLAIMED_UNTIL = """
SELECT claimed_until FROM sessions WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
"""
RELEASE_CLAIM = f"UPDATE sessions SET claimed_until = 0 {_HELD} RETURNING fence"
RELEASE_ALL_CLAIMS = (
    "UPDATE sessions SET claimed_until = 0 WHERE claimed_until > 0"  # of all tenants
)
REPLACE_SESSION = f"""
UPDATE sessions SET generation = $4, ring_key_id = $6, envelope = $7, expires_at = $8,
    refreshed_at = $9
{_HELD} RETURNING fence
"""
REPLACE_SESSION_ENVELOPE = f"""
UPDATE sessions SET ring_key_id = $6, envelope = $7 {_HELD} RETURNING fence
"""
REPLACE_CREDENTIAL_ENVELOPE = """
UPDATE credentials SET ring_key_id = $5, envelope = $6
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""
SAVE_ORIGIN = """
UPDATE connections SET origin = $5
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""
SAVE_VERDICT = """
UPDATE connections SET state = $5, reconnect_reason = $6, username = $7,
    display_name = CASE display_name WHEN username THEN $7 ELSE display_name END,
    last_verified_at = $8, next_check_at = $9, checked_at = $10, document_at = $11,
    moved_at = $12, doubts = $13, refusals = $14, login_after = $15, rejections = $16,
    profile_created_at = (SELECT created_at FROM profiles WHERE tenant_id = $1 AND profile_key = $2)
WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
"""

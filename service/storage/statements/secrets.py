"""Sealed secrets of all tenants, for the rotation of keys."""

# the rotation of keys: of all tenants, since the keys are the service's
KEY_USES = """
SELECT ring_key_id, COUNT(*) AS uses FROM (
    SELECT ring_key_id FROM credentials
    UNION ALL SELECT ring_key_id FROM sessions
    UNION ALL SELECT ring_key_id FROM webhook_secrets
    UNION ALL SELECT ring_key_id FROM api_keys WHERE revoked_at IS NULL
    UNION ALL SELECT ring_key_id FROM idempotency_records WHERE expires_at > $1
    UNION ALL SELECT ring_key_id FROM connect_links WHERE expires_at > $1) named
GROUP BY ring_key_id
"""


def sealed_otherwise(table: str) -> str:
    """Return a query of *table* for secrets that another key than $1 wraps, after an address."""
    return f"""
    SELECT c.tenant_id, c.profile_key, c.platform, c.account_id, c.origin, c.generation,
        s.generation AS sealed_generation, s.ring_key_id, s.envelope
    FROM {table} s
    JOIN connections c
      ON c.tenant_id = s.tenant_id AND c.profile_key = s.profile_key AND c.platform = s.platform
    WHERE s.ring_key_id <> $1 AND (s.tenant_id, s.profile_key, s.platform) > ($2, $3, $4)
    ORDER BY s.tenant_id, s.profile_key, s.platform LIMIT $5
    """


def replace_unchanged(table: str) -> str:
    """Return an update of *table* that replaces envelope $5, if it is unchanged."""
    return f"""
    UPDATE {table} SET ring_key_id = $6, envelope = $7
    WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
        AND envelope = $5
    RETURNING 1
    """

"""Idempotency keys and the replies to their requests."""

EARLIER_REQUEST = """
SELECT ring_key_id, digest, reply
FROM idempotency_records
WHERE tenant_id = $1 AND method = $2 AND idempotency_key = $3 AND expires_at > $4
"""
FREE_EXPIRED = """
DELETE FROM idempotency_records
WHERE tenant_id = $1 AND method = $2 AND idempotency_key = $3 AND expires_at <= $4
"""
DELETE_EXPIRED_REQUESTS = """
DELETE FROM idempotency_records WHERE (tenant_id, method, idempotency_key) IN (
    SELECT tenant_id, method, idempotency_key FROM idempotency_records
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
RETURNING 1
"""
RESERVE = """
INSERT INTO idempotency_records
    (tenant_id, method, idempotency_key, holder, ring_key_id, digest, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
COMPLETE = """
UPDATE idempotency_records
SET profile_key = $5, reply = $6, expires_at = $7
WHERE tenant_id = $1 AND method = $2 AND idempotency_key = $3 AND holder = $4
"""
RELEASE = """
DELETE FROM idempotency_records
WHERE tenant_id = $1 AND method = $2 AND idempotency_key = $3 AND holder = $4
    AND reply IS NULL
"""
RELEASE_ALL = "DELETE FROM idempotency_records WHERE reply IS NULL"  # of all tenants

"""Webhooks, their secrets and their deliveries."""

from service.domain.records import MAX_CLAIM_SKEW
from service.domain.webhooks import MAX_QUEUED

_WEBHOOK_COLUMNS = (
    "webhook_id, tenant_id, url, event_types, created_at, position, disabled_reason, failures,"
    " failing_since, resume_at"
)
_DELIVERY_COLUMNS = (
    "message_id, number, profile_key, event_type, next_at, body, attempts, first_at, cause,"
    " http_status, failed_at"
)
# the row of the tenant's event counter is read, so that no event is numbered meanwhile
LATEST_EVENT = "SELECT last_event FROM tenants WHERE tenant_id = $1"
COUNT_WEBHOOKS = "SELECT COUNT(*) AS webhooks FROM webhooks WHERE tenant_id = $1"
ADD_WEBHOOK = """
INSERT INTO webhooks (webhook_id, tenant_id, url, event_types, created_at, position)
VALUES ($1, $2, $3, $4, $5, $6)
"""
WEBHOOK = f"SELECT {_WEBHOOK_COLUMNS} FROM webhooks WHERE tenant_id = $1 AND webhook_id = $2"
WEBHOOKS = f"""
SELECT {_WEBHOOK_COLUMNS} FROM webhooks WHERE tenant_id = $1 ORDER BY created_at, webhook_id
"""
ENABLE = """
UPDATE webhooks SET disabled_reason = NULL, failures = 0, failing_since = NULL, resume_at = 0
WHERE tenant_id = $1 AND webhook_id = $2 RETURNING 1
"""
DELETE_WEBHOOK = """
DELETE FROM webhooks WHERE tenant_id = $1 AND webhook_id = $2 RETURNING 1
"""  # secrets and deliveries go with it

ADD_SECRETS = """
INSERT INTO webhook_secrets (webhook_id, generation, ring_key_id, envelope, created_at)
VALUES ($1, $2, $3, $4, $5)
"""
SECRETS = """
SELECT generation, ring_key_id, envelope, expires_at FROM webhook_secrets
WHERE webhook_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY created_at DESC
"""
DELETE_FORMER_SECRETS = """
DELETE FROM webhook_secrets WHERE webhook_id = $1 AND expires_at IS NOT NULL
"""
EXPIRE_SECRETS = """
UPDATE webhook_secrets SET expires_at = $2 WHERE webhook_id = $1 AND expires_at IS NULL
"""
SEALED_OTHERWISE = """
SELECT w.tenant_id, w.webhook_id, w.url, s.generation, s.ring_key_id, s.envelope
FROM webhook_secrets s JOIN webhooks w ON w.webhook_id = s.webhook_id
WHERE s.ring_key_id <> $1 AND (s.webhook_id, s.generation) > ($2, $3)
ORDER BY s.webhook_id, s.generation LIMIT $4
"""
KEY_USES = "SELECT ring_key_id, COUNT(*) AS uses FROM webhook_secrets GROUP BY ring_key_id"
REPLACE_UNCHANGED = """
UPDATE webhook_secrets SET ring_key_id = $4, envelope = $5
WHERE webhook_id = $1 AND generation = $2 AND envelope = $3 RETURNING 1
"""

_FREE = f"""(claimed_until <= {{at}}
    OR claimed_until > CAST({{until}} AS BIGINT) + {MAX_CLAIM_SKEW})"""
# a pause that ends later was written by a clock that has been put back since
DUE = f"""
SELECT w.webhook_id FROM webhooks w JOIN tenants t ON t.tenant_id = w.tenant_id
WHERE w.disabled_reason IS NULL AND (w.resume_at <= $1 OR w.resume_at > $2)
    AND {_FREE.format(at="$1", until="$3")}
    AND (w.position < t.last_event OR EXISTS (SELECT 1 FROM webhook_deliveries d
        WHERE d.webhook_id = w.webhook_id AND d.failed_at IS NULL AND d.next_at <= $1))
ORDER BY w.claimed_until, w.webhook_id LIMIT $4
"""
CLAIM = f"""
UPDATE webhooks SET fence = fence + 1, claimed_until = $2
WHERE webhook_id = $1 AND disabled_reason IS NULL AND {_FREE.format(at="$3", until="$2")}
RETURNING {_WEBHOOK_COLUMNS}, fence
"""
RELEASE_ALL = "UPDATE webhooks SET claimed_until = 0 WHERE claimed_until > 0"  # of all tenants
SAVE = """
UPDATE webhooks SET position = $3, disabled_reason = $4, failures = $5, failing_since = $6,
    resume_at = $7, claimed_until = $8
WHERE webhook_id = $1 AND fence = $2 RETURNING 1
"""
WAITING = f"""
SELECT {_DELIVERY_COLUMNS} FROM webhook_deliveries
WHERE webhook_id = $1 AND failed_at IS NULL ORDER BY number, message_id
"""
PUT_DELIVERY = f"""
INSERT INTO webhook_deliveries (webhook_id, {_DELIVERY_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (webhook_id, message_id) DO UPDATE SET next_at = excluded.next_at,
    attempts = excluded.attempts, first_at = excluded.first_at, cause = excluded.cause,
    http_status = excluded.http_status, failed_at = excluded.failed_at
"""
# those behind it are never due before it
PUT_BACK = """
UPDATE webhook_deliveries SET next_at = $3
WHERE webhook_id = $1 AND profile_key = $2 AND failed_at IS NULL AND next_at < $3
"""
BRING_FORWARD = """
UPDATE webhook_deliveries SET next_at = $2
WHERE webhook_id = $1 AND failed_at IS NULL AND next_at > $2
"""
DELETE_DELIVERY = "DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND message_id = $2"
DELIVERY = f"""
SELECT {_DELIVERY_COLUMNS} FROM webhook_deliveries WHERE webhook_id = $1 AND message_id = $2
"""
FAILED = f"""
SELECT {_DELIVERY_COLUMNS} FROM webhook_deliveries
WHERE webhook_id = $1 AND (failed_at, message_id) > ($2, $3)
ORDER BY failed_at, message_id LIMIT $4
"""
COUNT_WAITING = """
SELECT COUNT(*) AS waiting FROM webhook_deliveries WHERE webhook_id = $1 AND failed_at IS NULL
"""
# events of a deleted profile have no time: those after the first that has one
EVENTS_SINCE = """
SELECT number, kind, profile_key, connection, occurred_at FROM events
WHERE tenant_id = $1 AND number <= $3 AND number >= (
    SELECT MIN(number) FROM events WHERE tenant_id = $1 AND occurred_at >= $2)
ORDER BY number LIMIT $4
"""
EVENT = """
SELECT number, kind, profile_key, connection, occurred_at FROM events
WHERE tenant_id = $1 AND number = $2 AND number <= $3
"""
COUNTS = """
SELECT (SELECT COUNT(*) FROM webhooks WHERE disabled_reason IS NULL) AS enabled,
    (SELECT COUNT(*) FROM webhooks WHERE disabled_reason IS NOT NULL) AS disabled,
    (SELECT COUNT(*) FROM webhook_deliveries WHERE failed_at IS NULL) AS waiting,
    (SELECT COUNT(*) FROM webhook_deliveries WHERE failed_at IS NOT NULL) AS failed
"""
# not of one whose queue is full of messages that its receiver refuses
OLDEST_WAITING = f"""
SELECT MIN(e.occurred_at) AS oldest FROM webhooks w
JOIN events e ON e.tenant_id = w.tenant_id AND e.number = w.position + 1
WHERE w.disabled_reason IS NULL AND w.failures = 0 AND w.resume_at <= $1
    AND (SELECT COUNT(*) FROM webhook_deliveries d
        WHERE d.webhook_id = w.webhook_id AND d.failed_at IS NULL) < {MAX_QUEUED}
"""
PRUNE = """
DELETE FROM webhook_deliveries WHERE (webhook_id, message_id) IN (
    SELECT webhook_id, message_id FROM webhook_deliveries WHERE failed_at < $1
    ORDER BY failed_at LIMIT $2) RETURNING 1
"""

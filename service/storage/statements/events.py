"""Events."""

NEXT_EVENT = """
UPDATE tenants SET last_event = last_event + 1 WHERE tenant_id = $1 RETURNING last_event
"""
ADD_EVENT = """
INSERT INTO events (tenant_id, number, kind, profile_key, connection, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING number
"""
# numbers have no gaps, so the oldest event shows which ones were pruned
EVENTS_KEPT = """
SELECT last_event, COALESCE((SELECT MIN(number) FROM events WHERE tenant_id = $1), last_event + 1)
    - 1 AS last_pruned FROM tenants WHERE tenant_id = $1
"""
EVENTS = """
SELECT number, kind, profile_key, connection, occurred_at FROM events
WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT $3
"""
TENANTS_AT_ONCE = 100
_TENANTS = ", ".join(f"${number}" for number in range(1, TENANTS_AT_ONCE + 1))
LATEST_EVENTS = f"SELECT tenant_id, last_event FROM tenants WHERE tenant_id IN ({_TENANTS})"
# of all tenants, in pages
MARK_EVENTS = """
INSERT INTO event_marks (tenant_id, number, at)
SELECT t.tenant_id, t.last_event, CAST($3 AS BIGINT) FROM tenants t
WHERE t.tenant_id > $1 AND EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = t.tenant_id
    AND e.number > COALESCE((SELECT MAX(number) FROM event_marks WHERE tenant_id = t.tenant_id), 0))
ORDER BY t.tenant_id LIMIT $2 ON CONFLICT (tenant_id, number) DO NOTHING RETURNING tenant_id
"""
MARKS = """
SELECT tenant_id, MAX(number) AS number FROM event_marks WHERE at <= $1 GROUP BY tenant_id LIMIT $2
"""
PRUNE_EVENTS = """
DELETE FROM events WHERE tenant_id = $1 AND number <= $2 AND number < (
    SELECT MIN(number) + CAST($3 AS BIGINT) FROM events WHERE tenant_id = $1) RETURNING number
"""
DELETE_MARKS = "DELETE FROM event_marks WHERE tenant_id = $1 AND number <= $2"
STRIP_EVENTS = """
UPDATE events SET connection = NULL, occurred_at = NULL
WHERE tenant_id = $1 AND profile_key = $2
"""

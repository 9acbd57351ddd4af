"""The SQL, one text for SQLite and PostgreSQL: parameters are `$1`, `$2`, …, cast where no column
beside them tells PostgreSQL their type; times are microseconds since the epoch. Every statement
carries the tenant; those that cannot (an API key is looked up before its tenant is known) say
so."""

from service.storage import rows

REMEMBERED = "SELECT value FROM facts WHERE name = $1"  # of the whole store
REMEMBER = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
REVISE = "UPDATE facts SET value = $3 WHERE name = $1 AND value = $2 RETURNING name"

ADD_TENANT = "INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, $2, $3)"
TENANTS = "SELECT tenant_id, name, created_at FROM tenants ORDER BY created_at, tenant_id"
TENANT_EXISTS = "SELECT 1 FROM tenants WHERE tenant_id = $1"

ADD_API_KEY = """
INSERT INTO api_keys (key_id, tenant_id, name, scopes, ring_key_id, verifier, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_API_KEY = """
SELECT key_id, tenant_id, name, scopes, ring_key_id, verifier, created_at, revoked_at
FROM api_keys
"""
# its tenant is what we want to know; where there is no such key, a row of nobody's
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

# Only for a tenant that exists (still). The key is unique by two indexes: a conflict in either one
# counts, or two processes that add one profile violate the second.
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
# From an index in the order of pages. What a node of an older program has found broken has no place
# in that order, and is looked up, row by row, whatever a database thinks of how many these are.
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
DELETE_CONNECTION = """
DELETE FROM connections WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3
"""  # secrets go with it
CONNECTED_ACCOUNT = """
SELECT p.profile_key, c.account_id
FROM profiles p
LEFT JOIN connections c
  ON c.tenant_id = p.tenant_id AND c.profile_key = p.profile_key AND c.platform = $3
WHERE p.tenant_id = $1 AND p.profile_key = $2
"""

SAVE_CONNECTION = """
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
    checked_at = NULL, moved_at = NULL, doubts = 0, refusals = 0, login_after = NULL
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
_STORED_SESSION = """
SELECT c.profile_key, c.platform, c.account_id, c.origin, c.generation,
    s.generation AS sealed_generation, s.ring_key_id, s.envelope
FROM connections c
JOIN sessions s
  ON s.tenant_id = c.tenant_id AND s.profile_key = c.profile_key AND s.platform = c.platform
WHERE c.tenant_id = $1
"""
STORED_SESSION = f"{_STORED_SESSION} AND c.profile_key = $2 AND c.platform = $3"
STORED_SESSIONS = f"{_STORED_SESSION} AND c.profile_key = $2"
STORED_SESSIONS_OF_TENANT = f"""
{_STORED_SESSION} AND c.profile_key IN (
    SELECT profile_key FROM profiles WHERE tenant_id = $1 ORDER BY profile_key LIMIT $2)
"""  # of the profiles that go next

# the rotation of keys: of all tenants, since the keys are the service's
KEY_USES = """
SELECT ring_key_id, COUNT(*) AS uses FROM (
    SELECT ring_key_id FROM credentials
    UNION ALL SELECT ring_key_id FROM sessions
    UNION ALL SELECT ring_key_id FROM api_keys WHERE revoked_at IS NULL
    UNION ALL SELECT ring_key_id FROM idempotency_records WHERE expires_at > $1) named
GROUP BY ring_key_id
"""


def sealed_otherwise(table: str) -> str:
    """Secrets of *table* that another key than $1 wraps, in order, after a place."""
    return f"""
    SELECT c.tenant_id, c.profile_key, c.platform, c.account_id, c.origin, c.generation,
        s.generation AS sealed_generation, s.ring_key_id, s.envelope
    FROM {table} s
    JOIN connections c
      ON c.tenant_id = s.tenant_id AND c.profile_key = s.profile_key AND c.platform = s.platform
    WHERE s.ring_key_id <> $1 AND (s.tenant_id, s.profile_key, s.platform) > ($2, $3, $4)
    ORDER BY s.tenant_id, s.profile_key, s.platform LIMIT $5
    """


def rewrap(table: str) -> str:
    """Another envelope in the place of $5, if that still stands there."""
    return f"""
    UPDATE {table} SET ring_key_id = $6, envelope = $7
    WHERE tenant_id = $1 AND profile_key = $2 AND platform = $3 AND generation = $4
        AND envelope = $5
    RETURNING 1
    """


NEXT_EVENT = """
UPDATE tenants SET last_event = last_event + 1 WHERE tenant_id = $1 RETURNING last_event
"""
ADD_EVENT = """
INSERT INTO events (tenant_id, number, kind, profile_key, connection, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
# numbers have no gaps, so that the oldest event tells which ones are gone
EVENTS_KEPT = """
SELECT last_event, COALESCE((SELECT MIN(number) FROM events WHERE tenant_id = $1), last_event + 1)
    - 1 AS pruned FROM tenants WHERE tenant_id = $1
"""
EVENTS = """
SELECT number, kind, profile_key, connection, occurred_at FROM events
WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT $3
"""
TENANTS_AT_ONCE = 100
_TENANTS = ", ".join(f"${number}" for number in range(1, TENANTS_AT_ONCE + 1))
NEWEST_EVENTS = f"SELECT tenant_id, last_event FROM tenants WHERE tenant_id IN ({_TENANTS})"
# of all tenants, one page after the other
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
FORGET_MARKS = "DELETE FROM event_marks WHERE tenant_id = $1 AND number <= $2"
STRIP_EVENTS = """
UPDATE events SET connection = NULL, occurred_at = NULL
WHERE tenant_id = $1 AND profile_key = $2
"""

# whose logins they are is a matter of the account, not of one tenant
# where the clock was set back, debits that lie ahead are as of now; pauses that last longer than
# any can are none
REDATE_DEBITS = "UPDATE login_debits SET at = $1 WHERE at > $1"
FORGET_DEBITS = "DELETE FROM login_debits WHERE at <= $1"
FORGET_PAUSES = "DELETE FROM login_pauses WHERE until <= $1 OR until > $2"
DEBITS = "SELECT tenant_id, purpose, at FROM login_debits WHERE account_id = $1 AND origin = $2"
PAUSE = "SELECT until FROM login_pauses WHERE account_id = $1 AND origin = $2"
ADD_DEBIT = """
INSERT INTO login_debits (account_id, origin, tenant_id, purpose, at) VALUES ($1, $2, $3, $4, $5)
"""
SAVE_PAUSE = """
INSERT INTO login_pauses (account_id, origin, until) VALUES ($1, $2, $3)
ON CONFLICT (account_id, origin) DO UPDATE SET until = excluded.until
WHERE excluded.until > login_pauses.until OR login_pauses.until > $4
"""
CONNECTED_BY_TENANT = """
SELECT 1 FROM connections WHERE tenant_id = $1 AND account_id = $2 AND origin = $3 LIMIT 1
"""

# so many rows at once, in the order in which they go: a tenant may have more than a time-out allows
_DELETE_SOME = """
DELETE FROM {table} WHERE tenant_id = $1 AND ({row}) IN (
    SELECT {row} FROM {table} WHERE tenant_id = $1 ORDER BY {row} LIMIT $2) RETURNING 1
"""
DELETE_KEYS_OF_TENANT = _DELETE_SOME.format(table="api_keys", row="key_id")
DELETE_OF_TENANT = (
    _DELETE_SOME.format(table="profiles", row="profile_key"),
    _DELETE_SOME.format(table="idempotency_records", row="method, idempotency_key"),
    _DELETE_SOME.format(table="events", row="number"),
    _DELETE_SOME.format(table="leases", row="at"),  # those of one microsecond stay together
)  # what was spent on accounts stays spent, whichever tenant connects next
DELETE_TENANT = "DELETE FROM tenants WHERE tenant_id = $1"

EARLIER_REQUEST = """
SELECT ring_key_id, digest, reply
FROM idempotency_records
WHERE tenant_id = $1 AND method = $2 AND idempotency_key = $3 AND expires_at > $4
"""
FORGET_EXPIRED_REQUESTS = """
DELETE FROM idempotency_records WHERE tenant_id = $1 AND expires_at <= $2
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
    AND profile_key IS NULL
"""
FORGET_RESERVATIONS = "DELETE FROM idempotency_records WHERE profile_key IS NULL"  # of all tenants

"""Connect links, and what tenants have registered for their pages."""

_COLUMNS = (
    "link_id, tenant_id, key_id, profile_key, platform, app_name, return_url, state, locale, "
    "created_at, expires_at"
)
ADD_LINK = f"""
INSERT INTO connect_links ({_COLUMNS}, digest, ring_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
LINK = f"""
SELECT {", ".join(f"l.{name}" for name in _COLUMNS.split(", "))}, l.tries, l.used_at, l.revoked_at,
    p.name, p.logo, p.colour, p.origins
FROM connect_links l LEFT JOIN tenant_pages p ON p.tenant_id = l.tenant_id
WHERE l.digest = $1
"""
TAKE_TRY = """
UPDATE connect_links SET tries = tries + 1
WHERE tenant_id = $1 AND link_id = $2 AND tries < $3 AND expires_at > $4
    AND used_at IS NULL AND revoked_at IS NULL
RETURNING tries
"""
USE_LINK = """
UPDATE connect_links SET used_at = $3, profile_key = $4, platform = $5
WHERE tenant_id = $1 AND link_id = $2 AND used_at IS NULL AND revoked_at IS NULL
RETURNING link_id
"""
REVOKE_LINK = """
UPDATE connect_links
SET revoked_at = COALESCE(revoked_at, CASE WHEN used_at IS NULL THEN CAST($3 AS BIGINT) END)
WHERE tenant_id = $1 AND link_id = $2 RETURNING link_id
"""
DELETE_EXPIRED_LINKS = """
DELETE FROM connect_links WHERE link_id IN (
    SELECT link_id FROM connect_links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
RETURNING 1
"""
TENANT_PAGE = "SELECT name, logo, colour, origins FROM tenant_pages WHERE tenant_id = $1"
SET_TENANT_PAGE = """
INSERT INTO tenant_pages (tenant_id, name, logo, colour, origins) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, logo = excluded.logo,
    colour = excluded.colour, origins = excluded.origins
"""

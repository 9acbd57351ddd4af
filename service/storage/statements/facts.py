"""Facts about the whole store."""

REMEMBERED = "SELECT value FROM facts WHERE name = $1"  # of the whole store
REMEMBER = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
REVISE = "UPDATE facts SET value = $3 WHERE name = $1 AND value = $2 RETURNING name"

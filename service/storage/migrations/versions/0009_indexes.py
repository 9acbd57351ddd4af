"""Indexes that a search by the primary key does not fit.

Until PostgreSQL has statistics of a new table, it may take any index that begins with the tenant
for a search by a primary key that begins so, such as each foreign key to a connection makes. It
then reads, and locks, all rows of the tenant.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace("connections", "connections_of_account", ["account_id", "origin", "tenant_id"])
    _replace(
        "connections", "connections_due_of_tenant", ["tenant_id", "next_check_at"], "next_check_at"
    )
    # of all tenants: deleted by a loop, no longer by the tenant's next request
    _replace("idempotency_records", "idempotency_records_by_expiry", ["expires_at"])
    for table in ("idempotency_records", "connect_links"):
        _replace(table, f"{table}_of_profile", ["tenant_id", "profile_key"], not_null="profile_key")


def _replace(table: str, name: str, columns: list[str], not_null: str = "") -> None:
    """Make an index again. *not_null*: leave out the rows in which that column is null."""
    where = sa.text(f"{not_null} IS NOT NULL") if not_null else None
    op.drop_index(name, table)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)

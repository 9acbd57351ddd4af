"""Indexes of connections that a search by the primary key does not fit.

Until PostgreSQL has statistics of a new table, it may take any index that begins with the tenant
for its own search by (tenant_id, profile_key, platform), which each foreign key to a connection
makes. It then reads, and locks, all connections of the tenant.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("connections_of_account", "connections")
    op.create_index("connections_of_account", "connections", ["account_id", "origin", "tenant_id"])
    op.drop_index("connections_due_of_tenant", "connections")
    op.create_index(
        "connections_due_of_tenant",
        "connections",
        ["tenant_id", "next_check_at"],
        sqlite_where=sa.text("next_check_at IS NOT NULL"),
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
    )

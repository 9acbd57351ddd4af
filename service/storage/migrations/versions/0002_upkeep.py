"""What the upkeep of connections notes, claims on their sessions, and the audit of leases."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("checked_at", sa.BigInteger),
        # when its document was last seen to name the origin; 0: look again
        sa.Column("document_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("moved_at", sa.BigInteger),
        sa.Column("doubts", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refusals", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("login_after", sa.BigInteger),
    ):
        op.add_column("connections", column)
    # connections from before there were checks are due now
    op.execute("UPDATE connections SET next_check_at = last_verified_at")
    op.create_index("connections_due", "connections", ["next_check_at"])
    op.create_index("connections_due_of_tenant", "connections", ["tenant_id", "next_check_at"])
    for name in ("refreshed_at", "fence", "claimed_until"):
        op.add_column(
            "sessions", sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        )
    op.create_table(
        "leases",
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("profile_key", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("leases_by_age", "leases", ["at"])
    op.create_index("leases_of_tenant", "leases", ["tenant_id", "at"])

"""Marks in the row of a tenant's events: which of them had been written at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # apart from the events, since those of a deleted profile have no time
    op.create_table(
        "event_marks",
        sa.Column(
            "tenant_id",
            sa.Text,
            sa.ForeignKey("tenants.tenant_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("event_marks_by_age", "event_marks", ["at"])

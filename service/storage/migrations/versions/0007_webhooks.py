"""Webhooks, their secrets, and the messages that were not delivered at once."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.Text, primary_key=True),
        sa.Column(
            "tenant_id",
            sa.Text,
            # nodes of the version before delete tenants too
            sa.ForeignKey("tenants.tenant_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("url", sa.Text, nullable=False),
        # separated by spaces; empty: all
        sa.Column("event_types", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        # the number of the last event that was sent or has a delivery
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("failures", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("resume_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("claimed_until", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("webhooks_of_tenant", "webhooks", ["tenant_id", "created_at", "webhook_id"])
    op.create_table(
        "webhook_secrets",
        _webhook(),
        sa.Column("generation", sa.BigInteger, primary_key=True),
        sa.Column("ring_key_id", sa.Text, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
    )
    op.create_index("webhook_secrets_by_keyring_key", "webhook_secrets", ["ring_key_id"])
    op.create_table(
        "webhook_deliveries",
        _webhook(),
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("profile_key", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        # of a message about no event; the others are read from the events
        sa.Column("body", sa.Text),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("http_status", sa.BigInteger, nullable=False),
        # when it was given up
        sa.Column("failed_at", sa.BigInteger),
    )
    waits = sa.text("failed_at IS NULL")
    op.create_index(
        "webhook_deliveries_waiting",
        "webhook_deliveries",
        ["webhook_id", "next_at"],
        sqlite_where=waits,
        postgresql_where=waits,
    )
    op.create_index(
        "webhook_deliveries_failed", "webhook_deliveries", ["webhook_id", "failed_at", "message_id"]
    )
    op.create_index("webhook_deliveries_by_age", "webhook_deliveries", ["failed_at"])


def _webhook() -> sa.Column[str]:
    return sa.Column(
        "webhook_id",
        sa.Text,
        sa.ForeignKey("webhooks.webhook_id", ondelete="CASCADE"),
        primary_key=True,
    )

"""Tenants, API keys, profiles, connections, sealed secrets, idempotency records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OF_A_CONNECTION = ("tenant_id", "profile_key", "platform")


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        # the number of the tenant's newest event: a row to count in, so that numbers have no gaps
        sa.Column("last_event", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.tenant_id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("ring_key_id", sa.Text, nullable=False),
        sa.Column("verifier", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
    )
    op.create_index("api_keys_of_tenant", "api_keys", ["tenant_id", "created_at", "key_id"])
    op.create_table(
        "profiles",
        # a key names one profile in the whole store, so that none is ever taken for another's
        sa.Column("profile_key", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.tenant_id"), nullable=False),
        sa.Column("profile_name", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    # also what the foreign key of connections refers to
    op.create_index(
        "profiles_of_tenant_by_key", "profiles", ["tenant_id", "profile_key"], unique=True
    )
    op.create_index("profiles_in_order", "profiles", ["tenant_id", "created_at", "profile_key"])
    op.create_table(
        "connections",
        *(sa.Column(name, sa.Text, primary_key=True) for name in OF_A_CONNECTION),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reconnect_reason", sa.Text),
        sa.Column("connected_at", sa.BigInteger, nullable=False),
        sa.Column("last_verified_at", sa.BigInteger, nullable=False),
        sa.Column("next_check_at", sa.BigInteger),
        sa.ForeignKeyConstraint(
            ["tenant_id", "profile_key"],
            ["profiles.tenant_id", "profiles.profile_key"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("connections_of_account", "connections", ["tenant_id", "account_id", "origin"])
    op.create_index(
        "connections_to_make_again",
        "connections",
        ["tenant_id", "profile_key"],
        sqlite_where=sa.text("reconnect_reason IS NOT NULL"),
        postgresql_where=sa.text("reconnect_reason IS NOT NULL"),
    )
    _create_secrets("credentials")
    _create_secrets("sessions", sa.Column("expires_at", sa.BigInteger, nullable=False))
    op.create_table(
        "idempotency_records",
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("method", sa.Text, primary_key=True),
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("ring_key_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("profile_key", sa.Text),
        sa.Column("reply", sa.Text),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        # gone with the profile
        sa.ForeignKeyConstraint(
            ["tenant_id", "profile_key"],
            ["profiles.tenant_id", "profiles.profile_key"],
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "idempotency_records_by_expiry", "idempotency_records", ["tenant_id", "expires_at"]
    )
    op.create_index(
        "idempotency_records_of_profile", "idempotency_records", ["tenant_id", "profile_key"]
    )

    op.create_table(
        "events",
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.tenant_id"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("profile_key", sa.Text, nullable=False),
        # the connection as it was; both are taken out when the profile is deleted
        sa.Column("connection", sa.Text),
        sa.Column("occurred_at", sa.BigInteger),
    )
    op.create_index("events_of_profile", "events", ["tenant_id", "profile_key"])
    op.create_table(
        "login_debits",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("login_debits_of_account", "login_debits", ["account_id", "origin", "at"])
    op.create_index("login_debits_by_age", "login_debits", ["at"])
    op.create_table(
        "login_pauses",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_index("login_pauses_by_end", "login_pauses", ["until"])


def _create_secrets(table: str, *more: sa.Column[int]) -> None:
    op.create_table(
        table,
        *(sa.Column(name, sa.Text, primary_key=True) for name in OF_A_CONNECTION),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("ring_key_id", sa.Text, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        *more,
        sa.ForeignKeyConstraint(
            OF_A_CONNECTION,
            [f"connections.{name}" for name in OF_A_CONNECTION],
            ondelete="CASCADE",
        ),
    )
    op.create_index(f"{table}_by_keyring_key", table, ["ring_key_id"])

"""Connect links, and what tenants have registered for the pages that they lead to."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connect_links",
        sa.Column("link_id", sa.Text, primary_key=True),
        # SHA-256 of the token, which is not stored
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("ring_key_id", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.tenant_id"), nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("profile_key", sa.Text),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("platform", "app_name", "return_url", "state", "locale")
        ),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        # gone with the profile
        sa.ForeignKeyConstraint(
            ["tenant_id", "profile_key"],
            ["profiles.tenant_id", "profiles.profile_key"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("connect_links_by_expiry", "connect_links", ["expires_at"])
    op.create_index("connect_links_of_profile", "connect_links", ["tenant_id", "profile_key"])
    # a table of its own: the row of a tenant is written at each event, and a logo is large
    op.create_table(
        "tenant_pages",
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.tenant_id"), primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("name", "logo", "colour", "origins")
        ),
    )
